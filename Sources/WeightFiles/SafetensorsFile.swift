import AtomicFiles
public import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A safetensors file opened for reading: its header is read and checked at once, its tensors on request.
///
/// Nothing in the file is trusted. A size stated in the file is compared with the file's own size before memory is allocated; names, types, shapes
/// and places are checked when the file is opened; and a bad file gives an error, never a trap. The file stays open, so replacing it changes nothing
/// here.
///
/// Names are compared code point by code point, as in other programs; Swift's strings would take `é` and `e` with an accent for the same.
public struct SafetensorsFile: Sendable {
    /// The file, as the caller named it.
    public let path: String
    /// The strings that the writer added.
    public let metadata: [String: String]
    /// The tensors' names, in the order of their places in the file.
    public var names: [String] { entries.map(\.name) }

    private let entries: [SafetensorsHeader.Entry]
    private let indices: [[UInt8]: Int]
    private let file: OpenFile
    private let dataStart: Int

    /// Opens a file and checks its header.
    ///
    /// - Throws: `FileError` if the system cannot read the file; ``SafetensorsError`` if it is not a safetensors file: it is a zip archive or pickle
    ///   from PyTorch, its header is truncated, too long, invalid JSON or names something twice, or the tensors' types, shapes and places do not fit
    ///   each other and the file's size.
    public init(opening path: String) throws {
        // Without O_NONBLOCK, opening a pipe would block.
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK, reportedAs: path, operation: "read")
        try self.init(file, path: path, atMost: .max)
    }

    /// The same for a file in a run's folder, which must not be a link or larger than expected: ``OwnFile``.
    package init(openingOwn path: String, atMost most: Int = .max) throws {
        try self.init(OwnFile.open(path, O_RDONLY, operation: "read"), path: path, atMost: most)
    }

    private init(_ file: consuming Descriptor, path: String, atMost most: Int) throws {
        func failure(_ problem: String) -> SafetensorsError { SafetensorsError(path: path, problem: problem) }
        let file = OpenFile(file)
        var status = stat()
        guard fstat(file.descriptor.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("expected a regular file, found a folder, device or pipe")
        }
        let size = Int(status.st_size)
        guard size <= most else { throw failure("expected at most \(most) bytes, found \(size)") }
        let start = try file.bytes(0..<min(size, 9), reportedAs: path)
        if let kind = Self.kindOfPyTorchFile(start) {
            throw failure(
                "expected safetensors, found a PyTorch \(kind); "
                    + "convert it in Python with safetensors.torch.save_file(torch.load(path, weights_only=True), …)")
        }
        guard start.count >= 8 else { throw failure("expected at least 8 bytes, the length of the header, found \(start.count)") }
        let length = start[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let longest = min(Safetensors.longestHeader, size - 8)
        guard length <= UInt64(longest) else {
            throw failure("expected a header of at most \(longest) bytes, found the length \(length) at byte 0")
        }
        dataStart = 8 + Int(length)
        let text = try file.bytes(8..<dataStart, reportedAs: path)
        guard text.count == Int(length) else { throw failure("expected a header of \(length) bytes, found \(text.count)") }
        let header = try SafetensorsHeader(parsing: text, dataSize: size - dataStart, path: path)
        self.path = path
        self.file = file
        metadata = header.metadata
        entries = header.entries
        indices = Dictionary(uniqueKeysWithValues: header.entries.enumerated().map { (Array($1.name.utf8), $0) })
    }

    /// Whether there is a tensor with that name.
    public func contains(_ name: String) -> Bool { indices[Array(name.utf8)] != nil }

    /// The type and the shape of a tensor.
    ///
    /// - Throws: ``SafetensorsError`` if there is no such tensor, or its type, such as `U16`, is in the format but not in this library.
    public func info(_ name: String) throws -> (type: ElementType, shape: [Int]) {
        let (entry, type) = try find(name)
        return (type, entry.shape)
    }

    /// The format's name of a tensor's type, the type itself if this library has it, and the shape; nil if there is no such tensor.
    package func entry(_ name: String) -> (typeName: String, type: ElementType?, shape: [Int])? {
        indices[Array(name.utf8)].map { (entries[$0].type, ElementType(safetensorsName: entries[$0].type), entries[$0].shape) }
    }

    /// Reads a tensor, to the CPU.
    ///
    /// - Throws: ``SafetensorsError`` as for ``info(_:)``, and if a `BOOL` is neither 0 nor 1 or the file was truncated after it was opened;
    ///   `FileError` if the system cannot read it.
    public func tensor(_ name: String) throws -> Tensor {
        let (entry, type) = try find(name)
        return try withBytes(of: entry) { bytes in
            // In C++ any other byte in a bool is undefined behaviour.
            if type == .bool, let place = bytes.firstIndex(where: { $0 > 1 }) {
                let name = Safetensors.quoted(name)
                throw SafetensorsError(
                    path: path, problem: "tensor \(name): expected BOOL elements of 0 or 1, found \(bytes[place]) at element \(place)")
            }
            return Tensor(bytes: UnsafeRawBufferPointer(bytes), shape: entry.shape, type: type)
        }
    }

    /// Reads a tensor's elements, row-major, into a buffer.
    ///
    /// - Throws: ``SafetensorsError`` as for ``info(_:)``, and if the buffer does not have the tensor's size or the file was truncated after it was
    ///   opened; `FileError` if the system cannot read it.
    package func read(_ name: String, into buffer: UnsafeMutableRawBufferPointer) throws {
        let (entry, _) = try find(name)
        guard entry.end - entry.begin == buffer.count else {
            throw SafetensorsError(
                path: path, problem: "tensor \(Safetensors.quoted(name)): expected \(buffer.count) bytes, found \(entry.end - entry.begin)")
        }
        try read(entry, into: buffer)
    }

    /// A tensor as it is, of any type, to be written under a new name.
    func item(_ name: String, as newName: String) -> SafetensorsItem? {
        guard let index = indices[Array(name.utf8)] else { return nil }
        let entry = entries[index]
        return SafetensorsItem(name: newName, typeName: entry.type, shape: entry.shape, byteCount: entry.end - entry.begin) { file in
            try withBytes(of: entry) { file.write($0) }
        }
    }

    private func withBytes<Result>(of entry: SafetensorsHeader.Entry, _ body: (UnsafeMutableRawBufferPointer) throws -> Result) throws
        -> Result
    {
        let count = entry.end - entry.begin
        // A sparse file may be larger than the disk and the memory: allocating an array would trap.
        guard let memory = malloc(max(count, 1)) else { throw FileError(path: path, operation: "read", code: ENOMEM) }
        defer { free(memory) }
        let bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
        try read(entry, into: bytes)
        return try body(bytes)
    }

    private func read(_ entry: SafetensorsHeader.Entry, into bytes: UnsafeMutableRawBufferPointer) throws {
        let found = try file.descriptor.read(into: bytes, at: dataStart + entry.begin, reportedAs: path)
        guard found == bytes.count else {
            throw SafetensorsError(
                path: path,
                problem:
                    "tensor \(Safetensors.quoted(entry.name)): expected \(bytes.count) bytes, found \(found): the file was cut after it was opened"
            )
        }
    }

    private func find(_ name: String) throws -> (SafetensorsHeader.Entry, ElementType) {
        guard let index = indices[Array(name.utf8)] else {
            throw SafetensorsError(
                path: path,
                problem: "expected a tensor \(Safetensors.quoted(name)), found none of that name among the file's \(entries.count)")
        }
        let entry = entries[index]
        guard let type = ElementType(safetensorsName: entry.type) else {
            let known = ElementType.allCases.map(\.safetensorsName).joined(separator: ", ")
            throw SafetensorsError(
                path: path,
                problem: "tensor \(Safetensors.quoted(name)): expected one of the types \(known), found \(Safetensors.quoted(entry.type))")
        }
        return (entry, type)
    }

    /// The kind of `torch.save` file, judged by the first 9 bytes.
    ///
    /// The first bytes alone are not enough: 80 02 is also a header length of 640, and `PK` the length 19280. But a header begins with `{`.
    private static func kindOfPyTorchFile(_ start: [UInt8]) -> String? {
        guard start.count < 9 || start[8] != UInt8(ascii: "{") else { return nil }
        if start.starts(with: "PK".utf8) { return "zip" }
        return start.count > 2 && start[0] == 0x80 && (2...5).contains(start[1]) && start[2] != 0 ? "pickle" : nil
    }
}

/// A file that is closed when the last value that shares it is released.
private final class OpenFile: Sendable {
    let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// The bytes of a range, which the caller has compared with the file's size; fewer where the file ends.
    func bytes(_ range: Range<Int>, reportedAs path: String) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound, reportedAs: path)
        }
    }
}
