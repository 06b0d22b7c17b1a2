import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import WeightNorm

/// `weightnorm train`: the paper's experiments.
struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one of the paper's experiments.",
        subcommands: [TrainClassification.self, TrainVAE.self, TrainDRAW.self, TrainDQN.self])
}

/// `weightnorm train classification`: the paper's §5.1.
struct TrainClassification: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "classification",
        abstract: "Train the paper's CIFAR-10 network (§5.1, Figure 1 and Table 1).",
        discussion: """
            Trains with one norm, or with several side by side, on whitened images. Get these with 'weightnorm data fetch cifar10'. Writes a folder with report.html \
            (open it in a browser), which has the paper's figure and table next to the run's own; summary.json, metrics.jsonl, layers.jsonl, the trained networks, \
            pictures of their first layer's filters, config.json, and checkpoint.safetensors, from which --resume continues bit for bit (on the CPU, with the same \
            number of threads). SIGINT (Ctrl-C) and SIGTERM finish the current step and save.
            """)

    // All optional: what is not given is the preset's, or that of the run which is gone on with.

    @Option(help: ArgumentHelp("\(dataHelp) (default: cifar10)", valueName: "name-or-folder"))
    var data: String?

    @Option(help: ArgumentHelp("The norm, or several separated by commas: \(allNorms). (default: weight)", valueName: "list"))
    var norm: String?

    @Option(
        help: ArgumentHelp(
            """
            paper: 96 and 192 maps, 200 epochs, the paper's learning rates. quick: 16 and 32 maps, 10 epochs, little dropout, for two CPU cores. \
            (default: quick)
            """, valueName: "name"))
    var preset: String?

    @Option(
        help: ArgumentHelp(
            "Seeds, separated by commas; the training is repeated with each. (default: 0)", valueName: "list"))
    var seeds: String?

    @Option(help: ArgumentHelp("Epochs, instead of the preset's.", valueName: "number"))
    var epochs: Int?

    @Option(help: ArgumentHelp("Width of the network, as a fraction of the paper's 96 and 192 maps.", valueName: "factor"))
    var width: Double?

    @Option(help: ArgumentHelp("Dropout probability after each pooling layer.", valueName: "probability"))
    var dropout: Double?

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch: Int?

    @Option(
        help: ArgumentHelp("Learning rate in the first half of the run, for every norm; it falls to 0 in the second.", valueName: "number"))
    var learningRate: Double?

    @Option(
        help: ArgumentHelp(
            "Folder of a weightnorm sweep run, from which to take each norm's best learning rate.", valueName: "folder"))
    var ratesFrom: String?

    @Option(
        help: ArgumentHelp(
            "Training images to hold out and measure the error on, instead of the test images; the paper tuned on 10000.",
            valueName: "number"))
    var heldOut: Int?

    @Flag(inversion: .prefixedNo, help: "Whiten the images (ZCA, fitted to those trained on), as both presets do.")
    var whiten: Bool?

    @Option(
        help: ArgumentHelp("Test errors, separated by commas; the report says when the error first fell below each.", valueName: "list"))
    var under: String?

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX. (default: cpu)", valueName: "name"))
    var device: String?

    @Flag(help: "Let CUDA round the factors of products and convolutions to TF32: faster, but with only 10 bits of fraction.")
    var tf32 = false

    @Flag(help: "Compute products and convolutions in bfloat16; parameters, sums and the loss stay in float32.")
    var bfloat16 = false

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Seconds of work between checkpoints; 0 saves one after every step.", valueName: "seconds"))
    var checkpointEvery = 60.0

    @Flag(
        help: """
            Resume the run in the folder from its last checkpoint, or start it if there is none. Options may be left out; those given must match the run's, \
            except --data (the same images elsewhere), --device (of the same kind) and --threads.
            """)
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Folder for the results: new, empty, or an earlier run's, which is replaced unless it is resumed.", valueName: "folder"))
    var out = "runs/classification"

    func run() throws {
        let command = "train classification"
        try require(checkpointEvery, option: "checkpoint-every", expected: "seconds from 0 up") { $0 >= 0 }
        let stored: Comparison.Configuration? = try resume ? storedConfiguration(in: out, command: command) : nil
        let normalizations = try norm.map { try Command.norms($0, option: "norm") } ?? stored?.normalizations ?? [.weight]
        let seeds = try seeds.map(Command.seeds) ?? stored?.seeds ?? [0]
        let thresholds = try under.map(Command.thresholds) ?? stored?.thresholds ?? [0.3, 0.25, 0.2]
        let name = preset ?? stored?.preset ?? ClassificationSettings.Preset.quick.rawValue
        guard let preset = ClassificationSettings.Preset(rawValue: name) else {
            let names = ClassificationSettings.Preset.allCases.map(\.rawValue).joined(separator: " or ")
            throw ValidationError("--preset: expected \(names), found '\(name)'")
        }
        if let before = stored?.preset, before != name {
            throw ValidationError("--resume: expected the run's preset, \(before), found \(name)")
        }
        var settings = stored?.settings ?? preset.settings
        try SettingsOptions(
            epochs: epochs, batch: batch, width: width, dropout: dropout, learningRate: learningRate, whitens: whiten
        ).apply(to: &settings)
        if tf32 { settings.usesTF32 = true }
        if bfloat16 { settings.usesBfloat16 = true }
        if let ratesFrom { try takeRates(from: ratesFrom, for: normalizations, into: &settings) }
        try prepareProcessor(threads: threads ?? stored?.threads)
        let device = try Device(named: device ?? stored?.device ?? "cpu")
        guard !settings.usesTF32 || !device.isCPU else { throw ValidationError("--tf32: expected it with --device cuda, found cpu") }
        if settings.usesTF32 { Runtime.allowsTF32 = true }

        // The data and its fit before the folder: a mistake in them must not cost the results of an earlier run.
        let data = data ?? stored?.data ?? "cifar10"
        let heldOut = heldOut ?? stored?.heldOut
        let (training, test) = try classificationImages(data, heldOut: heldOut)
        var comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: thresholds, device: device)
        comparison.pace = .everyPass
        try comparison.check(training: training, test: test)
        let configuration = Comparison.Configuration(
            command: command, data: data, training: training, test: test, heldOut: heldOut, preset: name, comparison: comparison)
        if let stored { try ClassificationRun.check(configuration, continues: stored, data: data) }
        try ClassificationRun(
            configuration: configuration, comparison: comparison, training: training, test: test, out: out, resumes: stored != nil,
            interval: checkpointEvery, label: "train"
        ).run()
    }

    private func takeRates(from folder: String, for norms: [Normalization], into settings: inout ClassificationSettings) throws {
        guard learningRate == nil else { throw ValidationError("--rates-from: expected it without --learning-rate, found both") }
        let rates = try Sweep.bestRates(at: folder)
        for norm in norms {
            guard let rate = rates[norm.rawValue] else {
                let found = rates.keys.sorted().joined(separator: ", ")
                throw ValidationError(
                    "--rates-from: expected a best learning rate of '\(norm.rawValue)' in \(folder), found those of \(found)")
            }
            settings.learningRates[norm.rawValue] = rate
        }
    }
}
