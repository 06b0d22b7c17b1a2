import AtomicFiles
import WeightFiles

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

// Checks on a folder before a run is started or resumed in it.

extension RunFolder {
    /// Whether two paths name the same folder, even through links.
    package static func isSame(_ one: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        return stat(one, &first) == 0 && stat(other, &second) == 0 && (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    }

    /// Whether a name ends like those of a run's files: `.json`, `.jsonl`, `.html`, `.png` or `.safetensors`.
    public static func hasUsualEnding(_ name: String) -> Bool {
        [".json", ".jsonl", ".html", ".png", ".safetensors"].contains { name.hasSuffix($0) && name.count > $0.count }
    }

    /// Throws if any of a folder's entries is a link or a special file. A subfolder may be the user's own.
    static func requireRegular(_ entries: [String], in path: String, operation: String) throws {
        for name in entries.sorted() {
            guard let kind = OwnFile.irregularKind(AtomicFile.join(path, name)), kind != "a folder" else { continue }
            throw FileError(
                path: path, operation: operation, reason: "expected regular files in it, found \(kind): \(Safetensors.quoted(name))")
        }
    }

    /// Throws what ``start(at:config:removing:)`` or, for a folder that holds a run, ``reopen(at:keepingRecords:inOthers:)`` would throw because of the
    /// folder; changes nothing.
    ///
    /// The names are those of files to be written; only regular files may be in their places.
    package static func check(_ path: String, holdsRun: Bool, writing names: [String] = []) throws {
        let task = holdsRun ? "resume the run in" : "start a run in"
        var status = stat()
        if !holdsRun && stat(path, &status) != 0 { return }
        let entries = try list(path, operation: task)
        if !entries.contains(markerName), let other = entries.min() {
            let expected = holdsRun ? "a run's folder" : "a new folder, an empty one or an earlier run's"
            throw FileError(path: path, operation: task, reason: "expected \(expected), found \(other) in it")
        }
        try requireRegular(entries, in: path, operation: task)
        for name in names { try OwnFile.requireRegularOrNone(AtomicFile.join(path, name), operation: "write") }
        guard access(path, W_OK) == 0 else { throw FileError(path: path, operation: task, code: errno) }
    }
}
