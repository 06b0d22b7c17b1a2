import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

private func problem<T>(_ body: () throws -> T) -> String? {
    do {
        _ = try body()
        return nil
    } catch { return "\(error)" }
}

private func link(_ path: String, to target: String) throws {
    unlink(path)
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
}

private func hardLink(_ path: String, _ other: String) -> Int32 { link(path, other) }

private func text(_ path: String) -> String {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "none"
}

/// A run's folder, and a file outside.
private func withRun(_ body: (_ run: String, _ precious: String) throws -> Void) throws {
    try withFolder { folder in
        let (run, precious) = ("\(folder)/run", "\(folder)/precious")
        try Data("precious".utf8).write(to: URL(fileURLWithPath: precious))
        do {
            let folder = try RunFolder.start(at: run, config: ["a": 1])
            try folder.record(["step": 1])
            try folder.record(["step": 1], in: "layers.jsonl")
            try folder.write(json: ["error": 1], named: "summary.json")
        }
        try body(run, precious)
        #expect(text(precious) == "precious", "what lies outside of the folder is as it was")
    }
}

@Suite("links and special files in a run's folder")
struct OwnFileTests {
    @Test(
        "a link in the place of any file of a run is refused, and what it names stays",
        arguments: ["metrics.jsonl", "layers.jsonl", "summary.json", "config.json", ".weightnorm-run", "checkpoint.safetensors"])
    func links(name: String) throws {
        try withRun { run, precious in
            try link("\(run)/\(name)", to: precious)
            let found = "found a symbolic link: '\(name)'"
            #expect(problem { try RunFolder.start(at: run, config: ["a": 2]) }?.hasSuffix(found) == true)
            #expect(problem { try RunFolder.reopen(at: run) }?.hasSuffix(found) == true)
            #expect(problem { try RunFolder.check(run, holdsRun: true) }?.hasSuffix(found) == true)
            let file = "cannot read \(run)/\(name): expected a regular file, found a symbolic link"
            #expect(problem { try RunFolder.read([String: Int].self, named: name, at: run) } == file)
            #expect(problem { try RunFolder.records([String: Int].self, in: name, at: run) } == file)
            #expect(problem { try RunFolder.picture(named: name, at: run) } == file)
            #expect(problem { try RunFolder.tensors(named: name, at: run) } == file)
        }
    }

    @Test("a link that comes while the run goes on is refused too, for records, files and those that others write")
    func later() throws {
        try withRun { run, precious in
            let folder = try RunFolder.reopen(at: run)
            for name in ["layers.jsonl", "summary.json", "new.html"] {
                try link("\(run)/\(name)", to: precious)
                let refusal = "cannot write \(run)/\(name): expected a regular file, found a symbolic link"
                #expect(problem { try folder.write([1], named: name) } == refusal)
                #expect(problem { try folder.record(["a": 1], in: name) } == refusal)
                #expect(problem { try folder.path(for: name) } == refusal)
                unlink("\(run)/\(name)")
            }
            // A link that leads nowhere would be made a file of there.
            try link("\(run)/layers.jsonl", to: "\(precious).new")
            #expect(problem { try folder.record(["a": 1], in: "layers.jsonl") } != nil)
            #expect(!FileManager.default.fileExists(atPath: "\(precious).new"))
            #expect(RunFolder.has("layers.jsonl", at: run))
            mkdir("\(run)/report.html", 0o755)
            #expect(problem { try folder.path(for: "report.html") }?.hasSuffix("expected a regular file, found a folder") == true)
        }
    }

