import AtomicFiles
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The folder of one run: its settings, its measurements as they are made, and its results.
///
/// - `config.json`: the settings, written at the start.
/// - `metrics.jsonl`: one JSON object per line, appended by ``record(_:)``.
/// - Whatever is written by ``write(_:named:)``: `summary.json`, `report.html`, a checkpoint. Each is there complete or not at all.
/// - `.weightnorm-run`: the marker of such a folder. It lists the run's files, one name per line, so that a new run in the same folder removes
///   exactly those; and it is locked while the run lasts, so that two runs never write to the same folder.
///
/// All of these are regular files, which is checked whenever one is opened: the folder may be another person's. The folder itself may be a link. It
/// must not be moved during a run: writing a record or file to another folder in its place is an error.
///
/// JSON has no numbers for NaN and the infinities. They are written as the strings `"nan"`, `"inf"` and `"-inf"`, and read back
/// as numbers by ``records(_:in:at:)`` and ``read(_:named:at:)``.
///
/// Every failure is a `FileError`, except for a value that cannot be encoded.
public final class RunFolder {
    /// The folder, as the caller named it.
    public let path: String

    private let marker: Descriptor
    private let metrics: Descriptor
    /// The folder itself, held open so that no other can be mistaken for it.
    private let place: Descriptor
    private var names: [String]

    static let markerName = ".weightnorm-run"
    private static let markerHeader = "A run of swift-weightnorm. A new run in this folder removes the files named below."
    /// The maximum size of the list in bytes.
    static let mostOfMark = 16 << 20
    private static let configName = "config.json"
    static let metricsName = "metrics.jsonl"

    private init(
        path: String, marker: consuming Descriptor, metrics: consuming Descriptor, place: consuming Descriptor, names: [String]
    ) {
        self.path = path
        self.marker = marker
        self.metrics = metrics
        self.place = place
        self.names = names
    }

    /// Starts a run in a new or empty folder, or in the folder of an earlier run, whose files are removed.
    ///
    /// Parent folders are created. A folder that holds anything but a run is refused, as is one in which a run is in progress or that contains links
    /// or special files. The earlier run's files are removed only once the new `config.json` is complete on the disk beside the old one.
    ///
    /// - Parameters:
    ///   - path: the folder.
    ///   - config: what becomes `config.json`.
    ///   - isOwn: whether a file in the earlier run's list may be removed, judged by its name. Anyone can edit that list: files that your runs never
    ///     write should stay, whatever the list says.
    public static func start(
        at path: String, config: some Encodable, removing isOwn: (String) -> Bool = RunFolder.hasUsualEnding
    ) throws -> RunFolder {
        let json = try encode(config, pretty: true)
        let task = "start a run in"
        var status = stat()
        let isNew = stat(path, &status) != 0
        try makeFolder(path, for: path)
        let entries = try list(path, operation: task)
        if !entries.contains(markerName), let other = entries.min() {
            throw FileError(
                path: path, operation: task, reason: "expected a new folder, an empty one or an earlier run's, found \(other) in it")
        }
        try requireRegular(entries, in: path, operation: task)
        let place = try openPlace(path, operation: task)
        let marker = try claim(path, O_RDWR | O_CREAT | O_APPEND, operation: task)
        let config: AtomicFile.Prepared
        do {
            config = try AtomicFile.prepare(json, for: AtomicFile.join(path, configName), links: .refused)
        } catch {
            // Leave nothing of a run that could not start, not even its folder.
            if entries.isEmpty { unlink(AtomicFile.join(path, markerName)) }
            if isNew { rmdir(path) }
            throw error
        }
        do {
            // Results first: a kill in between must not leave an old summary without the data it summarizes.
            var old = ["summary.json", "report.html", metricsName]
            old += try namesListed(in: marker, at: path).filter { !old.contains($0) && $0 != configName && isOwn($0) }
            let leftovers = entries.filter { AtomicFile.isTemporary($0) }
            // All are checked before any is removed.
            for name in old + leftovers { try OwnFile.requireRegularOrNone(AtomicFile.join(path, name), operation: "remove") }
            for name in old + leftovers { try remove(name, in: path) }
            let names = [configName, metricsName]
            var code = marker.truncate(to: 0)
            if code == 0 { code = marker.write("\(([markerHeader] + names).joined(separator: "\n"))\n".utf8) }
            if code == 0 { code = marker.synchronize() }
            guard code == 0 else { throw FileError(path: AtomicFile.join(path, markerName), operation: "write", code: code) }
            try config.commit()
            return RunFolder(path: path, marker: marker, metrics: try openMetrics(path), place: place, names: names)
        } catch {
            config.discard()
            throw error
        }
    }

