import AtomicFiles
import Datasets
import Foundation
import Testing

struct DownloadTests {
    private static let file = noise(300_000, seed: 1)
    private let server: FaultyServer
    private let path: String

    init() throws {
        server = try FaultyServer()
        try server.serve(Self.file, as: "file")
        path = "\(server.folder)/part"
    }

    private func download(_ way: String, mostBytes: Int = 1_000_000) -> Download {
        var download = Download("\(server.address(way))/file", to: path, mostBytes: mostBytes)
        download.pause = { _ in 0 }
        return download
    }

    /// What the download says on the way; throws as it does.
    @discardableResult
    private func run(_ download: Download, progress: @escaping (Int, Int?) -> Void = { _, _ in }) throws -> [String] {
        let lines = Gathered<String>()
        try download.run(progress: progress) { lines.append($0) }
        return lines.elements
    }

    private func failure(_ download: Download) -> String? {
        do {
            try run(download)
            return nil
        } catch {
            return (error as? Download.Failure)?.problem ?? "\(error)"
        }
    }

    @Test("a file comes whole, directly or by a redirection, and the progress ends at its size", arguments: ["good", "moved"])
    func whole(way: String) throws {
        let seen = Gathered<Int>()
        let said = try run(download(way)) { done, total in
            #expect(total == Self.file.count)
            seen.append(done)
        }
        #expect(contents(path) == Self.file && said.isEmpty)
        #expect(seen.elements == seen.elements.sorted() && seen.elements.first == 0 && seen.elements.last == Self.file.count)
    }

    @Test(
        "broken connections: each try asks for the rest alone, on the condition that the file is the same", arguments: ["breaks", "dated"])
    func resumes(way: String) throws {
        let said = try run(download(way))
        #expect(contents(path) == Self.file)
        let requests = try server.requests(way)
        #expect(requests.count > 5 && said.count == requests.count - 1 && said.allSatisfy { $0.hasSuffix("; trying again") })
        #expect(requests[0].hasSuffix("/file - -"))
        var last = 0
        for request in requests.dropFirst() {
            let words = request.split(separator: " ", maxSplits: 2)
            let start = try #require(Int(words[1].dropFirst("bytes=".count).dropLast()))
            #expect(start > last, "no byte is fetched twice")
            #expect(way == "breaks" ? words[2].hasPrefix("\"") : words[2] == "Mon, 05 Jan 2026 00:00:00 GMT")
            last = start
        }
    }

    @Test("a later download goes on where an earlier one was given up")
    func goesOnLater() throws {
        var first = download("quits")
        first.fruitlessTries = 2
        #expect(failure(first) == "the connection failed: transfer closed with 150000 bytes remaining to read")
        #expect(contents(path)?.count == 150_000 && exists("\(path).origin"))
        try run(download("quits"))
        #expect(contents(path) == Self.file)
        let requests = try server.requests("quits")
        #expect(requests.count == 4 && requests[3].contains(" bytes=150000- "))
    }

