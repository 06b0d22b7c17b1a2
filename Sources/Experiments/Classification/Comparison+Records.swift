package import Datasets
package import Torch
import Training
package import WeightNorm

// What a comparison writes to its folder.

extension Comparison {
    /// A point of a run, as it stands in `metrics.jsonl`.
    package struct Record: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        /// The learning rate of the first half of the run.
        package var learningRate: Double?
        /// Steps of the optimizer done.
        package var step: Int
        /// Passes over the training set done, in parts.
        package var epoch: Double
        /// Mean loss (nats) and share of wrong answers on the minibatches since the record before, under noise and dropout.
        package var trainLoss: Double?
        package var trainError: Double?
        /// The share of wrong answers on the test set.
        package var testError: Double?

        package init(norm: String, seed: UInt64, learningRate: Double? = nil, step: Int, epoch: Double) {
            (self.norm, self.seed, self.learningRate, self.step, self.epoch) = (norm, seed, learningRate, step, epoch)
        }
    }

    /// What one weight looked like at a time, as it stands in `layers.jsonl`.
    package struct LayerRecord: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        /// Steps of the optimizer done; 0 after the initialization.
        package var step: Int
        package var epoch: Double
        package var reading: WeightReading
    }

    /// What a comparison began with, as it stands in `config.json`.
    package struct Configuration: RunConfiguration, Equatable {
        /// The words behind `weightnorm` that start such a run.
        package var command: String
        /// Of the folder, and the version that began the run; nil in 0.1.0's. To be checked by ``RunHeader`` before the rest is read.
        package var format: Int? = FileFormat.run.number
        package var version: String? = PackageVersion.current
        package var data: String
        /// The images that are trained on.
        package var training: ImageSummary?
        /// The images on which the error is measured.
        package var test: ImageSummary?
        /// Training images that are held out for the error, in place of the test images.
        package var heldOut: Int?
        package var norms: [String]
        package var seeds: [UInt64]
        package var thresholds: [Double]
        package var pace: Pace
        package var device: String
        package var threads: Int
        package var preset: String?
        package var settings: ClassificationSettings

        /// The norms, as far as they are known.
        package var normalizations: [Normalization] { norms.compactMap { Normalization(rawValue: $0) } }

        package func check() throws(RunFailure) {
            try check(
                norms: norms, outOf: Normalization.allCases, seeds: seeds, device: device, threads: threads, training: training, test: test)
            guard thresholds.count <= 100 else { throw RunFailure("thresholds: expected at most 100, found \(thresholds.count)") }
            for threshold in thresholds { try SettingsCheck.number("thresholds", threshold, in: .threshold) }
            if let heldOut { try SettingsCheck.whole("heldOut", heldOut, in: SettingsLimits.heldOut) }
            try pace.check()
            try settings.check(norms: normalizations)
        }

        package init(
            command: String = "compare", data: String, training: ImageSet, test: ImageSet? = nil, heldOut: Int? = nil,
            preset: String? = nil,
            comparison: Comparison
        ) {
            self.command = command
            self.data = data
            self.training = ImageSummary(training)
            self.test = test.map { ImageSummary($0) }
            self.heldOut = heldOut
            norms = comparison.normalizations.map(\.rawValue)
            seeds = comparison.seeds
            thresholds = comparison.thresholds
            pace = comparison.pace
            device = comparison.device.description
            threads = Runtime.threadCount
            self.preset = preset
            settings = comparison.settings
        }
    }

    /// A finished run, as it stands in `summary.json`.
    package struct Run: Codable, Equatable, Sendable, SeededRun {
        package var norm: String
        package var seed: UInt64
        package var epochs: Int
        package var steps: Int
        package var parameters: Int
        package var learningRate: Double
        /// The share of wrong answers on the training minibatches of the last part of a pass that was averaged over, under noise and dropout.
        package var trainError: Double
        package var trainLoss: Double
        package var testError: Double
        /// The median over all steps but the first ten.
        package var millisecondsPerStep: Double
        /// The median over the steps of this norm's time divided by that of "normal" at the same step.
        package var costRelativeToNormal: Double?
        /// The time in passes at which the test error was first seen under each threshold.
        package var firstEpochUnder: [String: Double]
        /// Output units that did not vary over the images of the initialization, and were left as they were.
        package var constantUnits: Int
        /// The step at which the loss was found not to be finite, where the run ended; its errors are NaN.
        package var divergedAtStep: Int?
    }

    /// The whole result, as it stands in `summary.json`.
    package struct Summary: Codable, Equatable, Sendable {
        /// The words behind `weightnorm` that started it.
        package var command: String
        package var data: String
        /// Whether the training images are CIFAR-10's, so that the paper's results can stand beside.
        package var isCIFAR10: Bool
        /// Training images that were held out for the error, in place of the test images.
        package var heldOut: Int?
        package var pace: Pace
        package var device: String
        package var threads: Int
        package var libtorch: String
        package var processor: String
        package var settings: ClassificationSettings
        /// The test errors of `firstEpochUnder`.
        package var thresholds: [Double]
        package var runs: [Run]
        package var seconds: Double

        package init(
            command: String = "compare", data: String, isCIFAR10: Bool = false, heldOut: Int? = nil, pace: Pace = .fine, device: Device,
            settings: ClassificationSettings, thresholds: [Double], runs: [Run], seconds: Double
        ) {
            self.command = command
            self.data = data
            self.isCIFAR10 = isCIFAR10
            self.heldOut = heldOut
            self.pace = pace
            self.device = device.description
            threads = Runtime.threadCount
            libtorch = Runtime.libtorchVersion
            processor = Runtime.processorCapability
            self.settings = settings
            self.thresholds = thresholds
            self.runs = runs
            self.seconds = seconds
        }
    }
}

/// Which images a run was made with, to be recognized later.
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
