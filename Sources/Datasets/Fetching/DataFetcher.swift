import AtomicFiles
import Foundation

/// Puts a data set into a folder: fetches what is missing or damaged there, checks it, unpacks it.
///
/// A set's folder is `ROOT/NAME`. Downloads are kept in `ROOT/.NAME.download` until the set is complete, so that an interrupted fetch continues where
/// it stopped. Files are unpacked in a work folder, and only correct ones are renamed to their places. A lock keeps fetches from interfering with
/// each other and with the set-up scripts, which use the same lock and work folder. ``DataFolder/fetch(_:)`` is the same in one call.
public struct DataFetcher {
    /// What is fetched.
    public let publication: Publication
    /// The folder that contains the set's own folder.
    public let root: String
    /// Where files are searched for, one source after the other.
    public let sources: [Source]
    /// Called when the size of a download is known, with its name and bytes; the closure it returns is called with the number of bytes so far.
    public var display: (_ name: String, _ done: Int, _ total: Int) -> (_ done: Int) -> Void = { _, _, _ in { _ in } }
    /// Called with lines for the user, for example that a connection broke and is retried.
    public var notify: (String) -> Void = { _ in }
    /// Changes how downloads are tried.
    package var configure: (inout Download) -> Void = { _ in }

    /// Where a set's files can come from.
    public enum Source: Equatable, Sendable, CustomStringConvertible {
        /// The address of a folder on a server.
        case server(String)
        /// A folder on this machine, with the compressed or the unpacked files.
        case folder(String)

        /// A source given by a user: an address if it begins like one, else a folder.
        public init(_ text: String) {
            let isAddress = ["http://", "https://"].contains { text.lowercased().hasPrefix($0) }
            let trimmed = text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
            self = isAddress ? .server(trimmed) : .folder(trimmed)
        }

        /// The address or the path.
        public var description: String {
            switch self {
            case .server(let address): address
            case .folder(let path): path
            }
        }
    }

    /// Why a data set could not be fetched: one line with the reason for every source.
    public struct Failure: Error, CustomStringConvertible, Equatable {
        /// The data set, the file, and the reason for each source.
        public let description: String
    }

    /// Fetches into `ROOT/NAME`, by default in the cache; without sources, from the publication's mirrors.
    public init(_ publication: Publication, root: String = DataFolder.cache, sources: [Source] = []) {
        self.publication = publication
        self.root = root
        self.sources = sources.isEmpty ? publication.mirrors.map { Source($0) } : sources
    }

    /// The set's folder.
    public var folder: String { "\(root)/\(publication.name)" }
    private var downloads: String { "\(root)/.\(publication.name).download" }
    private var workPrefix: String { ".\(publication.name).work-" }

    /// Fetches what is missing or wrong; returns the number of such files, 0 if there was nothing to do.
    ///
    /// - Throws: ``Failure`` if a file cannot be fetched from any source; `FileError` if one cannot be written. What was fetched is kept for the next
    ///   try, and so is what was in the folder before.
    public func run() throws -> Int {
        try Self.makeFolder(root)
        let lock = try Lock("\(root)/.\(publication.name).lock") {
            notify("another fetch of \(publication.name) is running; waiting for it")
        }
        defer { lock.release() }
        let wanted = publication.files.filter { Publication.check($0, in: folder) != .right }
        guard !wanted.isEmpty else { return 0 }
        try removeLeftovers()
        let work = "\(root)/\(workPrefix)\(String(UInt64.random(in: 0 ... .max), radix: 36))"
        try Self.makeFolder("\(work)/\(publication.name)")
        defer {
            try? FileManager.default.removeItem(atPath: work)
            // Only if it is empty.
            rmdir(downloads)
        }
        for download in publication.downloads where download.files.contains(where: wanted.contains) {
            try get(download, into: "\(work)/\(publication.name)")
        }
        try publish(wanted, from: "\(work)/\(publication.name)")
        try? FileManager.default.removeItem(atPath: downloads)
        return wanted.count
    }

    // MARK: - One download

    private func get(_ download: Publication.Download, into work: String) throws {
        let finished = "\(downloads)/\(download.name)"
        // From an earlier fetch that failed at another file.
        if OwnFile.exists(finished) {
            try OwnFile.requireRegularOrNone(finished, operation: "read")
            if (try? unpack(finished, download, into: work)) != nil { return }
            unlink(finished)
        }
        var reasons: [String] = []
        for source in sources {
            do {
                switch source {
                case .folder(let path): try take(download, from: path, into: work)
                case .server(let base): try fetch(download, from: "\(base)/\(download.name)", as: finished, into: work)
                }
                return
            } catch let error as FileError {
                // An error with our own files: another source would not help.
                throw error
            } catch {
                reasons.append("\(error)")
            }
        }
        throw Failure(description: "\(publication.name): cannot get \(download.name): \(reasons.joined(separator: "; "))")
    }

    private func take(_ download: Publication.Download, from source: String, into work: String) throws {
        let packed = "\(source)/\(download.name)"
        if access(packed, F_OK) == 0 { return try unpack(packed, download, into: work) }
        for file in download.files {
            guard let path = Publication.find(file, in: source) else {
                throw DatasetError(path: source, problem: "expected \(download.name) or \(file.name), found neither")
            }
            try copy(ByteStream(path: path), to: file, in: work)
        }
    }

