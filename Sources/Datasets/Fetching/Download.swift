import AtomicFiles
import Foundation

/// Fetches a file over HTTP or HTTPS; an interrupted download continues where it stopped.
///
/// The bytes go to `PATH` as they come, and `PATH.origin` says where they come from: the address, and the server's ETag or modification time. A later
/// try requests the rest on condition that the server's file is still the same (`If-Range`); if it is not, the server sends the whole file.
///
/// A server is treated as hostile: whatever it says or sends, little memory is used, no more than the maximum number of bytes is accepted, and new
/// bytes must arrive at a minimum rate.
package struct Download {
    package let address: String
    package let path: String
    /// A server that sends more is broken or hostile.
    package let mostBytes: Int
    /// Consecutive tries that may make no progress.
    package var fruitlessTries = 4
    /// Seconds without a byte after which a connection counts as broken.
    package var idleSeconds = 30.0
    /// Bytes that must arrive in the given number of seconds, over all connections in that time: this limits how long a download can take.
    package var leastBytes = (count: 600_000, seconds: 60.0)
    /// Seconds to wait before the next try, given the number of fruitless tries.
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

    /// Where the bytes of a partial download come from.
    private struct Origin: Codable {
        var address: String
        var validator: String
    }

    private var originPath: String { "\(path).origin" }

    /// Read only from one of the folder's own files, and of limited size: ``OwnFile``.
    private func originData() -> Data? { (try? OwnFile.contents(of: originPath, atMost: 1 << 20)).map { Data($0) } }

    /// Fetches the whole file; `progress` gets the number of bytes so far, and the total if the server states it; `notify` gets lines for the user.
    ///
    /// - Throws: ``Failure`` if the server cannot be reached, has no such file, or the connection breaks too often without progress; the partial file
    ///   is then kept for a later try. `FileError` if the file cannot be written.
    package func run(progress: @escaping (_ done: Int, _ total: Int?) -> Void, notify: (String) -> Void) throws {
        // A partial file that no later try could continue from is useless.
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
                // The server's file is shorter than the partial one, or its answer makes no sense: start over, once.
                discard()
                fruitless += 1
                guard fruitless < fruitlessTries else {
                    throw Failure(address: address, problem: "the server answers a request for the rest with nonsense")
                }
            case .broken(let problem, let position):
                // Not every byte is progress: if a server states no version of its file, every try starts over.
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

    /// The number of bytes after which a server can be asked to continue; 0 if they come from another address.
    private func resumableBytes() -> Int {
        guard let origin = origin(), origin.address == address,
            let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
        else { return 0 }
        return size
    }

    /// Also nil if the validator is not a valid header value: the file may be somebody else's.
    private func origin() -> Origin? {
        guard let data = originData(), let origin = try? JSONDecoder().decode(Origin.self, from: data),
            origin.validator.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else { return nil }
        return origin
    }

    private func headers(from offset: Int) -> [String] {
        // The bytes as stored on the server: encoded ones could not be requested by range.
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
