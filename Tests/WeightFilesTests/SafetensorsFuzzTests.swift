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

@Suite struct SafetensorsFuzzTests {
    /// 4000 files made wrong at random, from a fixed seed: each is refused by a typed error or read whole, in bounded memory.
    ///
    /// In a process of its own, since a trap would end the others' tests.
    @Test func damagedFilesAreRefusedOrRead() async throws {
        await #expect(processExitsWith: .success) {
            try withFile { path in
                let good = try example(path)
                try boundMemory()
                var random = Generator64(state: 20160225)
                var (opened, refused, problems) = (0, 0, Set<String>())
                for round in 0..<4000 {
                    let bytes = damaged(good, &random)
                    try Data(bytes).write(to: URL(fileURLWithPath: path))
                    do {
                        let file = try SafetensorsFile(opening: path)
                        opened += 1
                        for name in file.names {
                            do {
                                let (tensor, info) = (try file.tensor(name), try file.info(name))
                                #expect(tensor.shape == info.shape && tensor.type == info.type, "round \(round)")
                                #expect(tensor.count * tensor.type.size <= bytes.count, "round \(round)")
                            } catch let error as SafetensorsError {
                                problems.insert(error.problem)
                            }
                        }
                    } catch let error as SafetensorsError {
                        refused += 1
                        problems.insert(error.problem)
                        #expect(error.description.hasPrefix("\(path): "), "round \(round)")
                        #expect(!error.description.contains { $0.isNewline }, "round \(round)")
                    }
                }
                // The damage must reach every stage: the first checks, the JSON, the tensors' places, and what is read in the end.
                #expect(opened > 400 && refused > 2000, "\(opened) opened, \(refused) refused")
                for stage in Self.stages { #expect(problems.contains { $0.contains(stage) }, "\(stage)") }
            }
        }
    }

    static let stages = [
        "expected a header of at most", "in the header, found", "UTF-8", "after \\", "a whole number", "each key once", "no data_offsets",
        "begin ≤ end", "less than 2^63 bits", "bytes for", "an overlap", "a gap", "bytes of data after the header", "one of the types",
        "BOOL elements",
    ]

    #if os(Linux)
        @Test func aFileLargerThanTheMemoryIsAnError() async throws {
            await #expect(processExitsWith: .success) {
                try withFile { path in
                    let size = 1 << 30
                    let header = #"{"a":{"dtype":"U8","shape":[\#(size)],"data_offsets":[0,\#(size)]}}"#
                    let bytes = assembled(header, [])
                    try Data(bytes).write(to: URL(fileURLWithPath: path))
                    // A hole: it takes no room on the disk.
                    try #require(truncate(path, off_t(bytes.count + size)) == 0)
                    try boundMemory()
                    let file = try SafetensorsFile(opening: path)
                    #expect(throws: FileError(path: path, operation: "read", code: ENOMEM)) { try file.tensor("a") }
                }
            }
        }
    #endif
}

/// The bytes of a file with every type, an empty tensor and metadata, which is left at `path`.
private func example(_ path: String) throws -> [UInt8] {
    let tensors = ElementType.allCases.filter { !$0.isFloat8 }.map { (name: "layer.\($0)", value: Tensor.ones([2, 3], type: $0)) }
    try Safetensors.write(tensors + [("empty", .zeros([0, 3])), ("é😀", Tensor(1))], metadata: ["epoch": "3", "rate": "0.1"], to: path)
    // Read once, so that what libtorch sets up once does not count as the damaged files' memory.
    let file = try SafetensorsFile(opening: path)
    for name in file.names { _ = try file.tensor(name) }
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// One to three changes of the file, most of them in its header, whose length is mostly set right again.
private func damaged(_ good: [UInt8], _ random: inout Generator64) -> [UInt8] {
    let length = Int(good[0]) | Int(good[1]) << 8
    var header = Array(good[8..<(8 + length)])
    var data = Array(good[(8 + length)...])
    let pieces = [
        "\"", "{", "}", "[", "]", ",", ":", "\\u", "\\", "-", "e9", ".5", "0", "9007199254740991", "[]", "{}", " ", "\0", "é", "null",
    ]
    var start = Array(good[..<8])
    for _ in 0..<Int.random(in: 1...3, using: &random) {
        let place = Int.random(in: 0..<header.count, using: &random)
        switch Int.random(in: 0..<14, using: &random) {
        case 0: header[place] = .random(in: 0...255, using: &random)
        case 1: header[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: header.insert(contentsOf: pieces.randomElement(using: &random)!.utf8, at: place)
        case 3: header.removeSubrange(place..<min(header.count, place + .random(in: 1...40, using: &random)))
        case 4: header.insert(contentsOf: header[place..<min(header.count, place + 60)], at: place)
        case 5, 6, 7:
            // Another digit: the header stays JSON, and shapes and places change.
            let digits = header.indices.filter { (48...57).contains(header[$0]) }
            if let digit = digits.randomElement(using: &random) { header[digit] = .random(in: 48...57, using: &random) }
        case 8:
            let digits = header.indices.filter { (48...57).contains(header[$0]) }
            let large = "9007199254740991,9007199254740991".utf8
            if let digit = digits.randomElement(using: &random) { header.replaceSubrange(digit...digit, with: large) }
        case 9: data.removeLast(min(data.count, .random(in: 1...8, using: &random)))
        case 10 where place % 4 == 0: start[.random(in: 0..<8, using: &random)] = .random(in: 0...255, using: &random)
        default:
            if let byte = data.indices.randomElement(using: &random) { data[byte] = .random(in: 0...255, using: &random) }
        }
        if header.isEmpty { header = [123] }
    }
    let repaired = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    return (start == Array(good[..<8]) && .random(in: 0..<4, using: &random) > 0 ? repaired : start) + header + data
}

/// From here on this process gets 64 MiB more, of memory touched or not: less than the longest header, and than most wrong sizes.
private func boundMemory() throws {
    #if os(Linux)
        let pages = try #require(
            String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ").first.flatMap { Int($0) })
        try limit(__rlimit_resource_t(RLIMIT_AS.rawValue), to: pages * sysconf(Int32(_SC_PAGESIZE)) + (64 << 20))
    #endif
}

/// SplitMix64: the same numbers on every machine.
struct Generator64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

// MARK: Helpers of the tests of this format

/// A file of the given header and data.
func assembled(_ header: String, _ data: [UInt8]) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) } + Array(header.utf8) + data
}

/// The description of the error that `body` throws: nil if it throws none, or one that is no `SafetensorsError`.
func safetensorsProblem<T>(_ body: () throws -> T) -> String? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? SafetensorsError)?.description
    }
}

#if canImport(Darwin)
    typealias Resource = Int32
#else
    typealias Resource = __rlimit_resource_t
#endif

func limit(_ resource: Resource, to amount: Int) throws {
    var limit = rlimit()
    try #require(getrlimit(resource, &limit) == 0)
    limit.rlim_cur = rlim_t(amount)
    try #require(setrlimit(resource, &limit) == 0)
}
