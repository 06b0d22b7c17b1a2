package import Datasets
import Foundation
package import Torch
package import Training
package import WeightNorm

/// What a training of variational autoencoders is made of.
package struct VAEExperiment {
    package let settings: VAESettings
    package let normalizations: [Normalization]
    package let seeds: [UInt64]
    package let device: Device
    /// Draws of z in the importance-weighted estimate at the end; nil for none.
    package let importanceDraws: Int?

    package init(
        _ settings: VAESettings, normalizations: [Normalization], seeds: [UInt64], importanceDraws: Int? = nil, device: Device
    ) {
        self.settings = settings
        self.normalizations = normalizations
        self.seeds = seeds
        self.importanceDraws = importanceDraws
        self.device = device
    }

    /// What can stop it.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Throws if the settings do not fit the images; to be asked before a folder is made.
    package func check(training: ImageSet) throws {
        guard settings.batch <= training.count else {
            throw Failure(description: "minibatch: expected at most the \(training.count) training images, found \(settings.batch)")
        }
        let (channels, part) = settings.pixels == .levels ? (3, 1 << settings.depth.count) : (1, 4)
        guard training.channels == channels, training.rows.isMultiple(of: part), training.columns.isMultiple(of: part) else {
            throw Failure(
                description:
                    "images: expected \(channels == 1 ? "grey" : "colour") ones whose sides are multiples of \(part), found \(training.size)"
            )
        }
    }

    /// A point of a run, as it stands in `metrics.jsonl`; bounds in nats an image.
    package struct Record: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        package var step: Int
        /// Passes over the training set done.
        package var epoch: Double
        /// The mean of the training's objective since the record before, negated: with free bits it is below the bound.
        package var trainBound: Double
        /// The mean bound over the test images, with averaged parameters.
        package var testBound: Double

        package init(norm: String, seed: UInt64, step: Int, epoch: Double, trainBound: Double, testBound: Double) {
            (self.norm, self.seed, self.step, self.epoch) = (norm, seed, step, epoch)
            (self.trainBound, self.testBound) = (trainBound, testBound)
        }
    }

    /// A finished run, as it stands in `summary.json`.
    package struct Run: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        package var steps: Int
        package var parameters: Int
        package var trainBound: Double
        package var testBound: Double
        /// The importance-weighted estimate of log p(x), and of how many draws.
        package var logLikelihood: Double?
        package var importanceDraws: Int?
        /// The median over all steps but the first ten.
        package var millisecondsPerStep: Double
        package var constantUnits: Int

        package init(
            norm: String, seed: UInt64, steps: Int, parameters: Int, trainBound: Double, testBound: Double, logLikelihood: Double?,
            importanceDraws: Int?, millisecondsPerStep: Double, constantUnits: Int
        ) {
            (self.norm, self.seed, self.steps, self.parameters) = (norm, seed, steps, parameters)
            (self.trainBound, self.testBound, self.logLikelihood) = (trainBound, testBound, logLikelihood)
            (self.importanceDraws, self.millisecondsPerStep, self.constantUnits) = (importanceDraws, millisecondsPerStep, constantUnits)
        }
    }

    /// What a run began with, as it stands in `config.json`.
    package struct Configuration: Codable, Equatable, Sendable {
        package var command = "train vae"
        package var data: String
        package var training: ImageSummary
        package var test: ImageSummary
        package var norms: [String]
        package var seeds: [UInt64]
        package var importanceDraws: Int?
        package var device: String
        package var threads: Int
        package var preset: String
        package var rows: Int
        package var columns: Int
        package var settings: VAESettings

        package init(data: String, training: ImageSet, test: ImageSet, preset: String, experiment: VAEExperiment) {
            self.data = data
            self.training = ImageSummary(training)
            self.test = ImageSummary(test)
            norms = experiment.normalizations.map(\.rawValue)
            seeds = experiment.seeds
            importanceDraws = experiment.importanceDraws
            device = experiment.device.description
            threads = Runtime.threadCount
            self.preset = preset
            (rows, columns) = (training.rows, training.columns)
            settings = experiment.settings
        }

        /// The norms, as far as they are known.
        package var normalizations: [Normalization] { norms.compactMap { Normalization(rawValue: $0) } }
    }

    /// The whole result, as it stands in `summary.json`.
    package struct Summary: Codable, Equatable, Sendable {
        package var data: String
        package var settings: VAESettings
        /// Pixels times channels of an image, by which nats become bits per dimension.
        package var dimensions: Int
        package var device: String
        package var threads: Int
        package var libtorch: String
        package var processor: String
        package var runs: [Run]
        package var seconds: Double

        package init(data: String, dimensions: Int, experiment: VAEExperiment, runs: [Run], seconds: Double) {
            self.data = data
            self.dimensions = dimensions
            settings = experiment.settings
            device = experiment.device.description
            (threads, libtorch, processor) = (Runtime.threadCount, Runtime.libtorchVersion, Runtime.processorCapability)
            self.runs = runs
            self.seconds = seconds
        }
    }
}

