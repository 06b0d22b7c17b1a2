import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
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

    @Option(
        help: ArgumentHelp(
            """
            paper: 96 and 192 maps, 200 epochs, the paper's learning rates. quick: 16 and 32 maps, 10 epochs, little dropout, for two CPU cores. \
            (default: quick)
            """, valueName: "name"),
        transform: { try choice($0, option: "preset", outOf: ClassificationSettings.Preset.allCases) })
    var preset: ClassificationSettings.Preset?

    @OptionGroup var classification: ClassificationOptions<TrainClassification>
    @OptionGroup var rate: LearningRateOption<TrainClassification>

    @Option(
        help: ArgumentHelp(
            "Folder of a weightnorm sweep run, from which to take each norm's best learning rate.", valueName: "folder"))
    var ratesFrom: String?

    @OptionGroup var thresholds: ThresholdOption<TrainClassification>
    @OptionGroup var snapshots: SnapshotOption

    @Flag(help: "Let CUDA round the factors of products and convolutions to TF32: faster, but with only 10 bits of fraction.")
    var tf32 = false

    @Flag(
        help: """
            Compute products and convolutions in bfloat16; parameters, sums and the loss stay in float32. On the CPU it takes a processor with instructions for it.
            """)
    var bfloat16 = false

    @OptionGroup(title: "Run options") var options: RunOptions<TrainClassification>

    func run() throws {
        let command = Comparison.trainingCommand
        let stored: Comparison.Configuration? = try options.stored(command: command)
        let normalizations = try options.norms(stored: stored?.normalizations)
        let seeds = options.seeds(stored: stored?.seeds)
        let thresholds = thresholds.thresholds(stored: stored?.thresholds)
        let name = preset?.rawValue ?? stored?.preset ?? ClassificationSettings.Preset.quick.rawValue
        var settings = stored?.settings ?? (preset ?? .quick).settings
        try classification.apply(options, learningRate: rate, to: &settings)
        if tf32 { settings.usesTF32 = true }
        if bfloat16 { settings.usesBfloat16 = true }
        if let ratesFrom { try takeRates(from: ratesFrom, for: normalizations, into: &settings) }
        let device = try options.device(continuing: stored)
        guard !settings.usesTF32 || !device.isCPU else { throw ValidationError("--tf32: expected it with --device cuda, found cpu") }
        if settings.usesTF32 { Runtime.allowsTF32 = true }
        // A run that another machine began may go on here, if slowly.
        guard !settings.usesBfloat16 || stored != nil || !device.isCPU || Runtime.processorHasBFloat16 else {
            throw ValidationError(
                "--bfloat16: expected --device cuda or a processor with instructions for bfloat16, found cpu with \(Runtime.processorCapability) alone"
            )
        }

        // Check the data before making the folder: a mistake must not cost the results of an earlier run.
        let images = try classification.images(stored: stored.map { ($0.data, $0.heldOut, $0.pictureSize) })
        if stored == nil { settings.setClasses(of: images.training) }
        var comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: thresholds, device: device)
        comparison.pace = .everyEpoch
        comparison.snapshots = snapshots.snapshots ?? stored?.snapshots ?? []
        try comparison.check(training: images.training, test: images.test)
        let configuration = Comparison.Configuration(
            command: command, data: images.name, training: images.training, test: images.test, heldOut: images.heldOut, preset: name,
            pictureSize: images.pictureSize, comparison: comparison)
        let plan = comparison.plan(configuration, training: images.training, test: images.test, notify: printToError)
        try options.perform(plan, continuing: stored)
    }

    private func takeRates(from folder: String, for norms: [Normalization], into settings: inout ClassificationSettings) throws {
        guard rate.learningRate == nil else { throw ValidationError("--rates-from: expected it without --learning-rate, found both") }
        guard !RunFolder.isSame(options.out, folder) else {
            throw ValidationError("--out: expected another folder than the sweep's, which would be replaced, found '\(options.out)'")
        }
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

extension TrainClassification: ClassificationDefaults, ThresholdDefaults {
    static let folder = "runs/classification"
    static let data = "cifar10"
    static let thresholds = [0.3, 0.25, 0.2]
}
