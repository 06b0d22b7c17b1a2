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

// Elements are compared bit by bit: files keep them as they are, the tolerance is 0.
@Suite struct SafetensorsTests {
    // MARK: There and back

    @Test(arguments: ElementType.allCases) func everyTypeIsKept(type: ElementType) throws {
        // Every byte pattern that the type may have, so also infinities and NaNs of every kind.
        let bytes = (0..<(6 * type.size)).map { type == .bool ? UInt8($0 & 1) : UInt8(truncatingIfNeeded: 255 &- $0 &* 37) }
        let tensor = bytes.withUnsafeBytes { Tensor(bytes: $0, shape: [2, 3], type: type) }
        try withFile { path in
            try Safetensors.write([("w", tensor)], to: path)
            let file = try SafetensorsFile(opening: path)
            let info = try file.info("w")
            #expect(info.type == type && info.shape == [2, 3])
            let read = try file.tensor("w")
            #expect(read.type == type && read.shape == [2, 3] && read.bytes == bytes)
        }
    }

    @Test(arguments: [[], [0], [1], [3, 0, 2], [1, 1, 1, 1, 2], [Int](repeating: 1, count: 64)])
    func everyShapeIsKept(shape: [Int]) throws {
        try withFile { path in
            let tensor = Tensor.range(0..<shape.reduce(1, *)).reshaped(shape)
            try Safetensors.write([("before", Tensor(7)), ("it", tensor), ("behind", Tensor(8))], to: path)
            let read = try SafetensorsFile(opening: path).tensor("it")
            #expect(read.shape == shape && read.elements(as: Int.self) == Array(0..<tensor.count))
        }
    }

    @Test func aFileWithoutTensorsIsKept() throws {
        try withFile { path in
            try Safetensors.write([], to: path)
            #expect(try contents(path) == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
            let file = try SafetensorsFile(opening: path)
            #expect(file.names == [] && file.metadata == [:])
        }
    }

