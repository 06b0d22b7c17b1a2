import Datasets
import Foundation
import Testing

/// A data set in small: two packed files and an archive of two.
private struct SmallSet {
    let bodies = ["a": noise(50_000, seed: 3), "b": noise(10, seed: 4), "c.bin": noise(20_000, seed: 5), "d.bin": noise(600, seed: 6)]
    let publication: Publication
    let packed: [String: [UInt8]]

    init(mirrors: [String] = ["http://127.0.0.1:1/none"]) throws {
        var packed: [String: [UInt8]] = [:]
        let bodies = bodies
        func file(_ name: String) -> Publication.File {
            let body = bodies[name] ?? []
            return Publication.File(name, bytes: body.count, md5: MD5.hexadecimal(body))
        }
        for name in ["a", "b"] { packed["\(name).gz"] = try gzip(bodies[name] ?? []) }
        packed["set.tar.gz"] = try Self.archive([
            "set/c.bin": bodies["c.bin"] ?? [], "set/readme.html": [1, 2], "set/d.bin": bodies["d.bin"] ?? [],
        ])
        func download(_ name: String, _ files: [String]) -> Publication.Download {
            Publication.Download(name, md5: MD5.hexadecimal(packed[name] ?? []), files: files.map(file))
        }
        publication = Publication(
            name: "small", title: "a set for a test", home: "http://127.0.0.1:1", licence: "none", mirrors: mirrors,
            downloads: [download("a.gz", ["a"]), download("b.gz", ["b"]), download("set.tar.gz", ["c.bin", "d.bin"])])
        self.packed = packed
    }

    func serve(on server: FaultyServer) throws {
        for (name, bytes) in packed { try server.serve(bytes, as: name) }
    }

    /// Packed by the system's tar.
    static func archive(_ files: [String: [UInt8]]) throws -> [UInt8] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tar-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (name, bytes) in files {
            let path = URL(fileURLWithPath: "\(folder)/\(name)")
            try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: path)
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["tar", "-C", folder, "-czf", "\(folder)/archive", "--exclude", "archive"]
            + Set(files.keys.compactMap { $0.split(separator: "/").first.map(String.init) }).sorted()
        try process.run()
        process.waitUntilExit()
        return contents("\(folder)/archive") ?? []
    }
}

struct DataFetcherTests {
    private let server: FaultyServer
    private let set: SmallSet
    private var root: String { "\(server.folder)/root" }

    init() throws {
        server = try FaultyServer()
        set = try SmallSet()
        try set.serve(on: server)
    }

    private func fetcher(_ publication: Publication, _ sources: String...) -> DataFetcher {
        var fetcher = DataFetcher(publication, root: root, sources: sources.map { DataFetcher.Source($0) })
        fetcher.configure = { $0.pause = { _ in 0 } }
        return fetcher
    }

    private func failure(_ fetcher: DataFetcher) -> String? {
        do {
            _ = try fetcher.run()
            return nil
        } catch { return "\(error)" }
    }

    private func isWhole() -> Bool { set.bodies.allSatisfy { contents("\(root)/small/\($0.key)") == $0.value } }
    private func list(_ folder: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() }

    @Test("fetched, unpacked and checked; the second time nothing is done")
    func fetches() throws {
        #expect(try fetcher(set.publication, server.address("good")).run() == 4)
        #expect(isWhole())
        #expect(list("\(root)/small") == ["a", "b", "c.bin", "d.bin"], "nothing else of the archive")
        #expect(list(root) == [".small.lock", "small"], "no leftovers")
        let requests = try server.requests("good").count
        #expect(try fetcher(set.publication, server.address("good")).run() == 0)
        #expect(try server.requests("good").count == requests)
    }

    @Test("over connections that break")
    func breaks() throws {
        #expect(try fetcher(set.publication, server.address("breaks")).run() == 4)
        #expect(isWhole())
    }

