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
        commandName: Sweep.command,
        abstract: "Train with several norms at several learning rates, and show how much the rate matters.",
        discussion: """
            Trains the network of weightnorm compare with each norm at each learning rate, from the same draws and on the same minibatches, and plots the \
            final test error against the learning rate. A run whose loss is no longer finite stops and is shown as diverged. Writes a folder with report.html \
            (open it in a browser), summary.json, metrics.jsonl and config.json.
            """)

    @OptionGroup var classification: ClassificationOptions<SweepCommand>

    @Option(
        help: ArgumentHelp(
            "Learning rates in the first half of a run, separated by commas; they fall to 0 in the second. (default: \(defaultRates.map { "\($0)" }.joined(separator: ",")))",
            valueName: "list"), transform: rateList)
    var rates: [Double]?

    @Option(help: ArgumentHelp("Training images to use, drawn once; all of them if there are fewer. (default: 20000)", valueName: "number"))
    var images: Int?

    @Option(
        help: ArgumentHelp(
            "How far above a norm's best test error a rate still counts as good, as a fraction: 0.02 is 2 points. (default: \(Sweep.standardWithin))",
            valueName: "number"))
    var within: Double?

    @OptionGroup(title: "Run options") var options: RunOptions<SweepCommand>

    private static let defaultRates = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]

    func run() throws {
        let stored: Sweep.Configuration? = try options.stored(command: Sweep.command)
        let normalizations = try options.norms(stored: stored?.normalizations)
        let rates = rates ?? stored?.rates ?? Self.defaultRates
        let seeds = options.seeds(stored: stored?.seeds)
        if let images { try require(images, in: SettingsLimits.images, option: "images") }
        var settings = stored?.settings ?? .onePass
        if stored == nil, classification.data == "cifar10" { settings.whitens = true }
        try classification.apply(options, to: &settings)
        let within = within ?? stored?.within ?? Sweep.standardWithin
        try require(within, in: .from(0, to: 1), option: "within")
        let device = try options.device(continuing: stored)

        let found = try classification.images(stored: stored.map { ($0.data, $0.heldOut, $0.pictureSize) })
        if stored == nil { settings.setClasses(of: found.training) }
        let training = found.training.sample(images ?? stored?.training.count ?? 20_000, seed: 0)
        let comparison = Comparison(settings, normalizations: normalizations, seeds: seeds, thresholds: [], device: device)
        try comparison.check(training: training, test: found.test)
        let sweep = Sweep(comparison, rates: rates)
        let configuration = Sweep.Configuration(
            data: found.name, training: training, heldOut: found.heldOut, pictureSize: found.pictureSize,
            within: within, sweep: sweep)
        let plan = sweep.plan(configuration, training: training, test: found.test, notify: printToError)
        try options.perform(plan, continuing: stored)
    }

    @Sendable private static func rateList(_ text: String) throws -> [Double] {
        let found = try list(text, option: "rates", expected: "numbers above 0 and at most 1000") {
            Double($0).flatMap { NumberRange.rate.contains($0) ? $0 : nil }
        }
        guard found.count <= SettingsLimits.mostRates else {
            throw ValidationError("--rates: expected at most \(SettingsLimits.mostRates), found \(found.count)")
        }
        return found
    }
}

extension SweepCommand: ClassificationDefaults {
    static let norms: [Normalization] = [.plain, .weight, .batch, .weightAndMeanOnlyBatch]
    static let epoch = "each over those images"
    static let origin = RunOrigin.onePass
    static let folder = "runs/sweep"
    static let data = "fashion-mnist"
}
