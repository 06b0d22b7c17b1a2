#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

// What can be asked of a folder before a run is started or gone on with in it.

extension RunFolder {
    /// Whether two paths name one folder, through links too.
    package static func isSame(_ one: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        return stat(one, &first) == 0 && stat(other, &second) == 0 && (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    }

    /// Throws what ``start(at:config:)``, or of a folder that holds a run ``reopen(at:keepingRecords:)``, would throw for the folder's sake; changes nothing.
    package static func check(_ path: String, holdsRun: Bool) throws {
        let task = holdsRun ? "go on with the run in" : "start a run in"
        var status = stat()
        if !holdsRun && stat(path, &status) != 0 { return }
        let entries = try list(path, operation: task)
        if !entries.contains(markerName), let other = entries.min() {
            let expected = holdsRun ? "a run's folder" : "a new folder, an empty one or an earlier run's"
            throw FileError(path: path, operation: task, reason: "expected \(expected), found \(other) in it")
        }
        guard access(path, W_OK) == 0 else { throw FileError(path: path, operation: task, code: errno) }
    }
}
