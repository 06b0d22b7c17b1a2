import Report
package import Torch
package import Training
import WeightNorm

/// Generative models in training.
package typealias GenerativeTraining<Settings: GenerativeSettings> = Run<GenerativeExperiment<Settings>>

/// An experiment with generative models and its images: each round trains one model per norm for one seed.
package final class GenerativeExperiment<Settings: GenerativeSettings>: Experiment, LimitsWholeNumbers {
    package typealias Record = GenerativeRecord

    package let experiment: GenerativeSetup<Settings>
    private let images: GenerativeImages
    private let order: EpochOrder
    private let stepsPerEpoch: Int
    private let notes: Milestones

    /// The experiment, which must have been checked against the images.
    package init(_ experiment: GenerativeSetup<Settings>, _ images: GenerativeImages) {
        (self.experiment, self.images) = (experiment, images)
        stepsPerEpoch = images.training.count / experiment.settings.batch
        order = EpochOrder(images.training, batch: experiment.settings.batch)
        notes = Milestones(steps: stepsPerEpoch, parts: 50)
    }

    /// The command's last word, such as "vae".
    package var kind: String { Settings.command.split(separator: " ").last.map(String.init) ?? Settings.command }
    package var settings: Settings { experiment.settings }
    package var names: [String] { experiment.normalizations.map(\.rawValue) }
    package var seeds: [UInt64] { experiment.seeds }
    package var stepsPerRound: Int { stepsPerEpoch * settings.epochs }
    package var device: Device { experiment.device }

    package func makeTrainees(round: Int) -> [GenerativeTrainer<Settings>] {
        experiment.normalizations.map {
            GenerativeTrainer(
                settings, normalization: $0, seed: seeds[round], rows: images.rows, columns: images.columns, device: device)
        }
    }

    package func initialize(_ run: Run<GenerativeExperiment>) {
        guard let initialization = settings.dataDependentInitialization else { return }
        let count = min(initialization.images, images.training.count)
        let first = images.training.order(size: count, seed: seeds[run.round], epoch: 0).selected(0, along: 0)
        for trainer in run.trainees {
            trainer.initialize(images.training.pixels(first), targetDeviation: initialization.targetDeviation)
        }
    }

    package func input(for run: Run<GenerativeExperiment>) -> Tensor {
        images.training.pixels(order.minibatch(run.step, seed: seeds[run.round]))
    }

    package func didStep(_ run: Run<GenerativeExperiment>) throws {
        let place = (run.step - 1) % stepsPerEpoch + 1
        if notes.contains(place) {
            run.note = "bound " + run.trainees.map { NumberText.fixed(-$0.currentLoss, decimals: 2) }.joined(separator: " ")
            run.noteTime()
        }
        // A diverged model ends the run, before the others are evaluated.
        if place == stepsPerEpoch, run.trainees.allSatisfy({ $0.divergedAt == nil }) { try record(run) }
    }

    private func record(_ run: Run<GenerativeExperiment>) throws {
        for trainer in run.trainees {
            let record = GenerativeRecord(
                norm: trainer.normalization.rawValue, seed: trainer.seed, step: run.step, epoch: Double(run.step) / Double(stepsPerEpoch),
                trainBound: -trainer.readLoss(), testBound: trainer.bound(on: images.test))
            guard record.testBound.isFinite, record.trainBound.isFinite else { throw divergence(of: trainer, in: run) }
            try run.record(record)
            try GenerativePictures.write(trainer, images, into: run.folder)
        }
    }

    package func didDiverge(trainee index: Int, at step: Int, of run: Run<GenerativeExperiment>) throws {
        throw divergence(of: run.trainees[index], in: run)
    }

    private func divergence(of trainer: GenerativeTrainer<Settings>, in run: Run<GenerativeExperiment>) -> RunFailure {
        let step = trainer.divergedAt ?? run.step
        return RunFailure.divergence(
            norm: trainer.normalization, seed: trainer.seed, "the loss or the bound is not finite at step \(step)", at: step,
            weights: WeightObserver(trainer.model).read(learningRate: 1), lastGood: run.lastGoodCheckpoint)
    }

    package func finishRound(of run: Run<GenerativeExperiment>) throws -> [GenerativeRun] {
        try run.trainees.enumerated().map { index, trainer in
            let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
            let last = run.records.last { $0.norm == norm && $0.seed == seed }
            let draws = experiment.importanceDraws
            let estimate = draws.map { trainer.bound(on: images.test, draws: $0) }
            if let estimate, !estimate.isFinite { throw divergence(of: trainer, in: run) }
            try trainer.write(
                to: run.folder.path(for: NetworkFile.name(norm: norm, seed: seed)),
                metadata: ["norm": norm, "seed": "\(seed)", "step": "\(run.step)"])
            try GenerativePictures.writeDrawings(trainer, images, into: run.folder)
            return GenerativeRun(
                norm: norm, seed: seed, steps: stepsPerRound, parameters: trainer.parameterCount, trainBound: last?.trainBound ?? .nan,
                testBound: last?.testBound ?? .nan, logLikelihood: estimate, importanceDraws: draws,
                millisecondsPerStep: StepTimes.median(run.times[index]), constantUnits: trainer.initialization.constantUnitCount)
        }
    }
}
