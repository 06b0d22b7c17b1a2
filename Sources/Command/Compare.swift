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
        abstract: "Train the same network with several norms, side by side, and report.",
        discussion: """
            Trains the paper's convolutional network, narrowed, on real images: with plain weights, weight normalization, batch normalization, mean-only \
            batch normalization, and weight with mean-only batch normalization. All start from the same draws and see the same minibatches in the same \
            order. The results go to a folder: report.html to look at, summary.json, metrics.jsonl, layers.jsonl (how the weights of each layer \
            change), a file for every finished network, checkpoint.safetensors, and config.json. weightnorm analyze looks into the networks. SIGINT (Ctrl-C) \
            and SIGTERM finish the step and save.
            """)

    @Option(help: ArgumentHelp(dataHelp, valueName: "name-or-folder"))
    var data = "fashion-mnist"

    @Option(
        help: ArgumentHelp(
            "Norms to compare, separated by commas, out of: \(allNorms).",
            valueName: "list"))
    var norms = "normal,weight,batch,mean-only-batch,weight+mean-only-batch"

    @Option(help: ArgumentHelp("Passes over the training images.", valueName: "number"))
    var epochs = ClassificationSettings.onePass.epochs

    @Option(help: ArgumentHelp("Seeds, separated by commas; the whole comparison is made with each.", valueName: "list"))
    var seeds = "0"

    @Option(help: ArgumentHelp("Width of the network as a part of the paper's 96 and 192 maps.", valueName: "factor"))
    var width = 0.1667

    @Option(help: ArgumentHelp("Probability of dropout after each pooling; the paper's wide network has 0.5.", valueName: "probability"))
    var dropout = ClassificationSettings.onePass.dropout

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch = ClassificationSettings.onePass.batch

    @Option(
        help: ArgumentHelp(
            "Learning rate of the first half of the run; it falls to 0 in the second. Without it, 0.003 for every norm.",
            valueName: "number"))
    var learningRate: Double?

    @Option(help: ArgumentHelp("Test errors for which to tell when they were first undercut, separated by commas.", valueName: "list"))
    var under = "0.25,0.2,0.15"

    @Flag(
        inversion: .prefixedNo, help: "Whiten the images (ZCA, fitted to the training images). Without either, for cifar10 by name alone.")
    var whiten: Bool?

    @Option(help: ArgumentHelp("Seconds of work between two checkpoints; 0 for one after every step.", valueName: "seconds"))
    var checkpointEvery = 60.0

    @Flag(
        help: "Go on with the comparison in the folder from its last checkpoint, given the same options; begin it if there is none yet.")
    var resume = false

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX.", valueName: "name"))
    var device = "cpu"

    @Option(help: ArgumentHelp("Threads on the CPU; without it one for each core.", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Folder for the results: new, empty, or of an earlier comparison, which is replaced.", valueName: "folder"))
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
