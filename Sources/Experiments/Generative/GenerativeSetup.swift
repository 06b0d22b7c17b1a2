package import Datasets
package import Torch
package import Training
package import WeightNorm

/// The setup for training generative models.
package struct GenerativeSetup<Settings: GenerativeSettings> {
    package let settings: Settings
    package let normalizations: [Normalization]
    package let seeds: [UInt64]
    package let device: Device
    /// The number of draws of z in the importance-weighted estimate at the end; nil for no estimate.
    package let importanceDraws: Int?

    package init(
        _ settings: Settings, normalizations: [Normalization], seeds: [UInt64], importanceDraws: Int? = nil, device: Device
    ) {
        self.settings = settings
        self.normalizations = normalizations
        self.seeds = seeds
        self.importanceDraws = importanceDraws
        self.device = device
    }

    /// Throws if the settings do not fit the images; call it before a folder is made.
    package func check(training: ImageSet) throws(RunFailure) {
        for norm in normalizations where !Settings.norms.contains(norm) {
            let all = Settings.norms.map(\.rawValue).joined(separator: ", ")
            throw RunFailure("norm: expected norms out of \(all), found '\(norm.rawValue)'")
        }
        if let draws = importanceDraws { try SettingsCheck.whole("importanceDraws", draws, in: SettingsLimits.draws) }
        try settings.checkNumbers()
        guard settings.batch <= training.count else {
            throw RunFailure("minibatch: expected at most the \(training.count) training images, found \(settings.batch)")
        }
        try settings.check(channels: training.channels, rows: training.rows, columns: training.columns, images: training.count)
    }

    package typealias Record = GenerativeRecord

    /// What a run started with, as in `config.json`.
    package typealias Configuration = RunConfiguration<Settings, GenerativeDetails<Settings>>
    /// The complete result, as in `summary.json`.
    package typealias Summary = RunSummary<Settings, GenerativeRun, GenerativeOutcome>

    /// The run on these images, which must have been checked.
    package func plan(
        _ configuration: Configuration, training: ImageSet, test: ImageSet
    ) -> RunPlan<GenerativeExperiment<Settings>, GenerativeDetails<Settings>> {
        RunPlan(
            configuration,
            introduction: [
                "\(training.count) training and \(test.count) test images of \(configuration.data), \(training.size)",
                "Norms, in the order of the bounds below: \(configuration.norms.joined(separator: ", "))",
            ]
        ) { _ in
            GenerativeExperiment(self, GenerativeImages(training: training, test: test, settings.pixels, on: device))
        } outcome: { run in
            let summary = Summary(
                data: configuration.data, images: training.count, dimensions: training.features, experiment: self, runs: run.results,
                seconds: run.seconds)
            let pictures = try configuration.norms.compactMap {
                try GenerativePictures(of: $0, seed: configuration.seeds[0], in: run.folder.path)
            }
            return (summary, GenerativeReport(summary, records: run.records, pictures: pictures))
        }
    }
}

/// What only a run of generative models has in its `config.json`.
package struct GenerativeDetails<Settings: GenerativeSettings>: RunDetails {
    package var data: String
    package var training: ImageSummary
    package var test: ImageSummary
    package var importanceDraws: Int?
    package var rows: Int
    package var columns: Int

    package var identity: [(what: String, value: String?)] {
        [("draws", "\(importanceDraws ?? 0)"), ("training images", "\(training)"), ("test images", "\(test)")]
    }

    package static func check(_ configuration: RunConfiguration<Settings, GenerativeDetails>) throws(RunFailure) {
        let (details, settings) = (configuration.details, configuration.settings)
        try configuration.checkCommon(norms: Settings.norms, training: details.training, test: details.test)
        if let draws = details.importanceDraws { try SettingsCheck.whole("importanceDraws", draws, in: SettingsLimits.draws) }
        try SettingsCheck.whole("rows", details.rows, in: SettingsLimits.side)
        try SettingsCheck.whole("columns", details.columns, in: SettingsLimits.side)
        try settings.checkNumbers()
        try settings.check(channels: settings.channels, rows: details.rows, columns: details.columns, images: details.training.count)
    }
}

extension RunConfiguration where Settings: GenerativeSettings, Details == GenerativeDetails<Settings> {
    package init(data: String, training: ImageSet, test: ImageSet, preset: String, experiment: GenerativeSetup<Settings>) {
        self.init(
            command: Settings.command, norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds,
            device: experiment.device, preset: preset, settings: experiment.settings,
            details: GenerativeDetails(
                data: data, training: ImageSummary(training), test: ImageSummary(test), importanceDraws: experiment.importanceDraws,
                rows: training.rows, columns: training.columns))
    }
}

/// What only a run of generative models has in its `summary.json`.
package struct GenerativeOutcome: Codable, Equatable, Sendable {
    package var data: String
    /// The number of training images; nil in a folder of 0.1.0.
    package var images: Int?
    /// Pixels times channels of an image, for converting nats to bits per dimension.
    package var dimensions: Int
}

extension RunSummary where Settings: GenerativeSettings, Result == GenerativeRun, Details == GenerativeOutcome {
    package init(
        data: String, images: Int? = nil, dimensions: Int, experiment: GenerativeSetup<Settings>, runs: [GenerativeRun],
        seconds: Double
    ) {
        self.init(
            device: experiment.device, settings: experiment.settings, runs: runs, seconds: seconds,
            details: GenerativeOutcome(data: data, images: images, dimensions: dimensions))
    }
}

/// A point of a run, as in `metrics.jsonl`; bounds in nats per image.
package struct GenerativeRecord: Codable, Equatable, Sendable {
    package var norm: String
    package var seed: UInt64
    package var step: Int
    /// Epochs done.
    package var epoch: Double
    /// The negated mean of the training objective since the previous record; with free bits it is below the bound.
    package var trainBound: Double
    /// The mean bound over the test images, with averaged parameters.
    package var testBound: Double

    package init(norm: String, seed: UInt64, step: Int, epoch: Double, trainBound: Double, testBound: Double) {
        (self.norm, self.seed, self.step, self.epoch) = (norm, seed, step, epoch)
        (self.trainBound, self.testBound) = (trainBound, testBound)
    }
}

/// A finished run, as in `summary.json`.
package struct GenerativeRun: Codable, Equatable, Sendable, SeededRun {
    package var norm: String
    package var seed: UInt64
    package var steps: Int
    package var parameters: Int
    package var trainBound: Double
    package var testBound: Double
    /// The importance-weighted estimate of log p(x), and its number of draws.
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
