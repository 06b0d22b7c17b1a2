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

    @Option(help: ArgumentHelp(dataHelp, valueName: "name-or-folder"))
    var data = "fashion-mnist"

    @Option(
        help: ArgumentHelp(
            "Norms to compare, separated by commas: \(allNorms).",
            valueName: "list"))
    var norms = "normal,weight,batch,mean-only-batch,weight+mean-only-batch"

    @Option(help: ArgumentHelp("Epochs, each over all training images.", valueName: "number"))
    var epochs = ClassificationSettings.onePass.epochs

    @Option(help: ArgumentHelp("Seeds, separated by commas; the whole comparison is repeated with each.", valueName: "list"))
    var seeds = "0"

    @Option(help: ArgumentHelp("Width of the network, as a fraction of the paper's 96 and 192 maps.", valueName: "factor"))
    var width = 0.1667

    @Option(
        help: ArgumentHelp("Dropout probability after each pooling layer; the paper's wide network uses 0.5.", valueName: "probability"))
    var dropout = ClassificationSettings.onePass.dropout

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch = ClassificationSettings.onePass.batch

    @Option(
        help: ArgumentHelp(
            "Learning rate in the first half of the run; it falls to 0 in the second. (default: 0.003 for every norm)",
            valueName: "number"))
    var learningRate: Double?

    @Option(
        help: ArgumentHelp("Test errors, separated by commas; the report says when the error first fell below each.", valueName: "list"))
    var under = "0.25,0.2,0.15"

    @Flag(
        inversion: .prefixedNo, help: "Whiten the images (ZCA, fitted to the training images). (default: only with --data cifar10)")
    var whiten: Bool?

    @Option(help: ArgumentHelp("Seconds of work between checkpoints; 0 saves one after every step.", valueName: "seconds"))
    var checkpointEvery = 60.0

    @Flag(
        help: "Resume the comparison in the folder, given the same options, from its last checkpoint; start it if there is none.")
    var resume = false

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX.", valueName: "name"))
    var device = "cpu"

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Folder for the results: new, empty, or an earlier comparison's, which is replaced unless it is resumed.", valueName: "folder"))
    var out = "runs/compare"

    func run() throws {
        let normalizations = try Command.norms(norms)
        let seeds = try Command.seeds(seeds)
        let thresholds = try Command.thresholds(under)
        var settings = ClassificationSettings.onePass
        try SettingsOptions(
            epochs: epochs, batch: batch, width: width, dropout: dropout, learningRate: learningRate, whitens: whiten ?? (data == "cifar10")
        ).apply(to: &settings)
        try require(checkpointEvery, option: "checkpoint-every", expected: "seconds from 0 up") { $0 >= 0 }
        let stored: Comparison.Configuration? = try resume ? storedConfiguration(in: out, command: "compare") : nil
        try prepareProcessor(threads: threads ?? stored?.threads)
        let device = try Device(named: device)

        // The data and its fit before the folder: a mistake in them must not cost the results of an earlier comparison.
        let (training, test) = try classificationImages(data, heldOut: nil)
        let comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: thresholds, device: device)
        try comparison.check(training: training, test: test)
        let configuration = Comparison.Configuration(data: data, training: training, test: test, comparison: comparison)
        if let stored { try ClassificationRun.check(configuration, continues: stored, data: data) }
        try ClassificationRun(
            configuration: configuration, comparison: comparison, training: training, test: test, out: out, resumes: stored != nil,
            interval: checkpointEvery, label: "compare"
        ).run()
    }
}
