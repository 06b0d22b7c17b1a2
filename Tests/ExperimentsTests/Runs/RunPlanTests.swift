import AtomicFiles
import Experiments
import Foundation
import Report
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

private struct CountingSettings: Codable, Equatable, Sendable {
    var steps = 4
}

private struct Details: RunDetails {
    typealias Settings = CountingSettings
    var data: String
    var identity: [(what: String, value: String?)] { [("data", data)] }
    static func check(_ configuration: RunConfiguration<CountingSettings, Details>) throws(RunFailure) {}
}

/// Counts.
private final class Counter: Trainee {
    private(set) var count = 0
    var divergedAt: Int? { nil }
    func step(_ input: Void) -> Int {
        count += 1
        return 1
    }
    func isFinite() -> Bool { true }
    func add(to checkpoint: inout Checkpoint, as name: String) throws { try checkpoint.add(value: [count], as: name) }
    func restore(from checkpoint: Checkpoint, as name: String) throws { count = (try checkpoint.value(name) as [Int])[0] }
}

private struct Counting: Experiment {
    let kind = "counting", stepsPerRound = 4, timesSteps = false
    typealias Record = [String: Int]
    let settings = CountingSettings()
    func makeTrainees(round: Int) -> [Counter] { [Counter()] }
    func input(for run: Run<Counting>) {}
    func didStep(_ run: Run<Counting>) throws { try run.record(["step": run.step]) }
    func finishRound(of run: Run<Counting>) -> [Int] { run.trainees.map(\.count) }
}

private struct Told: RunReport {
    let text: String
    var page: Page { Page("Counting", lead: "\(text)", sections: [], footer: "") }
}

/// Remembers what it receives.
private final class Listener: RecordSink {
    private(set) var received = 0
    private(set) var kept: Int?
    func receive(_ record: some Encodable, in file: String) { received += 1 }
    func resume(keeping counts: [String: Int]) { kept = counts["metrics.jsonl"] }
}

@Suite("a run from its start to its report")
struct RunPlanTests {
    private struct Refusal: Error {}

    private func plan(
        _ data: String = "x", experiment: @escaping (String?) throws -> Counting = { _ in Counting() }
    ) -> RunPlan<Counting, Details> {
        let configuration = RunConfiguration(
            command: "count", norms: ["weight"], seeds: [0], device: .cpu, settings: CountingSettings(), details: Details(data: data))
        return RunPlan(configuration, introduction: ["counting"], experiment: experiment) { run in
            (["sum": run.results.reduce(0, +)], Told(text: "\(run.results)"))
        }
    }

    @Test("it starts in a new folder, records to every sink, and leaves summary and page")
    func whole() throws {
        try withFolder { path in
            let listener = Listener()
            var lines: [String] = []
            let plan = plan { resumed in
                #expect(resumed == nil && RunFolder.has("config.json", at: path))
                return Counting()
            }
            let run = try plan.start(at: path, sinks: [listener]) { lines += $0 }
            try run.run()
            #expect(try plan.finish(run) == "[4]")
            #expect(lines == ["counting"] && listener.received == 4 && listener.kept == nil)
            #expect(try RunFolder.read([String: Int].self, named: "summary.json", at: path) == ["sum": 4])
            #expect(try String(contentsOfFile: AtomicFile.join(path, "report.html"), encoding: .utf8).contains("Counting"))
        }
    }

    @Test("it is resumed from its checkpoint, and the sinks hear how many records it has")
    func resumed() throws {
        try withFolder { path in
            do {
                let first = try plan().start(at: path)
                try first.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { [unowned first] in first.done == 2 })
            }
            let listener = Listener()
            let second = plan { resumed in
                #expect(resumed == path)
                return Counting()
            }
            let run = try second.resume(at: path, sinks: [listener])
            try run.run()
            #expect(listener.kept == 2 && listener.received == 2 && run.results == [4])
        }
    }

    @Test("an experiment that cannot be made leaves a folder that can be resumed")
    func failing() throws {
        try withFolder { path in
            #expect(throws: Refusal.self) { try plan { _ in throw Refusal() }.start(at: path) }
            let run = try plan().resume(at: path)
            try run.run()
            #expect(run.results == [4])
        }
    }

    @Test("a folder that is not a run's is left as it is, before the experiment is made")
    func refused() throws {
        try withFolder { path in
            try AtomicFile.write([1], to: AtomicFile.join(path, "other"))
            let plan = plan { _ in
                Issue.record("made an experiment")
                return Counting()
            }
            #expect(throws: FileError.self) { try plan.start(at: path) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["other"])
        }
    }

    @Test("a run of other data is not the same")
    func different() throws {
        let difference = try plan("y").configuration.difference(from: plan("x").configuration)
        #expect(difference?.what == "data" && difference?.expected == "x" && difference?.found == "y")
    }
}
