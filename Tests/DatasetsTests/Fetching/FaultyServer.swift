import Datasets
import Foundation
import Synchronization

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The web server of `Scripts/test-server.py` over a folder of its own; it ends with this object, or with the process.
final class FaultyServer: Sendable {
    let folder: String
    private let process: Process
    private let input = Pipe()
    private let port: String

    init() throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../Scripts/test-server.py")
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("fetch-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: "\(folder)/served", withIntermediateDirectories: true)
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path, "\(folder)/served"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = ""
        while !line.hasSuffix("\n"), let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
            line += String(decoding: byte, as: UTF8.self)
        }
        port = line.trimmingCharacters(in: .whitespacesAndNewlines)
        self.process = process
        guard !port.isEmpty else { throw Failure() }
        // A proxy of this machine's would not find the server.
        setenv("no_proxy", "127.0.0.1", 1)
    }

    struct Failure: Error, CustomStringConvertible {
        let description = "the test's web server did not start: it needs python3"
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// The address of a folder in which files are served in a way such as `breaks`.
    func address(_ way: String) -> String { "http://127.0.0.1:\(port)/\(way)" }

    func serve(_ bytes: [UInt8], as name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/served/\(name)"))
    }

    /// Requests so far whose path begins like this: path, `Range` and `If-Range`, `-` for none.
    func requests(_ way: String) throws -> [String] {
        let text = "\(folder)/log-\(UUID().uuidString)"
        try Download(address("log"), to: text, mostBytes: 1 << 20).run(progress: { _, _ in }, notify: { _ in })
        let lines = try String(contentsOfFile: text, encoding: .utf8).split(separator: "\n").map(String.init)
        return lines.filter { $0.hasPrefix("/\(way)/") }
    }
}

/// Lines and numbers that closures gather, on whatever thread they run.
final class Gathered<Element: Sendable>: Sendable {
    private let list = Mutex<[Element]>([])
    var elements: [Element] { list.withLock { $0 } }
    func append(_ element: Element) { list.withLock { $0.append(element) } }
}

func contents(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map { [UInt8]($0) } }

func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

/// Bytes that no packing shortens much.
func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = Xoshiro256(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}
