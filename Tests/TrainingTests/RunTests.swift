import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

/// A line is fitted to points; the experiment's own numbers may be any.
private struct Line: Experiment {
    typealias Record = Reading
    struct Settings: Codable, Equatable {
        var maxNorm = Double.infinity
        var learningRate = 0.1
    }
    struct Reading: Codable, Equatable {
        var step: Int
        var nanoseconds: Int
        var loss: Double
    }

    let kind = "line"
    var settings = Settings()
    var seeds: [UInt64] = [1, 2]
    var stepsPerRound = 4
    var stopsAt: Int?
    var extraResults = 0
    var otherRecordFiles: [String] { ["others.jsonl"] }
    private let x = Tensor([1.0, 2, 3], shape: [3, 1])

    func makeTrainees(round: Int) -> [ModelTrainee<Dense, Void>] {
        let random = Generator(seed: seeds[round])
        let model = Dense(1, to: 1, type: .float64, random: random)
        return [
            ModelTrainee(
                model, optimizer: SGD(model.parameters), random: random, learningRate: { _ in settings.learningRate },
                loss: { model, _, random in (model(x, .training(random)) - x * 2).squared().mean() })
        ]
    }

    func initialize(_ run: Run<Line>) { for trainee in run.trainees { trainee.initialize { $0(x, $1) } } }
    func input(for run: Run<Line>) {}
    func prepareStep(of run: Run<Line>) -> Bool { stopsAt.map { run.done < $0 } ?? true }

    func didStep(_ run: Run<Line>) throws {
        try run.record(Reading(step: run.done, nanoseconds: .max - run.done, loss: run.trainees[0].losses.read() ?? .nan))
        try run.record(["step": run.done], in: "others.jsonl")
    }

    func finishRound(of run: Run<Line>) -> [Double] {
        Array(repeating: run.trainees[0].model.weight.value.item(), count: 1 + extraResults)
    }
}

/// Keeps the lines of every file.
private final class MemorySink: RecordSink {
    var lines: [String: [String]] = [:]
    var synchronized: Set<String> = []

    func receive(_ record: some Encodable, in file: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        lines[file, default: []].append(String(decoding: try encoder.encode(record), as: UTF8.self))
    }

    func synchronize(_ files: [String]) { synchronized.formUnion(files) }

    func resume(keeping counts: [String: Int]) {
        for (file, count) in counts { lines[file] = Array((lines[file] ?? []).prefix(count)) }
    }
}

@Suite("a run of an experiment of one's own")
struct RunTests {
    private func start(_ experiment: Line, _ path: String, _ sink: MemorySink = MemorySink()) throws -> Run<Line> {
        Run(experiment, in: try .start(at: path, config: ["kind": "line"]), sinks: [sink])
    }

    @Test("stopped after any step and resumed it is the run that was never stopped, in its folder and in every sink")
    func resuming() throws {
        try withFolder { folder in
            let sink = MemorySink()
            let whole = try start(Line(), "\(folder)/whole", sink)
            try whole.run(checkpoints: CheckpointClock(every: 0))
            #expect(whole.isFinished && whole.records.count == 8 && whole.results.count == 2 && whole.records[0].nanoseconds == .max - 1)
            #expect(sink.lines["metrics.jsonl"]?.count == 8 && sink.lines["others.jsonl"]?.count == 8)
            #expect(sink.synchronized == ["metrics.jsonl", "others.jsonl"])
            for stop in 0..<8 {
                let (path, other) = ("\(folder)/\(stop)", MemorySink())
                do {
                    let first = try start(Line(), path, other)
                    try first.run(checkpoints: CheckpointClock(every: .infinity), shouldStop: { first.done == stop })
                    // As after a kill: records were made that the checkpoint does not count.
                    try first.folder.record(["step": 99])
                    try other.receive(["step": 99], in: "metrics.jsonl")
                }
                let second = try Run.resume(Line(), at: path, sinks: [other])
                #expect(second.done == stop)
                try second.run()
                #expect(second.records == whole.records && second.results == whole.results)
                #expect(other.lines == sink.lines)
                #expect(try RunFolder.records(Line.Reading.self, at: path) == whole.records)
            }
        }
    }

    @Test("killed before the first checkpoint it begins again, and sinks are told so")
    func withoutCheckpoint() throws {
        try withFolder { path in
            let sink = MemorySink()
            do { try start(Line(stopsAt: 3), path, sink).run() }
            #expect(sink.lines["metrics.jsonl"]?.count == 3)
            let again = try Run.resume(Line(), at: path, sinks: [sink])
            #expect(again.done == 0 && sink.lines["metrics.jsonl"] == [])
            try again.run()
            #expect(again.isFinished && sink.lines["metrics.jsonl"]?.count == 8)
        }
    }

    @Test("an experiment can stop its run, which is saved and not finished")
    func stopping() throws {
        try withFolder { path in
            let run = try start(Line(stopsAt: 5), path)
            try run.run(checkpoints: CheckpointClock(every: .infinity))
            #expect(!run.isFinished && run.done == 5 && run.savedAt == 5)
        }
    }

    @Test("another run's checkpoint is refused with what does not fit")
    func refusals() throws {
        try withFolder { path in
            do { try start(Line(), path).run(checkpoints: CheckpointClock(every: .infinity), shouldStop: { false }) }
            func problem(_ experiment: Line) -> String? {
                do {
                    _ = try Run.resume(experiment, at: path)
                    return nil
                } catch { return "\(error)".components(separatedBy: "safetensors: ").last }
            }
            #expect(problem(Line()) == nil)
            #expect(problem(Line(settings: .init(learningRate: 0.2))) == "expected the settings of this run, found others")
            #expect(problem(Line(seeds: [1, 3])) == "expected the names and seeds of this run, found others")
        }
        try withFolder { path in
            do {
                let run = try start(Line(), path)
                try run.run(checkpoints: CheckpointClock(every: .infinity), shouldStop: { run.done == 3 })
            }
            #expect(throws: CheckpointError.self) { try Run.resume(Line(stepsPerRound: 2), at: path) }
        }
    }

    @Test("a loss that is not finite, and more results than were announced, end the run with an error that names the last checkpoint")
    func failures() throws {
        try withFolder { path in
            let run = try start(Line(settings: .init(learningRate: 1e200)), path)
            let error = #expect(throws: RunFailure.self) { try run.run(checkpoints: CheckpointClock(every: 0)) }
            #expect(error?.description.hasPrefix("line: the loss or a parameter is not finite at step ") == true)
            #expect(
                error?.description.contains("the last good checkpoint") == true
                    || error?.description.contains("there is no checkpoint") == true)
        }
        try withFolder { path in
            let run = try start(Line(extraResults: 1), path)
            let error = #expect(throws: RunFailure.self) { try run.run(checkpoints: CheckpointClock(every: 0)) }
            #expect(
                error?.description.hasPrefix("results of a round: expected at most 1, found 2; the last good checkpoint is from step 4")
                    == true)
            #expect(throws: RunFailure.self) { try run.record(["a": 1], in: "unknown.jsonl") }
        }
    }
}
