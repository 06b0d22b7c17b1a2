import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The bytes of a file in order, decompressed by `gzip` if the file is compressed.
package final class ByteStream {
    package let path: String
    /// The total number of bytes; nil for a compressed file, for which only reading tells.
    package let length: Int?

    private let input: FileHandle
    private let gzip: Process?
    private let messages = Messages()

    /// Opens a file; it counts as compressed if its name ends in `.gz` or it begins with the bytes 1f 8b, unless its bytes are requested as they are.
    ///
    /// - Throws: ``DatasetError`` if it cannot be read or is not a regular file, or there is no gzip to decompress it.
    package init(path: String, asItIs: Bool = false) throws {
        self.path = path
        func failure(_ problem: String) -> DatasetError { DatasetError(path: path, problem: problem) }
        // Non-blocking: opening a pipe would wait for its writer, before it can be distinguished from a file.
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw failure("cannot read it: \(String(cString: strerror(errno)))") }
        let file = FileHandle(fileDescriptor: number, closeOnDealloc: true)
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("expected a regular file, found a folder, device or pipe")
        }
        var start: [UInt8] = [0, 0]
        let isPacked = pread(number, &start, 2, 0) == 2 && start == [0x1F, 0x8B]
        guard !asItIs, isPacked || path.hasSuffix(".gz") else {
            (length, input, gzip) = (Int(status.st_size), file, nil)
            return
        }
        guard let program = Gzip.program else {
            throw failure("expected the program gzip to unpack it, found none in PATH: install gzip or unpack the file")
        }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["-dc"]
        // With standard input, gzip ignores the file name's ending and any leading hyphen.
        process.standardInput = file
        process.standardOutput = output
        process.standardError = messages.pipe
        do {
            try process.run()
        } catch {
            throw failure("cannot run \(program) to unpack it: \(error.localizedDescription)")
        }
        messages.gather()
        (length, input, gzip) = (nil, output.fileHandleForReading, process)
    }

    // Reading may end early, at a bad header or an excess byte: gzip would wait forever to write the rest. Closing the pipe ends it. SIGTERM would
    // not do: if started on a worker thread, gzip has inherited that thread's signal mask, which blocks it.
    deinit {
        guard let gzip, gzip.isRunning else { return }
        try? input.close()
        gzip.waitUntilExit()
    }

    /// The next `count` bytes, or fewer at the end of the file.
    ///
    /// Memory grows as bytes arrive, not by what a header may promise.
    package func next(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(count, 1 << 26))
        var chunk = [UInt8](repeating: 0, count: min(count, 1 << 18))
        while bytes.count < count {
            let found = read(input.fileDescriptor, &chunk, min(count - bytes.count, chunk.count))
            if found > 0 {
                bytes += chunk[..<found]
            } else if found == 0 {
                try checkGzip()
                break
            } else if errno != EINTR {
                throw DatasetError(path: path, problem: "cannot read it: \(String(cString: strerror(errno)))")
            }
        }
        return bytes
    }

    /// At the end of the output: checks whether gzip accepted its input.
    private func checkGzip() throws {
        guard let gzip else { return }
        gzip.waitUntilExit()
        let said = messages.first
        guard gzip.terminationReason != .exit || gzip.terminationStatus != 0 else { return }
        let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
        let reason = lines.joined(separator: "; ").replacingOccurrences(of: "gzip: stdin: ", with: "")
        throw DatasetError(path: path, problem: "gzip cannot unpack it: \(reason.isEmpty ? "status \(gzip.terminationStatus)" : reason)")
    }
}

/// The beginning of a program's standard error. All of it is read while the program works, or the program would block on a full pipe.
// Unchecked: `bytes` is written by the queue's only block, and read after waiting for it.
private final class Messages: @unchecked Sendable {
    let pipe = Pipe()
    private let done = DispatchGroup()
    private var bytes: [UInt8] = []
    private static let most = 512

    /// Starts reading; to be called once the program runs.
    func gather() {
        let number = pipe.fileHandleForReading.fileDescriptor
        DispatchQueue.global().async(group: done) { [self] in
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let found = read(number, &chunk, chunk.count)
                if found > 0 {
                    bytes += chunk[..<min(found, Self.most - bytes.count)]
                } else if found == 0 || errno != EINTR {
                    return
                }
            }
        }
    }

    /// The first bytes; waits until the program has ended.
    var first: [UInt8] {
        done.wait()
        return bytes
    }
}
