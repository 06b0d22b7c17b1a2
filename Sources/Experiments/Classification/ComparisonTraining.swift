import Foundation
import Report
import Torch
package import Training
import WeightNorm

/// A comparison in the course of its training: it can stop between two steps, and go on from a checkpoint as if it had not.
package final class ComparisonTraining {
    /// One network of the present seed, with what was measured of it.
    final class Contestant {
        let trainer: ClassificationTrainer
        /// Milliseconds of each step.
        var times: [Double] = []
        var history: [Comparison.Record] = []
        var divergedAt: Int?

        init(_ trainer: ClassificationTrainer) { self.trainer = trainer }
    }

    package let comparison: Comparison
    let images: ClassificationImages
    package let folder: RunFolder
    let stepsPerEpoch: Int
    /// The place of the present seed among the comparison's.
    package internal(set) var round = 0
    /// Steps done with the present seed.
    package internal(set) var step = 0
    var contestants: [Contestant] = []
    /// Finished runs.
    package internal(set) var runs: [Comparison.Run] = []
    /// All records so far, as in `metrics.jsonl`.
    package internal(set) var records: [Comparison.Record] = []
    /// Lines in `layers.jsonl` so far.
    var layerRecordCount = 0
    /// Seconds of work before this start.
    var earlierSeconds = 0.0
    /// The steps, over all seeds, at which the last checkpoint was written or read.
    package internal(set) var savedAt: Int?
    private let start = ContinuousClock.now
    /// Steps since the device was last waited for, and when they began.
    private var window = (steps: 0, start: ContinuousClock.now)

    /// A training from the beginning, whose comparison must have been checked against the images.
    package init(_ comparison: Comparison, _ images: ClassificationImages, _ folder: RunFolder) {
        self.comparison = comparison
        self.images = images
        self.folder = folder
        stepsPerEpoch = images.training.count / comparison.settings.batch
    }

    /// Steps of one seed.
    var stepsPerRound: Int { stepsPerEpoch * comparison.settings.epochs }
    /// Steps over all seeds.
    package var total: Int { stepsPerRound * comparison.seeds.count }
    /// Steps done over all seeds.
    package var done: Int { round * stepsPerRound + step }
    /// Whether all seeds are finished.
    package var isFinished: Bool { round == comparison.seeds.count }
    /// Seconds of work, over all starts.
    package var seconds: Double { earlierSeconds + (ContinuousClock.now - start) / .seconds(1) }

    /// Trains until all is done, or until `shouldStop` says so between two steps; asks `checkpoints` after each step whether to write one.
    ///
    /// - Throws: `Comparison.Failure` if a loss is not finite; `FileError` if the folder cannot be written.
    package func run(
        checkpoints: CheckpointClock? = nil, shouldStop: () -> Bool = { false },
        progress: (_ done: Int, _ total: Int, _ note: String) throws -> Void
    ) throws {
        while !isFinished {
            if contestants.isEmpty { try begin() }
            try runRound(checkpoints, shouldStop, progress)
            if step < stepsPerRound, contestants.contains(where: { $0.divergedAt == nil }) { break }
            if !isFinite() { try record(reads: false, evaluates: false) }
            try finishRound()
        }
        if checkpoints != nil, isFinite() { try save() }
    }

    /// Why steps on CUDA were not replayed from recordings; empty on the CPU and where they were.
    package private(set) var graphFallbacks: [String] = []

    /// New networks for a seed.
    static func contestants(of comparison: Comparison, round: Int, _ images: ClassificationImages) -> [Contestant] {
        comparison.normalizations.map {
            Contestant(
                ClassificationTrainer(
                    comparison.settings, normalization: $0, seed: comparison.seeds[round], channels: images.channels,
                    stepsPerEpoch: images.training.count / comparison.settings.batch, device: comparison.device))
        }
    }

    private func begin() throws {
        contestants = Self.contestants(of: comparison, round: round, images)
        let count = min(comparison.settings.initializationImages, images.training.count)
        let first = images.training.order(size: count, seed: comparison.seeds[round], epoch: 0).selected(0, along: 0)
        let (inputs, _) = images.training.batch(first)
        for contestant in contestants {
            contestant.trainer.initialize(inputs)
            try recordWeights(of: contestant)
        }
    }

    private func runRound(
        _ checkpoints: CheckpointClock?, _ shouldStop: () -> Bool, _ progress: (_ done: Int, _ total: Int, _ note: String) throws -> Void
    ) throws {
        let readings = Milestones(steps: stepsPerEpoch, parts: comparison.pace.readings)
        let evaluations = Milestones(steps: stepsPerEpoch, parts: comparison.pace.evaluations)
        let notes = Milestones(steps: stepsPerEpoch, parts: Comparison.Pace.fine.readings)
        let weightReadings = Milestones(
            steps: stepsPerEpoch,
            parts: max(1, min(Comparison.Pace.fine.readings, Comparison.mostWeightReadings / comparison.settings.epochs)))
        var note = ""
        while step < stepsPerRound, contestants.contains(where: { $0.divergedAt == nil }) {
            let epoch = step / stepsPerEpoch
            let order = images.training.order(size: comparison.settings.batch, seed: comparison.seeds[round], epoch: epoch)
            while step < (epoch + 1) * stepsPerEpoch, contestants.contains(where: { $0.divergedAt == nil }) {
                if shouldStop() { return }
                try makeStep(order.selected(step % stepsPerEpoch, along: 0))
                let place = (step - 1) % stepsPerEpoch + 1
                if notes.contains(place) { note = self.note() }
                let diverged = contestants.filter { $0.divergedAt == nil && $0.trainer.divergedAt != nil }
                if readings.contains(place) || evaluations.contains(place) || !diverged.isEmpty {
                    try record(reads: readings.contains(place), evaluates: evaluations.contains(place))
                }
                if weightReadings.contains(place) {
                    for contestant in contestants where contestant.divergedAt == nil { try recordWeights(of: contestant) }
                }
                if let checkpoints, checkpoints.isDue(), isFinite() {
                    try save()
                    checkpoints.restart()
                }
                try progress(done, total, note)
            }
        }
    }

    private func makeStep(_ indices: Tensor) throws {
        if window.steps == 0 { window.start = .now }
        window.steps += 1
        let clock = ContinuousClock()
        for turn in contestants.indices {
            // Each in turn goes first: the first has to bring the images into the cache.
            let contestant = contestants[(turn + step) % contestants.count]
            guard contestant.divergedAt == nil else { continue }
            let time = clock.measure {
                contestant.trainer.step(indices, of: images.training)
                if timesEachStep { comparison.device.synchronize() }
            }
            if timesEachStep { contestant.times.append(time / .milliseconds(1)) }
        }
        step += 1
    }

    /// One network's steps may follow each other on a GPU without the host's waiting for them: then the time is taken over several steps. Several
    /// networks are waited for, so that each gets its own time.
    private var timesEachStep: Bool { comparison.device.isCPU || contestants.count > 1 }

    /// The losses now, for the display. Asking for them finds out whether one is not finite.
    private func note() -> String {
        let losses = contestants.map { $0.divergedAt == nil ? $0.trainer.currentLoss : $0.history.last?.trainLoss ?? .nan }
        if !timesEachStep, let only = contestants.first {
            only.times.append((ContinuousClock.now - window.start) / .milliseconds(1) / Double(max(1, window.steps)))
        }
        window.steps = 0
        return "loss " + losses.map { $0 < 1000 ? NumberText.fixed($0, decimals: 2) : NumberText.general($0) }.joined(separator: " ")
    }

    /// Whether all losses so far and the parameters are finite, as a checkpoint must have it; waits for the device.
    private func isFinite() -> Bool {
        for contestant in contestants where contestant.divergedAt == nil {
            _ = contestant.trainer.currentLoss
            contestant.trainer.checkParameters()
        }
        return !contestants.contains { $0.divergedAt == nil && $0.trainer.divergedAt != nil }
    }

    private func record(reads: Bool, evaluates: Bool) throws {
        for contestant in contestants where contestant.divergedAt == nil {
            let trainer = contestant.trainer
            var record = Comparison.Record(
                norm: trainer.normalization.rawValue, seed: trainer.seed, learningRate: trainer.learningRate, step: step,
                epoch: Double(step) / Double(stepsPerEpoch))
            // A loss that is not finite ends the run, and belongs on record.
            if reads || trainer.divergedAt != nil { (record.trainLoss, record.trainError) = trainer.readTraining() }
            contestant.divergedAt = trainer.divergedAt
            if evaluates, contestant.divergedAt == nil { record.testError = trainer.error(on: images.test) }
            if record.trainLoss != nil || record.testError != nil {
                try folder.record(record)
                contestant.history.append(record)
                records.append(record)
            }
            if let end = contestant.divergedAt { try diverge(contestant, at: end) }
        }
    }

    private func recordWeights(of contestant: Contestant) throws {
        guard comparison.keepsNetworks else { return }
        let trainer = contestant.trainer
        for reading in trainer.readWeights() {
            let record = Comparison.LayerRecord(
                norm: trainer.normalization.rawValue, seed: trainer.seed, step: step, epoch: Double(step) / Double(stepsPerEpoch),
                reading: reading)
            try folder.record(record, in: Self.layersName)
            layerRecordCount += 1
        }
    }

    static let layersName = "layers.jsonl"

    private func diverge(_ contestant: Contestant, at end: Int) throws {
        guard !comparison.goesOnAfterDivergence else { return }
        let trainer = contestant.trainer
        let last = contestant.history.last?.trainLoss ?? .nan
        throw Comparison.Failure(
            description: RunFailure.divergence(
                norm: trainer.normalization, seed: trainer.seed, "the loss is \(last.isNaN ? "nan" : "\(last)") at step \(end)",
                weights: trainer.readWeights().map { ($0.path, $0.gain.mean) }, lastGood: lastGoodCheckpoint))
    }

    var lastGoodCheckpoint: String { RunCheckpoint.lastGood(in: folder.path, at: savedAt) }

    private func finishRound() throws {
        graphFallbacks += contestants.compactMap { $0.trainer.graphFallback.map { "\($0)" } }
        let normal = comparison.normalizations.firstIndex(of: .plain).map { contestants[$0].times }
        for contestant in contestants {
            var run = summary(of: contestant, normal: normal)
            if let end = contestant.divergedAt {
                (run.steps, run.divergedAtStep, run.testError, run.trainError, run.trainLoss) = (end, end, .nan, .nan, .nan)
            } else if comparison.keepsNetworks {
                try NetworkFile.write(contestant.trainer, into: folder)
                try FilterPicture.write(contestant.trainer, into: folder)
            }
            runs.append(run)
        }
        contestants = []
        round += 1
        step = 0
    }

    private func summary(of contestant: Contestant, normal: [Double]?) -> Comparison.Run {
        let (trainer, times, history) = (contestant.trainer, contestant.times, contestant.history)
        // The first steps pay for what libtorch sets up once.
        let warm = min(10, max(0, times.count - 1))
        let ratios = normal.map { zip(times, $0).dropFirst(warm).map { $0 / $1 } }
        let tests = history.compactMap { record in record.testError.map { (record.epoch, $0) } }
        let lastTraining = history.last { $0.trainError != nil }
        var under: [String: Double] = [:]
        for threshold in comparison.thresholds {
            under[String(threshold)] = tests.first { $0.1 < threshold }?.0
        }
        return Comparison.Run(
            norm: trainer.normalization.rawValue, seed: trainer.seed, epochs: comparison.settings.epochs, steps: stepsPerRound,
            parameters: trainer.parameterCount,
            learningRate: trainer.learningRate, trainError: lastTraining?.trainError ?? .nan, trainLoss: lastTraining?.trainLoss ?? .nan,
            testError: tests.last?.1 ?? .nan, millisecondsPerStep: Comparison.median(Array(times.dropFirst(warm))),
            costRelativeToNormal: ratios.map { Comparison.median($0) }, firstEpochUnder: under,
            constantUnits: trainer.initialization.constantUnitCount)
    }
}
