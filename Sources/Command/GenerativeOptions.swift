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

    @Option(help: ArgumentHelp("dynamic or fixed: whether grey images are binarised again for each minibatch, or once.", valueName: "name"))
    var binarisation: String?

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
    typealias Experiment = GenerativeExperiment<Settings>

    let model: GenerativeOptions
    let rate: LearningRateOption<Defaults>
    let options: RunOptions<Defaults>
    let preset: String?

    /// Trains; `apply` changes the settings by the model's own options.
    func run(apply: (inout Settings) throws -> Void) throws {
        let stored: Experiment.Configuration? = try options.stored(command: Settings.command)
        let normalizations = try options.norms(stored: stored?.normalizations)
        let seeds = try options.seeds(stored: stored?.seeds)
        let name = preset ?? stored?.preset ?? Settings.presets[0].rawValue
        let data = model.data ?? stored?.data ?? "mnist"
        let preset = try choice(name, option: "preset", outOf: Settings.presets)
        let all = try DataFolder.images(data, .training)
        var settings = stored?.settings ?? Settings.preset(preset, for: all)
        try applyCommon(to: &settings)
        try apply(&settings)
        if let draws = model.importanceDraws { try require(draws, in: SettingsLimits.draws, option: "importance-draws") }
        let device = try options.device(stored: stored?.device, threads: stored?.threads)
        let experiment = Experiment(
            settings, normalizations: normalizations, seeds: seeds,
            importanceDraws: model.importanceDraws ?? stored?.importanceDraws, device: device)
        let count = model.images ?? stored?.training.count
        if let count { try require(count, in: 2...1_000_000_000, option: "images") }
        let training = count.map { all.sample($0, seed: 0) } ?? all
        try experiment.check(training: training)
        let test = try DataFolder.images(data, .test)
        try requireEqualSizes(training, test, of: data)
        let configuration = Experiment.Configuration(data: data, training: training, test: test, preset: name, experiment: experiment)
        if let stored { try check(configuration, continues: stored) }
        try run(configuration, experiment, training, test, resumes: stored != nil)
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
            settings.pixels = try choice(binarisation, option: "binarisation", outOf: [.dynamic, .fixed])
        }
    }

    private func check(_ found: Experiment.Configuration, continues stored: Experiment.Configuration) throws {
        for (what, expected, given) in [
            ("norms", stored.norms.joined(separator: ", "), found.norms.joined(separator: ", ")),
            ("seeds", stored.seeds.map { "\($0)" }.joined(separator: ", "), found.seeds.map { "\($0)" }.joined(separator: ", ")),
            ("preset", stored.preset ?? "none", found.preset ?? "none"),
            ("draws", "\(stored.importanceDraws ?? 0)", "\(found.importanceDraws ?? 0)"),
            ("training images", "\(stored.training)", "\(found.training)"), ("test images", "\(stored.test)", "\(found.test)"),
        ] where expected != given { throw ValidationError("--resume: expected the run's \(what), \(expected), found \(given)") }
        try checkSettings(found.settings, continue: stored.settings)
        try checkMachine(device: (stored.device, found.device), threads: (stored.threads, found.threads))
    }

    private func run(
        _ configuration: Experiment.Configuration, _ experiment: Experiment, _ training: ImageSet, _ test: ImageSet, resumes: Bool
    ) throws {
        let folder = resumes ? nil : try RunFiles.start(at: options.out, config: configuration)
        print("\(training.count) training and \(test.count) test images of \(configuration.data), \(training.size)")
        print("Norms, in the order of the bounds below: \(configuration.norms.joined(separator: ", "))")
        let images = GenerativeImages(training: training, test: test, experiment.settings.pixels, on: experiment.device)
        let run =
            try folder.map { GenerativeTraining(experiment, images, $0) } ?? GenerativeTraining.resume(experiment, images, at: options.out)
        if resumes { try printResumption(run) }
        fflush(nil)
        try endStoppedRun(
            run, exitCode: run.runInTerminal(label: "train", savingEvery: options.checkpointEvery), command: configuration.command)
        let summary = Experiment.Summary(
            data: configuration.data, dimensions: training.features, experiment: experiment, runs: run.results, seconds: run.seconds)
        let pictures = try configuration.norms.compactMap { try GenerativePictures(of: $0, seed: configuration.seeds[0], in: options.out) }
        let report = GenerativeReport(summary, records: run.records, pictures: pictures)
        try run.folder.write(json: summary, named: "summary.json")
        try run.folder.write(Array(report.page.html().utf8), named: "report.html")
        print(report.text)
        print("The report is \(options.out)/report.html")
    }
}
