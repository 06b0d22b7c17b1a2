import Datasets
import Foundation
import Report
import Torch
import Training
import WeightNorm

extension Study {
    /// The covariance of the gradients (§2.1).
    static func covariance(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight"]
        let measures = ["cosine", "drawnCosine", "improvement", "drawnImprovement"]
        func cosine(_ norm: String, _ words: String) -> StudyPlan.Question {
            StudyPlan.Question(
                "In a network with \(words), w lies closer to the leading eigenvector of C than a drawn direction does.", part: "narrow",
                StudyPlan.Side(norm, "cosine"), against: StudyPlan.Side(norm, "drawnCosine"), .above(by: 0.1), unit: "of |cos|", decimals: 3
            )
        }
        func condition(_ norm: String, _ words: String) -> StudyPlan.Question {
            StudyPlan.Question(
                "In a network with \(words), projecting out w improves the condition number of C more than projecting out a drawn direction.",
                part: "narrow", StudyPlan.Side(norm, "improvement"), against: StudyPlan.Side(norm, "drawnImprovement"), isRatio: true,
                .above(by: 1.1), unit: "times", decimals: 3)
        }
        let plan = StudyPlan(
            name: "covariance", title: "The covariance of the gradients",
            claim: """
                w lies close to a leading eigenvector of the covariance C of its gradient, so that the covariance D of the gradient in v, from which the \
                direction of w is projected out, is better conditioned.
                """,
            source: "§2.1, below eq. 4",
            method: [
                "The network of the study cifar (24 and 48 maps), trained on CIFAR-10 for five epochs at the rate 0.003 with weight normalization and 0.001 with plain weights, three seeds; kept at the start and after 1, 2, 3 and 5 epochs.",
                "At each of these moments, the gradients of 1000 single training images give C for up to 16 units of every layer, in float64. For each unit: |cos| of the angle between w and C's leading eigenvector, and how many times smaller the condition number λ₁/λ_d becomes by projecting out w; both also for directions drawn at random (of |cos|, their mean).",
                "A network's value is the median over its layers of the medians over their units; a run's is the mean over the moments after the start.",
                "And once the network at the paper's full width, after 200 steps, with 2000 images and 4 units a layer.",
            ],
            measures: [
                StudyPlan.Measure("cosine", "|cos| of w", decimals: 3),
                StudyPlan.Measure("drawnCosine", "|cos| of a drawn direction", decimals: 3),
                StudyPlan.Measure("improvement", "Condition number improved by w, times", decimals: 3),
                StudyPlan.Measure("drawnImprovement", "… by a drawn direction, times", decimals: 3),
            ],
            parts: [
                StudyPlan.Part("narrow", "24 and 48 maps", arms: norms, seeds: isTiny ? 2 : 3, firstSeed: 100, measures: measures),
                StudyPlan.Part("wide", "The paper's width, early", arms: ["weight"], seeds: 1, firstSeed: 200, measures: measures),
            ],
            questions: [
                cosine("weight", "weight normalization"), condition("weight", "weight normalization"), cosine("normal", "plain weights"),
                condition("normal", "plain weights"),
            ],
            figures: [
                StudyPlan.Figure(
                    .curves, "|cos| of w and C's leading eigenvector", summary: "In the course of training; 0 is the start.",
                    part: "narrow",
                    y: "cosine", xTitle: "Epoch", yTitle: "|cos|"),
                StudyPlan.Figure(
                    .curves, "How much projecting out w improves the condition number",
                    summary: "In the course of training; 1 is not at all.",
                    part: "narrow", y: "improvement", xTitle: "Epoch", yTitle: "Times"),
            ],
            limits: [
                "C is that of single images' gradients; that of minibatches is the same up to a factor, but for noise and dropout, which are off here.",
                "Five epochs of a narrow network, and one moment of one wide one.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 0.7) { cell, data in
            let isWide = cell.part == "wide"
            var settings = ClassificationSettings.quick
            settings.setWidth(isWide ? 1 : 0.25)
            settings.epochs = isWide ? 1 : 5
            settings.setLearningRate(cell.arm == "weight" ? 0.003 : 0.001)
            if isTiny { settings.makeTiny() }
            let moments = isWide ? [1] : isTiny ? [0, 1, 2] : [0, 1, 2, 3, 5]
            var workload = ClassificationWorkload(
                settings: settings, norms: [try cell.normalization()], seed: cell.seed, data: isTiny ? StudyData.drawn : "cifar10",
                images: isWide && !isTiny ? 20_000 : nil, snapshots: moments, source: data)
            let options = NetworkAnalysis.Options(
                examples: isTiny ? 50 : isWide ? 2000 : 1000, units: isTiny ? 2 : isWide ? 4 : 16, layers: nil, seed: cell.seed)
            let (source, images, name) = (data, workload.images, workload.data)
            workload.more = { run in
                try Self.analyse(run, moments: moments, options, images: source.parts(of: name, images: images, heldOut: nil).training)
            }
            return workload
        }
    }

    /// The measures of a run's networks at the given moments, as curves, and their means over the moments after the start.
    private static func analyse(
        _ run: Run<ComparisonExperiment>, moments: [Int], _ options: NetworkAnalysis.Options, images: ImageSet
    ) throws -> StudyMeasurements {
        guard let norm = run.experiment.comparison.normalizations.first, let seed = run.experiment.seeds.first else {
            return StudyMeasurements()
        }
        var analysis = try RunAnalysis(at: run.folder.path)
        let whitening = analysis.whitening(of: images, notify: { _ in })
        let names = ["cosine", "drawnCosine", "improvement", "drawnImprovement"]
        var curves: [String: [[Double]]] = [:]
        for moment in moments {
            analysis.epoch = moment
            let found = try analysis.analyse(norm, seed: seed, options, training: images, whitening: whitening) { _, _ in }
            func middle(_ value: (NetworkAnalysis.Layer) -> Double?) -> Double { Statistics.median(found.layers.compactMap(value)) }
            let values = [
                middle { $0.cosines.first?.median }, middle { $0.drawnCosine }, middle { $0.improvement?.median },
                middle { $0.improvementOfDrawn?.median },
            ]
            for (name, value) in zip(names, values) { curves[name, default: []].append([Double(moment), value]) }
        }
        let means = curves.mapValues { curve in Statistics.mean(curve.filter { $0[0] > 0 }.map { $0[1] }) }
        return StudyMeasurements(means, curves: curves)
    }
}
