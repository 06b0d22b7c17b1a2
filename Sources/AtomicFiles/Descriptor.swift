#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// An open file, closed when it is released.
package struct Descriptor: ~Copyable {
    package let number: Int32

    /// Takes ownership of an open file.
    package init(_ number: Int32) { self.number = number }

    /// Opens a file; errors name `path`, which may differ from the file's own while it is written under a temporary name.
    package init(opening file: String, _ flags: Int32, reportedAs path: String, operation: String) throws {
        var number: Int32
        repeat { number = open(file, flags | O_CLOEXEC, 0o666) } while number < 0 && errno == EINTR
        guard number >= 0 else { throw FileError(path: path, operation: operation, code: errno) }
        self.number = number
    }

    deinit { _ = closeDescriptor(number) }

    /// Closes the file; returns the system's error number, or 0.
    package consuming func close() -> Int32 {
        let code = closeDescriptor(number) == 0 ? 0 : errno
        discard self
        return code
    }

    /// Writes every byte, in one system call if that takes them all; returns the system's error number, or 0.
    package borrowing func write(_ bytes: some Collection<UInt8>) -> Int32 { Self.write(bytes, to: number) }

    /// The same for a file that must not be closed, such as standard error.
    package static func write(_ bytes: some Collection<UInt8>, to number: Int32) -> Int32 {
        func writeAll(_ buffer: UnsafeBufferPointer<UInt8>) -> Int32 {
            var rest = UnsafeRawBufferPointer(buffer)
            while !rest.isEmpty {
                // macOS refuses more than 2^31 − 1 bytes at once.
                let written = writeDescriptor(number, rest.baseAddress, min(rest.count, 1 << 30))
                if written > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[written...])
                } else if written == 0 {
                    return EIO  // never seen for a regular file; without this the loop could run forever
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
        return bytes.withContiguousStorageIfAvailable(writeAll) ?? Array(bytes).withUnsafeBufferPointer(writeAll)
    }

    package borrowing func synchronize() -> Int32 {
        while fsync(number) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    /// The number of bytes in the file.
    package borrowing func size(reportedAs path: String) throws -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw FileError(path: path, operation: "read", code: errno) }
        return Int(status.st_size)
    }

    /// Fills the buffer from an offset in the file, regardless of the current position; returns fewer bytes only at the end of the file.
    package borrowing func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int, reportedAs path: String) throws -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = pread(number, rest.baseAddress, min(rest.count, 1 << 30), off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw FileError(path: path, operation: "read", code: errno)
            }
        }
        return done
    }

    package borrowing func truncate(to size: Int) -> Int32 {
        while ftruncate(number, off_t(size)) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    /// All bytes from the beginning of the file, regardless of the current position; if there are more than `most`, it throws before reading them.
    package borrowing func contents(atMost most: Int = .max, reportedAs path: String) throws -> [UInt8] {
        func refuse(_ found: Int) -> FileError {
            FileError(path: path, operation: "read", reason: "expected at most \(most) bytes, found \(found)")
        }
        let size = try size(reportedAs: path)
        guard size <= most else { throw refuse(size) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = pread(number, &chunk, chunk.count, off_t(bytes.count))
            if count > 0 {
                bytes += chunk[..<count]
                // The file may have grown since, and a device reports size 0.
                guard bytes.count <= most else { throw refuse(bytes.count) }
            } else if count == 0 {
                return bytes
            } else if errno != EINTR {
                throw FileError(path: path, operation: "read", code: errno)
            }
        }
    }
}

// Inside `Descriptor` the names `close` and `write` refer to its own methods.
private func closeDescriptor(_ number: Int32) -> Int32 { close(number) }
private func writeDescriptor(_ number: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(number, bytes, count) }
