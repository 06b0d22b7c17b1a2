package import Datasets
import Foundation
import Report
package import Torch
import Training
package import WeightNorm

/// The same network trained with several norms, side by side: all make each step on the same minibatch, one after the other.
///
/// So a slow spell of the machine affects all of them, and their times per step can be compared.
package struct Comparison {
    /// The subcommand of `weightnorm` that starts a comparison, and the one for the paper's network.
    package static let command = "compare", trainingCommand = "train classification"

    package var settings: ClassificationSettings
    package let normalizations: [Normalization]
    package let seeds: [UInt64]
    package let device: Device

    /// How often per epoch the test error is measured, and into how many parts an epoch is divided for averaging the training error.
    package struct Pace: Codable, Equatable, Sendable {
        package var evaluations: Int
        package var readings: Int

        func check() throws(RunFailure) {
            try SettingsCheck.whole("evaluations of an epoch", evaluations, in: 1...1000)
            try SettingsCheck.whole("readings of an epoch", readings, in: 1...1000)
        }

        /// For a short run: 5 and 20.
        package static let fine = Pace(evaluations: 5, readings: 20)
        /// For a run of many epochs: once each, as in the paper's figure.
        package static let everyEpoch = Pace(evaluations: 1, readings: 1)

        package init(evaluations: Int, readings: Int) {
            self.evaluations = evaluations
            self.readings = readings
        }
    }

    package var pace = Pace.fine
    /// The maximum number of weight readings in a run: a long run has fewer per epoch.
    static let mostWeightReadings = 200
    /// The test errors for which the first time below them is reported.
    package let thresholds: [Double]
    /// Whether a run whose loss is not finite ends by itself, and is reported as diverged, instead of ending all runs.
    package var goesOnAfterDivergence = false
    /// Whether weight readings and the finished networks are written to the folder.
    package var keepsNetworks = true
    /// The epochs after which the networks are written too; 0 is the start, after the initialization.
    package var snapshots: [Int] = []

    package init(
        _ settings: ClassificationSettings, normalizations: [Normalization], seeds: [UInt64], thresholds: [Double], device: Device
    ) {
        self.thresholds = thresholds
        self.settings = settings
        self.normalizations = normalizations
        self.seeds = seeds
        self.device = device
    }

    /// Throws if the settings are invalid or do not fit the images; call it before a folder is made.
    package func check(training: ImageSet, test: ImageSet? = nil) throws {
        try settings.check(norms: normalizations)
        try Self.check(snapshots: snapshots, epochs: settings.epochs)
        if settings.whitens, let defect = Whitening.defect(of: training) { throw RunFailure(defect) }
        guard settings.batch <= training.count else {
            throw RunFailure("minibatch: expected at most the \(training.count) training images, found \(settings.batch)")
        }
        try settings.check(channels: training.channels, rows: training.rows, columns: training.columns, images: training.count)
        for labels in [training.labels, test?.labels ?? []] {
            guard let largest = labels.max(), largest >= settings.classes else { continue }
            throw RunFailure("settings: classes: expected more than the largest label of the images, \(largest), found \(settings.classes)")
        }
    }

    static func check(snapshots: [Int], epochs: Int) throws(RunFailure) {
        guard snapshots.count <= SettingsLimits.mostSnapshots else {
            throw RunFailure("snapshots: expected at most \(SettingsLimits.mostSnapshots), found \(snapshots.count)")
        }
        for epoch in snapshots where !(0...epochs).contains(epoch) {
            throw RunFailure("snapshots: expected epochs from 0 to the run's \(epochs), found \(epoch)")
        }
    }

    /// The images as input for the network, as set: whitened, or with scaled bytes; the whitening is fitted only to the training images.
    package func images(training: ImageSet, test: ImageSet, notify: (String) -> Void) -> ClassificationImages {
        guard settings.whitens else {
            return ClassificationImages(
                training: ResidentImages(training, on: device), test: ResidentImages(test, on: device), channels: training.channels)
        }
        let whitening = WhiteningCache.whitening(of: training, notify: notify)
        return ClassificationImages(
            training: ResidentImages(training, whitenedBy: whitening, on: device),
            test: ResidentImages(test, whitenedBy: whitening, on: device), channels: training.channels, whitening: whitening)
    }
}

extension Comparison {
    /// The run on these images, which must have been checked; `notify` gets messages for the user.
    package func plan(
        _ configuration: Configuration, training: ImageSet, test: ImageSet, notify: @escaping (String) -> Void
    ) -> RunPlan<ComparisonExperiment, ComparisonDetails> {
        plan(configuration, training: training, test: test) { images(training: training, test: test, notify: notify) }
    }

    /// The run on these images, with what makes the network's input of them once the run has a folder.
    func plan(
        _ configuration: Configuration, training: ImageSet, test: ImageSet, makeInputs: @escaping () -> ClassificationImages
    ) -> RunPlan<ComparisonExperiment, ComparisonDetails> {
        RunPlan(
            configuration, introduction: introduction(training, test, of: configuration.data, heldOut: configuration.heldOut),
            notices: \.graphFallbacks
        ) { _ in
            ComparisonExperiment(self, makeInputs())
        } outcome: { run in
            // Held-out images count too.
            let isCIFAR10 =
                training.count + (configuration.heldOut ?? 0) == 50_000
                && (training.channels, training.rows, training.columns) == (3, 32, 32)
            let summary = Summary(
                command: configuration.command, data: configuration.data, isCIFAR10: isCIFAR10, heldOut: configuration.heldOut, pace: pace,
                device: device, settings: settings, thresholds: thresholds, runs: run.results, seconds: run.seconds)
            let path = run.folder.path
            let filters = try configuration.norms.compactMap { norm in
                try RunFolder.picture(named: FilterPicture.name(norm: norm, seed: configuration.seeds[0]), at: path).map { (norm, $0) }
            }
            let layers: [LayerRecord] = try RunFiles.records(in: ComparisonExperiment.layersName, at: path)
            return (summary, ComparisonReport(summary, records: run.records, layers: layers, filters: filters))
        }
    }

    /// What is trained on what, in lines for the user.
    func introduction(_ training: ImageSet, _ test: ImageSet, of data: String, heldOut: Int?) -> [String] {
        let names = normalizations.map(\.rawValue).joined(separator: ", ")
        return [
            "\(training.count) training and \(test.count) \(heldOut == nil ? "test" : "held-out") images of \(data), \(training.size)",
            normalizations.count == 1 ? "Norm: \(names)" : "Norms, in the order of the losses below: \(names)",
        ]
    }
}

/// The images of a training run, on its device.
package struct ClassificationImages {
    package let training: ResidentImages
    /// The images on which the error is measured: the test images, or held-out training images.
    package let test: ResidentImages
    package let channels: Int
    /// The map that both were whitened by; nil if they are not whitened.
    package let whitening: Whitening?

    package init(training: ResidentImages, test: ResidentImages, channels: Int, whitening: Whitening? = nil) {
        (self.training, self.test, self.channels, self.whitening) = (training, test, channels, whitening)
    }
}
