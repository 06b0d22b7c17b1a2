import AtomicFiles
import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

@Suite struct SafetensorsDefectTests {
    struct Defect: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let bytes: [UInt8]
        let problem: String

        init(_ name: String, bytes: [UInt8], _ problem: String) { (testDescription, self.bytes, self.problem) = (name, bytes, problem) }

        init(_ name: String, header: String, data: [UInt8] = [], _ problem: String) {
            self.init(name, bytes: assembled(header, data), problem)
        }

        /// One tensor `a` of the given type, shape and offsets in 8 bytes of data.
        init(_ name: String, type: String = "F32", shape: String = "[2]", offsets: String = "[0,8]", _ problem: String) {
            let header = #"{"a":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#
            self.init(name, header: header, data: [UInt8](repeating: 0, count: 8), problem)
        }
    }

    static let entry = #"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#
    static let convert = "convert it in Python with safetensors.torch.save_file(torch.load(path, weights_only=True), …)"
    static let number = "expected a whole number below 2^53 without sign, fraction, exponent or leading zeros, found"
    static let keys = "expected the keys dtype, shape and data_offsets, found"
    static let offsets = "expected data_offsets [begin, end] with begin ≤ end ≤ 8, the bytes of data, found"

    static let wholeFiles = [
        Defect("nothing", bytes: [], "expected at least 8 bytes, the length of the header, found 0"),
        Defect("half a length", bytes: [1, 0, 0, 0, 0, 0, 0], "expected at least 8 bytes, the length of the header, found 7"),
        Defect("no header", bytes: [2, 0, 0, 0, 0, 0, 0, 0], "expected a header of at most 0 bytes, found the length 2 at byte 0"),
        Defect(
            "a cut header", bytes: [3, 0, 0, 0, 0, 0, 0, 0, 123, 125], "expected a header of at most 2 bytes, found the length 3 at byte 0"),
        Defect(
            "the longest length", bytes: [UInt8](repeating: 255, count: 8) + Array("{}".utf8),
            "expected a header of at most 2 bytes, found the length 18446744073709551615 at byte 0"),
        Defect("an empty header", header: "", "expected '{' in the header, found the header's end at byte 8"),
        Defect(
            "a zip archive", bytes: Array("PK\u{3}\u{4}\0\0\u{8}\u{8}\0\0".utf8), "expected safetensors, found a PyTorch zip; \(convert)"),
        Defect("a short zip archive", bytes: Array("PK\u{5}\u{6}".utf8), "expected safetensors, found a PyTorch zip; \(convert)"),
        Defect(
            "a pickle", bytes: [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20],
            "expected safetensors, found a PyTorch pickle; \(convert)"),
        Defect(
            "a pickle of protocol 4", bytes: [0x80, 0x04, 0x95, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x7D],
            "expected safetensors, found a PyTorch pickle; \(convert)"),
        Defect(
            "a cut file with a header of 640 bytes", bytes: [0x80, 0x02, 0, 0, 0, 0, 0, 0] + Array("{}".utf8),
            "expected a header of at most 2 bytes, found the length 640 at byte 0"),
        Defect("data for nobody", header: "{}", data: [1, 2], "expected 0 bytes of data after the header, found 2"),
    ]

    static let wrongJSON = [
        Defect("a space first", header: " {}", "expected '{' in the header, found the byte 0x20 at byte 8"),
        Defect("a list", header: "[]", "expected '{' in the header, found '[' at byte 8"),
        Defect("a brace missing", header: "{", "expected '\"' in the header, found the header's end at byte 9"),
        Defect("text behind it", header: "{} x", "expected the header's end or spaces, found 'x' at byte 11"),
        Defect("a zero behind it", header: "{}\0", "expected the header's end or spaces, found the byte 0x00 at byte 10"),
        Defect("a byte that is not ASCII", header: "{}é", "expected the header's end or spaces, found the byte 0xc3 at byte 10"),
        Defect("a comma at the end", header: #"{"__metadata__":{"a":"b",}}"#, "expected '\"' in the header, found '}' at byte 33"),
        Defect("no comma", header: #"{"__metadata__":{"a":"b" "c":"d"}}"#, "expected ',' or '}' in the header, found '\"' at byte 33"),
        Defect("no colon", header: #"{"__metadata__" {}}"#, "expected ':' in the header, found '{' at byte 24"),
        Defect("metadata of numbers", header: #"{"__metadata__":{"a":1}}"#, "expected '\"' in the header, found '1' at byte 29"),
        Defect("metadata of half a null", header: #"{"__metadata__":nul}"#, "expected '{' in the header, found 'n' at byte 24"),
        Defect("metadata of NULL", header: #"{"__metadata__":NULL}"#, "expected '{' in the header, found 'N' at byte 24"),
        Defect("metadata of more than null", header: #"{"__metadata__":nullx}"#, "expected ',' or '}' in the header, found 'x' at byte 28"),
        Defect("metadata of a list", header: #"{"__metadata__":[]}"#, "expected '{' in the header, found '[' at byte 24"),
        Defect("metadata of a string", header: #"{"__metadata__":"x"}"#, "expected '{' in the header, found '\"' at byte 24"),
        Defect("metadata of false", header: #"{"__metadata__":false}"#, "expected '{' in the header, found 'f' at byte 24"),
        Defect("null in the metadata", header: #"{"__metadata__":{"a":null}}"#, "expected '\"' in the header, found 'n' at byte 29"),
        Defect("null for a tensor", header: #"{"a":null}"#, "expected '{' in the header, found 'n' at byte 13"),
        Defect("metadata of null twice", header: #"{"__metadata__":null,"__metadata__":null}"#, again("__metadata__", 29)),
        Defect("metadata of null and of strings", header: #"{"__metadata__":null,"__metadata__":{"a":"b"}}"#, again("__metadata__", 29)),
        Defect("a key twice in the metadata", header: #"{"__metadata__":{"a":"","\u0061":""}}"#, again("a", 32)),
        Defect(
            "two forms of é in the metadata", header: "{\"__metadata__\":{\"\u{E9}\":\"\",\"e\u{301}\":\"\"}}",
            "metadata: expected keys that differ in more than their encoding, found 'e\u{301}' twice"),
        Defect("the metadata twice", header: #"{"__metadata__":{},"__metadata__":{}}"#, again("__metadata__", 27)),
        Defect("a tensor twice", header: "{\"a\":\(entry),\"\\u0061\":\(entry)}", data: [1], again("a", 61)),
        Defect("the type twice", header: #"{"a":{"dtype":"U8","dtype":"U8"}}"#, again("dtype", 27)),
        Defect("a string without end", header: #"{"abc"#, "expected a string that ends, found the header's end at byte 9"),
        Defect("a string that ends in \\", header: #"{"abc\"#, "expected a string that ends, found the header's end at byte 9"),
        Defect(
            "a line break in a string", header: "{\"a\nb\"",
            "expected control characters in a string to be escaped, found the byte 0x0a at byte 11"
        ),
        Defect("an unknown escape", header: #"{"\x41""#, "expected one of \"\\/bfnrtu after \\ in a string, found 'x' at byte 10"),
        Defect("an escape of 3 digits", header: #"{"\u041""#, escape), Defect("half a surrogate", header: #"{"\ud83d""#, escape),
        Defect("a surrogate and a letter", header: #"{"\ud83d\u0041""#, escape),
        Defect("the second surrogate", header: #"{"\ude00\ud83d""#, escape),
        Defect(
            "Latin-1", bytes: assembled("{\"", []).with([0xE9, 0x22], length: 4),
            "expected UTF-8, found other bytes in the string at byte 9"),
        Defect(
            "UTF-8 of a surrogate", bytes: assembled("{\"", []).with([0xED, 0xA0, 0x80, 0x22], length: 6),
            "expected UTF-8, found other bytes in the string at byte 9"),
        Defect(
            "a slash of two bytes", bytes: assembled("{\"", []).with([0xC0, 0xAF, 0x22], length: 5),
            "expected UTF-8, found other bytes in the string at byte 9"),
        Defect("depth", header: String(repeating: #"{"a":"#, count: 100_000), "tensor 'a': \(keys) 'a'"),
        Defect(
            "depth of lists", header: #"{"a":{"shape":"# + String(repeating: "[", count: 1_000_000),
            "\(number) '[[[[[[[[[[[[[[[[[[[[[[[[' at byte 23"),
    ]

    static let wrongTensors = [
        Defect("no entry", header: #"{"a":7}"#, "expected '{' in the header, found '7' at byte 13"),
        Defect("an unknown key", header: #"{"a":{"dtype":"U8","size":1}}"#, "tensor 'a': \(keys) 'size'"),
        Defect("no type", header: #"{"a":{"shape":[1],"data_offsets":[0,1]}}"#, data: [1], "tensor 'a': \(keys) no dtype"),
        Defect("no shape", header: #"{"a":{"dtype":"U8","data_offsets":[0,1]}}"#, data: [1], "tensor 'a': \(keys) no shape"),
        Defect("no offsets", header: #"{"a":{"dtype":"U8","shape":[1]}}"#, data: [1], "tensor 'a': \(keys) no data_offsets"),
        Defect("a type of number", header: #"{"a":{"dtype":7}}"#, "expected '\"' in the header, found '7' at byte 22"),
        Defect("a negative length", shape: "[-2]", "\(number) '-2' at byte 37"),
        Defect("a fraction", shape: "[2.0]", "\(number) '2.0' at byte 37"),
        Defect("an exponent", shape: "[2e0]", "\(number) '2e0' at byte 37"),
        Defect("a leading zero", shape: "[02]", "\(number) '02' at byte 37"),
        Defect("a letter", shape: "[x]", "\(number) 'x' at byte 37"),
        Defect("no number", shape: "[2,]", "\(number) ']' at byte 39"),
        Defect("2^53", shape: "[9007199254740992]", "\(number) '9007199254740992' at byte 37"),
        Defect("2^64", shape: "[18446744073709551616]", "\(number) '18446744073709551616' at byte 37"),
        Defect(
            "a long number", shape: "[\(String(repeating: "9", count: 99))]", "\(number) '\(String(repeating: "9", count: 24))' at byte 37"),
        Defect("two numbers", shape: "[2 2]", "expected ',' or ']' in the header, found '2' at byte 39"),
        Defect("a number as the shape", shape: "2", "expected '[' in the header, found '2' at byte 36"),
        Defect(
            "65 dimensions", shape: "[1\(String(repeating: ",1", count: 64))]", "expected at most 64 dimensions, found more at byte 36"),
        Defect(
            "an overflow", shape: "[4294967296,4294967296,4294967296]",
            "tensor 'a': expected a shape of less than 2^63 bits, found F32 [4294967296, 4294967296, 4294967296]"),
        Defect(
            "an overflow beside 0", shape: "[0,4503599627370496,4503599627370496]", offsets: "[0,0]",
            "tensor 'a': expected a shape of less than 2^63 bits, found F32 [0, 4503599627370496, 4503599627370496]"),
        Defect("more elements than bytes", shape: "[3]", "tensor 'a': expected 12 bytes for F32 [3], found 8"),
        Defect("fewer elements than bytes", shape: "[0]", "tensor 'a': expected 0 bytes for F32 [0], found 8"),
        Defect("another type", type: "U16", "tensor 'a': expected 4 bytes for U16 [2], found 8"),
        Defect("half a byte", type: "F4", shape: "[3]", "tensor 'a': expected a shape of whole bytes, found F4 [3]"),
        Defect("an end before the beginning", offsets: "[8,0]", "tensor 'a': \(Self.offsets) [8, 0]"),
        Defect("an end behind the file's", offsets: "[0,12]", "tensor 'a': \(Self.offsets) [0, 12]"),
        Defect(
            "far away", offsets: "[9007199254740983,9007199254740991]", "tensor 'a': \(Self.offsets) [9007199254740983, 9007199254740991]"),
        Defect("one offset", offsets: "[0]", "tensor 'a': expected data_offsets [begin, end], found [0]"),
        Defect("three offsets", offsets: "[0,4,8]", "expected at most 2 data_offsets, found more at byte 55"),
        Defect("a gap at the beginning", shape: "[1]", offsets: "[4,8]", "tensor 'a': expected its data to begin at 0, found 4: a gap"),
        Defect("a gap at the end", shape: "[1]", offsets: "[0,4]", "expected 4 bytes of data after the header, found 8"),
        two("an overlap", [0, 4], [3, 7], "tensor 'b': expected its data to begin at 4, found 3: an overlap"),
        two("a tensor inside another", [0, 7], [1, 2], "tensor 'b': expected its data to begin at 7, found 1: an overlap"),
        two("the same place twice", [0, 7], [0, 7], "tensor 'b': expected its data to begin at 7, found 0: an overlap"),
        two("a gap", [0, 3], [4, 7], "tensor 'b': expected its data to begin at 3, found 4: a gap"),
        two("an empty tensor inside another", [0, 7], [3, 3], "tensor 'b': expected its data to begin at 7, found 3: an overlap"),
    ]

    static let escape = "expected \\u and four hexadecimal digits of a character, or of its two surrogates, found others at byte 10"

    static func again(_ key: String, _ place: Int) -> String {
        "expected each key once in an object, found '\(key)' again at byte \(place)"
    }

    /// Tensors `a` and `b` at the given places in 7 bytes.
    static func two(_ name: String, _ a: [Int], _ b: [Int], _ problem: String) -> Defect {
        let entries = [("a", a), ("b", b)].map { #""\#($0)":{"dtype":"U8","shape":[\#($1[1] - $1[0])],"data_offsets":\#($1)}"# }
        return Defect(name, header: "{\(entries.joined(separator: ","))}", data: [UInt8](repeating: 0, count: 7), problem)
    }

    @Test(arguments: wholeFiles + wrongJSON + wrongTensors) func aDefectIsNamed(defect: Defect) throws {
        try withFile { path in
            try Data(defect.bytes).write(to: URL(fileURLWithPath: path))
            #expect(safetensorsProblem { try SafetensorsFile(opening: path) } == "\(path): \(defect.problem)")
        }
    }

    @Test func aNameFromAFileDoesNotSpoilTheMessage() throws {
        try withFile { path in
            let name = "\\n\\u001b[31m\u{202E}\\u0000" + String(repeating: "x", count: 1000)
            try Data(assembled("{\"\(name)\":{}}", [])).write(to: URL(fileURLWithPath: path))
            let shown = #"'\u{a}\u{1b}[31m\u{202e}\u{0}"# + String(repeating: "x", count: 52) + "…'"
            let found = safetensorsProblem { try SafetensorsFile(opening: path) }
            #expect(found == "\(path): tensor \(shown): \(Self.keys) no dtype")
        }
    }

    @Test func elementsThatAreNeitherTrueNorFalseAreNamed() throws {
        try withFile { path in
            let header = #"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#
            try Data(assembled(header, [0, 1, 2, 3])).write(to: URL(fileURLWithPath: path))
            let found = safetensorsProblem { try SafetensorsFile(opening: path).tensor("a") }
            #expect(found == "\(path): tensor 'a': expected BOOL elements of 0 or 1, found 2 at element 2")
        }
    }

    @Test func aFileThatWasCutIsNamed() throws {
        try withFile { path in
            try Safetensors.write([("a", Tensor([1.0, 2])), ("b", Tensor(3))], to: path)
            let file = try SafetensorsFile(opening: path)
            truncate(path, off_t(try Data(contentsOf: URL(fileURLWithPath: path)).count - 11))
            let found = safetensorsProblem { try file.tensor("a") }
            #expect(found == "\(path): tensor 'a': expected 16 bytes, found 13: the file was cut after it was opened")
            #expect(safetensorsProblem { try SafetensorsFile(opening: path) }?.contains("begin ≤ end ≤ 13") == true)
        }
    }

    @Test(.timeLimit(.minutes(1))) func whatIsNoFileIsNamed() throws {
        try withFile { path in
            let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
            #expect(throws: FileError(path: path, operation: "read", code: ENOENT)) { try SafetensorsFile(opening: path) }
            let expected = "expected a regular file, found a folder, device or pipe"
            let names = "model.safetensors.index.json or model.safetensors"
            let bare = "expected a regular file, or a folder with \(names), found a folder without"
            #expect(safetensorsProblem { try SafetensorsFile(opening: folder) } == "\(folder): \(bare)")
            // Nobody writes to it: opened like a file, it would be waited for.
            #expect(mkfifo(path, 0o600) == 0)
            #expect(safetensorsProblem { try SafetensorsFile(opening: path) } == "\(path): \(expected)")
        }
    }
}

extension [UInt8] {
    /// A file with bytes put behind, and its header's length set.
    fileprivate func with(_ bytes: [UInt8], length: UInt8) -> [UInt8] { [length] + dropFirst() + bytes }
}
