import AtomicFiles
import Foundation

/// Fetches a file over HTTP or HTTPS; what broke off goes on where it was.
///
/// The bytes go to `PATH` as they come, and `PATH.origin` says whose they are: the address, and the server's ETag or time of change. A later try
/// asks for the rest on the condition that the server's file is still the same (`If-Range`); if it is not, the server sends all of it.
///
/// A server is taken for hostile: whatever it says or sends, little memory is needed, no more than the most bytes are taken, and it has to bring new ones at a
/// least rate.
package struct Download {
    package let address: String
    package let path: String
    /// A server that sends more is broken or hostile.
    package let mostBytes: Int
    /// Tries in a row that may bring the file no further.
    package var fruitlessTries = 4
    /// Seconds without a byte after which a connection counts as broken.
    package var idleSeconds = 30.0
    /// Bytes that have to come in so many seconds, over all connections of that time: so a download ends after its most bytes at that rate.
    package var leastBytes = (count: 600_000, seconds: 60.0)
    /// Seconds before the next try, after as many that brought nothing.
    package var pause: (_ fruitless: Int) -> Double = { Double(1 << $0) / 2 }

    package init(_ address: String, to path: String, mostBytes: Int) {
        self.address = address
        self.path = path
        self.mostBytes = mostBytes
    }

    /// Why a file could not be fetched.
    package struct Failure: Error, CustomStringConvertible, Equatable {
        package let address: String
        package let problem: String
        package var description: String { "\(address.count > 500 ? "\(address.prefix(500))…" : address): \(problem)" }
    }

    /// Whose bytes a part is.
    private struct Origin: Codable {
        var address: String
        var validator: String
    }

    private var originPath: String { "\(path).origin" }

    /// Of the folder's own files alone, and no more than an address and a version take: ``OwnFile``.
    private func originData() -> Data? { (try? OwnFile.contents(of: originPath, atMost: 1 << 20)).map { Data($0) } }

    /// Fetches all of it; `progress` gets the bytes there, and of how many where the server says so; `say` gets lines for the user.
    ///
    /// - Throws: ``Failure`` if the server cannot be reached, has no such file, or the connection breaks too often without a byte; what is
    ///   there then stays for a later try. `FileError` if the file cannot be written.
    package func run(progress: @escaping (_ done: Int, _ total: Int?) -> Void, notify: (String) -> Void) throws {
        // A part that no later try could go on from is only in the way.
        var isComplete = false
        defer { if !isComplete, resumableBytes() == 0 { discard() } }
        guard let url = URL(string: address), ["http", "https"].contains(url.scheme?.lowercased()), url.host != nil else {
            throw Failure(address: address, problem: "expected an address that begins with http:// or https://, found another")
        }
        var fruitless = 0
        let pace = Pace(least: leastBytes)
        while true {
            let offset = resumableBytes()
            let furthest = pace.furthest
            let transfer = try Transfer(self, from: offset, pace: pace, progress: progress) { validator in
                try Self.write(validator.map { Origin(address: address, validator: $0) }, to: originPath)
            }
            switch transfer.run(headers: headers(from: offset)) {
            case .complete:
                isComplete = true
                return
            case .failed(let error): throw error
            case .stale:
                // The server's file is shorter than the part, or its answer makes no sense: from the beginning, once.
                discard()
                fruitless += 1
                guard fruitless < fruitlessTries else {
                    throw Failure(address: address, problem: "the server answers a request for the rest with nonsense")
                }
            case .broken(let problem, let position):
                // Not any byte counts: a server that names no version of its file makes every try begin again.
                if let problem = pace.defect() { throw Failure(address: address, problem: problem) }
                fruitless = position > max(furthest, offset) ? 0 : fruitless + 1
                guard fruitless < fruitlessTries else { throw Failure(address: address, problem: problem) }
                let seconds = pause(fruitless)
                notify("\(address): \(problem); trying again\(seconds >= 1 ? " in \(Int(seconds)) s" : "")")
                Thread.sleep(forTimeInterval: seconds)
            }
        }
    }

    /// Removes what was fetched so far.
    package func discard() {
        unlink(path)
        unlink(originPath)
    }

    /// The bytes there that a server can be asked to go on from; 0 if they are another address's.
    private func resumableBytes() -> Int {
        guard let origin = origin(), origin.address == address,
            let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
        else { return 0 }
        return size
    }

    /// Nil also if the validator cannot be a header's: the file may be somebody else's.
    private func origin() -> Origin? {
        guard let data = originData(), let origin = try? JSONDecoder().decode(Origin.self, from: data),
            origin.validator.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else { return nil }
        return origin
    }

    private func headers(from offset: Int) -> [String] {
        // The bytes as they lie on the server: of others there could be no range.
        var headers = ["User-Agent: swift-weightnorm", "Accept-Encoding: identity"]
        if offset > 0, let origin = origin() {
            headers += ["Range: bytes=\(offset)-", "If-Range: \(origin.validator)"]
        }
        return headers
    }

    private static func write(_ origin: Origin?, to path: String) throws {
        guard let origin else {
            unlink(path)
            return
        }
        try AtomicFile.write(JSONEncoder().encode(origin), to: path, links: .refused)
    }
}
