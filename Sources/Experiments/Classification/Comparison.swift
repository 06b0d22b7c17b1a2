package import Datasets
import Foundation
package import Torch
package import Training
package import WeightNorm

/// The same network trained with several norms, side by side: after each step of one, the others make theirs on the same minibatch.
///
/// So a slow spell of the machine falls on all of them, and their times a step can be compared.
package struct Comparison {
    package var settings: ClassificationSettings
    package let normalizations: [Normalization]
    package let seeds: [UInt64]
    package let device: Device

    /// Times in a pass over the training set at which the test error is taken.
    package static let evaluationsPerEpoch = 5
    /// Parts of a pass over which the training error is averaged.
    package static let readingsPerEpoch = 20
    /// The most readings of the weights in a run: a long run takes fewer a pass.
    static let mostWeightReadings = 200
    /// The test errors for which the first time under them is told.
    package let thresholds: [Double]
    /// Whether a run whose loss is not finite ends alone, and is told as such, instead of ending all.
    package var goesOnAfterDivergence = false
    /// Whether readings of the weights and the finished networks are written to the folder.
    package var keepsNetworks = true
    /// Times in a pass at which the test error is taken.
    package var evaluations = Self.evaluationsPerEpoch

    package init(
        _ settings: ClassificationSettings, normalizations: [Normalization], seeds: [UInt64], thresholds: [Double], device: Device
    ) {
        self.thresholds = thresholds
        self.settings = settings
        self.normalizations = normalizations
        self.seeds = seeds
        self.device = device
    }

    /// What can stop a comparison.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Throws if the settings do not fit the images; to be asked before a folder is made.
    package func check(training: ImageSet) throws {
        guard settings.batch <= training.count else {
            throw Failure(description: "minibatch: expected at most the \(training.count) training images, found \(settings.batch)")
        }
        let least = 12
        guard training.rows >= least, training.columns >= least else {
            throw Failure(
                description:
                    "images: expected at least \(least) × \(least) pixels for the network's poolings, found \(training.rows) × \(training.columns)"
            )
        }
    }

    /// Trains all, seed after seed, and records how it goes; `progress` gets each step.
    package func run(
        training: ImageSet, test: ImageSet, into folder: RunFolder, progress: (_ done: Int, _ total: Int, _ note: String) -> Void
    ) throws -> (runs: [Run], records: [Record]) {
        try check(training: training)
        let stepsPerEpoch = training.count / settings.batch
        var runs: [Run] = []
        var records: [Record] = []
        let total = stepsPerEpoch * settings.epochs * seeds.count
        for (round, seed) in seeds.enumerated() {
            let before = round * stepsPerEpoch * settings.epochs
            try runSeed(seed, training, test, stepsPerEpoch, folder, &runs, &records) { step, note in
                progress(before + step, total, note)
            }
        }
        return (runs, records)
    }

    private func runSeed(
        _ seed: UInt64, _ training: ImageSet, _ test: ImageSet, _ stepsPerEpoch: Int, _ folder: RunFolder, _ runs: inout [Run],
        _ records: inout [Record], _ progress: (Int, String) -> Void
    ) throws {
        let trainers = normalizations.map {
            ClassificationTrainer(
                settings, normalization: $0, seed: seed, channels: training.channels, stepsPerEpoch: stepsPerEpoch, device: device)
        }
        var times = trainers.map { _ in [Double]() }
        var history = trainers.map { _ in [Record]() }
        // The step at which a trainer's loss was found not to be finite: it takes no further one.
        var diverged = trainers.map { _ in Int?.none }
        let initial = Batches.shuffled(
            training, size: min(settings.initializationImages, training.count), seed: seed, epoch: 0, on: device)[0]
        for trainer in trainers {
            trainer.initialize(ClassificationTrainer.input(initial))
            try record(trainer, step: 0, epoch: 0, folder)
        }

        let steps = stepsPerEpoch * settings.epochs
        let readings = Milestones(steps: stepsPerEpoch, parts: Self.readingsPerEpoch)
        let evaluations = Milestones(steps: stepsPerEpoch, parts: evaluations)
        let weightReadings = Milestones(
            steps: stepsPerEpoch, parts: max(1, min(Self.readingsPerEpoch, Self.mostWeightReadings / settings.epochs)))
        let clock = ContinuousClock()
        var note = ""
        var step = 0
        passes: for epoch in 0..<settings.epochs {
            for batch in Batches.shuffled(training, size: settings.batch, seed: seed, epoch: epoch, on: device) {
                let input = ClassificationTrainer.input(batch)
                for turn in trainers.indices {
                    // Each in turn goes first: the first has to bring the minibatch into the cache.
                    let index = (turn + step) % trainers.count
                    guard diverged[index] == nil else { continue }
                    let time = clock.measure {
                        trainers[index].step(input, labels: batch.labels)
                        device.synchronize()
                    }
                    times[index].append(Double(time.components.seconds) * 1e3 + Double(time.components.attoseconds) * 1e-15)
                }
                step += 1
                let place = (step - 1) % stepsPerEpoch + 1
                let time = Double(step) / Double(stepsPerEpoch)
                if readings.contains(place) || evaluations.contains(place) {
                    for (index, trainer) in trainers.enumerated() where diverged[index] == nil {
                        var record = Record(
                            norm: trainer.normalization.rawValue, seed: seed, learningRate: trainer.learningRate, step: step, epoch: time)
                        if readings.contains(place) {
                            let (loss, error) = trainer.readTraining()
                            if !loss.isFinite {
                                try diverge(trainer, loss, step)
                                diverged[index] = step
                            }
                            (record.trainLoss, record.trainError) = (loss, error)
                        }
                        if evaluations.contains(place), diverged[index] == nil {
                            record.testError = trainer.error(on: test, device: device)
                        }
                        try folder.record(record)
                        history[index].append(record)
                    }
                    let losses = history.compactMap { $0.last { $0.trainLoss != nil }?.trainLoss }
                    note =
                        "loss "
                        + losses.map { $0 < 1000 ? NumberText.fixed($0, decimals: 2) : NumberText.general($0) }.joined(separator: " ")
                }
                if weightReadings.contains(place) {
                    for (index, trainer) in trainers.enumerated() where diverged[index] == nil {
                        try record(trainer, step: step, epoch: time, folder)
                    }
                }
                progress(step, note)
                if !diverged.contains(nil) { break passes }
            }
        }
        for (index, trainer) in trainers.enumerated() {
            var run = summary(of: trainer, steps: steps, history[index], times[index], normal: normalTimes(times))
            if let end = diverged[index] {
                (run.steps, run.divergedAtStep, run.testError, run.trainError, run.trainLoss) = (end, end, .nan, .nan, .nan)
            } else if keepsNetworks {
                try NetworkFile.write(trainer, into: folder)
            }
            runs.append(run)
        }
        records += history.joined()
    }

    private func record(_ trainer: ClassificationTrainer, step: Int, epoch: Double, _ folder: RunFolder) throws {
        guard keepsNetworks else { return }
        for reading in trainer.readWeights() {
            try folder.record(
                LayerRecord(norm: trainer.normalization.rawValue, seed: trainer.seed, step: step, epoch: epoch, reading: reading),
                in: "layers.jsonl")
        }
    }

    private func diverge(_ trainer: ClassificationTrainer, _ loss: Double, _ step: Int) throws {
        guard !goesOnAfterDivergence else { return }
        throw Failure(
            description: "norm \(trainer.normalization.rawValue), seed \(trainer.seed): the loss is \(loss) at step \(step); "
                + "try a smaller --learning-rate")
    }

    private func normalTimes(_ times: [[Double]]) -> [Double]? { normalizations.firstIndex(of: .normal).map { times[$0] } }

    private func summary(
        of trainer: ClassificationTrainer, steps: Int, _ history: [Record], _ times: [Double], normal: [Double]?
    ) -> Run {
        // The first steps pay for what libtorch sets up once.
        let warm = min(10, times.count - 1)
        let ratios = normal.map { zip(times, $0).dropFirst(warm).map { $0 / $1 } }
        let tests = history.compactMap { record in record.testError.map { (record.epoch, $0) } }
        let lastTraining = history.last { $0.trainError != nil }
        var under: [String: Double] = [:]
        for threshold in thresholds {
            under[String(threshold)] = tests.first { $0.1 < threshold }?.0
        }
        return Run(
            norm: trainer.normalization.rawValue, seed: trainer.seed, epochs: settings.epochs, steps: steps,
            parameters: trainer.parameterCount,
            learningRate: trainer.learningRate, trainError: lastTraining?.trainError ?? .nan, trainLoss: lastTraining?.trainLoss ?? .nan,
            testError: tests.last?.1 ?? .nan, millisecondsPerStep: Self.median(Array(times.dropFirst(warm))),
            costRelativeToNormal: ratios.map { Self.median($0) }, firstEpochUnder: under,
            constantUnits: trainer.initialization.constantUnitCount)
    }

    /// The middle number; the mean of the two middle ones of an even count.
    package static func median(_ numbers: [Double]) -> Double {
        let sorted = numbers.sorted()
        guard let last = sorted.last else { return .nan }
        let middle = sorted.count / 2
        return sorted.count == 1 ? last : sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

}

/// Steps of a pass at the ends of equal parts of it; the last step is always one.
struct Milestones {
    private let steps: Set<Int>

    init(steps: Int, parts: Int) { self.steps = Set((1...parts).map { max(1, steps * $0 / parts) } + [steps]) }

    func contains(_ step: Int) -> Bool { steps.contains(step) }
}
