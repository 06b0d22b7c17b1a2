#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Files in one of our own folders, a run's or a download's, which somebody else may have made: each must be a regular file of bounded size, and no
/// link is followed except one to the folder itself.
///
/// Otherwise a link in place of a summary would cause its target to be overwritten, a pipe in place of the settings would block, and a device or a
/// sparse file would fill the memory. A file that a user names, such as a model file in a hub's cache, may be a link and goes through ``AtomicFile``
/// and ``Descriptor``.
package enum OwnFile {
    /// The maximum size of a JSON document in bytes.
    package static let mostOfDocument = 64 << 20
    /// The maximum size of a file of records in bytes.
    package static let mostOfRecords = 1 << 30
    /// The maximum size of a picture in bytes.
    package static let mostOfPicture = 256 << 20

    /// Opens a regular file, or creates it with `O_CREAT`.
    ///
    /// - Throws: ``FileError`` if anything else is in its place, or the system cannot open it.
    package static func open(_ path: String, _ flags: Int32, reportedAs reported: String? = nil, operation: String) throws -> Descriptor {
        let reported = reported ?? path
        let file: Descriptor
        do {
            // Without O_NONBLOCK, opening a pipe would block.
            file = try Descriptor(opening: path, flags | O_NOFOLLOW | O_NONBLOCK, reportedAs: reported, operation: operation)
        } catch {
            // For a link, the system's own message speaks of too many of them.
            try requireRegularOrNone(path, reportedAs: reported, operation: operation)
            throw error
        }
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw FileError(path: reported, operation: operation, code: errno) }
        if let kind = irregularKind(status) { throw refusal(reported, operation, kind) }
        // With another hard link, writing here would change another file too.
        if flags & O_ACCMODE != O_RDONLY, status.st_nlink > 1 {
            throw refusal(reported, operation, "one that has another name too, a hard link")
        }
        return file
    }

    /// All bytes of a regular file.
    ///
    /// - Throws: ``FileError`` as for ``open(_:_:reportedAs:operation:)``, and if there are more bytes than expected.
    package static func contents(of path: String, atMost most: Int) throws -> [UInt8] {
        try open(path, O_RDONLY, operation: "read").contents(atMost: most, reportedAs: path)
    }

    /// Whether anything is at the path, including a broken link: it should then be opened, and refused if it is not a regular file.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// Throws if anything but a regular file is at the path.
    package static func requireRegularOrNone(_ path: String, reportedAs reported: String? = nil, operation: String) throws {
        if let kind = irregularKind(path) { throw refusal(reported ?? path, operation, kind) }
    }

    /// Describes what is at the path if it is not a regular file; nil if it is one or there is nothing.
    package static func irregularKind(_ path: String) -> String? {
        var status = stat()
        return lstat(path, &status) == 0 ? irregularKind(status) : nil
    }

    private static func irregularKind(_ status: stat) -> String? {
        switch status.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFLNK: "a symbolic link"
        case S_IFDIR: "a folder"
        default: "a device, pipe or socket"
        }
    }

    private static func refusal(_ path: String, _ operation: String, _ kind: String) -> FileError {
        FileError(path: path, operation: operation, reason: "expected a regular file, found \(kind)")
    }
}
