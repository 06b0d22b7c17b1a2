#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Files of a folder of ours, a run's or a download's, which somebody else may have made: each is a regular file of bounded size, and no link is followed but one to
/// the folder itself.
///
/// Else a link in the place of a summary would have the file overwritten that it names, a pipe in the place of the settings would be waited for, and a device or a
/// file of holes would fill the memory. What a user names, such as a model's file in a hub's cache, may be a link and goes through ``AtomicFile`` and ``Descriptor``.
package enum OwnFile {
    /// The most bytes of a JSON document.
    package static let mostOfDocument = 64 << 20
    /// The most bytes of a file of records.
    package static let mostOfRecords = 1 << 30
    /// The most bytes of a picture.
    package static let mostOfPicture = 256 << 20

    /// Opens a regular file, or makes it with `O_CREAT`.
    ///
    /// - Throws: ``FileError`` if there is something else in its place, or the system cannot open it.
    package static func open(_ path: String, _ flags: Int32, reportedAs reported: String? = nil, operation: String) throws -> Descriptor {
        let reported = reported ?? path
        let file: Descriptor
        do {
            // Without O_NONBLOCK a pipe would be waited for.
            file = try Descriptor(opening: path, flags | O_NOFOLLOW | O_NONBLOCK, reportedAs: reported, operation: operation)
        } catch {
            // The system's own words for a link are of too many of them.
            try requireRegularOrNone(path, reportedAs: reported, operation: operation)
            throw error
        }
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw FileError(path: reported, operation: operation, code: errno) }
        if let kind = irregularKind(status) { throw refusal(reported, operation, kind) }
        // What is written there would be written elsewhere too.
        if flags & O_ACCMODE != O_RDONLY, status.st_nlink > 1 {
            throw refusal(reported, operation, "one that has another name too, a hard link")
        }
        return file
    }

    /// All bytes of a regular file.
    ///
    /// - Throws: ``FileError`` as ``open(_:_:reportedAs:operation:)``, and if there are more bytes than expected.
    package static func contents(of path: String, atMost most: Int) throws -> [UInt8] {
        try open(path, O_RDONLY, operation: "read").contents(atMost: most, reportedAs: path)
    }

    /// Whether anything is in the place, a link that leads nowhere too: what is there is to be opened, and refused if it is no regular file.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// Throws if something is in the place that is no regular file.
    package static func requireRegularOrNone(_ path: String, reportedAs reported: String? = nil, operation: String) throws {
        if let kind = irregularKind(path) { throw refusal(reported ?? path, operation, kind) }
    }

    /// In words, what is in the place if it is no regular file; nil if it is one or there is nothing.
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
