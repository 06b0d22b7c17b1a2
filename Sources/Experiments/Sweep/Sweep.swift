import AtomicFiles
package import Datasets
import Foundation
import Report
import Torch
package import Training
import WeightNorm

/// The same comparison at several learning rates: how sensitive each norm is to the rate.
package struct Sweep {
    /// The subcommand of `weightnorm` that starts a sweep.
    package static let command = "sweep"
    /// ``Summary/within`` unless something else is asked for.
    package static let standardWithin = 0.02

    fileprivate var comparison: Comparison
    /// From the smallest to the largest.
    package let rates: [Double]

    /// A sweep of a comparison, which must have been checked against its images, over the rates.
    package init(_ comparison: Comparison, rates: [Double]) {
        self.comparison = comparison
        self.comparison.goesOnAfterDivergence = true
        self.comparison.keepsNetworks = false
        // The curves do not matter here: the test error is measured once per epoch.
        self.comparison.pace = Comparison.Pace(evaluations: 1, readings: Comparison.Pace.fine.readings)
        self.rates = rates.sorted()
    }

    /// What a sweep started with, as in `config.json`.
    package typealias Configuration = RunConfiguration<ClassificationSettings, SweepDetails>

    /// The complete result, as in `summary.json`.
    package struct Summary: Codable, Equatable, Sendable {
        package var data: String
        package var images: Int
        package var rates: [Double]
        /// How far a rate's error may lie above the norm's best to count as good, as a fraction of the images.
        package var within: Double
        package var results: [NormResult]
        package var comparison: Comparison.Summary

        package init(
            sweep: Sweep, data: String, images: Int, heldOut: Int? = nil, within: Double, runs: [Comparison.Run], seconds: Double
        ) {
            self.data = data
            self.images = images
            rates = sweep.rates
            self.within = within
            results = sweep.comparison.normalizations.compactMap { norm in
                NormResult(norm.rawValue, rates: sweep.rates, runs: runs.filter { $0.norm == norm.rawValue }, within: within)
            }
            comparison = Comparison.Summary(
                command: Sweep.command, data: data, heldOut: heldOut, pace: sweep.comparison.pace, device: sweep.comparison.device,
                settings: sweep.comparison.settings, thresholds: [], runs: runs, seconds: seconds)
        }
    }

    /// One norm's results over the rates.
    package struct NormResult: Codable, Equatable, Sendable {
        package var norm: String
        /// The mean test error over the seeds for each rate, in order; nil if a seed diverged.
        package var errors: [Double?]
        /// The rate with the lowest mean test error, and that error; nil if every rate diverged.
        package var bestRate: Double?
        package var bestError: Double?
        /// The ends of the contiguous range of rates around the best one whose mean errors exceed the best by at most `within`.
        package var goodFrom: Double?
        package var goodTo: Double?

        /// The result of a norm's runs at the given rates.
        package init(_ norm: String, rates: [Double], runs: [Comparison.Run], within: Double) {
            self.norm = norm
            errors = rates.map { rate in
                let errors = runs.filter { $0.learningRate == rate }.map(\.testError)
                guard !errors.isEmpty, errors.allSatisfy(\.isFinite) else { return nil }
                return errors.reduce(0, +) / Double(errors.count)
            }
            let known = errors.enumerated().compactMap { index, error in error.map { (index, $0) } }
            guard let best = known.min(by: { $0.1 < $1.1 }) else { return }
            let errors = errors
            let isGood = { (index: Int) in errors[index].map { $0 <= best.1 + within } ?? false }
            var (first, last) = (best.0, best.0)
            while first > 0, isGood(first - 1) { first -= 1 }
            while last < rates.count - 1, isGood(last + 1) { last += 1 }
            (bestRate, bestError, goodFrom, goodTo) = (rates[best.0], best.1, rates[first], rates[last])
        }
    }

    /// The best learning rate of every norm that has one, from the folder of a finished sweep.
    ///
    /// - Throws: `FileError` if the folder has no summary of a sweep; ``RunFailure`` if another version reads it, or one of its rates is invalid.
    package static func bestRates(at path: String) throws -> [String: Double] {
        // Without it there is no summary either, which is reported below.
        if OwnFile.exists(AtomicFile.join(path, "config.json")) {
            _ = try RunHeader(at: path, of: [command])
        }
        let results = try RunFiles.read(Summary.self, named: "summary.json", at: path).results
        for rate in results.compactMap(\.bestRate) where !NumberRange.rate.contains(rate) {
            throw RunFailure("\(AtomicFile.join(path, "summary.json")): bestRate: expected \(NumberRange.rate.description), found \(rate)")
        }
        return Dictionary(
            results.compactMap { result in result.bestRate.map { (result.norm, $0) } }, uniquingKeysWith: { first, _ in first })
    }

    /// The experiment for all runs: one rate after the other, with all norms and seeds.
    package func experiment(on images: ClassificationImages) -> ComparisonExperiment {
        ComparisonExperiment(comparison, images, rates: rates)
    }

    /// The run on these images, which must have been checked; `notify` gets messages for the user.
    package func plan(
        _ configuration: Configuration, training: ImageSet, test: ImageSet, notify: @escaping (String) -> Void
    ) -> RunPlan<ComparisonExperiment, SweepDetails> {
        let (data, heldOut) = (configuration.data, configuration.heldOut)
        return RunPlan(
            configuration, introduction: comparison.introduction(training, test, of: data, heldOut: heldOut), notices: \.graphFallbacks
        ) { _ in
            experiment(on: comparison.images(training: training, test: test, notify: notify))
        } outcome: { run in
            let summary = Summary(
                sweep: self, data: data, images: training.count, heldOut: heldOut, within: configuration.within ?? Self.standardWithin,
                runs: run.results, seconds: run.seconds)
            return (summary, SweepReport(summary))
        }
    }
}