    @Test("a file that has another name too is not written to", arguments: ["metrics.jsonl", "layers.jsonl", ".weightnorm-run"])
    func hardLinks(name: String) throws {
        try withRun { run, precious in
            let other = "\(precious)-2"
            #expect(hardLink("\(run)/\(name)", other) == 0)
            let before = text(other)
            let found = "found one that has another name too, a hard link"
            #expect(
                problem { try RunFolder.reopen(at: run).record(["step": 2], in: "layers.jsonl") }?
                    .hasSuffix("expected a regular file, \(found)") == true)
            #expect(text(other) == before)
        }
    }

    @Test("a pipe is not waited for, a device not read", arguments: ["config.json", "metrics.jsonl", ".weightnorm-run"])
    func special(name: String) throws {
        try withRun { run, _ in
            unlink("\(run)/\(name)")
            #expect(mkfifo("\(run)/\(name)", 0o644) == 0)
            let found = "found a device, pipe or socket"
            #expect(problem { try RunFolder.read([String: Int].self, named: name, at: run) }?.hasSuffix(found) == true)
            #expect(problem { try RunFolder.start(at: run, config: ["a": 2]) }?.hasSuffix("\(found): '\(name)'") == true)
            #expect(problem { try RunFolder.reopen(at: run) }?.hasSuffix("\(found): '\(name)'") == true)
            try link("\(run)/\(name)", to: "/dev/zero")
            #expect(problem { try RunFolder.read([String: Int].self, named: name, at: run) }?.hasSuffix("found a symbolic link") == true)
        }
    }

    @Test("a file of holes, of four terabytes, is refused by its size")
    func holes() throws {
        try withRun { run, _ in
            for name in ["config.json", "metrics.jsonl", ".weightnorm-run", "layers.jsonl", "checkpoint.safetensors"] {
                let path = "\(run)/\(name)"
                if !FileManager.default.fileExists(atPath: path) { _ = FileManager.default.createFile(atPath: path, contents: nil) }
                // Not every file system has files so large.
                guard truncate(path, 1 << 42) == 0 || truncate(path, 1 << 33) == 0 else { continue }
                #expect(problem { try RunFolder.read([String: Int].self, named: name, at: run) }?.contains("bytes, found ") == true)
                #expect(problem { try RunFolder.records([String: Int].self, in: name, at: run) }?.contains("bytes, found ") == true)
                #expect(problem { try RunFolder.tensors(named: name, at: run, atMost: 1 << 30) }?.contains("bytes, found ") == true)
                if name == "metrics.jsonl" || name == ".weightnorm-run" { #expect(problem { try RunFolder.reopen(at: run) } != nil) }
                truncate(path, 0)
            }
        }
    }

    @Test("the folder itself may be a link, and so may a model's file that a user names, as a hub's cache has them")
    func allowed() throws {
        try withRun { run, precious in
            let other = "\(precious)-link"
            try link(other, to: run)
            let folder = try RunFolder.reopen(at: other)
            try folder.record(["step": 2])
            try folder.write(json: ["error": 2], named: "summary.json")
            #expect(try RunFolder.records([String: Int].self, at: run) == [["step": 1], ["step": 2]])
            let (model, named) = ("\(precious).safetensors", "\(precious)-model.safetensors")
            let layer = Dense(2, to: 1, random: Generator(seed: 1))
            try layer.write(to: model)
            try link(named, to: model)
            try layer.load(from: named)
            try layer.write(to: named)
            #expect(problem { try SafetensorsFile(openingOwn: named) }?.contains("found a symbolic link") == true)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: named) == model, "writing through it leaves it a link")
        }
    }

    @Test("a name that somebody added to the list is not removed, unless it is one that runs write")
    func list() throws {
        try withRun { run, _ in
            try Data("header\nsummary.json\nthesis.tex\n.profile\nphotos\nnotes.json\n".utf8).write(
                to: URL(fileURLWithPath: "\(run)/.weightnorm-run"))
            for name in ["thesis.tex", ".profile", "notes.json"] { try Data([1]).write(to: URL(fileURLWithPath: "\(run)/\(name)")) }
            mkdir("\(run)/photos", 0o755)
            do { _ = try RunFolder.start(at: run, config: ["a": 2], removing: { $0 == "summary.json" }) }
            for name in ["thesis.tex", ".profile", "photos", "notes.json"] { #expect(RunFolder.has(name, at: run), "\(name)") }
            #expect(!RunFolder.has("summary.json", at: run))
            // By default what ends as a run's files do.
            try Data("header\nthesis.tex\nmy.png\n".utf8).write(to: URL(fileURLWithPath: "\(run)/.weightnorm-run"))
            try Data([1]).write(to: URL(fileURLWithPath: "\(run)/my.png"))
            _ = try RunFolder.start(at: run, config: ["a": 3])
            #expect(RunFolder.has("thesis.tex", at: run) && !RunFolder.has("my.png", at: run))
        }
    }

    @Test("a folder that is moved, replaced or removed while the run goes on is an error, and what was written is in it")
    func moved() throws {
        for replaces in [false, true] {
            try withRun { run, precious in
                let folder = try RunFolder.reopen(at: run)
                try folder.record(["step": 2])
                rename(run, "\(precious)-moved")
                if replaces { mkdir(run, 0o755) }
                let refusal =
                    "cannot write \(run): expected the folder of this run, found \(replaces ? "another" : "none"): it was moved or removed during the run"
                #expect(problem { try folder.record(["step": 3]) } == refusal)
                #expect(problem { try folder.record(["step": 3], in: "layers.jsonl") } == refusal)
                #expect(problem { try folder.write([1], named: "summary.json") } == refusal)
                #expect(problem { try folder.synchronizeRecords() } == refusal)
                if replaces { #expect(try FileManager.default.contentsOfDirectory(atPath: run).isEmpty) }
                #expect(try RunFolder.records([String: Int].self, at: "\(precious)-moved") == [["step": 1], ["step": 2]])
                // Back in its place it goes on.
                rmdir(run)
                rename("\(precious)-moved", run)
                try folder.record(["step": 3])
                // So it is with the records alone.
                rename("\(run)/metrics.jsonl", "\(run)/away.jsonl")
                #expect(problem { try folder.record(["step": 4]) }?.contains("expected the records of this run, found none") == true)
            }
        }
    }

    @Test("whole numbers that a run would count on with are refused with their place if they would overflow; seeds may be any")
    func numbers() throws {
        struct Place: Codable {
            var step: Int
            var seed: UInt64
            var inner: [String: [Int]] = [:]
        }
        let good = Place(step: 5, seed: .max, inner: ["a": [1, -1_000_000_000_000_000]])
        #expect(problem { try WholeNumbers.checked([good], of: "x") } == nil)
        let most = "expected a whole number from −1000000000000000 to 1000000000000000, found"
        #expect(
            problem { try WholeNumbers.checked(Place(step: .max, seed: 1), of: "x") }
                == "cannot read x: 'step': \(most) 9223372036854775807")
        let deep = ["here": [Place(step: 1, seed: 1, inner: ["a": [1, .min]])]]
        #expect(problem { try WholeNumbers.checked(deep, of: "x") } == "cannot read x: 'here.inner.a': \(most) -9223372036854775808")
        try withFile { path in
            var checkpoint = Checkpoint(kind: "test")
            try checkpoint.add(value: Place(step: .max, seed: .max), as: "place")
            try checkpoint.add(value: good, as: "good")
            try checkpoint.write(to: path)
            let read = try Checkpoint(SafetensorsFile(openingOwn: path), kind: "test")
            #expect(problem { try read.value("place", as: Place.self) } == "\(path): value 'place': 'step': \(most) 9223372036854775807")
            #expect(try read.value("good", as: Place.self).inner == good.inner)
            // Whose checkpoint it is alone knows what the numbers mean.
            #expect(try Checkpoint(reading: path, kind: "test").value("place", as: Place.self).step == .max)
        }
    }

    @Test("a message holds no more of a file's text than a line takes")
    func longTexts() throws {
        try withRun { run, _ in
            func read(_ json: String) -> Int {
                try? Data(json.utf8).write(to: URL(fileURLWithPath: "\(run)/x.json"))
                return problem { try RunFolder.read([String: Int].self, named: "x.json", at: run) }?.count ?? .max
            }
            let long = String(repeating: "x", count: 100_000)
            for json in [#"{"step":"\#(long)"}"#, #"{"\#(long)":"1"}"#, long, #"{"\#(long)":1.5}"#] { #expect(read(json) < 2000) }
        }
    }

    @Test("a hundred thousand defects make one line that can be read")
    func manyDefects() throws {
        try withFile { path in
            let empty = Tensor.zeros([0])
            try Safetensors.write((0..<100_000).map { ("layer\($0).weight_g", empty) }, to: path)
            let file = try WeightFile(opening: path)
            #expect(file.defects.count == 100_000)
            let error = try #require(throws: ModuleFileError.self) { try file.requireWhole() }
            #expect(error.description.utf8.count < 4000 && error.description.hasSuffix("; and 99980 more"))
            #expect(error.description.contains("found 100000 that do not: missing 'layer0.weight_v'"))
            let loading = try #require(throws: ModuleFileError.self) {
                try Dense(2, to: 1, bias: false, random: Generator(seed: 1)).load(from: path)
            }
            #expect(loading.defects.count == 100_001 && loading.description.utf8.count < 4000)
        }
    }
}
