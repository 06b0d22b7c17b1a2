import Datasets
import Foundation
import Report
import Torch
import Training
import WeightNorm

/// A classification with one norm, or with several that take turns.
struct ClassificationWorkload: StudyWorkload {
    var settings: ClassificationSettings
    var norms: [Normalization]
    var seed: UInt64
    var data: String
    /// The number of training images; nil for all.
    var images: Int?
    var heldOut: Int?
    /// The epochs after which the network is kept; 0 is the start.
    var snapshots: [Int] = []
    var pace = Comparison.Pace.everyEpoch
    let source: StudyData
    /// What is kept besides the common measures.
    var more: (Run<ComparisonExperiment>) throws -> StudyMeasurements = { _ in StudyMeasurements() }

    /// Without images no cell is made: how much there is to do is known once they are.
    var total: Int { (try? steps()) ?? 0 }

    private func steps() throws -> Int {
        try source.parts(of: data, images: images, heldOut: heldOut).training.count / settings.batch * settings.epochs
    }

    func run(_ course: StudyCourse) throws -> StudyMeasurements? {
        let (training, test) = try source.parts(of: data, images: images, heldOut: heldOut)
        var comparison = Comparison(settings, normalizations: norms, seeds: [seed], thresholds: [], device: .cpu)
        comparison.pace = pace
        comparison.goesOnAfterDivergence = true
        comparison.snapshots = snapshots
        try comparison.check(training: training, test: test)
        let configuration = Comparison.Configuration(
            command: Comparison.trainingCommand, data: data, training: training, test: test, heldOut: heldOut, comparison: comparison)
        let key = "\(data) \(training.count) \(heldOut ?? 0) \(settings.whitens)"
        let plan = comparison.plan(configuration, training: training, test: test) {
            source.inputs(key) { comparison.images(training: training, test: test, notify: { _ in }) }
        }
        return try course.perform(plan) { run in
            var found = StudyMeasurements(
                try measures(of: run), curves: curves(of: run), divergedAt: run.results.first?.divergedAtStep)
            // A run that diverged has left nothing to look into.
            guard found.divergedAt == nil else { return found }
            let more = try more(run)
            found.values.merge(more.values) { $1 }
            found.curves.merge(more.curves) { $1 }
            return found
        }
    }

    private func curves(of run: Run<ComparisonExperiment>) -> [String: [[Double]]] {
        func curve(_ value: (Comparison.Record) -> Double?) -> [[Double]] {
            run.records.filter { $0.norm == norms[0].rawValue }.compactMap { record in value(record).map { [record.epoch, $0] } }
        }
        return ["testError": curve(\.testError), "trainError": curve(\.trainError)].filter { !$0.value.isEmpty }
    }

    private func measures(of run: Run<ComparisonExperiment>) throws -> [String: Double] {
        guard let result = run.results.first else { return [:] }
        let training = run.records.filter { $0.norm == norms[0].rawValue }.compactMap(\.trainError)
        return [
            "testError": result.testError, "trainError": result.trainError, "trainLoss": result.trainLoss,
            "meanTrainError": Statistics.mean(training),
        ]
    }
}

extension ClassificationWorkload {
    /// What the weights of a run's first norm did: how ‖v‖ grew, and the effective rate where the rate begins to fall.
    static func weightMeasures(of run: Run<ComparisonExperiment>) throws -> StudyMeasurements {
        let readings: [Comparison.LayerRecord] = try RunFiles.records(in: ComparisonExperiment.layersName, at: run.folder.path)
        let half = Double(run.experiment.settings.epochs) / 2
        let byLayer = Dictionary(grouping: readings, by: \.reading.path).values
        func mean(_ value: ([Comparison.LayerRecord]) -> Double?) -> Double {
            Statistics.mean(byLayer.compactMap(value))
        }
        let growth = mean { layer in
            guard let first = layer.first, let last = layer.last else { return nil }
            return log(last.reading.directionNorm.mean / first.reading.directionNorm.mean)
        }
        // A step in v moves w by g/‖v‖; with gradient descent the step itself is g/‖v‖ times that in w.
        let optimizer = run.experiment.settings.optimizer ?? .adam
        let rate = mean { layer in
            layer.last { $0.epoch <= half }.map { place in
                let step = place.reading.effectiveStep.mean
                return log(optimizer == .adam ? step : step * place.reading.gain.mean / place.reading.directionNorm.mean)
            }
        }
        return StudyMeasurements(["growth": exp(growth), "effectiveRate": exp(rate)])
    }

    /// The cost of a step of each norm, relative to plain weights at the same step.
    static func costs(of run: Run<ComparisonExperiment>) -> StudyMeasurements {
        let costs = run.results.compactMap { result in result.costRelativeToNormal.map { ("cost.\(result.norm)", $0) } }
        return StudyMeasurements(Dictionary(costs, uniquingKeysWith: { first, _ in first }))
    }
}

/// A generative model with one norm.
struct GenerativeWorkload<Settings: GenerativeSettings>: StudyWorkload {
    var settings: Settings
    var norm: Normalization
    var seed: UInt64
    var data: String
    /// The number of training images; nil for all.
    var images: Int?
    var heldOut: Int?
    /// The number of test or held-out images; nil for all.
    var testImages: Int?
    let source: StudyData

    var total: Int { (try? parts().training.count / settings.batch * settings.epochs) ?? 0 }

    private func parts() throws -> (training: ImageSet, test: ImageSet) {
        let parts = try source.parts(of: data, images: images, heldOut: heldOut)
        return (parts.training, testImages.map { parts.test.sample($0, seed: 0) } ?? parts.test)
    }

    func run(_ course: StudyCourse) throws -> StudyMeasurements? {
        let (training, test) = try parts()
        let setup = GenerativeSetup(settings, normalizations: [norm], seeds: [seed], device: .cpu)
        try setup.check(training: training)
        let configuration = GenerativeSetup<Settings>.Configuration(
            data: data, training: training, test: test, preset: "study", experiment: setup)
        let bits = -1 / (Double(training.features) * log(2.0))
        return try course.perform(setup.plan(configuration, training: training, test: test)) { run in
            var values: [String: Double] = [:]
            if let last = run.records.last, run.isFinished {
                values = ["bound": last.testBound, "bits": last.testBound * bits, "trainBound": last.trainBound]
                values["meanBound"] = Statistics.mean(run.records.map(\.testBound))
            }
            return StudyMeasurements(
                values,
                curves: [
                    "bound": run.records.map { [$0.epoch, $0.testBound] }, "bits": run.records.map { [$0.epoch, $0.testBound * bits] },
                ])
        }
    }
}
