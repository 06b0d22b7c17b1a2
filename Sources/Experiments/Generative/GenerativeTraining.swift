import Report
import Torch
package import Training
import WeightNorm

/// Generative models in the course of their training, side by side as in a ``ComparisonTraining``: it can stop between two steps, and go on from a
/// checkpoint as if it had not.
package final class GenerativeTraining<Settings: GenerativeSettings> {
    package typealias Experiment = GenerativeExperiment<Settings>

    /// One model of the present seed, with what was measured of it.
    final class Contestant {
        let trainer: GenerativeTrainer<Settings>
        var times: [Double] = []

        init(_ trainer: GenerativeTrainer<Settings>) { self.trainer = trainer }
    }

    package let experiment: Experiment
    let images: GenerativeImages
    package let folder: RunFolder
    let stepsPerEpoch: Int
    package internal(set) var round = 0
    package internal(set) var step = 0
    var contestants: [Contestant] = []
    package internal(set) var runs: [GenerativeRun] = []
    package internal(set) var records: [GenerativeRecord] = []
    var earlierSeconds = 0.0
    package internal(set) var savedAt: Int?
    private let start = ContinuousClock.now

    /// A training from the beginning, whose experiment must have been checked against the images.
    package init(_ experiment: Experiment, _ images: GenerativeImages, _ folder: RunFolder) {
        self.experiment = experiment
        self.images = images
        self.folder = folder
        stepsPerEpoch = images.training.count / experiment.settings.batch
    }

    var stepsPerRound: Int { stepsPerEpoch * experiment.settings.epochs }
    package var total: Int { stepsPerRound * experiment.seeds.count }
    package var done: Int { round * stepsPerRound + step }
    package var isFinished: Bool { round == experiment.seeds.count }
    package var seconds: Double { earlierSeconds + (ContinuousClock.now - start) / .seconds(1) }

    /// Trains until all is done, or until `shouldStop` says so between two steps; see ``ComparisonTraining/run(checkpoints:shouldStop:progress:)``.
    package func run(
        checkpoints: CheckpointClock? = nil, shouldStop: () -> Bool = { false },
        progress: (_ done: Int, _ total: Int, _ note: String) throws -> Void
    ) throws {
        while !isFinished {
            if contestants.isEmpty { begin() }
            try runRound(checkpoints, shouldStop, progress)
            if step < stepsPerRound { break }
            if !isFinite(), let lost = contestants.first(where: { $0.trainer.divergedAt != nil }) { throw divergence(lost) }
            try finishRound()
        }
        if checkpoints != nil, isFinite() { try save() }
    }

    static func contestants(of experiment: Experiment, round: Int, _ images: GenerativeImages) -> [Contestant] {
        experiment.normalizations.map {
            Contestant(
                GenerativeTrainer(
                    experiment.settings, normalization: $0, seed: experiment.seeds[round], rows: images.rows, columns: images.columns,
                    device: experiment.device))
        }
    }

    private func begin() {
        contestants = Self.contestants(of: experiment, round: round, images)
        guard let initialization = experiment.settings.dataDependentInitialization else { return }
        let count = min(initialization.images, images.training.count)
        let first = images.training.order(size: count, seed: experiment.seeds[round], epoch: 0).selected(0, along: 0)
        for contestant in contestants {
            contestant.trainer.initialize(images.training.pixels(first), targetDeviation: initialization.targetDeviation)
        }
    }

    private func runRound(
        _ checkpoints: CheckpointClock?, _ shouldStop: () -> Bool, _ progress: (_ done: Int, _ total: Int, _ note: String) throws -> Void
    ) throws {
        let notes = Milestones(steps: stepsPerEpoch, parts: 50)
        var note = ""
        while step < stepsPerRound {
            let epoch = step / stepsPerEpoch
            let order = images.training.order(size: experiment.settings.batch, seed: experiment.seeds[round], epoch: epoch)
            while step < (epoch + 1) * stepsPerEpoch {
                if shouldStop() { return }
                makeStep(images.training.pixels(order.selected(step % stepsPerEpoch, along: 0)))
                let place = (step - 1) % stepsPerEpoch + 1
                if notes.contains(place) {
                    note = "bound " + contestants.map { NumberText.fixed(-$0.trainer.currentLoss, decimals: 2) }.joined(separator: " ")
                }
                if let lost = contestants.first(where: { $0.trainer.divergedAt != nil }) { throw divergence(lost) }
                if place == stepsPerEpoch { try record() }
                if let checkpoints, checkpoints.isDue(), isFinite() {
                    try save()
                    checkpoints.restart()
                }
                try progress(done, total, note)
            }
        }
    }

    private func makeStep(_ pixels: Tensor) {
        let clock = ContinuousClock()
        for turn in contestants.indices {
            let contestant = contestants[(turn + step) % contestants.count]
            let time = clock.measure {
                contestant.trainer.step(pixels)
                experiment.device.synchronize()
            }
            contestant.times.append(time / .milliseconds(1))
        }
        step += 1
    }

    private func isFinite() -> Bool { contestants.allSatisfy { $0.trainer.isFinite() } }

    private func record() throws {
        for contestant in contestants {
            let trainer = contestant.trainer
            let record = GenerativeRecord(
                norm: trainer.normalization.rawValue, seed: trainer.seed, step: step, epoch: Double(step) / Double(stepsPerEpoch),
                trainBound: -trainer.readLoss(), testBound: trainer.bound(on: images.test))
            guard record.testBound.isFinite, record.trainBound.isFinite else { throw divergence(contestant) }
            try folder.record(record)
            records.append(record)
            try GenerativePictures.write(trainer, images, into: folder)
        }
    }

    private func divergence(_ contestant: Contestant) -> RunFailure {
        let trainer = contestant.trainer
        return RunFailure(
            RunFailure.divergence(
                norm: trainer.normalization, seed: trainer.seed,
                "the loss or the bound is not finite at step \(trainer.divergedAt ?? step)",
                weights: WeightObserver(trainer.model).read(rate: 1).map { ($0.path, $0.gain.mean) }, lastGood: lastGoodCheckpoint))
    }

    var lastGoodCheckpoint: String { RunCheckpoint.lastGood(in: folder.path, at: savedAt) }

    private func finishRound() throws {
        for contestant in contestants {
            let trainer = contestant.trainer
            let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
            let last = records.last { $0.norm == norm && $0.seed == seed }
            let draws = experiment.importanceDraws
            let estimate = draws.map { trainer.bound(on: images.test, draws: $0) }
            if let estimate, !estimate.isFinite { throw divergence(contestant) }
            runs.append(
                GenerativeRun(
                    norm: norm, seed: seed, steps: stepsPerRound, parameters: trainer.parameterCount, trainBound: last?.trainBound ?? .nan,
                    testBound: last?.testBound ?? .nan, logLikelihood: estimate,
                    importanceDraws: draws,
                    millisecondsPerStep: Comparison.median(Array(contestant.times.dropFirst(min(10, max(0, contestant.times.count - 1))))),
                    constantUnits: trainer.initialization.constantUnitCount))
            try trainer.write(
                to: folder.path(for: NetworkFile.name(norm: norm, seed: seed)),
                metadata: ["norm": norm, "seed": "\(seed)", "step": "\(step)"])
            try GenerativePictures.writeDrawings(trainer, images, into: folder)
        }
        contestants = []
        round += 1
        step = 0
    }
}
