import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// `weightnorm compare`: the paper's Figure 1 in small.
struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train the same network with several norms side by side, and report.",
        discussion: """
            Trains a narrow version of the paper's convolutional network on real images: with plain weights, weight normalization, batch normalization, mean-only \
            batch normalization, and weight normalization with mean-only batch normalization. All start from the same draws and see the same minibatches in the same \
            order. Writes a folder with report.html (open it in a browser), summary.json, metrics.jsonl, layers.jsonl (how each layer's weights \
            change), a file for every trained network, checkpoint.safetensors and config.json. Examine the networks with weightnorm analyze. SIGINT (Ctrl-C) \
            and SIGTERM finish the current step and save.
            """)

    @OptionGroup var classification: ClassificationOptions<Compare>
    @OptionGroup var rate: LearningRateOption<Compare>
    @OptionGroup var thresholds: ThresholdOption<Compare>
    @OptionGroup var snapshots: SnapshotOption
    @OptionGroup(title: "Run options") var options: RunOptions<Compare>

    func run() throws {
        let stored: Comparison.Configuration? = try options.stored(command: Comparison.command)
        let normalizations = try options.norms(stored: stored?.normalizations)
        let seeds = options.seeds(stored: stored?.seeds)
        let thresholds = thresholds.thresholds(stored: stored?.thresholds)
        var settings = stored?.settings ?? .onePass
        if stored == nil, classification.data == "cifar10" { settings.whitens = true }
        try classification.apply(options, learningRate: rate, to: &settings)
        let device = try options.device(continuing: stored)

        // Check the data before making the folder: a mistake must not cost the results of an earlier comparison.
        let images = try classification.images(stored: stored.map { ($0.data, $0.heldOut, $0.pictureSize) })
        if stored == nil { settings.setClasses(of: images.training) }
        var comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: thresholds, device: device)
        comparison.snapshots = snapshots.snapshots ?? stored?.snapshots ?? []
        try comparison.check(training: images.training, test: images.test)
        let configuration = Comparison.Configuration(
            data: images.name, training: images.training, test: images.test, heldOut: images.heldOut, pictureSize: images.pictureSize,
            comparison: comparison)
        let plan = comparison.plan(configuration, training: images.training, test: images.test, notify: printToError)
        try options.perform(plan, continuing: stored)
    }
}

extension Compare: ClassificationDefaults, ThresholdDefaults {
    static let norms: [Normalization] = [.plain, .weight, .batch, .meanOnlyBatch, .weightAndMeanOnlyBatch]
    static let origin = RunOrigin.onePass
    static let folder = "runs/compare"
    static let data = "fashion-mnist"
    static let thresholds = [0.25, 0.2, 0.15]
}
