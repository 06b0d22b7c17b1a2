import Report
package import Torch
package import Training
import WeightNorm

/// A comparison in training.
package typealias ComparisonTraining = Run<ComparisonExperiment>

/// A comparison with its images: each round trains one network per norm for one seed; with several learning rates, each rate has all seeds.
package final class ComparisonExperiment: Experiment, LimitsWholeNumbers {
    package typealias Record = Comparison.Record

    package let kind = "classification"
    package let comparison: Comparison
    /// Learning rates used instead of the settings', one after the other; empty for none.
    private let rates: [Double]
    /// Why steps on CUDA were not replayed from recordings; empty on the CPU and if they were.
    package private(set) var graphFallbacks: [String] = []
    private let images: ClassificationImages
    private let order: EpochOrder
    private let stepsPerEpoch: Int
    private let readings: Milestones
    private let evaluations: Milestones
    private let notes: Milestones
    private let weightReadings: Milestones

    /// A comparison, which must have been checked against the images.
    package init(_ comparison: Comparison, _ images: ClassificationImages, rates: [Double] = []) {
        (self.comparison, self.images, self.rates) = (comparison, images, rates)
        let steps = images.training.count / comparison.settings.batch
        stepsPerEpoch = steps
        order = EpochOrder(images.training, batch: comparison.settings.batch)
        readings = Milestones(steps: steps, parts: comparison.pace.readings)
        evaluations = Milestones(steps: steps, parts: comparison.pace.evaluations)
        notes = Milestones(steps: steps, parts: Comparison.Pace.fine.readings)
        weightReadings = Milestones(
            steps: steps,
            parts: max(1, min(Comparison.Pace.fine.readings, Comparison.mostWeightReadings / comparison.settings.epochs)))
    }

    package var settings: ClassificationSettings { comparison.settings }
    package var names: [String] { comparison.normalizations.map(\.rawValue) }
    package var seeds: [UInt64] { comparison.seeds }
    package var rounds: Int { seeds.count * max(1, rates.count) }
    package var resultsPerRound: Int { names.count }
    package var stepsPerRound: Int { stepsPerEpoch * settings.epochs }
    package var device: Device { comparison.device }
    package var otherRecordFiles: [String] { comparison.keepsNetworks ? [Self.layersName] : [] }

    static let layersName = "layers.jsonl"

    private func seed(ofRound round: Int) -> UInt64 { seeds[round % seeds.count] }

    private func rate(ofRound round: Int) -> Double? { rates.isEmpty ? nil : rates[round / seeds.count] }

    package func makeTrainees(round: Int) -> [ClassificationTrainer] {
        var settings = settings
        if let rate = rate(ofRound: round) { settings.setLearningRate(rate) }
        return comparison.normalizations.map {
            ClassificationTrainer(
                settings, normalization: $0, seed: seed(ofRound: round), channels: images.channels, stepsPerEpoch: stepsPerEpoch,
                device: device)
        }
    }

    package func initialize(_ run: Run<ComparisonExperiment>) throws {
        let count = min(settings.initializationImages, images.training.count)
        let first = images.training.order(size: count, seed: seed(ofRound: run.round), epoch: 0).selected(0, along: 0)
        let (inputs, _) = images.training.batch(first)
        for trainer in run.trainees {
            trainer.initialize(inputs)
            try recordWeights(of: trainer, in: run)
        }
        try keepNetworks(of: run, after: 0)
        if comparison.keepsNetworks, run.round == 0, let whitening = images.whitening { try whitening.write(into: run.folder) }
    }

    private func keepNetworks(of run: Run<ComparisonExperiment>, after epoch: Int) throws {
        guard comparison.snapshots.contains(epoch) else { return }
        for trainer in run.activeTrainees { try NetworkFile.write(trainer, epoch: epoch, into: run.folder) }
    }

    package func input(for run: Run<ComparisonExperiment>) -> ClassificationTrainer.Minibatch {
        (order.minibatch(run.step, seed: seed(ofRound: run.round)), images.training)
    }

    package func didStep(_ run: Run<ComparisonExperiment>) throws {
        let place = (run.step - 1) % stepsPerEpoch + 1
        if notes.contains(place) {
            // Reading the losses reveals whether one is not finite.
            let rate = rate(ofRound: run.round).map { "rate \(NumberText.general($0)), " } ?? ""
            run.note = rate + "loss " + run.trainees.indices.map { Self.text(loss(of: $0, in: run)) }.joined(separator: " ")
            run.noteTime()
        }
        let isDiverged = run.activeTrainees.contains { $0.divergedAt != nil }
        if readings.contains(place) || evaluations.contains(place) || isDiverged {
            try record(run, reads: readings.contains(place), evaluates: evaluations.contains(place))
        }
        if weightReadings.contains(place) {
            for trainer in run.activeTrainees { try recordWeights(of: trainer, in: run) }
        }
        if place == stepsPerEpoch { try keepNetworks(of: run, after: run.step / stepsPerEpoch) }
    }

    /// Found at the end of a round.
    package func didDiverge(trainee index: Int, at step: Int, of run: Run<ComparisonExperiment>) throws {
        try record(run, reads: false, evaluates: false)
    }

    private func loss(of index: Int, in run: Run<ComparisonExperiment>) -> Double {
        let trainer = run.trainees[index]
        return run.endedAt[index] == nil ? trainer.currentLoss : history(of: trainer, in: run).last?.trainLoss ?? .nan
    }

    private static func text(_ loss: Double) -> String { loss < 1000 ? NumberText.fixed(loss, decimals: 2) : NumberText.general(loss) }

    private func history(of trainer: ClassificationTrainer, in run: Run<ComparisonExperiment>) -> [Comparison.Record] {
        let rate = rate(ofRound: run.round)
        return run.records.filter {
            $0.norm == trainer.normalization.rawValue && $0.seed == trainer.seed && (rate == nil || $0.learningRate == rate)
        }
    }

    private func record(_ run: Run<ComparisonExperiment>, reads: Bool, evaluates: Bool) throws {
        for (index, trainer) in run.trainees.enumerated() where run.endedAt[index] == nil {
            var record = Comparison.Record(
                norm: trainer.normalization.rawValue, seed: trainer.seed, learningRate: trainer.learningRate, step: run.step,
                epoch: Double(run.step) / Double(stepsPerEpoch))
            // A loss that is not finite ends the run, and should be recorded.
            if reads || trainer.divergedAt != nil { (record.trainLoss, record.trainError) = trainer.readTraining() }
            let end = trainer.divergedAt
            if evaluates, end == nil { record.testError = trainer.error(on: images.test) }
            if record.trainLoss != nil || record.testError != nil { try run.record(record) }
            guard let end else { continue }
            run.end(trainee: index, at: end)
            guard !comparison.goesOnAfterDivergence else { continue }
            let loss = record.trainLoss ?? .nan
            throw RunFailure.divergence(
                norm: trainer.normalization, seed: trainer.seed, "the loss is \(loss.isNaN ? "nan" : "\(loss)") at step \(end)", at: end,
                weights: trainer.readWeights(), lastGood: run.lastGoodCheckpoint)
        }
    }

    private func recordWeights(of trainer: ClassificationTrainer, in run: Run<ComparisonExperiment>) throws {
        guard comparison.keepsNetworks else { return }
        for reading in trainer.readWeights() {
            try run.record(
                Comparison.LayerRecord(
                    norm: trainer.normalization.rawValue, seed: trainer.seed, step: run.step,
                    epoch: Double(run.step) / Double(stepsPerEpoch), reading: reading), in: Self.layersName)
        }
    }

    package func finishRound(of run: Run<ComparisonExperiment>) throws -> [Comparison.Run] {
        for problem in run.trainees.compactMap({ $0.graphFallback.map { "steps were not replayed from a recording: \($0)" } })
        where !graphFallbacks.contains(problem) { graphFallbacks.append(problem) }
        let normal = comparison.normalizations.firstIndex(of: .plain).map { run.times[$0] }
        return try run.trainees.enumerated().map { index, trainer in
            var result = summary(of: trainer, times: run.times[index], normal: normal, history: history(of: trainer, in: run))
            if let end = run.endedAt[index] {
                (result.steps, result.divergedAtStep, result.testError, result.trainError, result.trainLoss) = (end, end, .nan, .nan, .nan)
            } else if comparison.keepsNetworks {
                try NetworkFile.write(trainer, into: run.folder)
                try FilterPicture.write(trainer, into: run.folder)
            }
            return result
        }
    }

    private func summary(
        of trainer: ClassificationTrainer, times: [Double], normal: [Double]?, history: [Comparison.Record]
    ) -> Comparison.Run {
        // The first steps include libtorch's one-time set-up.
        let warm = StepTimes.warmUp(of: times)
        let ratios = normal.map { zip(times, $0).dropFirst(warm).map { $0 / $1 } }
        let tests = history.compactMap { record in record.testError.map { (record.epoch, $0) } }
        let lastTraining = history.last { $0.trainError != nil }
        var under: [String: Double] = [:]
        for threshold in comparison.thresholds {
            under[String(threshold)] = tests.first { $0.1 < threshold }?.0
        }
        return Comparison.Run(
            norm: trainer.normalization.rawValue, seed: trainer.seed, epochs: settings.epochs, steps: stepsPerRound,
            parameters: trainer.parameterCount, learningRate: trainer.learningRate, trainError: lastTraining?.trainError ?? .nan,
            trainLoss: lastTraining?.trainLoss ?? .nan, testError: tests.last?.1 ?? .nan,
            millisecondsPerStep: StepTimes.median(times), costRelativeToNormal: ratios.map { Statistics.median($0) },
            firstEpochUnder: under, constantUnits: trainer.initialization.constantUnitCount)
    }
}
