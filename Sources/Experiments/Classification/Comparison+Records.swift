package import Datasets
package import Torch
package import Training
package import WeightNorm

// What a comparison writes to its folder.

extension Comparison {
    /// A point of a run, as in `metrics.jsonl`.
    package struct Record: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        /// The learning rate of the first half of the run.
        package var learningRate: Double?
        /// Steps of the optimizer done.
        package var step: Int
        /// Epochs done, including fractions.
        package var epoch: Double
        /// Mean loss (nats) and error rate on the minibatches since the previous record, with noise and dropout.
        package var trainLoss: Double?
        package var trainError: Double?
        /// The error rate on the test set.
        package var testError: Double?

        package init(norm: String, seed: UInt64, learningRate: Double? = nil, step: Int, epoch: Double) {
            (self.norm, self.seed, self.learningRate, self.step, self.epoch) = (norm, seed, learningRate, step, epoch)
        }
    }

    /// A reading of one weight at one time, as in `layers.jsonl`.
    package struct LayerRecord: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        /// Steps of the optimizer done; 0 after the initialization.
        package var step: Int
        package var epoch: Double
        package var reading: WeightReading
    }

    /// What a comparison started with, as in `config.json`.
    package typealias Configuration = RunConfiguration<ClassificationSettings, ComparisonDetails>
    /// The complete result, as in `summary.json`.
    package typealias Summary = RunSummary<ClassificationSettings, Run, ComparisonOutcome>

    /// A finished run, as in `summary.json`.
    package struct Run: Codable, Equatable, Sendable, SeededRun {
        package var norm: String
        package var seed: UInt64
        package var epochs: Int
        package var steps: Int
        package var parameters: Int
        package var learningRate: Double
        /// The error rate on the training minibatches in the last averaged part of an epoch, with noise and dropout.
        package var trainError: Double
        package var trainLoss: Double
        package var testError: Double
        /// The median over all steps but the first ten.
        package var millisecondsPerStep: Double
        /// The median over the steps of this norm's time relative to that of "normal" at the same step.
        package var costRelativeToNormal: Double?
        /// The time in epochs at which the test error was first below each threshold.
        package var firstEpochUnder: [String: Double]
        /// Output units that did not vary over the initialization images, and were left as they were.
        package var constantUnits: Int
        /// The step at which the loss was found not to be finite, if that ended the run; its errors are NaN.
        package var divergedAtStep: Int?
    }
}

/// What only a comparison has in its `config.json`.
package struct ComparisonDetails: RunDetails {
    package var data: String
    /// The images that are trained on.
    package var training: ImageSummary?
    /// The images on which the error is measured.
    package var test: ImageSummary?
    /// The number of training images held out to measure the error, instead of the test images.
    package var heldOut: Int?
    package var thresholds: [Double]
    package var pace: Comparison.Pace
    /// The epochs after which networks are written; nil for none, as in earlier versions.
    package var snapshots: [Int]?
    /// The classes' names, as far as known; nil in files of earlier versions.
    package var classNames: [String]?
    /// The height and width to which pictures in folders were fitted; nil for other data sets.
    package var pictureSize: Int?

    package var identity: [(what: String, value: String?)] {
        [
            ("thresholds of --under", thresholds.map { "\($0)" }.joined(separator: ", ")), ("held-out images", "\(heldOut ?? 0)"),
            ("training images", training.map { "\($0)" } ?? "none"), ("test images", test.map { "\($0)" }),
            ("epochs of --snapshots", (snapshots ?? []).map { "\($0)" }.joined(separator: ", ")),
        ]
    }

    package static func check(_ configuration: Comparison.Configuration) throws(RunFailure) {
        let details = configuration.details
        try configuration.checkCommon(norms: Normalization.allCases, training: details.training, test: details.test)
        let thresholds = details.thresholds
        guard thresholds.count <= SettingsLimits.mostThresholds else {
            throw RunFailure("thresholds: expected at most \(SettingsLimits.mostThresholds), found \(thresholds.count)")
        }
        for threshold in thresholds { try SettingsCheck.number("thresholds", threshold, in: .threshold) }
        if let heldOut = details.heldOut { try SettingsCheck.whole("heldOut", heldOut, in: SettingsLimits.heldOut) }
        try details.pace.check()
        try Comparison.check(snapshots: details.snapshots ?? [], epochs: configuration.settings.epochs)
        if let names = details.classNames {
            guard (1...256).contains(names.count), names.count <= configuration.settings.classes else {
                throw RunFailure("classNames: expected at most \(configuration.settings.classes) names, found \(names.count)")
            }
        }
        if let size = details.pictureSize { try SettingsCheck.whole("pictureSize", size, in: SettingsLimits.pictureSize) }
        try configuration.settings.check(norms: configuration.normalizations)
    }
}

extension RunConfiguration<ClassificationSettings, ComparisonDetails> {
    package init(
        command: String = Comparison.command, data: String, training: ImageSet, test: ImageSet? = nil, heldOut: Int? = nil,
        preset: String? = nil, pictureSize: Int? = nil, comparison: Comparison
    ) {
        self.init(
            command: command, norms: comparison.normalizations.map(\.rawValue), seeds: comparison.seeds, device: comparison.device,
            preset: preset, settings: comparison.settings,
            details: ComparisonDetails(
                data: data, training: ImageSummary(training), test: test.map { ImageSummary($0) }, heldOut: heldOut,
                thresholds: comparison.thresholds, pace: comparison.pace,
                snapshots: comparison.snapshots.isEmpty ? nil : comparison.snapshots, classNames: training.classNames,
                pictureSize: pictureSize))
    }
}

/// What only a comparison has in its `summary.json`.
package struct ComparisonOutcome: Codable, Equatable, Sendable {
    /// The subcommand of `weightnorm` that started it.
    package var command: String
    package var data: String
    /// Whether the training images are CIFAR-10's, so that the paper's results can be shown for comparison.
    package var isCIFAR10: Bool
    /// The number of training images held out to measure the error, instead of the test images.
    package var heldOut: Int?
    package var pace: Comparison.Pace
    /// The thresholds of `firstEpochUnder`.
    package var thresholds: [Double]
}

extension RunSummary<ClassificationSettings, Comparison.Run, ComparisonOutcome> {
    package init(
        command: String = Comparison.command, data: String, isCIFAR10: Bool = false, heldOut: Int? = nil, pace: Comparison.Pace = .fine,
        device: Device, settings: ClassificationSettings, thresholds: [Double], runs: [Comparison.Run], seconds: Double
    ) {
        self.init(
            device: device, settings: settings, runs: runs, seconds: seconds,
            details: ComparisonOutcome(
                command: command, data: data, isCIFAR10: isCIFAR10, heldOut: heldOut, pace: pace, thresholds: thresholds))
    }
}

/// Identifies the images used for a run, to recognize them later.
package struct ImageSummary: Codable, Equatable, Sendable {
    package var count: Int
    package var rows: Int
    package var columns: Int
    /// The 64-bit FNV-1a hash of all pixels, then all labels, in hexadecimal digits.
    package var hash: String

    package init(_ images: ImageSet) {
        count = images.count
        rows = images.rows
        columns = images.columns
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for bytes in [images.images, images.labels] {
            bytes.withUnsafeBufferPointer { buffer in
                for byte in buffer { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            }
        }
        let digits = String(hash, radix: 16)
        self.hash = String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension ImageSummary: CustomStringConvertible {
    package var description: String { "\(count) images of \(rows) × \(columns) pixels (\(hash))" }
}
