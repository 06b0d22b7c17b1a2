import Torch

/// The header of a safetensors file, parsed and checked against the size of what follows it.
struct SafetensorsHeader {
    struct Entry: Sendable {
        let name: String
        /// The format's name of the type, which may be one without an `ElementType`.
        let type: String
        let shape: [Int]
        /// The first byte, counted from the header's end.
        let begin: Int
        /// The byte after the last.
        let end: Int
    }

    /// In the order of their places.
    let entries: [Entry]
    let metadata: [String: String]

    /// Bits of one element. Names without an `ElementType` are included so that the sizes of all tensors are checked.
    private static let bits: [String: Int] = {
        let others = [
            "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
            "U16": 16, "U32": 32, "U64": 64, "C64": 64,
        ]
        let ours = ElementType.allCases.map { ($0.safetensorsName, 8 * $0.size) }
        return others.merging(ours) { $1 }
    }()

    /// - Parameter dataSize: the number of bytes after the header.
    init(parsing bytes: [UInt8], dataSize: Int, path: String) throws {
        func failure(_ problem: String) -> SafetensorsError { SafetensorsError(path: path, problem: problem) }
        var scanner = SafetensorsScanner(bytes: bytes, path: path)
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
        try scanner.object { scanner, name in
            guard name == Safetensors.metadataKey else {
                entries.append(try Self.entry(name, from: &scanner, path: path))
                return
            }
            // The reference implementation accepts null for no metadata, and null nowhere else.
            if scanner.null() { return }
            try scanner.object { scanner, key in
                // The scanner has checked that the keys differ; but a Swift dictionary treats keys as equal that only look equal.
                guard metadata.updateValue(try scanner.string(), forKey: key) == nil else {
                    throw failure("metadata: expected keys that differ in more than their encoding, found \(Safetensors.quoted(key)) twice")
                }
            }
        }
        try scanner.end()
        for entry in entries { try Self.check(entry, dataSize: dataSize, path: path) }
        // Empty tensors share their place with other tensors: they come first, in the header's order.
        let order = entries.indices.sorted {
            (entries[$0].begin, entries[$0].end, $0) < (entries[$1].begin, entries[$1].end, $1)
        }
        let ordered = order.map { entries[$0] }
        var end = 0
        for entry in ordered {
            guard entry.begin == end else {
                let kind = entry.begin < end ? "an overlap" : "a gap"
                let name = Safetensors.quoted(entry.name)
                throw failure("tensor \(name): expected its data to begin at \(end), found \(entry.begin): \(kind)")
            }
            end = entry.end
        }
        guard end == dataSize else { throw failure("expected \(end) bytes of data after the header, found \(dataSize)") }
        self.entries = ordered
        self.metadata = metadata
    }

    private static func entry(_ name: String, from scanner: inout SafetensorsScanner, path: String) throws -> Entry {
        func failure(_ problem: String) -> SafetensorsError {
            SafetensorsError(path: path, problem: "tensor \(Safetensors.quoted(name)): \(problem)")
        }
        var type: String?
        var shape: [Int]?
        var offsets: [Int]?
        try scanner.object { scanner, key in
            switch key {
            case "dtype": type = try scanner.string()
            case "shape": shape = try scanner.integers(atMost: Safetensors.mostDimensions, what: "dimensions")
            case "data_offsets": offsets = try scanner.integers(atMost: 2, what: "data_offsets")
            default: throw failure("expected the keys dtype, shape and data_offsets, found \(Safetensors.quoted(key))")
            }
        }
        guard let type, let shape, let offsets else {
            let missing = type == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
            throw failure("expected the keys dtype, shape and data_offsets, found no \(missing)")
        }
        guard offsets.count == 2 else { throw failure("expected data_offsets [begin, end], found \(offsets)") }
        return Entry(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
    }

    private static func check(_ entry: Entry, dataSize: Int, path: String) throws {
        func failure(_ problem: String) -> SafetensorsError {
            SafetensorsError(path: path, problem: "tensor \(Safetensors.quoted(entry.name)): \(problem)")
        }
        guard entry.begin <= entry.end, entry.end <= dataSize else {
            let found = "[\(entry.begin), \(entry.end)]"
            throw failure("expected data_offsets [begin, end] with begin ≤ end ≤ \(dataSize), the bytes of data, found \(found)")
        }
        // A length of 0 counts as 1: libtorch multiplies the lengths for the strides, which can overflow even if there are no elements.
        let known = bits[entry.type]
        var span = known ?? 64
        for length in entry.shape {
            let (product, overflow) = span.multipliedReportingOverflow(by: max(length, 1))
            guard !overflow else { throw failure("expected a shape of less than 2^63 bits, found \(entry.type(entry.shape))") }
            span = product
        }
        // A type added to the format later: it cannot be read here, so its size does not matter.
        guard known != nil else { return }
        let size = entry.shape.contains(0) ? 0 : span
        guard size % 8 == 0 else { throw failure("expected a shape of whole bytes, found \(entry.type(entry.shape))") }
        guard entry.end - entry.begin == size / 8 else {
            throw failure("expected \(size / 8) bytes for \(entry.type(entry.shape)), found \(entry.end - entry.begin)")
        }
    }
}

extension SafetensorsHeader.Entry {
    /// `F32 [2, 3]`, for messages.
    fileprivate func type(_ shape: [Int]) -> String { "\(Safetensors.quoted(type).dropFirst().dropLast()) \(shape)" }
}