/// What only a sweep has in its `config.json`.
package struct SweepDetails: RunDetails {
    package var data: String
    package var training: ImageSummary
    /// The number of training images held out to measure the error, instead of the test images.
    package var heldOut: Int?
    /// The height and width to which pictures in folders were fitted; nil for other data sets.
    package var pictureSize: Int?
    package var rates: [Double]
    /// ``Sweep/Summary/within``; nil in a folder of an earlier version.
    package var within: Double?

    package var identity: [(what: String, value: String?)] {
        [
            ("rates", rates.map { "\($0)" }.joined(separator: ", ")), ("held-out images", "\(heldOut ?? 0)"),
            ("training images", "\(training)"),
        ]
    }

    package static func check(_ configuration: Sweep.Configuration) throws(RunFailure) {
        let details = configuration.details
        try configuration.checkCommon(norms: Normalization.allCases, training: details.training)
        if let heldOut = details.heldOut { try SettingsCheck.whole("heldOut", heldOut, in: SettingsLimits.heldOut) }
        if let size = details.pictureSize { try SettingsCheck.whole("pictureSize", size, in: SettingsLimits.pictureSize) }
        let rates = details.rates
        guard (1...SettingsLimits.mostRates).contains(rates.count) else {
            throw RunFailure("rates: expected from 1 to \(SettingsLimits.mostRates), found \(rates.count)")
        }
        for rate in rates { try SettingsCheck.number("rates", rate, in: .rate) }
        if let within = details.within { try SettingsCheck.number("within", within, in: .from(0, to: 1)) }
        try configuration.settings.check(norms: configuration.normalizations)
    }
}

extension RunConfiguration<ClassificationSettings, SweepDetails> {
    package init(
        data: String, training: ImageSet, heldOut: Int? = nil, pictureSize: Int? = nil, within: Double? = nil, sweep: Sweep
    ) {
        let comparison = sweep.comparison
        self.init(
            command: Sweep.command, norms: comparison.normalizations.map(\.rawValue), seeds: comparison.seeds, device: comparison.device,
            settings: comparison.settings,
            details: SweepDetails(
                data: data, training: ImageSummary(training), heldOut: heldOut, pictureSize: pictureSize, rates: sweep.rates, within: within
            ))
    }
}