    @Test("the mirrors are tried in turn, and a wrong or missing file of one does not stand in the way")
    func mirrors() throws {
        let mirrors = ["http://127.0.0.1:1", server.address("missing"), server.address("wrong"), server.address("good")]
        let publication = try SmallSet(mirrors: mirrors).publication
        var fetcher = fetcher(publication)
        #expect(fetcher.sources.count == 4)
        fetcher.configure = { $0.pause = { _ in 0 } }
        #expect(try fetcher.run() == 4)
        #expect(isWhole())
    }

    @Test("of every source that failed, the reason is told, on one line; wrong bytes are deleted")
    func reasons() throws {
        let said = failure(fetcher(set.publication, server.address("missing"), server.address("wrong"), server.address("page")))
        let reason = try #require(said)
        #expect(!reason.contains("\n"))
        #expect(reason.hasPrefix("small: cannot get a.gz: \(server.address("missing"))/a.gz: expected status 200, found 404; "))
        #expect(
            reason.contains(
                "\(server.address("wrong"))/a.gz: wrong bytes, deleted (expected MD5 \(set.publication.downloads[0].md5), found "))
        #expect(reason.hasSuffix("a: expected 50000 bytes, found 26"), "\(reason)")
        #expect(list(root) == [".small.lock"])
    }

    @Test("what was fetched before a failure is not fetched again")
    func keepsWhatCame() throws {
        unlink("\(server.folder)/served/set.tar.gz")
        #expect(failure(fetcher(set.publication, server.address("good")))?.contains("cannot get set.tar.gz") == true)
        #expect(list("\(root)/.small.download") == ["a.gz", "b.gz"] && !exists("\(root)/small"))
        try set.serve(on: server)
        // One that was kept is damaged meanwhile: it is fetched again.
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: "\(root)/.small.download/b.gz"))
        #expect(try fetcher(set.publication, server.address("good")).run() == 4)
        #expect(isWhole())
        let names = try server.requests("good").map { $0.split(separator: " ")[0].split(separator: "/").last ?? "" }
        #expect(names == ["a.gz", "b.gz", "set.tar.gz", "b.gz", "set.tar.gz"])
    }

    @Test("only missing and damaged files are fetched, and other things in the folder stay")
    func repairs() throws {
        _ = try fetcher(set.publication, server.address("good")).run()
        try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(root)/small/notes"))
        try Data([9]).write(to: URL(fileURLWithPath: "\(root)/small/b"))
        unlink("\(root)/small/d.bin")
        #expect(try fetcher(set.publication, server.address("repair")).run() == 2)
        #expect(isWhole() && contents("\(root)/small/notes") == Array("mine".utf8))
        let names = try server.requests("repair").map { $0.split(separator: " ")[0].split(separator: "/").last ?? "" }
        #expect(names == ["b.gz", "set.tar.gz"])
    }

    @Test("a fetch that fails leaves the folder as it was")
    func leavesTheOld() throws {
        try FileManager.default.createDirectory(atPath: "\(root)/small", withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(root)/small/a"))
        #expect(failure(fetcher(set.publication, server.address("missing"))) != nil)
        #expect(list("\(root)/small") == ["a"] && contents("\(root)/small/a") == Array("mine".utf8))
    }

    @Test("a folder of this machine serves too: packed as published, packed otherwise, or unpacked")
    func folders() throws {
        let other = "\(server.folder)/other"
        try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
        // The same contents by another packer: another MD5 of the packed file, which does not count.
        var otherwise = try #require(set.packed["a.gz"])
        otherwise[4] ^= 0xFF
        try Data(otherwise).write(to: URL(fileURLWithPath: "\(other)/a.gz"))
        for name in ["b", "c.bin", "d.bin"] { try Data(set.bodies[name] ?? []).write(to: URL(fileURLWithPath: "\(other)/\(name)")) }
        #expect(try fetcher(set.publication, other).run() == 4)
        #expect(isWhole())
        #expect(list(other) == ["a.gz", "b", "c.bin", "d.bin"])
        unlink("\(other)/b")
        unlink("\(root)/small/b")
        #expect(failure(fetcher(set.publication, other)) == "small: cannot get b.gz: \(other): expected b.gz or b, found neither")
    }

    @Test("archives that are not what they should be: nothing is written outside, nothing kept")
    func badArchives() throws {
        let (c, d) = (set.bodies["c.bin"] ?? [], set.bodies["d.bin"] ?? [])
        let cases: [(String, [String: [UInt8]], String)] = [
            ("a file is missing", ["set/c.bin": c], "expected d.bin in the archive, found none of that name"),
            ("a file is shorter", ["set/c.bin": c, "set/d.bin": Array(d.dropLast())], "d.bin: expected 600 bytes, found 599"),
            (
                "a file is another", ["set/c.bin": c, "set/d.bin": noise(600, seed: 7)],
                "d.bin: expected MD5 \(MD5.hexadecimal(d)), found \(MD5.hexadecimal(noise(600, seed: 7)))"
            ),
            (
                "a file comes twice", ["set/c.bin": c, "set/d.bin": d, "tes/d.bin": d],
                "expected d.bin once, found it in two folders of the archive"
            ),
        ]
        for (name, files, problem) in cases {
            try server.serve(SmallSet.archive(files), as: "set.tar.gz")
            let found = failure(fetcher(set.publication, server.address("good"))) ?? "nothing"
            #expect(found.hasSuffix(": \(problem)"), "\(name): \(found)")
            #expect(list(root) == [".small.download", ".small.lock"] && list("\(root)/.small.download") == ["a.gz", "b.gz"], "\(name)")
        }
    }

    @Test("leftovers of a fetch that was killed are removed, and only those")
    func leftovers() throws {
        for name in [".small.work-1", ".other.work-1"] {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        _ = try fetcher(set.publication, server.address("good")).run()
        #expect(list(root) == [".other.work-1", ".small.lock", "small"])
    }

    @Test("two fetches at once: one waits for the other, and has nothing left to do")
    func lock() async throws {
        let counts = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<2 {
                let (publication, root, source) = (set.publication, root, server.address("slow"))
                group.addTask { try DataFetcher(publication, root: root, sources: [.server(source)]).run() }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(counts.sorted() == [0, 4] && isWhole())
    }

    @Test("a root that cannot be made is named")
    func noRoot() throws {
        try Data().write(to: URL(fileURLWithPath: root))
        #expect(failure(fetcher(set.publication, server.address("good")))?.hasPrefix("cannot make the folder \(root): ") == true)
    }

    @Test("an address, a folder, and the slash at the end of either")
    func sources() {
        #expect(DataFetcher.Source("https://x/y/") == .server("https://x/y"))
        #expect(DataFetcher.Source("HTTP://x") == .server("HTTP://x"))
        #expect(DataFetcher.Source("data/") == .folder("data"))
        #expect(DataFetcher.Source("/") == .folder("/"))
    }

    @Test("a folder is checked for the data set of which most is right")
    func check() throws {
        _ = try fetcher(set.publication, server.address("good")).run()
        let original = set.publication
        let other = Publication(
            name: "other", title: "files of the same names", home: "", licence: "", mirrors: [],
            downloads: original.downloads.map { download in
                .init(download.name, md5: "", files: download.files.map { .init($0.name, bytes: $0.bytes, md5: "") })
            })
        for both in [[original, other], [other, original]] {
            let check = try DataCheck(folder: "\(root)/small", among: both)
            #expect(check.publication == original && check.isRight)
        }
        unlink("\(root)/small/b")
        let check = try DataCheck(folder: "\(root)/small", among: [other, original])
        #expect(check.publication == original && check.states.map(\.state) == [.right, .missing, .right, .right])
        #expect(throws: DatasetError.self) { try DataCheck(folder: server.folder, among: [original]) }
    }
}