    /// Reopens a folder to resume its run; a last line of `metrics.jsonl` that a kill left incomplete is cut off, and half-written files are removed.
    ///
    /// For a run that resumes from a checkpoint, the counts are the numbers of records to keep in `metrics.jsonl` and, by name, in other files of
    /// records; later records will be made again.
    public static func reopen(
        at path: String, keepingRecords count: Int? = nil, inOthers others: [String: Int] = [:]
    ) throws -> RunFolder {
        let task = "resume the run in"
        let entries = try list(path, operation: task)
        guard entries.contains(markerName) else {
            throw FileError(path: path, operation: task, reason: "expected a run's folder, found no \(markerName) in it")
        }
        try requireRegular(entries, in: path, operation: task)
        let place = try openPlace(path, operation: task)
        let marker = try claim(path, O_RDWR | O_APPEND, operation: task)
        let names = try namesListed(in: marker, at: path)
        let metrics = try openMetrics(path)
        // Everything is counted before anything is cut: a folder that does not fit stays as it is.
        let others = others.filter { $0.value > 0 || OwnFile.exists(AtomicFile.join(path, $0.key)) }
        let end = try self.end(
            of: metrics.contents(atMost: OwnFile.mostOfRecords, reportedAs: AtomicFile.join(path, metricsName)), count, metricsName, path,
            task)
        var ends: [(file: String, end: Int)] = []
        for (name, count) in others.sorted(by: { $0.key < $1.key }) {
            let file = AtomicFile.join(path, name)
            ends.append((file, try self.end(of: OwnFile.contents(of: file, atMost: OwnFile.mostOfRecords), count, name, path, task)))
        }
        try cut(metrics, to: end, reportedAs: AtomicFile.join(path, metricsName))
        for (file, end) in ends {
            try cut(OwnFile.open(file, O_RDWR | O_APPEND, operation: "write"), to: end, reportedAs: file)
        }
        for name in entries where AtomicFile.isTemporary(name) { try remove(name, in: path) }
        return RunFolder(path: path, marker: marker, metrics: metrics, place: place, names: names)
    }

    /// The offset in a file's bytes at which the given number of complete lines ends, or the last complete line.
    private static func end(of bytes: [UInt8], _ count: Int?, _ name: String, _ path: String, _ operation: String) throws -> Int {
        let ends = bytes.indices.filter { bytes[$0] == newline }.map { $0 + 1 }
        let kept = count ?? ends.count
        guard kept >= 0, kept <= ends.count else {
            throw FileError(path: path, operation: operation, reason: "expected \(kept) records in \(name), found \(ends.count)")
        }
        return kept == 0 ? 0 : ends[kept - 1]
    }

    private static func cut(_ lines: borrowing Descriptor, to end: Int, reportedAs file: String) throws {
        let code = lines.truncate(to: end)
        guard code == 0 else { throw FileError(path: file, operation: "write", code: code) }
    }

    /// Makes the records in `metrics.jsonl` and in other files of records survive a power cut; call it before writing a checkpoint that counts them.
    public func synchronizeRecords(inOthers others: [String] = []) throws {
        try requirePlace()
        var code = metrics.synchronize()
        guard code == 0 else { throw FileError(path: AtomicFile.join(path, Self.metricsName), operation: "write", code: code) }
        for name in others {
            let file = AtomicFile.join(path, name)
            guard OwnFile.exists(file) else { continue }
            code = try OwnFile.open(file, O_RDWR, operation: "write").synchronize()
            guard code == 0 else { throw FileError(path: file, operation: "write", code: code) }
        }
    }

    /// Appends one record to `metrics.jsonl`: a value that encodes as a JSON object, such as a struct or a `[String: Double]`.
    ///
    /// The line is written in a single call, so that readers see complete lines, even after a kill. If it does not fit on the disk, the part that was
    /// written is removed.
    public func record(_ metrics: some Encodable) throws {
        let file = AtomicFile.join(path, Self.metricsName)
        let line = try Self.line(of: metrics, for: file)
        try requirePlace()
        try Self.append(line, to: self.metrics, at: self.metrics.size(reportedAs: file), reportedAs: file)
    }

