import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

/// A comparison of four short rounds' length, with everything in it that has a state.
private func comparison(rate: Double = 0.003) -> Comparison {
    var settings = ClassificationSettings.onePass
    settings.setWidth(0.05)
    settings.batch = 20
    settings.epochs = 2
    settings.laterBeta1 = 0.5
    settings.initializationImages = 60
    settings.setLearningRate(rate)
    return Comparison(
        settings, normalizations: [.plain, .weight, .batch, .weightAndMeanOnlyBatch, .fixedGain], seeds: [3, 4], thresholds: [0.8],
        device: .cpu)
}

private let images = resident(rows(100, seed: 1), rows(40, seed: 2))
/// 2 seeds × 2 passes × 5 minibatches.
private let total = 20

private func withoutTimes(_ runs: [Comparison.Run]) -> [Comparison.Run] {
    runs.map { run in
        var run = run
        (run.millisecondsPerStep, run.costRelativeToNormal) = (0, nil)
        return run
    }
}

private func start(_ path: String, _ comparison: Comparison = comparison()) throws -> ComparisonTraining {
    ComparisonTraining(comparison, images, try RunFolder.start(at: path, config: ["seed": 1]))
}

/// Gives the folder free, as the end of a process does, and goes on with the run in it.
private func resume(_ training: inout ComparisonTraining?, at path: String, _ comparison: Comparison = comparison()) throws
    -> ComparisonTraining
{
    training = nil
    let found = try ComparisonTraining.resume(comparison, images, at: path)
    training = found
    return found
}

