import AtomicFiles
import Foundation

// What a run's folder does with files and names.

extension RunFolder {
    static let newline = UInt8(ascii: "\n")

    /// A value as JSON, as every file of a run has it: sorted keys, and numbers that are not finite as words.
    package static func encode(_ value: some Encodable, pretty: Bool) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        encoder.nonConformingFloatEncodingStrategy = .words
        return try [UInt8](encoder.encode(value)) + (pretty ? [newline] : [])
    }

    /// Whether a name is that of a file directly in the folder, and fits on one line of the list.
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.unicodeScalars.contains { $0 == "/" || $0.value < 0x20 || $0.value == 0x7F }
    }

    /// Makes a folder and its parents, unless it is there.
    ///
    /// - Throws: `FileError`, which names the path, if it cannot be made, or is something else.
    package static func makeFolder(_ folder: String, for path: String, operation task: String = "start a run in") throws {
        var status = stat()
        if stat(folder, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw FileError(path: path, operation: task, reason: "expected a folder, found a file at \(folder)")
            }
            return
        }
        guard errno == ENOENT, !folder.isEmpty else { throw FileError(path: path, operation: task, code: folder.isEmpty ? ENOENT : errno) }
        var parent = Substring(folder)
        while parent.hasSuffix("/") { parent.removeLast() }
        if let slash = parent.lastIndex(of: "/") {
            try makeFolder(slash == parent.startIndex ? "/" : String(parent[..<slash]), for: path, operation: task)
        }
        // Another process may have created it first.
        guard mkdir(folder, 0o777) == 0 || errno == EEXIST else { throw FileError(path: path, operation: task, code: errno) }
    }

    static func list(_ path: String, operation: String) throws -> [String] {
        guard let folder = opendir(path) else { throw FileError(path: path, operation: operation, code: errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The reason of the `FileError` for a folder in which a run is in progress.
    package static let inUse = "another run is using it"

    /// Opens the mark of a run's folder and locks it for as long as it stays open.
    static func claim(_ path: String, _ flags: Int32, operation: String) throws -> Descriptor {
        let marker = try OwnFile.open(AtomicFile.join(path, markerName), flags, reportedAs: path, operation: operation)
        // A file system without locks gives another error; the run then continues unprotected. A lock may briefly outlive its run while a process is
        // being started or ended, since that also holds the file.
        for attempt in 0... {
            guard flock(marker.number, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK else { break }
            guard attempt < 20 else { throw FileError(path: path, operation: operation, reason: inUse) }
            usleep(50_000)
        }
        return marker
    }

    static func namesListed(in marker: borrowing Descriptor, at path: String) throws -> [String] {
        let bytes = try marker.contents(atMost: mostOfMark, reportedAs: AtomicFile.join(path, markerName))
        let lines = bytes.split(separator: newline).dropFirst().map { String(decoding: $0, as: UTF8.self) }
        // Anyone can edit the list: it must not lead out of the folder.
        return lines.filter { isPlain($0) && $0 != markerName }
    }

    static func openMetrics(_ path: String) throws -> Descriptor {
        let file = AtomicFile.join(path, metricsName)
        return try OwnFile.open(file, O_RDWR | O_CREAT | O_APPEND, operation: "write")
    }

    static func openPlace(_ path: String, operation: String) throws -> Descriptor {
        try Descriptor(opening: path, O_RDONLY | O_DIRECTORY, reportedAs: path, operation: operation)
    }

    static func remove(_ name: String, in path: String) throws {
        let file = AtomicFile.join(path, name)
        guard unlink(file) == 0 || errno == ENOENT else { throw FileError(path: file, operation: "remove", code: errno) }
    }
}
