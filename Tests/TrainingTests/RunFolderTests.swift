import AtomicFiles
import Foundation
import TestSupport
import Testing
import Training

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

private struct Config: Codable, Equatable {
    var rate = 0.001
    var name = "a/b"
}

@Suite struct RunFolderTests {
    // MARK: A run

    @Test func aRunKeepsWhatItIsGiven() throws {
        try withFolder { folder in
            let path = "\(folder)/new/deep"
            let run = try RunFolder.start(at: path, config: Config())
            #expect(try text("\(path)/config.json") == "{\n  \"name\" : \"a/b\",\n  \"rate\" : 0.001\n}\n")
            try run.record(["step": 1, "loss": 0.5])
            #expect(try text("\(path)/metrics.jsonl") == "{\"loss\":0.5,\"step\":1}\n", "each record is there at once")
            try run.record(Config(rate: 2))
            #expect(try text("\(path)/metrics.jsonl") == "{\"loss\":0.5,\"step\":1}\n{\"name\":\"a/b\",\"rate\":2}\n")
            try run.write("<p>".utf8, named: "report.html")
            try run.write(json: ["error": 0.25], named: "summary.json")
            #expect(try text("\(path)/report.html") == "<p>")
            #expect(try RunFolder.read([String: Double].self, named: "summary.json", at: path) == ["error": 0.25])
            #expect(try RunFolder.read(Config.self, named: "config.json", at: path) == Config())
            #expect(names(path) == [".weightnorm-run", "config.json", "metrics.jsonl", "report.html", "summary.json"])
        }
    }

    @Test func otherFilesOfLinesGrowLineByLine() throws {
        try withFolder { folder in
            let run = try RunFolder.start(at: folder, config: Config())
            try run.record(["a": 1], in: "layers.jsonl")
            try run.record(["a": 2], in: "layers.jsonl")
            #expect(try text("\(folder)/layers.jsonl") == "{\"a\":1}\n{\"a\":2}\n")
            // What a kill left of a line goes; the whole lines stay.
            try "{\"a\":1}\n{\"a\":".write(toFile: "\(folder)/layers.jsonl", atomically: true, encoding: .utf8)
            #expect(try RunFolder.records([String: Int].self, in: "layers.jsonl", at: folder) == [["a": 1]])
            try run.record(["a": 3], in: "layers.jsonl")
            #expect(try RunFolder.records([String: Int].self, in: "layers.jsonl", at: folder) == [["a": 1], ["a": 3]])
            #expect(throws: FileError.self) { try run.record([1], in: "layers.jsonl") }
            #expect(throws: FileError.self) { try run.record(["a": 1], in: "metrics.jsonl") }
            #expect(throws: FileError.self) { try run.record(["a": 1], in: "../layers.jsonl") }
        }
        // A new run removes them.
        try withFolder { folder in
            do { try RunFolder.start(at: folder, config: Config()).record(["a": 1], in: "layers.jsonl") }
            _ = try RunFolder.start(at: folder, config: Config())
            #expect(!names(folder).contains("layers.jsonl"))
        }
    }

    @Test func numbersThatJSONLacksAreStrings() throws {
        try withFolder { folder in
            let run = try RunFolder.start(at: folder, config: ["bound": Double.infinity])
            try run.record(["loss": Double.nan, "norm": -.infinity])
            #expect(try text("\(folder)/metrics.jsonl") == "{\"loss\":\"nan\",\"norm\":\"-inf\"}\n")
            let records = try RunFolder.records([String: Double].self, at: folder)
            #expect(records.count == 1 && records[0]["loss"]?.isNaN == true && records[0]["norm"] == -.infinity)
            #expect(try RunFolder.read([String: Double].self, named: "config.json", at: folder) == ["bound": .infinity])
        }
    }