@Suite(.serialized)
struct ResumeTests {
    @Test("a run that is stopped and gone on with, again and again, ends as one that is not: the same numbers in every file")
    func stops() throws {
        try withFolder { path in
            let whole = try start(path + "/whole")
            try whole.run()
            // At the very start, within a pass, at its end, at the end of a seed, twice at one place, and just before the end.
            var holder: ComparisonTraining? = try start(path + "/stopped")
            for place in [0, 3, 5, 9, 10, 10, 11, 19] {
                do {
                    let training = try #require(holder)
                    try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= place })
                    #expect(training.done == place && !training.isFinished)
                }
                let found = try resume(&holder, at: path + "/stopped")
                #expect(found.done == place && found.total == total)
            }
            let training = try #require(holder)
            try training.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(training.isFinished && withoutTimes(training.results) == withoutTimes(whole.results))
            #expect(training.records == whole.records)
            #expect(training.results.allSatisfy { $0.millisecondsPerStep > 0 && ($0.costRelativeToNormal ?? 0) > 0 })
            let (expected, found) = (try files(at: path + "/whole"), try files(at: path + "/stopped"))
            #expect(expected.count == 3 + 2 * 10 && found == expected)

        }
        // A finished run that is gone on with is finished at once.
        try withFolder { path in
            var holder: ComparisonTraining? = try start(path + "/stopped")
            try holder?.run(checkpoints: CheckpointClock(every: 1e9))
            let (expected, runs) = (try files(at: path + "/stopped"), holder?.results ?? [])
            let again = try resume(&holder, at: path + "/stopped")
            #expect(again.isFinished && again.results == runs && runs.count == 10)
            try again.run(checkpoints: CheckpointClock(every: 0), progress: { _ in Issue.record("expected no step") })
            #expect(try files(at: path + "/stopped") == expected)
        }
    }

    @Test("a run that is killed goes on from its last checkpoint, without the records that came after it", arguments: [1, 4, 7])
    func killed(interval: Int) throws {
        try withFolder { path in
            let whole = try start(path + "/whole")
            try whole.run()
            var holder: ComparisonTraining? = try start(path + "/killed")
            for place in [2, 6, 10, 13, 17] {
                var seconds = 0.0
                let clock = CheckpointClock(every: Double(interval)) { seconds }
                #expect(throws: Killed.self) {
                    try holder?.run(
                        checkpoints: clock,
                        progress: {
                            seconds += 1
                            if $0.done >= place { throw Killed() }
                        })
                }
                // What a kill can leave behind: half a line, and files not yet in their place.
                let metrics = try #require(FileHandle(forWritingAtPath: path + "/killed/metrics.jsonl"))
                metrics.seekToEndOfFile()
                metrics.write(Data(#"{"epoch":"#.utf8))
                try metrics.close()
                _ = FileManager.default.createFile(atPath: path + "/killed/.0123456789abcdef.partial", contents: Data([1, 2]))
                let found = try resume(&holder, at: path + "/killed")
                #expect(found.done <= place && place - found.done <= interval, "no more is lost than the interval")
            }
            try holder?.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(try files(at: path + "/killed") == files(at: path + "/whole"))
        }
    }

    @Test("a checkpoint is due after the interval, counted from the last")
    func clock() {
        var now = 100.0
        let clock = CheckpointClock(every: 60) { now }
        #expect(!clock.isDue())
        now = 159.9
        #expect(!clock.isDue())
        now = 160
        #expect(clock.isDue())
        clock.restart()
        #expect(!clock.isDue())
        now = 221
        #expect(clock.isDue())
        #expect(CheckpointClock(every: 0) { now }.isDue())
    }

    @Test("a loss that is not finite stops the run, names step, norms and checkpoint, and the checkpoint stays the last good one")
    func notFinite() throws {
        try withFolder { path in
            var holder: ComparisonTraining? = try start(path, comparison(rate: 1e25))
            func message(_ training: ComparisonTraining?) -> String {
                do {
                    try training?.run(checkpoints: CheckpointClock(every: 0))
                    return "no error"
                } catch {
                    return "\(error)"
                }
            }
            let first = message(holder)
            #expect(first.contains(#/seed 3: the loss is (nan|inf) at step \d/#))
            #expect(first.contains("mean ‖w‖ of a unit by layer: features.1.weight ") && first.contains(", output.weight "))
            let saved = try #require(holder?.savedAt)
            #expect(first.contains("the last good checkpoint is from step \(saved): \(path)/checkpoint.safetensors"))
            // It can be gone on with, and fails at the same step.
            let again = try resume(&holder, at: path, comparison(rate: 1e25))
            #expect(again.done == saved && message(again) == first)
        }
    }

    @Test("parameters that are not finite are no good checkpoint, though every loss so far was finite, and end the run as a loss would")
    func notFiniteParameters() throws {
        let trainer = ClassificationTrainer(
            comparison().settings, normalization: .weight, seed: 1, channels: 1, stepsPerEpoch: 5, device: .cpu)
        trainer.initialize(images.training.batch(0..<60).inputs)
        trainer.step((.range(0..<20), images.training))
        _ = trainer.isFinite()
        #expect(trainer.divergedAt == nil)
        trainer.network.output.bias?.assign(Tensor([Float](repeating: .nan, count: 10)))
        _ = trainer.isFinite()
        #expect(trainer.divergedAt == 1)
    }

    @Test("checkpoints of another run, of another kind and damaged ones are refused, and the records stay")
    func refused() throws {
        try withFolder { path in
            do {
                let training = try start(path)
                try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= 7 })
            }
            let before = try files(at: path)
            let file = path + "/checkpoint.safetensors"
            let good = try #require(FileManager.default.contents(atPath: file))
            func refusal(_ comparison: Comparison) -> String {
                do {
                    _ = try ComparisonTraining.resume(comparison, images, at: path)
                    return "nothing"
                } catch {
                    return "\(error)"
                }
            }
            #expect(refusal(comparison(rate: 0.004)).contains("expected the settings of this run"))
            let others = Comparison(comparison().settings, normalizations: [.weight], seeds: [3, 4], thresholds: [], device: .cpu)
            #expect(refusal(others).contains("expected the names and seeds of this run"))

            try Checkpoint(kind: "spirals").write(to: file)
            #expect(refusal(comparison()).contains("expected the checkpoint of a run of 'classification', found one of 'spirals'"))
            var damaged = good
            damaged[damaged.count - 100] ^= 1
            try damaged.write(to: URL(filePath: file))
            #expect(refusal(comparison()).contains("found another checksum in '"))
            try good.prefix(good.count / 2).write(to: URL(filePath: file))
            #expect(refusal(comparison()).contains(file))
            #expect(try files(at: path) == before)

            try good.write(to: URL(filePath: file))
            #expect(try ComparisonTraining.resume(comparison(), images, at: path).done == 7)
        }
    }

    @Test("without a checkpoint a run begins anew in its folder")
    func noCheckpoint() throws {
        try withFolder { path in
            let whole = try start(path + "/whole")
            try whole.run()
            var holder: ComparisonTraining? = try start(path + "/killed")
            #expect(throws: Killed.self) {
                try holder?.run(checkpoints: CheckpointClock(every: 1e9), progress: { if $0.done > 6 { throw Killed() } })
            }
            let again = try resume(&holder, at: path + "/killed")
            #expect(again.done == 0)
            try again.run()
            #expect(try files(at: path + "/killed") == files(at: path + "/whole"))
        }
    }
}