    /// Appends one record to a file of records other than `metrics.jsonl`, such as `layers.jsonl`, which is created with the first.
    ///
    /// The guarantees are those of ``record(_:)``. A last line that a kill left incomplete is cut off before the next is written.
    public func record(_ value: some Encodable, in name: String) throws {
        let file = try path(for: name)
        let line = try Self.line(of: value, for: file)
        let lines = try OwnFile.open(file, O_RDWR | O_CREAT | O_APPEND, operation: "write")
        var size = try lines.size(reportedAs: file)
        var last = Self.newline
        if size > 0 { _ = try withUnsafeMutableBytes(of: &last) { try lines.read(into: $0, at: size - 1, reportedAs: file) } }
        if last != Self.newline {
            size = (try lines.contents(atMost: OwnFile.mostOfRecords, reportedAs: file).lastIndex(of: Self.newline) ?? -1) + 1
            let code = lines.truncate(to: size)
            guard code == 0 else { throw FileError(path: file, operation: "write", code: code) }
        }
        try Self.append(line, to: lines, at: size, reportedAs: file)
    }

    private static func line(of value: some Encodable, for file: String) throws -> [UInt8] {
        let line = try encode(value, pretty: false)
        guard line.first == UInt8(ascii: "{") else {
            throw FileError(path: file, operation: "write", reason: "expected a record that is a JSON object, found \(type(of: value))")
        }
        return line + [newline]
    }

    /// Appends a line to a file of the given size; on failure the file keeps that size.
    private static func append(_ line: [UInt8], to lines: borrowing Descriptor, at size: Int, reportedAs file: String) throws {
        let code = lines.write(line)
        guard code == 0 else {
            // Truncating a file needs no space. If it fails all the same, `reopen` and `records` skip the incomplete line.
            _ = lines.truncate(to: size)
            throw FileError(path: file, operation: "write", code: code)
        }
    }

    /// Writes a file of the run, completely or not at all, replacing an earlier one of that name. The name must be plain, without `/`.
    public func write(_ bytes: some Collection<UInt8>, named name: String) throws {
        try AtomicFile.write(bytes, to: path(for: name), links: .refused)
        try requirePlace()
    }

    /// Writes a value as JSON, with sorted keys, for people to read too.
    public func write(json value: some Encodable, named name: String) throws {
        try write(try Self.encode(value, pretty: true), named: name)
    }

    /// Removes a file of the run, if it is there.
    package func remove(_ name: String) throws {
        try requirePlace()
        try Self.remove(name, in: path)
    }

    /// The path of a file of the run that something else writes; ask for it each time. A later run in this folder will remove the file.
    ///
    /// - Throws: `FileError` if the name is not plain, if anything but a regular file is in its place, or if the folder is no longer in its place.
    public func path(for name: String) throws -> String {
        let file = AtomicFile.join(path, name)
        guard Self.isPlain(name), name != Self.metricsName, name != Self.markerName else {
            throw FileError(path: file, operation: "write", reason: "expected a plain file name not used by the run itself")
        }
        try requirePlace()
        try OwnFile.requireRegularOrNone(file, operation: "write")
        if !names.contains(name) {
            // Listed before it exists: a kill in between leaves a name without a file, never a file that no later run will remove.
            let size = try marker.size(reportedAs: path)
            var code = marker.write("\(name)\n".utf8)
            if code == 0 { code = marker.synchronize() }
            guard code == 0 else {
                _ = marker.truncate(to: size)
                throw FileError(path: file, operation: "write", code: code)
            }
            names.append(name)
        }
        return file
    }

    /// Throws unless the folder, and the files in it that are held open, are still in place: anything written elsewhere would be lost to the run.
    public func requirePlace() throws {
        func check(_ held: borrowing Descriptor, _ path: String, _ what: String) throws {
            var (own, found) = (stat(), stat())
            guard fstat(held.number, &own) == 0 else { throw FileError(path: path, operation: "write", code: errno) }
            let isThere = stat(path, &found) == 0
            guard isThere, (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino) else {
                throw FileError(
                    path: path, operation: "write",
                    reason:
                        "expected the \(what) of this run, found \(isThere ? "another" : "none"): it was moved or removed during the run"
                )
            }
        }
        try check(place, path, "folder")
        try check(metrics, AtomicFile.join(path, Self.metricsName), "records")
        try check(marker, AtomicFile.join(path, Self.markerName), "mark")
    }
}
