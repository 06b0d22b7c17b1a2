import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// The options for training any generative model. Defaults come from the preset, or from the run that is resumed.
struct GenerativeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("\(dataHelp) (default: mnist)", valueName: "name-or-folder"))
    var data: String?

    @Option(help: ArgumentHelp("Training images to use, drawn once. (default: all)", valueName: "number"))
    var images: Int?

    @Option(
        help: ArgumentHelp("dynamic or fixed: whether grey images are binarised again for each minibatch, or once.", valueName: "name"),
        transform: { try choice($0, option: "binarisation", outOf: [.dynamic, .fixed]) })
    var binarisation: PixelKind?

    @Option(help: ArgumentHelp("Draws of z for an importance-weighted estimate of log p(x) at the end.", valueName: "number"))
    var importanceDraws: Int?
}

/// Settings with a common part that options can change.
protocol TrainableSettings: GenerativeSettings {
    associatedtype Preset: RawRepresentable<String>
    /// The presets that `--preset` can name; the first is the default.
    static var presets: [Preset] { get }
    /// The preset for images like the given ones.
    static func preset(_ preset: Preset, for images: ImageSet) -> Self
    var pixels: PixelKind { get set }
    var batch: Int { get set }
    var epochs: Int { get set }
    var learningRate: Double { get set }
}

/// Trains generative models, from options to report.
struct GenerativeRunner<Settings: TrainableSettings, Defaults: RunDefaults> {
    typealias Setup = GenerativeSetup<Settings>

    let model: GenerativeOptions
    let rate: LearningRateOption<Defaults>
    let options: RunOptions<Defaults>
    let preset: Settings.Preset?

    /// Trains; `apply` changes the settings by the model's own options.
    func run(apply: (inout Settings) throws -> Void) throws {
        let stored: Setup.Configuration? = try options.stored(command: Settings.command)
        let normalizations = try options.norms(stored: stored?.normalizations)
        let seeds = options.seeds(stored: stored?.seeds)
        let first = Settings.presets[0]
        let name = preset?.rawValue ?? stored?.preset ?? first.rawValue
        let data = model.data ?? stored?.data ?? "mnist"
        let all = try DataFolder.images(data, .training)
        var settings = stored?.settings ?? Settings.preset(preset ?? first, for: all)
        try applyCommon(to: &settings)
        try apply(&settings)
        if let draws = model.importanceDraws { try require(draws, in: SettingsLimits.draws, option: "importance-draws") }
        let device = try options.device(continuing: stored)
        let experiment = Setup(
            settings, normalizations: normalizations, seeds: seeds,
            importanceDraws: model.importanceDraws ?? stored?.importanceDraws, device: device)
        let count = model.images ?? stored?.training.count
        if let count { try require(count, in: SettingsLimits.images, option: "images") }
        let training = count.map { all.sample($0, seed: 0) } ?? all
        try experiment.check(training: training)
        let test = try DataFolder.images(data, .test)
        try requireEqualSizes(training, test, of: data)
        let configuration = Setup.Configuration(data: data, training: training, test: test, preset: name, experiment: experiment)
        try options.perform(experiment.plan(configuration, training: training, test: test), continuing: stored)
    }

    private func applyCommon(to settings: inout Settings) throws {
        var (epochs, batch) = (settings.epochs, settings.batch)
        try options.apply(to: &epochs, &batch)
        (settings.epochs, settings.batch) = (epochs, batch)
        settings.learningRate = try rate.checked() ?? settings.learningRate
        if let binarisation = model.binarisation {
            guard settings.pixels != .levels else {
                throw ValidationError("--binarisation: expected it with grey images alone, found colour ones")
            }
            settings.pixels = binarisation
        }
    }
}