    @Test func whatIsNoRecordIsRefused() throws {
        try withFolder { folder in
            let run = try RunFolder.start(at: folder, config: Config())
            #expect(
                problem { try run.record([1.0]) }
                    == "cannot write \(folder)/metrics.jsonl: expected a record that is a JSON object, found Array<Double>")
            for name in ["", ".", "..", "a/b", "../x", "a\nb", "metrics.jsonl", ".weightnorm-run"] {
                #expect(problem { try run.write([], named: name) }?.contains("expected a plain file name") == true, "\(name)")
            }
            #expect(names(folder) == [".weightnorm-run", "config.json", "metrics.jsonl"])
        }
    }

    // MARK: An earlier run in the folder

    @Test func aNewRunRemovesTheEarlierOnesResults() throws {
        try withFolder { folder in
            do {
                let run = try RunFolder.start(at: folder, config: Config())
                try run.record(["step": 1])
                for name in ["summary.json", "report.html", "sample.png"] { try run.write([1], named: name) }
                try write([1], try run.path(for: "checkpoint.safetensors"))
            }
            // What a kill in the middle of a write leaves, and what a person put there.
            try write([1], "\(folder)/.0123456789abcdef.partial")
            try write([1], "\(folder)/notes.txt")
            let run = try RunFolder.start(at: folder, config: Config(rate: 3))
            #expect(names(folder) == [".weightnorm-run", "config.json", "metrics.jsonl", "notes.txt"])
            #expect(try text("\(folder)/metrics.jsonl") == "")
            #expect(try RunFolder.read(Config.self, named: "config.json", at: folder) == Config(rate: 3))
            #expect(run.path == folder)
        }
    }

    @Test func theListOfFilesDoesNotLeadOutOfTheFolder() throws {
        try withFolder { folder in
            try write([1], "\(folder)/precious")
            let path = "\(folder)/run"
            _ = try RunFolder.start(at: path, config: Config())
            try write(Array("header\n../precious\n\(folder)/precious\n".utf8), "\(path)/.weightnorm-run")
            _ = try RunFolder.start(at: path, config: Config())
            #expect(names(folder) == ["precious", "run"])
        }
    }

    @Test func twoRunsDoNotShareAFolder() throws {
        try withFolder { folder in
            let run = try RunFolder.start(at: folder, config: Config())
            try run.record(["step": 1])
            withExtendedLifetime(run) {
                let reason = "another run is using it"
                #expect(problem { try RunFolder.start(at: folder, config: Config()) } == "cannot start a run in \(folder): \(reason)")
                #expect(problem { try RunFolder.reopen(at: folder) } == "cannot resume the run in \(folder): \(reason)")
            }
            #expect(try RunFolder.records([String: Int].self, at: folder) == [["step": 1]])
        }
    }

    @Test func aRunGoesOnAfterAKill() throws {
        try withFolder { folder in
            func reopened(keeping count: Int?, _ content: String) throws -> String {
                try write(Array(content.utf8), "\(folder)/metrics.jsonl")
                try RunFolder.reopen(at: folder, keepingRecords: count).record(["step": 9])
                return try text("\(folder)/metrics.jsonl")
            }
            try RunFolder.start(at: folder, config: Config()).write([7], named: "checkpoint.safetensors")
            let whole = "{\"step\":1}\n{\"step\":2}\n"
            #expect(try reopened(keeping: nil, whole) == "\(whole){\"step\":9}\n")
            #expect(try reopened(keeping: nil, "\(whole){\"ste") == "\(whole){\"step\":9}\n")
            #expect(try reopened(keeping: 1, "\(whole){\"ste") == "{\"step\":1}\n{\"step\":9}\n")
            #expect(try reopened(keeping: 0, whole) == "{\"step\":9}\n")
            #expect(try reopened(keeping: nil, "{\"s") == "{\"step\":9}\n")
            #expect(
                problem { try reopened(keeping: 3, whole) }
                    == "cannot resume the run in \(folder): expected 3 records in metrics.jsonl, found 2")
            #expect(names(folder).contains("checkpoint.safetensors"))
        }
    }

    @Test func aRunGoesOnWithFewerRecordsInItsOtherFiles() throws {
        try withFolder { folder in
            do {
                let run = try RunFolder.start(at: folder, config: Config())
                for step in 1...3 { try run.record(["step": step], in: "layers.jsonl") }
            }
            _ = FileManager.default.createFile(atPath: "\(folder)/.0123456789abcdef.partial", contents: Data())
            let run = try RunFolder.reopen(at: folder, inOthers: ["layers.jsonl": 2, "none.jsonl": 0])
            #expect(try text("\(folder)/layers.jsonl") == "{\"step\":1}\n{\"step\":2}\n")
            try run.record(["step": 9], in: "layers.jsonl")
            #expect(try text("\(folder)/layers.jsonl") == "{\"step\":1}\n{\"step\":2}\n{\"step\":9}\n")
            #expect(names(folder) == [".weightnorm-run", "config.json", "layers.jsonl", "metrics.jsonl"], "what a kill left is gone")
        }
        try withFolder { folder in
            do {
                let run = try RunFolder.start(at: folder, config: Config())
                try run.record(["step": 1], in: "layers.jsonl")
            }
            #expect(
                problem { try RunFolder.reopen(at: folder, inOthers: ["layers.jsonl": 2]) }
                    == "cannot resume the run in \(folder): expected 2 records in layers.jsonl, found 1")
            #expect(
                problem { try RunFolder.reopen(at: folder, inOthers: ["other.jsonl": 1]) }?.contains("other.jsonl: No such file") == true)
            // What does not fit is found before anything is cut.
            try write(Array("{\"step\":1}\n".utf8), "\(folder)/metrics.jsonl")
            #expect(problem { try RunFolder.reopen(at: folder, keepingRecords: 0, inOthers: ["layers.jsonl": 2]) } != nil)
            #expect(try text("\(folder)/metrics.jsonl") == "{\"step\":1}\n")
        }
    }

    @Test func readingPassesOverAnIncompleteLineOnly() throws {
        try withFolder { folder in
            let file = "\(folder)/metrics.jsonl"
            try write(Array("{\"step\":1}\n{\"step\":2}\n{\"st".utf8), file)
            #expect(try RunFolder.records([String: Int].self, at: folder) == [["step": 1], ["step": 2]])
            try write(Array("{\"step\":1}\n{\"st\n{\"step\":3}\n".utf8), file)
            #expect(
                problem { try RunFolder.records([String: Int].self, at: folder) }?
                    .hasPrefix("cannot read \(file): line 2 is not a JSON Dictionary<String, Int>: ") == true)
            // What was expected, what was found, and where; no type or case of ours.
            struct Place: Codable { var names: [[String: Int]] }
            for (content, expected) in [
                (#"{"names": [{"a": 1}, {"b": "c"}]}"#, "Expected to decode Int but found a string instead. at names.[1].b"),
                (#"{"name": 1}"#, "expected 'names', found none"), (#"{"names": [null]}"#, "expected a value at names.[0], found null"),
            ] {
                try write(Array(content.utf8), "\(folder)/place.json")
                #expect(
                    problem { try RunFolder.read(Place.self, named: "place.json", at: folder) }
                        == "cannot read \(folder)/place.json: its content is not a JSON Place: \(expected)")
            }
            let missing = problem { try RunFolder.records([String: Int].self, at: "\(folder)/x") }
            #expect(missing == "cannot read \(folder)/x/metrics.jsonl: No such file or directory")
        }
    }

    // MARK: Folders that are refused

    @Test func whatIsNoPlaceForARunIsRefused() throws {
        try withFolder { folder in
            func refusal(_ path: String) -> String? { problem { try RunFolder.start(at: path, config: Config()) } }
            try write([1], "\(folder)/file")
            #expect(refusal("\(folder)/file") == "cannot start a run in \(folder)/file: expected a folder, found a file at \(folder)/file")
            #expect(refusal("\(folder)/file/sub") == "cannot start a run in \(folder)/file/sub: Not a directory")
            let places = "expected a new folder, an empty one or an earlier run's"
            #expect(refusal(folder) == "cannot start a run in \(folder): \(places), found file in it")
            #expect(refusal("") == "cannot start a run in : No such file or directory")
            let noRun = problem { try RunFolder.reopen(at: folder) }
            #expect(noRun == "cannot resume the run in \(folder): expected a run's folder, found no .weightnorm-run in it")
            #expect(names(folder) == ["file"])
        }
    }

    @Test(.enabled(if: getuid() != 0, "root may write in a read-only folder")) func aReadOnlyFolderIsRefused() throws {
        try withFolder { folder in
            let path = "\(folder)/run"
            try RunFolder.start(at: path, config: Config()).write([1], named: "summary.json")
            chmod(path, 0o555)
            defer { chmod(path, 0o755) }
            #expect(problem { try RunFolder.start(at: path, config: Config()) } == "cannot write \(path)/config.json: Permission denied")
            #expect(names(path).contains("summary.json"), "the earlier results stay until the new run is certain")
            chmod(path, 0o755)
            try FileManager.default.removeItem(atPath: "\(path)/.weightnorm-run")
            for name in names(path) { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
            chmod(path, 0o555)
            #expect(problem { try RunFolder.start(at: path, config: Config()) } == "cannot start a run in \(path): Permission denied")
        }
    }

    // MARK: A full disk

    @Test func aFullDiskLeavesNothingHalf() async throws {
        let folder = try makeTemporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try RunFolder.start(at: folder, config: Config()).write([1], named: "summary.json")
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            // A limit on the size of files stands for the full disk: beyond it a write fails, after a part of it was written.
            signal(SIGXFSZ, SIG_IGN)
            try limitFiles(to: 400)
            let long = String(repeating: "x", count: 500)
            #expect(problem { try RunFolder.start(at: folder, config: [long]) } == "cannot write \(folder)/config.json: File too large")
            let earlier = [".weightnorm-run", "config.json", "metrics.jsonl", "summary.json"]
            #expect(names(folder) == earlier, "the earlier run is untouched")
            let run = try RunFolder.start(at: folder, config: Config())
            try run.record(["note": "first"])
            #expect(problem { try run.record(["note": long]) } == "cannot write \(folder)/metrics.jsonl: File too large")
            try run.record(["note": "second"])
            #expect(try RunFolder.records([String: String].self, at: folder) == [["note": "first"], ["note": "second"]])
            try run.write("short".utf8, named: "summary.json")
            #expect(problem { try run.write(long.utf8, named: "summary.json") } == "cannot write \(folder)/summary.json: File too large")
            #expect(try text("\(folder)/summary.json") == "short")
            #expect(names(folder) == earlier, "no temporary file is left")
        }
    }

    @Test(.enabled(if: access("/dev/full", W_OK) == 0, "this system has no /dev/full")) func aFailedWriteIsNoticed() throws {
        let file = try Descriptor(opening: "/dev/full", O_WRONLY, reportedAs: "/x/summary.json", operation: "write")
        let error = FileError(path: "/x/summary.json", operation: "write", code: file.write([1, 2, 3]))
        #expect(error.description == "cannot write /x/summary.json: No space left on device")
    }

    // MARK: Single files

    @Test func aFileIsReplacedWhole() throws {
        try withFolder { folder in
            let file = "\(folder)/file"
            try AtomicFile.write(Data([1, 2, 3]), to: file)
            try AtomicFile.write([UInt8](repeating: 5, count: 300_000), to: file)
            #expect(try AtomicFile.contents(of: file) == [UInt8](repeating: 5, count: 300_000))
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "file")
            try AtomicFile.write([9], to: "\(folder)/link")
            #expect(try AtomicFile.contents(of: file) == [9])
            #expect(names(folder) == ["file", "link"])
        }
    }

    @Test func whatIsNoRegularFileIsNotReplaced() throws {
        try withFolder { folder in
            #expect(problem { try AtomicFile.write([1], to: folder) } == "cannot write \(folder): Is a directory")
            #expect(problem { try AtomicFile.write([1], to: "\(folder)/none/") } == "cannot write \(folder)/none/: Is a directory")
            let missing = "\(folder)/none/x"
            #expect(problem { try AtomicFile.write([1], to: missing) } == "cannot write \(missing): No such file or directory")
            #expect(
                problem { try AtomicFile.write([1], to: "/dev/null") }
                    == "cannot write /dev/null: expected a regular file, found a device, pipe or socket")
            #expect(names(folder) == [])
        }
    }
}

// MARK: Helpers

/// The description of the error that `body` throws: nil if it throws none, or one that is no `FileError`.
private func problem<T>(_ body: () throws -> T) -> String? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? FileError)?.description
    }
}

private func limitFiles(to bytes: Int) throws {
    #if canImport(Darwin)
        let resource = RLIMIT_FSIZE
    #else
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #endif
    var limit = rlimit()
    try #require(getrlimit(resource, &limit) == 0)
    limit.rlim_cur = rlim_t(bytes)
    try #require(setrlimit(resource, &limit) == 0)
}

private func names(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
}

private func text(_ file: String) throws -> String { String(decoding: try AtomicFile.contents(of: file), as: UTF8.self) }

private func write(_ bytes: [UInt8], _ file: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: file)) }
