import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// `weightnorm sweep`: how robust each norm is to the learning rate.
struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Train with several norms at several learning rates, and show how much the rate matters.",
        discussion: """
            Trains the network of weightnorm compare with each norm at each learning rate, from the same draws and on the same minibatches, and plots the \
            final test error against the learning rate. A run whose loss is no longer finite stops and is shown as diverged. Writes a folder with report.html \
            (open it in a browser), summary.json, metrics.jsonl and config.json.
            """)

    @Option(help: ArgumentHelp(dataHelp, valueName: "name-or-folder"))
    var data = "fashion-mnist"

    @Option(
        help: ArgumentHelp(
            "Norms, separated by commas: \(allNorms).", valueName: "list"))
    var norms = "normal,weight,batch,weight+mean-only-batch"

    @Option(
        help: ArgumentHelp(
            "Learning rates in the first half of a run, separated by commas; they fall to 0 in the second.", valueName: "list"))
    var rates = "0.0003,0.001,0.003,0.01,0.03,0.1"

    @Option(help: ArgumentHelp("Seeds, separated by commas; every run is repeated with each.", valueName: "list"))
    var seeds = "0"

    @Option(help: ArgumentHelp("Training images to use, drawn once; all of them if there are fewer.", valueName: "number"))
    var images = 20_000

    @Option(help: ArgumentHelp("Epochs, each over those images.", valueName: "number"))
    var epochs = 1

    @Option(help: ArgumentHelp("Width of the network, as a fraction of the paper's 96 and 192 maps.", valueName: "factor"))
    var width = 0.1667

    @Option(
        help: ArgumentHelp("Dropout probability after each pooling layer; the paper's wide network uses 0.5.", valueName: "probability"))
    var dropout = ClassificationSettings.onePass.dropout

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch = ClassificationSettings.onePass.batch

    @Option(
        help: ArgumentHelp(
            "How far above a norm's best test error a rate still counts as good, as a fraction: 0.02 is 2 points.", valueName: "number"))
    var within = 0.02

    @Option(
        help: ArgumentHelp(
            "Training images to hold out and measure the error on, instead of the test images: for tuning.", valueName: "number"))
    var heldOut: Int?

    @Flag(inversion: .prefixedNo, help: "Whiten the images (ZCA, fitted to those trained on). (default: only with --data cifar10)")
    var whiten: Bool?

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX.", valueName: "name"))
    var device = "cpu"

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Folder for the results: new, empty, or an earlier run's, which is replaced.", valueName: "folder"))
    var out = "runs/sweep"

    func run() throws {
        let normalizations = try Command.norms(norms)
        let rates = try list(rates, option: "rates", expected: "numbers above 0 and at most 1000") {
            Double($0).flatMap { NumberRange.rate.contains($0) ? $0 : nil }
        }
        guard rates.count <= 1000 else { throw ValidationError("--rates: expected at most 1000, found \(rates.count)") }
        let seeds = try Command.seeds(seeds)
        try require(images, in: 2...1_000_000_000, option: "images")
        var settings = ClassificationSettings.onePass
        try SettingsOptions(epochs: epochs, batch: batch, width: width, dropout: dropout, whitens: whiten ?? (data == "cifar10"))
            .apply(to: &settings)
        try require(within, in: .from(0, to: 1), option: "within")
        try prepareProcessor(threads: threads)
        let device = try Device(named: device)

        let (all, test) = try classificationImages(data, heldOut: heldOut)
        let training = all.sample(images, seed: 0)
        let comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: [], device: device)
        try comparison.check(training: training, test: test)
        let sweep = Sweep(comparison, rates: rates)
        let folder = try RunFiles.start(
            at: out, config: Sweep.Configuration(data: data, training: training, heldOut: heldOut, sweep: sweep))

        print("\(training.count) training and \(test.count) \(heldOut == nil ? "test" : "held-out") images of \(data), \(training.size)")
        print("Norms, in the order of the losses below: \(normalizations.map(\.rawValue).joined(separator: ", "))")
        var display: ProgressDisplay?
        let resident = comparison.images(training: training, test: test, say: sayAside)
        let start = ContinuousClock.now
        let runs = try sweep.run(on: resident, into: folder) { done, total, note in
            let shown = display ?? ProgressDisplay(label: "sweep", total: total)
            display = shown
            shown.update(done: done, note: note)
        }
        display?.finish()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let summary = Sweep.Summary(
            sweep: sweep, data: data, images: training.count, heldOut: heldOut, within: within, runs: runs, seconds: seconds)
        let report = SweepReport(summary)
        try folder.write(json: summary, named: "summary.json")
        try folder.write(Array(report.page.html().utf8), named: "report.html")
        print(report.text)
        print("The report is \(out)/report.html")
    }
}
