import AtomicFiles

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// One file of a model: its header, and where its tensors' bytes come from.
struct SafetensorsShard: Sendable {
    /// In the order of their places.
    let entries: [SafetensorsHeader.Entry]
    /// The strings that the writer added.
    let metadata: [String: String]
    private let file: OpenFile
    private let mapping: MappedFile?
    private let dataStart: Int

    init(opening path: String, isMapped: Bool?) throws {
        // Without O_NONBLOCK, opening a pipe would block.
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK, reportedAs: path, operation: "read")
        try self.init(file, path: path, atMost: .max, isMapped: isMapped)
    }

    init(_ file: consuming Descriptor, path: String, atMost most: Int, isMapped: Bool?) throws {
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
        self.file = file
        // Where nobody asked for it, a file that cannot be mapped is read.
        mapping =
            switch isMapped {
            case true where size > 0: try MappedFile(file, size: size, path: path)
            case nil where size >= SafetensorsFile.mappedSize: try? MappedFile(file, size: size, path: path)
            default: nil
            }
        metadata = header.metadata
        entries = header.entries
    }

    /// A tensor's part of the mapped file, and what keeps that mapped; nil if the file is not.
    func mapped(_ entry: SafetensorsHeader.Entry) -> (bytes: UnsafeMutableRawBufferPointer, owner: AnyObject)? {
        guard let mapping else { return nil }
        let range = dataStart + entry.begin..<dataStart + entry.end
        return (UnsafeMutableRawBufferPointer(rebasing: mapping.bytes[range]), mapping)
    }

    /// Calls the body with a copy of a tensor's bytes.
    func withBytes<Result>(
        of entry: SafetensorsHeader.Entry, reportedAs path: String, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) throws -> Result {
        let count = entry.end - entry.begin
        // A sparse file may be larger than the disk and the memory: allocating an array would trap.
        guard let memory = malloc(max(count, 1)) else { throw FileError(path: path, operation: "read", code: ENOMEM) }
        defer { free(memory) }
        let bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
        try read(entry, into: bytes, reportedAs: path)
        return try body(bytes)
    }

    func read(_ entry: SafetensorsHeader.Entry, into bytes: UnsafeMutableRawBufferPointer, reportedAs path: String) throws {
        let found = try file.descriptor.read(into: bytes, at: dataStart + entry.begin, reportedAs: path)
        guard found == bytes.count else {
            throw SafetensorsError(
                path: path,
                problem:
                    "tensor \(Safetensors.quoted(entry.name)): expected \(bytes.count) bytes, found \(found): the file was cut after it was opened"
            )
        }
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

/// A file mapped into memory until the last tensor that is a part of it is released. What is written there stays in this process.
// Unchecked: the memory is never written by this library, and the address never changes.
private final class MappedFile: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ file: OpenFile, size: Int, path: String) throws {
        let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.descriptor.number, 0)
        guard let start, start != MAP_FAILED else { throw FileError(path: path, operation: "map", code: errno) }
        bytes = UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    deinit { munmap(bytes.baseAddress, bytes.count) }
}
