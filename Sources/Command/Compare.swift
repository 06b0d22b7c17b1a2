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
            change), a file for every finished network, and config.json. weightnorm analyze looks into the networks.
            """)

    @Option(help: ArgumentHelp(dataHelp, valueName: "name-or-folder"))
    var data = "fashion-mnist"

    @Option(
        help: ArgumentHelp(
            "Norms to compare, separated by commas, out of: \(allNorms).",
            valueName: "list"))
    var norms = "normal,weight,batch,mean-only-batch,weight+mean-only-batch"

    @Option(help: ArgumentHelp("Passes over the training images.", valueName: "number"))
    var epochs = ClassificationSettings.quick.epochs

    @Option(help: ArgumentHelp("Seeds, separated by commas; the whole comparison is made with each.", valueName: "list"))
    var seeds = "0"

    @Option(help: ArgumentHelp("Width of the network as a part of the paper's 96 and 192 maps.", valueName: "factor"))
    var width = 0.1667

    @Option(help: ArgumentHelp("Probability of dropout after each pooling; the paper's wide network has 0.5.", valueName: "probability"))
    var dropout = ClassificationSettings.quick.dropout

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch = ClassificationSettings.quick.batch

    @Option(
        help: ArgumentHelp(
            "Learning rate of the first half of the run; it falls to 0 in the second. Without it, 0.003 for every norm.",
            valueName: "number"))
    var learningRate: Double?

    @Option(help: ArgumentHelp("Test errors for which to tell when they were first undercut, separated by commas.", valueName: "list"))
    var under = "0.25,0.2,0.15"

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX.", valueName: "name"))
    var device = "cpu"

    @Option(help: ArgumentHelp("Threads on the CPU; without it one for each core.", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Folder for the results: new, empty, or of an earlier comparison, which is replaced.", valueName: "folder"))
    var out = "runs/compare"

    func run() throws {
        let normalizations = try Command.norms(norms)
        let seeds = try Command.seeds(seeds)
        let thresholds = try list(under, option: "under", expected: "numbers above 0 and below 1") {
            Double($0).flatMap { $0 > 0 && $0 < 1 ? $0 : nil }
        }
        var settings = try quickSettings(epochs: epochs, batch: batch, width: width, dropout: dropout)
        if let learningRate {
            try require(learningRate, option: "learning-rate", expected: "a number above 0 and at most 1000") { $0 > 0 && $0 <= 1000 }
        }
        if let threads { try Runtime.setThreadCount(threads) }
        let device = try Device(named: device)

        if let learningRate { settings.setLearningRate(learningRate) }

        // The data and its fit before the folder: a mistake in them must not cost the results of an earlier comparison.
        let training = try DataFolder.images(data, .training)
        let test = try DataFolder.images(data, .test)
        try requireEqualSizes(training, test, of: data)
        let comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: thresholds, device: device)
        try comparison.check(training: training)
        let folder = try RunFolder.start(
            at: out,
            config: Comparison.Configuration(data: data, training: training, comparison: comparison))

        let names = normalizations.map(\.rawValue).joined(separator: ", ")
        print("\(training.count) training and \(test.count) test images of \(data), \(training.size)")
        print("Norms, in the order of the losses below: \(names)")
        var display: ProgressDisplay?
        let start = ContinuousClock.now
        let (runs, records) = try comparison.run(training: training, test: test, into: folder) { done, total, note in
            let shown = display ?? ProgressDisplay(label: "compare", total: total)
            display = shown
            shown.update(done: done, note: note)
        }
        display?.finish()
        let seconds = Double((ContinuousClock.now - start).components.seconds)
        let summary = Comparison.Summary(
            data: data, device: device, settings: settings, thresholds: thresholds, runs: runs, seconds: seconds)
        let report = ComparisonReport(summary, records: records, layers: try RunFolder.records(in: "layers.jsonl", at: out))
        try folder.write(json: summary, named: "summary.json")
        try folder.write(Array(report.page.html().utf8), named: "report.html")
        print(report.text)
        print("The report is \(out)/report.html")
    }
}