    @Test("a part of another address is not gone on from")
    func otherAddress() throws {
        try Data(noise(5000, seed: 2)).write(to: URL(fileURLWithPath: path))
        try Data(#"{"address":"http://127.0.0.1/other","validator":"\"x\""}"#.utf8).write(to: URL(fileURLWithPath: "\(path).origin"))
        try run(download("good"))
        #expect(contents(path) == Self.file)
        #expect(try server.requests("good").allSatisfy { $0.hasSuffix("/file - -") })
    }

    @Test("a file that was changed in between is not glued to the old one's beginning")
    func changed() throws {
        try run(download("changes"))
        #expect(contents(path) == Self.file)
        let requests = try server.requests("changes")
        #expect(requests.count == 2 && requests[1].contains(" bytes=150000- "), "it was asked to go on")
    }

    @Test("a server that ignores ranges, or answers them with others, makes it begin again", arguments: ["ignores", "nonsense"])
    func noRanges(way: String) throws {
        try run(download(way))
        #expect(contents(path) == Self.file)
    }

    @Test("a whole part is seen to be whole")
    func alreadyWhole() throws {
        try run(download("good"))
        try run(download("good"))
        #expect(contents(path) == Self.file)
        #expect(try server.requests("good").last?.contains(" bytes=300000- ") == true)
    }

    @Test("a busy server is asked again")
    func busy() throws {
        let said = try run(download("busy"))
        #expect(contents(path) == Self.file)
        #expect(said.count == 2 && said.allSatisfy { $0.hasSuffix("the server answers with status 503; trying again") })
    }

    @Test("a silent connection counts as broken")
    func stalls() throws {
        var patient = download("stalls")
        patient.idleSeconds = 1
        let said = try run(patient)
        #expect(contents(path) == Self.file)
        #expect(said.count == 1 && said[0].hasSuffix("nothing more came from the server; trying again"))
    }

    @Test("content that the server packs for the way is unpacked, and never gone on from")
    func encoded() throws {
        try run(download("encoded"))
        #expect(contents(path) == Self.file && !exists("\(path).origin"))
    }

    @Test(
        "what cannot help is given up with the reason",
        arguments: [
            ("missing", 1, "expected status 200, found 404"), ("down", 4, "the server answers with status 503"),
            ("never", 4, "the connection failed: transfer closed with 300000 bytes remaining to read"),
            ("anonymous", 4, "the connection failed: transfer closed with 200000 bytes remaining to read"),
            ("endless", 1, "expected at most 1000000 bytes, found more"), ("unframed", 1, "expected at most 1000000 bytes, found more"),
            ("bomb", 1, "expected at most 1000000 bytes, found more"),
            ("huge", 1, "expected at most 1000000 bytes, found 9223372036854775807"),
            ("chained", 1, "expected an HTTP answer, found another: a content encoding other than gzip and deflate, or several"),
            ("zstd", 1, "expected an HTTP answer, found another: a content encoding other than gzip and deflate, or several"),
            ("padded", 1, "expected an HTTP answer, found another: a header of more than 64 KiB"),
        ])
    func givesUp(way: String, requests: Int, problem: String) throws {
        #expect(failure(download(way)) == problem)
        // The server that names no version of its file brings a third of it once, which counts as progress once.
        #expect(try server.requests(way).count == (way == "anonymous" ? requests + 1 : requests))
        #expect(!exists(path) || exists("\(path).origin"), "a part from which no later try could go on is removed")
    }

    @Test(
        "a server that brings a byte now and then, or a byte a connection, is given up after a time",
        arguments: ["drip", "trickle"])
    func tooSlow(way: String) throws {
        var hurried = download(way)
        // More than any machine can fetch so in that time: a window that brought enough would not count.
        hurried.leastBytes = (count: 100_000, seconds: 2)
        let problem = try #require(failure(hurried))
        #expect(problem.hasPrefix("the server is too slow: expected at least 100000 bytes in 2 s, found "))
        let count = try #require(problem.split(separator: " ").last.flatMap { Int($0) })
        #expect(count > 0 && count < 100_000 && contents(path) == Array(Self.file[..<count]))
    }

    @Test("a file that has to begin again is not counted as slow until it is where it was")
    func beginsAgain() throws {
        try Data(noise(280_000, seed: 9)).write(to: URL(fileURLWithPath: path))
        let address = "\(server.address("slow"))/file"
        try Data(#"{"address":"\#(address)","validator":"\"old\""}"#.utf8).write(to: URL(fileURLWithPath: "\(path).origin"))
        var download = download("slow")
        download.leastBytes = (count: 1000, seconds: 0.01)
        try run(download)
        #expect(contents(path) == Self.file)
    }

    @Test("a validator with which somebody would add headers is none")
    func injected() throws {
        try Data(noise(5000, seed: 2)).write(to: URL(fileURLWithPath: path))
        let address = "\(server.address("good"))/file"
        try Data(#"{"address":"\#(address)","validator":"\"x\"\r\nX-Other: 1"}"#.utf8).write(to: URL(fileURLWithPath: "\(path).origin"))
        try run(download("good"))
        #expect(contents(path) == Self.file)
        #expect(try server.requests("good").allSatisfy { $0.hasSuffix("/file - -") })
    }

    @Test("what is no HTTP, makes no sense or leads nowhere is one line", arguments: ["garbage", "negative", "loop"])
    func nonsense(way: String) throws {
        let problem = try #require(failure(download(way)))
        #expect(problem.count < 200 && !problem.contains("\n"))
        if way == "loop" { #expect(problem.hasPrefix("cannot reach the server: ")) }
        if way == "garbage" { #expect(problem.hasPrefix("expected an HTTP answer, found another: ")) }
    }

    @Test("the scheme of an address may be in capitals")
    func capitals() throws {
        var loud = Download(server.address("good").replacing("http://", with: "HTTP://") + "/file", to: path, mostBytes: 1_000_000)
        loud.pause = { _ in 0 }
        try run(loud)
        #expect(contents(path) == Self.file)
    }

    @Test("a file that is announced as too large is not begun")
    func tooLarge() {
        #expect(failure(download("good", mostBytes: 299_999)) == "expected at most 299999 bytes, found 300000")
        #expect(!exists(path))
    }

    @Test("a server that is not there, and an address that is none")
    func noServer() throws {
        let nowhere = failure(Download("http://127.0.0.1:1/file", to: path, mostBytes: 10))
        #expect(nowhere?.hasPrefix("cannot reach the server: ") == true)
        for address in ["ftp://127.0.0.1/file", "file:///etc/passwd", "http://", "no address"] {
            #expect(
                failure(Download(address, to: path, mostBytes: 10))
                    == "expected an address that begins with http:// or https://, found another")
        }
    }

    @Test("a part that cannot be written is named")
    func cannotWrite() throws {
        var blocked = Download("\(server.address("good"))/file", to: "\(server.folder)/none/part", mostBytes: 1_000_000)
        blocked.pause = { _ in 0 }
        #expect(throws: FileError(path: "\(server.folder)/none/part", operation: "write", code: ENOENT)) { try run(blocked) }
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let refusal = FileError(path: path, operation: "write", reason: "expected a regular file, found a symbolic link")
        #expect(throws: refusal) { try run(download("good")) }
    }

    @Test("a link in the place of a part is refused, and what it names is not cut")
    func links() throws {
        let precious = "\(server.folder)/precious"
        try Data("precious".utf8).write(to: URL(fileURLWithPath: precious))
        for link in [path, "\(path).origin"] {
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: precious)
            let refusal = FileError(path: link, operation: "write", reason: "expected a regular file, found a symbolic link")
            #expect(throws: refusal) { try run(download("good")) }
            #expect(FileManager.default.contents(atPath: precious) == Data("precious".utf8))
            for name in [path, "\(path).origin"] { unlink(name) }
        }
    }
}