/// Variational autoencoders in the course of their training, side by side as in a ``ComparisonTraining``: it can stop between two steps, and go on from a
/// checkpoint as if it had not.
package final class VAETraining {
    /// One model of the present seed, with what was measured of it.
    final class Contestant {
        let trainer: VAETrainer
        var times: [Double] = []

        init(_ trainer: VAETrainer) { self.trainer = trainer }
    }

    package let experiment: VAEExperiment
    let images: VAEImages
    package let folder: RunFolder
    let stepsPerEpoch: Int
    package internal(set) var round = 0
    package internal(set) var step = 0
    var contestants: [Contestant] = []
    package internal(set) var runs: [VAEExperiment.Run] = []
    package internal(set) var records: [VAEExperiment.Record] = []
    var earlierSeconds = 0.0
    package internal(set) var savedAt: Int?
    private let start = ContinuousClock.now

    /// A training from the beginning, whose experiment must have been checked against the images.
    package init(_ experiment: VAEExperiment, _ images: VAEImages, _ folder: RunFolder) {
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

    static func contestants(of experiment: VAEExperiment, round: Int, _ images: VAEImages) -> [Contestant] {
        experiment.normalizations.map {
            Contestant(
                VAETrainer(
                    experiment.settings, normalization: $0, seed: experiment.seeds[round], rows: images.rows, columns: images.columns,
                    device: experiment.device))
        }
    }

    private func begin() {
        contestants = Self.contestants(of: experiment, round: round, images)
        let count = min(experiment.settings.initializationImages, images.training.count)
        let first = images.training.order(size: count, seed: experiment.seeds[round], epoch: 0).selected(0, along: 0)
        for contestant in contestants { contestant.trainer.initialize(images.training.pixels(first)) }
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

    private func isFinite() -> Bool {
        for contestant in contestants {
            _ = contestant.trainer.currentLoss
            contestant.trainer.checkParameters()
            if contestant.trainer.divergedAt != nil { return false }
        }
        return true
    }

    private func record() throws {
        for contestant in contestants {
            let trainer = contestant.trainer
            let record = VAEExperiment.Record(
                norm: trainer.normalization.rawValue, seed: trainer.seed, step: step, epoch: Double(step) / Double(stepsPerEpoch),
                trainBound: -trainer.readLoss(), testBound: trainer.bound(on: images.test))
            guard record.testBound.isFinite, record.trainBound.isFinite else { throw divergence(contestant) }
            try folder.record(record)
            records.append(record)
            try VAEPictures.write(trainer, images, into: folder)
        }
    }

    private func divergence(_ contestant: Contestant) -> VAEExperiment.Failure {
        let trainer = contestant.trainer
        let norms = WeightObserver(trainer.model).read(rate: 1)
            .map { "\($0.path) \(NumberText.general($0.gain.mean))" }.joined(separator: ", ")
        return VAEExperiment.Failure(
            description:
                "norm \(trainer.normalization.rawValue), seed \(trainer.seed): the loss or the bound is not finite at step \(trainer.divergedAt ?? step); "
                + "mean ‖w‖ of a unit by layer: \(norms); \(lastGoodCheckpoint); try a smaller --learning-rate")
    }

    var lastGoodCheckpoint: String {
        savedAt.map { "the last good checkpoint is of step \($0): \(ComparisonTraining.checkpointPath(folder.path))" }
            ?? "there is no checkpoint yet"
    }

    private func finishRound() throws {
        for contestant in contestants {
            let trainer = contestant.trainer
            let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
            let last = records.last { $0.norm == norm && $0.seed == seed }
            let draws = experiment.importanceDraws
            let estimate = draws.map { trainer.bound(on: images.test, draws: $0) }
            if let estimate, !estimate.isFinite { throw divergence(contestant) }
            runs.append(
                VAEExperiment.Run(
                    norm: norm, seed: seed, steps: stepsPerRound, parameters: trainer.parameterCount, trainBound: last?.trainBound ?? .nan,
                    testBound: last?.testBound ?? .nan, logLikelihood: estimate,
                    importanceDraws: draws,
                    millisecondsPerStep: Comparison.median(Array(contestant.times.dropFirst(min(10, max(0, contestant.times.count - 1))))),
                    constantUnits: trainer.initialization.constantUnitCount))
            try trainer.write(
                to: folder.path(for: NetworkFile.name(norm: norm, seed: seed)),
                metadata: ["norm": norm, "seed": "\(seed)", "step": "\(step)"])
        }
        contestants = []
        round += 1
        step = 0
    }
}

/// The images of a training on its device.
package struct VAEImages {
    package let training: ResidentImages
    package let test: ResidentImages
    package let rows: Int
    package let columns: Int

    /// Images as the settings take them: the test images are made binary once, the training images where they are not drawn anew each time.
    package init(training: ImageSet, test: ImageSet, _ settings: VAESettings, on device: Device) {
        self.training = ResidentImages(settings.pixels == .fixed ? training.binarised(seed: 0) : training, on: device)
        self.test = ResidentImages(settings.pixels == .levels ? test : test.binarised(seed: 1), on: device)
        (rows, columns) = (training.rows, training.columns)
    }
}

extension ImageSet {
    /// Black or white pixels, white with the grey level as probability; the draws depend on the seed alone.
    package func binarised(seed: UInt64) -> ImageSet {
        var random = Xoshiro256(seed: seed)
        let pixels = images.map { level in UInt8(random.next(below: 255) < UInt64(level) ? 255 : 0) }
        return ImageSet(images: pixels, labels: labels, channels: channels, rows: rows, columns: columns)
    }
}
