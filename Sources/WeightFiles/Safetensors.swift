import AtomicFiles
public import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

#if _endian(big)
    #error("safetensors files are little-endian: on this machine the elements' bytes would have to be turned round")
#endif

/// Files of named tensors in the safetensors format, which PyTorch, JAX, MLX and others read and write too.
///
/// A file is: the header's length N (8 bytes, little-endian); N bytes of JSON with the type, shape and place of every tensor, and the writer's own
/// strings; the elements, row-major and little-endian, without gaps. Unlike reading a pickle, reading such a file runs no code from it.
/// ``SafetensorsFile`` reads them.
///
/// Source: the format's description at github.com/huggingface/safetensors.
public enum Safetensors {
    /// The longest header that readers accept, in bytes.
    static let longestHeader = 100_000_000

    /// The maximum number of dimensions of a tensor: the limit of libtorch's operators and NumPy.
    static let mostDimensions = 64

    /// The header's key for the strings, which cannot be a tensor's name.
    static let metadataKey = "__metadata__"

    /// Writes tensors, from any device, to a file, completely or not at all, replacing an earlier one.
    ///
    /// The same tensors, names and metadata give the same bytes. Tensors with larger elements come first, in the given order among equals, so that
    /// each begins at a multiple of its element's size, for programs that map the file into memory.
    ///
    /// - Throws: ``SafetensorsError`` if a name is given twice or is `__metadata__`, a tensor has more than 64 dimensions or the header would be
    ///   longer than 100,000,000 bytes; `FileError` if the system cannot write the file. The earlier file is then still there.
    public static func write(_ tensors: [(name: String, value: Tensor)], metadata: [String: String] = [:], to path: String) throws {
        try write(items: ordered(tensors.map { SafetensorsItem($0.name, $0.value) }), metadata: metadata, to: path)
    }

    /// Writes items in the given order, each made when its turn comes.
    package static func write(items: [SafetensorsItem], metadata: [String: String], to path: String) throws {
        let header = try header(of: items, metadata: metadata, path: path)
        var failure: (any Error)?
        do {
            try AtomicFile.write(to: path) { file in
                var code = file.write(header)
                for item in items where code == 0 {
                    do { code = try item.write(to: file) } catch {
                        failure = error
                        code = EIO
                    }
                }
                return code
            }
        } catch { throw failure ?? error }
    }

    private static func header(of items: [SafetensorsItem], metadata: [String: String], path: String) throws -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "{")]
        if !metadata.isEmpty {
            // A dictionary's own order changes from run to run.
            let sorted = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            text += "\"\(metadataKey)\":{".utf8
            for (index, (key, value)) in sorted.enumerated() {
                if index > 0 { text += ",".utf8 }
                append(key, to: &text)
                text += ":".utf8
                append(value, to: &text)
            }
            text += "}".utf8
        }
        var names: Set<[UInt8]> = []
        var end = 0
        for item in items {
            let (name, shape) = (item.name, item.shape)
            guard name != metadataKey else {
                throw SafetensorsError(
                    path: path, problem: "expected a tensor's name, found \(quoted(name)), which is reserved by the format")
            }
            guard names.insert(Array(name.utf8)).inserted else {
                throw SafetensorsError(path: path, problem: "expected each name once, found \(quoted(name)) twice")
            }
            guard shape.count <= mostDimensions else {
                throw SafetensorsError(
                    path: path, problem: "tensor \(quoted(name)): expected at most \(mostDimensions) dimensions, found \(shape.count)")
            }
            let begin = end
            end += item.byteCount
            if text.count > 1 { text += ",".utf8 }
            append(name, to: &text)
            let lengths = shape.map(String.init).joined(separator: ",")
            text += ":{\"dtype\":".utf8
            // The type of a tensor that is only copied may be any string.
            append(item.typeName, to: &text)
            text += ",\"shape\":[\(lengths)],\"data_offsets\":[\(begin),\(end)]}".utf8
        }
        text += "}".utf8
        // The elements begin at a multiple of 8.
        text += [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
        guard text.count <= longestHeader else {
            throw SafetensorsError(path: path, problem: "expected a header of at most \(longestHeader) bytes, found \(text.count)")
        }
        return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
    }

    /// Appends a string as JSON writes it: non-ASCII characters stay as they are.
    private static func append(_ string: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: text += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    /// A name from a file for a message: on one line, not too long, and without terminal control characters.
    package static func quoted(_ name: String) -> String { quoted(name, atMost: 60) }

    /// The same with another limit, in code points.
    package static func quoted(_ name: String, atMost length: Int) -> String {
        var text = ""
        for scalar in name.unicodeScalars.prefix(length) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return "'\(text)\(name.unicodeScalars.count > length ? "…" : "")'"
    }
}

/// Why a safetensors file was refused: which file, what was expected and what was found.
public struct SafetensorsError: Error, CustomStringConvertible, Equatable {
    /// The file, as the caller named it.
    public let path: String
    /// What was expected, what was found, and where in the file.
    public let problem: String

    /// One line, such as `x.safetensors: tensor 'w': expected 24 bytes for F32 [2, 3], found 20`.
    public var description: String {
        "\(path): \(problem)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    package init(path: String, problem: String) {
        self.path = path
        self.problem = problem
    }
}

extension ElementType {
    /// The format's name of the type.
    var safetensorsName: String {
        switch self {
        case .uint8: "U8"
        case .int8: "I8"
        case .int16: "I16"
        case .int32: "I32"
        case .int64: "I64"
        case .float16: "F16"
        case .float32: "F32"
        case .float64: "F64"
        case .bool: "BOOL"
        case .bfloat16: "BF16"
        case .float8e5m2: "F8_E5M2"
        case .float8e4m3: "F8_E4M3"
        case .float8e5m2fnuz: "F8_E5M2FNUZ"
        case .float8e4m3fnuz: "F8_E4M3FNUZ"
        case .float8e8m0: "F8_E8M0"
        }
    }

    /// The type with the format's name; nil for names that have no type here.
    init?(safetensorsName name: String) {
        guard let type = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
        self = type
    }
}