    private func fetch(_ download: Publication.Download, from address: String, as finished: String, into work: String) throws {
        try Self.makeFolder(downloads)
        var transfer = Download(address, to: "\(finished).part", mostBytes: download.mostBytes)
        configure(&transfer)
        var update: ((Int) -> Void)?
        try transfer.run(
            progress: { done, total in
                guard let total else { return }
                let shown = update ?? display(download.name, done, total)
                update = shown
                shown(done)
            }, notify: notify)
        do {
            try unpack(transfer.path, download, into: work)
        } catch let error as DatasetError {
            // The next try must not continue from wrong bytes.
            let sum = try? MD5.ofFile(transfer.path, asItIs: true).sum
            transfer.discard()
            let found = sum.map { $0 == download.md5 ? "" : " (expected MD5 \(download.md5), found \($0))" } ?? ""
            throw Download.Failure(address: address, problem: "wrong bytes, deleted\(found): \(error.problem)")
        }
        try Self.rename(transfer.path, to: finished)
        transfer.discard()
    }

    // MARK: - Unpacking

    /// Writes the download's files to the work folder; throws `DatasetError` unless every one is there with its checksum.
    private func unpack(_ path: String, _ download: Publication.Download, into work: String) throws {
        let stream = try ByteStream(path: path)
        guard download.isArchive else { return try copy(stream, to: download.files[0], in: work) }
        var missing = Dictionary(uniqueKeysWithValues: download.files.map { ($0.name, $0) })
        var open: Incoming?
        var archive = TarArchive(stream, limit: download.mostBytes)
        try archive.read { path, size in
            // The end of a file is only known when the next one begins.
            try open?.finish()
            open = nil
            let name = path.split(separator: "/").last.map(String.init) ?? path
            guard let file = missing[name] else {
                if download.files.contains(where: { $0.name == name }) {
                    throw DatasetError(path: stream.path, problem: "expected \(name) once, found it in two folders of the archive")
                }
                return nil
            }
            guard size == file.bytes else {
                throw DatasetError(path: stream.path, problem: "\(name): expected \(file.bytes) bytes, found \(size)")
            }
            missing[name] = nil
            let incoming = try Incoming(file, in: work, source: stream.path)
            open = incoming
            return incoming.take
        }
        try open?.finish()
        guard missing.isEmpty else {
            let names = missing.keys.sorted().joined(separator: ", ")
            throw DatasetError(path: stream.path, problem: "expected \(names) in the archive, found none of that name")
        }
    }

    private func copy(_ stream: ByteStream, to file: Publication.File, in work: String) throws {
        let incoming = try Incoming(file, in: work, source: stream.path)
        while true {
            let bytes = try stream.next(1 << 20)
            guard !bytes.isEmpty else { return try incoming.finish() }
            try incoming.take(bytes)
        }
    }

    /// A file of the set on its way to the work folder.
    private final class Incoming {
        private let file: Publication.File
        private let source: String
        private let path: String
        private let descriptor: Descriptor
        private var sum = MD5()
        private var count = 0

        init(_ file: Publication.File, in work: String, source: String) throws {
            (self.file, self.source, path) = (file, source, "\(work)/\(file.name)")
            descriptor = try OwnFile.open(path, O_WRONLY | O_CREAT | O_TRUNC, operation: "write")
        }

        func take(_ bytes: [UInt8]) throws {
            count += bytes.count
            guard count <= file.bytes else {
                throw DatasetError(path: source, problem: "\(file.name): expected \(file.bytes) bytes, found more")
            }
            sum.update(bytes)
            let code = descriptor.write(bytes)
            guard code == 0 else { throw FileError(path: path, operation: "write", code: code) }
        }

        func finish() throws {
            guard count == file.bytes else {
                throw DatasetError(path: source, problem: "\(file.name): expected \(file.bytes) bytes, found \(count)")
            }
            let found = sum.hexadecimal()
            guard found == file.md5 else {
                throw DatasetError(path: source, problem: "\(file.name): expected MD5 \(file.md5), found \(found)")
            }
            // Before the rename: after a power cut the name must not refer to a file without its bytes.
            let code = descriptor.synchronize()
            guard code == 0 else { throw FileError(path: path, operation: "write", code: code) }
        }
    }

    // MARK: - Folders

    private func publish(_ wanted: [Publication.File], from work: String) throws {
        guard access(folder, F_OK) == 0 else { return try Self.rename(work, to: folder) }
        // File by file, since the folder may hold other files of the user's, which must stay.
        for file in wanted { try Self.rename("\(work)/\(file.name)", to: "\(folder)/\(file.name)") }
    }

    /// While the lock is held, any work folder is left over from a run that was killed.
    private func removeLeftovers() throws {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] where name.hasPrefix(workPrefix) {
            try? FileManager.default.removeItem(atPath: "\(root)/\(name)")
        }
    }

    private static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FileError(path: path, operation: "make the folder", reason: error.localizedDescription)
        }
    }

    private static func rename(_ source: String, to destination: String) throws {
        guard systemRename(source, destination) == 0 else { throw FileError(path: destination, operation: "write", code: errno) }
    }

    /// A file locked by this process until it is released or the process ends, however it ends.
    private struct Lock: ~Copyable {
        private let descriptor: Descriptor

        init(_ path: String, waiting: () -> Void) throws {
            let file = try OwnFile.open(path, O_WRONLY | O_CREAT, operation: "lock")
            if flock(file.number, LOCK_EX | LOCK_NB) != 0 {
                waiting()
                while flock(file.number, LOCK_EX) != 0 {
                    if errno != EINTR { throw FileError(path: path, operation: "lock", code: errno) }
                }
            }
            descriptor = file
        }

        borrowing func release() { flock(descriptor.number, LOCK_UN) }
    }
}

// Inside `DataFetcher` the name refers to its own method.
private func systemRename(_ source: String, _ destination: String) -> Int32 { rename(source, destination) }
