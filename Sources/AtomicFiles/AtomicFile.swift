#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Why a file could not be read or written: which file, what was tried, and the system's reason.
public struct FileError: Error, CustomStringConvertible, Equatable {
    /// The file or folder, as the caller named it.
    public let path: String
    /// What was tried, as worded after "cannot": `write`, `read`, `start a run in`.
    public let operation: String
    /// The system's words for the failure, or what was expected and found.
    public let reason: String

    /// One line, such as `cannot write /x/summary.json: No space left on device`.
    public var description: String {
        "cannot \(operation) \(path): \(reason)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    package init(path: String, operation: String, reason: String) {
        self.path = path
        self.operation = operation
        self.reason = reason
    }

    package init(path: String, operation: String, code: Int32) {
        self.init(path: path, operation: operation, reason: String(cString: strerror(code)))
    }
}

/// Writes files completely or not at all, even after a kill, a full disk or a power cut.
package enum AtomicFile {
    /// Replaces the file at `path` by `bytes`, or throws `FileError` and leaves what was there.
    ///
    /// A symbolic link stays and its target is replaced, or with `.refused` it is an error. Anything but a regular file (a folder, a device) is
    /// refused: the rename would replace a device such as `/dev/null` by a file. A file that is replaced passes on its permissions.
    package static func write(_ bytes: some Collection<UInt8>, to path: String, links: Links = .followed) throws {
        try prepare(bytes, for: path, links: links).commit()
    }

    /// How a symbolic link in the file's place is treated.
    package enum Links: Sendable {
        /// For a file that a user names.
        case followed
        /// For a file in one of our own folders: ``OwnFile``.
        case refused
    }

    /// The same for a file that is never entirely in memory: `body` writes it piece by piece and returns the system's error number, or 0.
    package static func write(to path: String, _ body: (borrowing Descriptor) -> Int32) throws {
        try prepare(for: path, body).commit()
    }

    /// Does all the work that can fail for lack of space or permission, without touching the file at `path` yet.
    package static func prepare(_ bytes: some Collection<UInt8>, for path: String, links: Links = .followed) throws -> Prepared {
        try prepare(for: path, links: links) { $0.write(bytes) }
    }

    private static func prepare(
        for path: String, links: Links = .followed, _ body: (borrowing Descriptor) -> Int32
    ) throws -> Prepared {
        if links == .refused { try OwnFile.requireRegularOrNone(path, operation: "write") }
        let destination = try links == .refused ? path : self.destination(of: path)
        let folder = self.folder(of: destination)
        // The name does not contain the file's own: that could exceed the system's limit on name length.
        let temporary = join(folder, ".\(hexadecimal(UInt64.random(in: 0 ... .max)))\(temporarySuffix)")
        let prepared = Prepared(path: path, temporary: temporary, destination: destination, folder: folder)
        let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_EXCL, reportedAs: path, operation: "write")
        var code = passOnPermissions(of: destination, to: file)
        if code == 0 { code = body(file) }
        if code == 0 { code = file.synchronize() }
        // Network file systems and quotas may report a failed write only here.
        let closing = file.close()
        if code == 0 { code = closing }
        guard code == 0 else {
            prepared.discard()
            throw FileError(path: path, operation: "write", code: code)
        }
        return prepared
    }

    /// Gives a new file the permissions of the one that it will replace, if there is one; returns the system's error number, or 0.
    private static func passOnPermissions(of replaced: String, to file: borrowing Descriptor) -> Int32 {
        var (old, new) = (stat(), stat())
        guard stat(replaced, &old) == 0, fstat(file.number, &new) == 0 else { return 0 }
        let (wanted, own) = (old.st_mode & 0o777, new.st_mode & 0o777)
        guard wanted != own, fchmod(file.number, wanted) != 0 else { return 0 }
        // Some file systems have no permissions to change. Only a file that more people could read or write would be a fault.
        return own & ~wanted == 0 ? 0 : errno
    }

    /// A complete file beside its intended place.
    package struct Prepared {
        let path: String
        let temporary: String
        let destination: String
        let folder: String

        package func commit() throws {
            guard rename(temporary, destination) == 0 else {
                let code = errno
                discard()
                throw FileError(path: path, operation: "write", code: code)
            }
            try AtomicFile.synchronizeFolder(folder, reportedAs: path)
        }

        package func discard() { unlink(temporary) }
    }

    /// All bytes of the file at `path`, which a user named; for our own files see ``OwnFile``.
    package static func contents(of path: String) throws -> [UInt8] {
        try Descriptor(opening: path, O_RDONLY, reportedAs: path, operation: "read").contents(reportedAs: path)
    }

    /// Whether a name is one that `write` gives to a temporary file, which a kill may leave behind.
    package static func isTemporary(_ name: String) -> Bool {
        guard name.hasPrefix("."), name.hasSuffix(temporarySuffix) else { return false }
        let middle = name.dropFirst().dropLast(temporarySuffix.count)
        return middle.count == 16 && middle.allSatisfy(\.isHexDigit)
    }

    package static func join(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
    }

    /// The folder and the name in it of a path: "." for a name alone.
    package static func split(_ path: String) -> (folder: String, name: String) {
        (folder(of: path), path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path)
    }

    private static let temporarySuffix = ".partial"

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func destination(of path: String) throws -> String {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            // Usually there is nothing there. Other errors (no permission to search the folder) recur, with a better message, when the file is
            // opened.
            if path.hasSuffix("/") { throw FileError(path: path, operation: "write", code: EISDIR) }
            return path
        }
        var destination = path
        if status.st_mode & S_IFMT == S_IFLNK {
            guard let resolved = realpath(path, nil) else { return path }
            defer { free(resolved) }
            destination = String(cString: resolved)
            guard stat(destination, &status) == 0 else { throw FileError(path: path, operation: "write", code: errno) }
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return destination
        case S_IFDIR: throw FileError(path: path, operation: "write", code: EISDIR)
        default: throw FileError(path: path, operation: "write", reason: "expected a regular file, found a device, pipe or socket")
        }
    }

    /// Makes the rename survive a power cut.
    private static func synchronizeFolder(_ folder: String, reportedAs path: String) throws {
        let number = open(folder, O_RDONLY | O_CLOEXEC)
        // A folder that may be written but not read: the file is in its place, so this is no failure.
        guard number >= 0 else { return }
        let code = Descriptor(number).synchronize()
        // Some file systems cannot synchronize a folder and return EINVAL or ENOTSUP.
        guard code == 0 || code == EINVAL || code == ENOTSUP else { throw FileError(path: path, operation: "write", code: code) }
    }
}
