import Datasets
import Foundation
import Training

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

// Foundation's URLSession, because the system library that it needs, libcurl, is there wherever Swift builds anything: SwiftPM is linked with it.
// It stays out of the library's targets, so that whoever only trains is not linked with it.

/// Fetches a file over HTTP or HTTPS; what broke off goes on where it was.
///
/// The bytes go to `PATH` as they come, and `PATH.origin` says whose they are: the address, and the server's ETag or time of change. A later try
/// asks for the rest on the condition that the server's file is still the same (`If-Range`); if it is not, the server sends all of it.
package struct Download {
    package let address: String
    package let path: String
    /// A server that sends more is broken or hostile.
    package let mostBytes: Int
    /// Tries in a row that may bring the file no further.
    package var fruitlessTries = 4
    /// Seconds without a byte after which a connection counts as broken.
    package var idleSeconds = 30.0
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
        package var description: String { "\(address): \(problem)" }
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
    package func run(progress: @escaping (_ done: Int, _ total: Int?) -> Void, say: (String) -> Void) throws {
        // A part that no later try could go on from is only in the way.
        var isComplete = false
        defer { if !isComplete, resumableBytes() == 0 { discard() } }
        guard let url = URL(string: address), ["http", "https"].contains(url.scheme?.lowercased()), url.host != nil else {
            throw Failure(address: address, problem: "expected an address that begins with http:// or https://, found another")
        }
        var fruitless = 0
        var furthest = 0
        while true {
            let offset = resumableBytes()
            let transfer = try Transfer(path: path, from: offset, address: address, mostBytes: mostBytes, progress: progress) { validator in
                try Self.write(validator.map { Origin(address: address, validator: $0) }, to: originPath)
            }
            let outcome = transfer.run(request(url, from: offset), idleSeconds: idleSeconds)
            switch outcome {
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
                fruitless = position > max(furthest, offset) ? 0 : fruitless + 1
                furthest = max(furthest, position)
                guard fruitless < fruitlessTries else { throw Failure(address: address, problem: problem) }
                let seconds = pause(fruitless)
                say("\(address): \(problem); trying again\(seconds >= 1 ? " in \(Int(seconds)) s" : "")")
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
        guard let data = originData(), let origin = try? JSONDecoder().decode(Origin.self, from: data),
            origin.address == address, let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
        else { return 0 }
        return size
    }

    private func request(_ url: URL, from offset: Int) -> URLRequest {
        var request = URLRequest(url: url)
        request.cachePolicy = .reloadIgnoringLocalCacheData
        request.setValue("swift-weightnorm", forHTTPHeaderField: "User-Agent")
        // The bytes as they lie on the server: of others there could be no range.
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        if offset > 0, let data = originData(),
            let origin = try? JSONDecoder().decode(Origin.self, from: data)
        {
            request.setValue("bytes=\(offset)-", forHTTPHeaderField: "Range")
            request.setValue(origin.validator, forHTTPHeaderField: "If-Range")
        }
        return request
    }

    private static func write(_ origin: Origin?, to path: String) throws {
        guard let origin else {
            unlink(path)
            return
        }
        try AtomicFile.write(JSONEncoder().encode(origin), to: path, links: .refused)
    }
}

/// One request and its answer.
// Unchecked: after the task has begun, its state is touched on the session's delegate queue alone, one call at a time, until `done` is signalled.
private final class Transfer: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    enum Outcome {
        case complete
        /// The connection broke; another try may help.
        case broken(String, position: Int)
        /// The part cannot be gone on from.
        case stale
        /// Another try would not help.
        case failed(any Error)
    }

    private let path: String
    private let address: String
    private let mostBytes: Int
    private let offset: Int
    private let progress: (Int, Int?) -> Void
    private let started: (_ validator: String?) throws -> Void
    private let file: Descriptor
    private let done = DispatchSemaphore(value: 0)
    private var position: Int
    private var total: Int?
    private var outcome: Outcome?

    init(
        path: String, from offset: Int, address: String, mostBytes: Int, progress: @escaping (Int, Int?) -> Void,
        started: @escaping (String?) throws -> Void
    ) throws {
        (self.path, self.offset, self.address, self.mostBytes, self.progress, self.started) = (
            path, offset, address, mostBytes, progress, started
        )
        position = offset
        // Appending: after a truncation to 0 the bytes come at the beginning.
        file = try OwnFile.open(path, O_WRONLY | O_CREAT | O_APPEND, operation: "write")
    }

    func run(_ request: URLRequest, idleSeconds: Double) -> Outcome {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = idleSeconds
        configuration.urlCache = nil
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = 1
        let session = URLSession(configuration: configuration, delegate: self, delegateQueue: queue)
        session.dataTask(with: request).resume()
        done.wait()
        session.invalidateAndCancel()
        return outcome ?? .failed(Download.Failure(address: address, problem: "the transfer ended without a result"))
    }

    private func failure(_ problem: String) -> Outcome { .failed(Download.Failure(address: address, problem: problem)) }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        outcome = answer(to: response)
        completionHandler(outcome == nil ? .allow : .cancel)
    }

    /// Nil if the body is to be taken.
    private func answer(to response: URLResponse) -> Outcome? {
        guard let response = response as? HTTPURLResponse else { return failure("expected an HTTP answer, found another") }
        let length = response.value(forHTTPHeaderField: "Content-Length").flatMap { Int($0) }
        let range = response.value(forHTTPHeaderField: "Content-Range")
        switch response.statusCode {
        case 200:
            // The whole file, asked for or not.
            if let code = truncate() { return .failed(code) }
            position = 0
        case 206:
            guard offset > 0, range?.hasPrefix("bytes \(offset)-") == true else { return .stale }
        case 416:
            return range == "bytes */\(offset)" && offset > 0 ? .complete : .stale
        case 408, 425, 429, 500...599: return .broken("the server answers with status \(response.statusCode)", position: 0)
        default: return failure("expected status 200, found \(response.statusCode)")
        }
        // Unpacked on the way in spite of our asking, it has another length, and no part of it can be asked for.
        let isEncoded = response.value(forHTTPHeaderField: "Content-Encoding").map { $0 != "identity" } ?? false
        total = isEncoded ? nil : length.map { position + $0 }
        if let total, total > mostBytes { return failure("expected at most \(mostBytes) bytes, found \(total)") }
        let tag = response.value(forHTTPHeaderField: "ETag").flatMap { $0.hasPrefix("\"") ? $0 : nil }
        do {
            try started(isEncoded ? nil : tag ?? response.value(forHTTPHeaderField: "Last-Modified"))
        } catch {
            return .failed(error)
        }
        progress(position, total)
        return nil
    }

    private func truncate() -> FileError? {
        while ftruncate(file.number, 0) != 0 {
            if errno != EINTR { return FileError(path: path, operation: "write", code: errno) }
        }
        return nil
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        guard outcome == nil else { return }
        if position + data.count > mostBytes {
            outcome = failure("expected at most \(mostBytes) bytes, found more")
        } else {
            let code = file.write(data)
            if code != 0 { outcome = .failed(FileError(path: path, operation: "write", code: code)) }
        }
        guard outcome == nil else { return dataTask.cancel() }
        position += data.count
        progress(position, total)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        if outcome == nil {
            if let error {
                outcome = Self.outcome(of: error, position: position, address: address)
            } else if let total, position != total {
                outcome = .broken("the connection ended after \(position) of \(total) bytes", position: position)
            } else {
                outcome = .complete
            }
        }
        done.signal()
    }

    private static func outcome(of error: any Error, position: Int, address: String) -> Outcome {
        let code = (error as NSError).code
        switch code {
        case NSURLErrorTimedOut: return .broken("nothing more came from the server", position: position)
        case NSURLErrorNetworkConnectionLost: return .broken("the connection broke", position: position)
        case NSURLErrorCannotFindHost, NSURLErrorDNSLookupFailed, NSURLErrorCannotConnectToHost:
            return .failed(Download.Failure(address: address, problem: "cannot reach the server: \(error.localizedDescription)"))
        default: return .broken("the connection failed: \(error.localizedDescription)", position: position)
        }
    }
}
