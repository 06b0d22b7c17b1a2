import AtomicFiles
internal import CTransfer
import Foundation

/// Checks that a server delivers bytes at the minimum rate, over all tries of one download.
final class Pace {
    private let least: (count: Int, seconds: Double)
    private var start = Pace.now
    private var received = 0
    /// The largest number of bytes that any try reached in the file.
    private(set) var furthest = 0

    init(least: (count: Int, seconds: Double)) { self.least = least }

    static var now: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    /// Counts bytes that arrived, and the position in the file that they reach.
    func receive(_ count: Int, position: Int) {
        received += count
        furthest = max(furthest, position)
    }

    /// Why the server is abandoned; nil as long as it is fast enough.
    func defect() -> String? {
        guard Self.now - start >= least.seconds else { return nil }
        guard received < least.count else {
            (start, received) = (Self.now, 0)
            return nil
        }
        return "the server is too slow: expected at least \(least.count) bytes in \(Int(least.seconds)) s, found \(received)"
    }
}

/// One request and its answer.
final class Transfer {
    enum Outcome {
        case complete
        /// The connection broke; another try may help.
        case broken(String, position: Int)
        /// The partial file cannot be continued.
        case stale
        /// Another try would not help.
        case failed(any Error)
    }

    private let download: Download
    private let offset: Int
    private let pace: Pace
    private let progress: (Int, Int?) -> Void
    private let started: (_ validator: String?) throws -> Void
    private let file: Descriptor
    private var position: Int
    private var total: Int?
    private var outcome: Outcome?
    private var lastByte = Pace.now

    init(
        _ download: Download, from offset: Int, pace: Pace, progress: @escaping (Int, Int?) -> Void,
        started: @escaping (String?) throws -> Void
    ) throws {
        (self.download, self.offset, self.pace, self.progress, self.started) = (download, offset, pace, progress, started)
        position = offset
        // Appending: after a truncation to 0 the bytes come at the beginning.
        file = try OwnFile.open(download.path, O_WRONLY | O_CREAT | O_APPEND, operation: "write")
    }

    func run(headers: [String]) -> Outcome {
        lastByte = Pace.now
        var message = [CChar](repeating: 0, count: 256)
        let lines = headers.map { strdup($0) }
        defer { for line in lines { free(line) } }
        let code = lines.map { UnsafePointer($0) }.withUnsafeBufferPointer { headers in
            download.address.withCString { address in
                var request = CTransferRequest()
                request.address = address
                request.headers = headers.baseAddress
                request.header_count = Int32(headers.count)
                request.connect_seconds = Int(max(1, download.idleSeconds.rounded(.up)))
                request.context = Unmanaged.passUnretained(self).toOpaque()
                request.head = { context, head in
                    guard let context, let head else { return 1 }
                    return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().takeHead(head.pointee)
                }
                request.body = { context, bytes, count in
                    guard let context else { return 1 }
                    return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
                        .takeBody(UnsafeRawBufferPointer(start: bytes, count: count))
                }
                request.tick = { context in
                    guard let context else { return 1 }
                    return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().takeTick()
                }
                return withExtendedLifetime(self) { ctransfer_run(&request, &message, message.count) }
            }
        }
        if let outcome { return outcome }
        let said = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        switch Int(code) {
        case CTRANSFER_OK:
            guard let total, position != total else { return .complete }
            return .broken("the connection ended after \(position) of \(total) bytes", position: position)
        case CTRANSFER_NO_LIBRARY:
            return failure("expected the system's libcurl to download with, found none: install libcurl4, or fetch the file by other means")
        case CTRANSFER_UNREACHABLE: return failure("cannot reach the server: \(said)")
        case CTRANSFER_TIMED_OUT: return .broken("nothing more came from the server", position: position)
        case CTRANSFER_NO_ANSWER: return failure("expected an HTTP answer, found another: \(said)")
        default: return .broken("the connection failed: \(said)", position: position)
        }
    }

    private func failure(_ problem: String) -> Outcome { .failed(Download.Failure(address: download.address, problem: problem)) }

    private func takeHead(_ head: CTransferHead) -> Int32 {
        func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }
        outcome = answer(
            status: head.status, length: text(head.content_length), range: text(head.content_range), encoding: text(head.content_encoding),
            tag: text(head.etag), changed: text(head.last_modified))
        return outcome == nil ? 0 : 1
    }

    /// Nil if the body should be received.
    private func answer(status: Int, length: String?, range: String?, encoding: String?, tag: String?, changed: String?) -> Outcome? {
        switch status {
        case 200:
            // The whole file, requested or not.
            if let error = truncate() { return .failed(error) }
            position = 0
        case 206:
            guard offset > 0, range?.hasPrefix("bytes \(offset)-") == true else { return .stale }
        case 416:
            return range == "bytes */\(offset)" && offset > 0 ? .complete : .stale
        case 408, 425, 429, 500...599: return .broken("the server answers with status \(status)", position: 0)
        default: return failure("expected status 200, found \(status)")
        }
        // If the body is encoded despite our request, its length differs, and no part of it can be requested.
        let isEncoded = encoding.map { $0 != "identity" } ?? false
        if !isEncoded, let length = length.flatMap({ Int($0) }) {
            guard length <= download.mostBytes - position else {
                let (sum, overflows) = position.addingReportingOverflow(length)
                return failure("expected at most \(download.mostBytes) bytes, found \(overflows ? "more" : "\(sum)")")
            }
            total = position + length
        }
        do {
            let validator = tag.flatMap { $0.hasPrefix("\"") ? $0 : nil } ?? changed
            try started(isEncoded ? nil : validator)
        } catch {
            return .failed(error)
        }
        progress(position, total)
        return nil
    }

    private func truncate() -> FileError? {
        while ftruncate(file.number, 0) != 0 {
            if errno != EINTR { return FileError(path: download.path, operation: "write", code: errno) }
        }
        return nil
    }

    private func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        lastByte = Pace.now
        if bytes.count > download.mostBytes - position {
            outcome = failure("expected at most \(download.mostBytes) bytes, found more")
            return 1
        }
        let code = file.write(bytes)
        guard code == 0 else {
            outcome = .failed(FileError(path: download.path, operation: "write", code: code))
            return 1
        }
        position += bytes.count
        pace.receive(bytes.count, position: position)
        progress(position, total)
        return 0
    }

    private func takeTick() -> Int32 {
        if let problem = pace.defect() {
            outcome = failure(problem)
        } else if Pace.now - lastByte >= download.idleSeconds {
            outcome = .broken("nothing more came from the server", position: position)
        }
        return outcome == nil ? 0 : 1
    }
}