    /// What safetensors 0.8.0 in Python reads, with these results.
    @Test(
        "metadata that is null is none, wherever it stands",
        arguments: [
            #"{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":null}"#,
            #"{"__metadata__": null , "a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            #"{"\u005f_metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            #"{"__metadata__":{},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        ])
    func metadataOfNull(header: String) throws {
        try withFile { path in
            try Data(assembled(header, [7])).write(to: URL(fileURLWithPath: path))
            let file = try SafetensorsFile(opening: path)
            #expect(file.names == ["a"] && file.metadata.isEmpty)
            #expect(try file.tensor("a").elements(as: UInt8.self) == [7])
        }
    }

    @Test func namesAndMetadataAreKept() throws {
        // é as one code point and as two: different names elsewhere, though equal as Swift's strings.
        let names = ["\u{E9}", "e\u{301}", "", "a.b/c", "\"\\\n\t\0\u{1F}\u{7F}", "权重", "👩‍🔬", "\u{2028}", "\u{10FFFF}", "x__metadata__"]
        let metadata = Dictionary(uniqueKeysWithValues: names.dropFirst().map { ($0, $0 + "\u{8}value") })
        try withFile { path in
            try Safetensors.write(names.enumerated().map { ($1, Tensor($0)) }, metadata: metadata, to: path)
            let file = try SafetensorsFile(opening: path)
            #expect(file.names.map { Array($0.utf8) } == names.map { Array($0.utf8) })
            #expect(file.metadata == metadata && file.path == path)
            for (index, name) in names.enumerated() { #expect(try file.tensor(name).item() == Double(index), "\(name)") }
        }
    }

    @Test func viewsAreWrittenRowMajor() throws {
        let base = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        let views = [
            base.transposed(), base.sliced(1..<3, along: 1), base.selected(0, along: 0).expanded([4, 3]), base.flipped(along: [0]),
        ]
        try withFile { path in
            try Safetensors.write(views.enumerated().map { ("\($0)", $1) }, to: path)
            let file = try SafetensorsFile(opening: path)
            for (index, view) in views.enumerated() {
                let read = try file.tensor("\(index)")
                #expect(read.shape == view.shape && read.elements(as: Float.self) == view.elements(as: Float.self))
            }
            #expect(try file.tensor("0").elements(as: Float.self) == [1, 4, 2, 5, 3, 6])
        }
    }

    // MARK: Bytes

    @Test func aFileMadeByHandIsReadAndWritten() throws {
        let header =
            #"{"__metadata__":{"made by":"hand"},"#
            + #""two":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"half":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"#
            + #""none":{"dtype":"U8","shape":[0,4],"data_offsets":[10,10]},"three":{"dtype":"U8","shape":[1,3],"data_offsets":[10,13]}}"#
        let spaces = "      "
        #expect(header.utf8.count == 266)
        let bytes: [UInt8] =
            [0x10, 0x01, 0, 0, 0, 0, 0, 0] + Array((header + spaces).utf8)  // 0x110 = 272 = 266 + 6
            + [0x00, 0x00, 0xC0, 0x3F, 0x00, 0x00, 0x00, 0xC0]  // 1.5 and −2 in binary32
            + [0x80, 0x3F]  // 1 in bfloat16
            + [7, 8, 255]
        try withFile { path in
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let file = try SafetensorsFile(opening: path)
            #expect(file.names == ["two", "half", "none", "three"] && file.metadata == ["made by": "hand"])
            let read = try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
            #expect(read["two"]?.elements(as: Float.self) == [1.5, -2] && read["half"]?.item() == 1)
            #expect(read["half"]?.shape == [] && read["half"]?.type == .bfloat16)
            #expect(read["three"]?.elements(as: Int.self) == [7, 8, 255] && read["none"]?.shape == [0, 4])
            // Given in another order: tensors of smaller elements go behind the others.
            let given = try ["none", "three", "half", "two"].map { (name: $0, value: try #require(read[$0])) }
            try Safetensors.write(given, metadata: file.metadata, to: path)
            #expect(try contents(path) == bytes)
        }
    }

    @Test func theSameInputGivesTheSameFile() throws {
        let pairs = (0..<50).map { ("key \($0)", "\($0)") }
        let forwards = Dictionary(uniqueKeysWithValues: pairs)
        var backwards: [String: String] = Dictionary(minimumCapacity: 1000)
        for (key, value) in pairs.reversed() { backwards[key] = value }
        // Otherwise this would prove nothing.
        #expect(Array(forwards.keys) != Array(backwards.keys))
        let tensors = (0..<100).map { (name: "\($0)", value: Tensor.full([$0 % 3], 1, type: ElementType.allCases[$0 % 10])) }
        try withFile { path in
            try Safetensors.write(tensors, metadata: forwards, to: path)
            let first = try contents(path)
            try Safetensors.write(tensors, metadata: backwards, to: path)
            #expect(try contents(path) == first)
        }
    }

    @Test func elementsBeginAtMultiplesOfTheirSize() throws {
        let tensors = ElementType.allCases.map { (name: "odd \($0)", value: Tensor.zeros([3], type: $0)) }
        try withFile { path in
            try Safetensors.write(tensors, to: path)
            let bytes = try contents(path)
            let length = Int(bytes[0]) | Int(bytes[1]) << 8
            let json = try #require(JSONSerialization.jsonObject(with: Data(bytes[8..<(8 + length)])) as? [String: [String: Any]])
            for (name, tensor) in tensors {
                let begin = try #require((json[name]?["data_offsets"] as? [Int])?.first)
                #expect((8 + length + begin) % tensor.type.size == 0, "\(name)")
            }
        }
    }

    // MARK: Other writers' files

    @Test func otherWritersHeadersAreRead() throws {
        let header =
            "{\t\"\\u0061\\ud83d\\ude00\\/\\n\" :\r\n{ \"data_offsets\" : [ 1 , 2 ] , \"shape\" : [ ] , \"dtype\" : \"\\u00553\\u0038\" } ,"
            + #""b":{"shape":[1],"dtype":"I8","data_offsets":[0,1]},"__metadata\u005f_":{"\"":"\\\b\f\r\t"}}"# + " \n "
        try withFile { path in
            try Data(assembled(header.replacing("\\u00553\\u0038", with: "\\u0055\\u0038"), [255, 3])).write(to: URL(fileURLWithPath: path))
            let file = try SafetensorsFile(opening: path)
            #expect(file.names == ["b", "a😀/\n"] && file.metadata == ["\"": "\\\u{8}\u{C}\r\t"])
            #expect(try file.tensor("b").item() == -1 && file.tensor("a😀/\n").item() == 3)
        }
    }

    /// Lengths whose first bytes are those of a pickle (80 02, 80 04) and of a zip archive (`PK`).
    @Test(arguments: [640, 1152, 19280, 0x020280]) func aLengthThatLooksLikeAnotherFormatIsNone(length: Int) throws {
        try withFile { path in
            let entry = #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
            let header = entry + String(repeating: " ", count: length - entry.utf8.count)
            try Data(assembled(header, [9])).write(to: URL(fileURLWithPath: path))
            #expect(try SafetensorsFile(opening: path).tensor("a").item() == 9)
        }
    }

    @Test func typesThatWeLackAreRefusedWhenAskedFor() throws {
        let header =
            #"{"a":{"dtype":"U16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"U8X","shape":[3],"data_offsets":[4,7]},"#
            + #""c":{"dtype":"F4","shape":[2],"data_offsets":[7,8]},"d":{"dtype":"N\nEW","shape":[5],"data_offsets":[8,10]},"#
            + #""e":{"dtype":"I8","shape":[2],"data_offsets":[10,12]}}"#
        try withFile { path in
            try Data(assembled(header, Array(1...12))).write(to: URL(fileURLWithPath: path))
            let file = try SafetensorsFile(opening: path)
            #expect(file.names == ["a", "b", "c", "d", "e"])
            #expect(try file.tensor("e").elements(as: Int.self) == [11, 12])
            let ours =
                "expected one of the types U8, I8, I16, I32, I64, F16, F32, F64, BOOL, BF16, F8_E5M2, F8_E4M3, F8_E5M2FNUZ, F8_E4M3FNUZ, F8_E8M0"
            for (name, type) in [("a", "U16"), ("b", "U8X"), ("c", "F4"), ("d", "N\\u{a}EW")] {
                #expect(safetensorsProblem { try file.tensor(name) } == "\(path): tensor '\(name)': \(ours), found '\(type)'")
                #expect(safetensorsProblem { try file.info(name) } == "\(path): tensor '\(name)': \(ours), found '\(type)'")
            }
            // Passed on as they are, whatever the type is called.
            let (copy, weights) = (path + ".copy", try WeightFile(opening: path))
            defer { unlink(copy) }
            _ = try weights.convert(to: .plain, path: copy)
            let (before, after) = (try headerAndElements(path), try headerAndElements(copy))
            for name in ["a", "b", "c", "d"] { #expect(after[name] == before[name] && after[name] != nil) }
            #expect(
                safetensorsProblem { try file.tensor("f") } == "\(path): expected a tensor 'f', found none of that name among the file's 5")
        }
    }

    // MARK: Writing

    @Test func whatCannotBeWrittenIsNamedAndLeavesTheEarlierFile() throws {
        let one = Tensor(1)
        let long = String(repeating: "x", count: 100_000_001)
        try withFile { path in
            try Safetensors.write([("earlier", one)], to: path)
            let twice = safetensorsProblem { try Safetensors.write([("a", one), ("b", one), ("a", one)], to: path) }
            #expect(twice == "\(path): expected each name once, found 'a' twice")
            let reserved = safetensorsProblem { try Safetensors.write([("__metadata__", one)], to: path) }
            #expect(reserved == "\(path): expected a tensor's name, found '__metadata__', which is reserved by the format")
            let deep = one.reshaped([Int](repeating: 1, count: 65))
            #expect(
                safetensorsProblem { try Safetensors.write([("a\n", deep)], to: path) }
                    == "\(path): tensor 'a\\u{a}': expected at most 64 dimensions, found 65")
            #expect(
                safetensorsProblem { try Safetensors.write([], metadata: ["": long], to: path) }
                    == "\(path): expected a header of at most 100000000 bytes, found 100000032")
            let folder = "\(path)/x"
            #expect(throws: FileError(path: folder, operation: "write", code: ENOTDIR)) { try Safetensors.write([("a", one)], to: folder) }
            #expect(try SafetensorsFile(opening: path).names == ["earlier"])
        }
    }

    @Test func aNewFileInItsPlaceDoesNotChangeAnOpenOne() throws {
        try withFile { path in
            try Safetensors.write([("a", Tensor(1))], to: path)
            let file = try SafetensorsFile(opening: path)
            try Safetensors.write([("b", Tensor([2.0, 3]))], to: path)
            #expect(try file.tensor("a").item() == 1)
            #expect(try SafetensorsFile(opening: path).names == ["b"])
        }
    }

    @Test func aFullDiskLeavesTheEarlierFile() async throws {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            try withFile { path in
                try Safetensors.write([("earlier", Tensor(1))], to: path)
                #if canImport(Darwin)
                    try limit(RLIMIT_FSIZE, to: 4096)
                #else
                    try limit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), to: 4096)
                #endif
                // The header and the first tensor fit.
                let tensors = (0..<3).map { (name: "\($0)", value: Tensor.zeros([256], type: .float64)) }
                #expect(throws: FileError(path: path, operation: "write", code: EFBIG)) { try Safetensors.write(tensors, to: path) }
                #expect(try SafetensorsFile(opening: path).names == ["earlier"])
                let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["x.safetensors"], "no temporary file is left")
            }
        }
    }
}

extension Tensor {
    fileprivate var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count * type.size) { buffer, initialized in
            copyBytes(to: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<(count * type.size)])))
            initialized = count * type.size
        }
    }
}

/// The type and the elements of each tensor, by another reader than ours.
private func headerAndElements(_ path: String) throws -> [String: [String]] {
    let bytes = try contents(path)
    let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try #require(JSONSerialization.jsonObject(with: Data(bytes[8..<8 + length])) as? [String: [String: Any]])
    return try header.filter { $0.key != "__metadata__" }.mapValues { entry in
        let (type, place) = (try #require(entry["dtype"] as? String), try #require(entry["data_offsets"] as? [Int]))
        return [type, "\(bytes[(8 + length + place[0])..<(8 + length + place[1])].map { $0 })"]
    }
}

private func contents(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
