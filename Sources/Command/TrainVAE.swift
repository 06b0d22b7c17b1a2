import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// `weightnorm train vae`: the paper's §5.2.
struct TrainVAE: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vae",
        abstract: "Train the paper's variational autoencoders (its §5.2, Figure 3).",
        discussion: """
            Grey images (mnist) are taken as binary and modelled with a residual encoder and decoder, colour images (cifar10) with a ladder of stochastic layers; \
            the posterior is an inverse autoregressive flow in both. Writes to a folder: report.html to look at, samples and reconstructions as PNG after \
            every pass, summary.json, metrics.jsonl, the finished models, config.json, and checkpoint.safetensors, from which --resume goes on bit for bit (on the \
            CPU, with the same number of threads). SIGINT (Ctrl-C) and SIGTERM finish the step and save. weightnorm sample draws from a finished run.
            """)

    // All optional: what is not given is the preset's, or that of the run which is gone on with.

    @Option(help: ArgumentHelp("\(dataHelp) (default: mnist)", valueName: "name-or-folder"))
    var data: String?

    @Option(help: ArgumentHelp("The norm, or several separated by commas, out of: \(allNorms). (default: weight)", valueName: "list"))
    var norm: String?

    @Option(help: ArgumentHelp("paper, or quick for two CPU cores. (default: quick)", valueName: "name"))
    var preset: String?

    @Option(
        help: ArgumentHelp(
            "Seeds, separated by commas; the training is done with each, one after the other. (default: 0)", valueName: "list"))
    var seeds: String?

    @Option(help: ArgumentHelp("Passes over the training images.", valueName: "number"))
    var epochs: Int?

    @Option(help: ArgumentHelp("Images in a minibatch.", valueName: "number"))
    var batch: Int?

    @Option(help: ArgumentHelp("Training images to take, drawn once; without it all.", valueName: "number"))
    var images: Int?

    @Option(help: ArgumentHelp("Elements of z; in the ladder, maps of each layer's z.", valueName: "number"))
    var latents: Int?

    @Option(help: ArgumentHelp("Steps of inverse autoregressive flow; 0 is the diagonal normal distribution.", valueName: "number"))
    var flowSteps: Int?

    @Option(help: ArgumentHelp("Stochastic layers at each scale of the ladder, from the finest, separated by commas.", valueName: "list"))
    var depth: String?

    @Option(help: ArgumentHelp("Maps of the ladder's convolutions.", valueName: "number"))
    var maps: Int?

    @Option(help: ArgumentHelp("Least divergence of each map of the ladder's latents that counts, in nats.", valueName: "nats"))
    var freeNats: Double?

    @Option(help: ArgumentHelp("dynamic or fixed: whether grey images are made binary anew for each minibatch or once.", valueName: "name"))
    var binarisation: String?

    @Option(help: ArgumentHelp("Learning rate of Adamax.", valueName: "number"))
    var learningRate: Double?

    @Option(help: ArgumentHelp("Draws of z for an importance-weighted estimate of log p(x) at the end.", valueName: "number"))
    var importanceDraws: Int?

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX. (default: cpu)", valueName: "name"))
    var device: String?

    @Option(help: ArgumentHelp("Threads on the CPU; without it one for each core.", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Seconds of work between two checkpoints; 0 for one after every step.", valueName: "seconds"))
    var checkpointEvery = 60.0

    @Flag(
        help: """
            Go on with the run in the folder from its last checkpoint. Options may be left out then, and may not differ from the run's, except --data \
            for the same images elsewhere, --device of the same kind, and --threads. Begins the run if there is none yet.
            """)
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Folder for the results: new, empty, or of an earlier run, which is replaced unless it is resumed.", valueName: "folder"))
    var out = "runs/vae"

    func run() throws {
        try require(checkpointEvery, option: "checkpoint-every", expected: "seconds from 0 up") { $0 >= 0 }
        let stored: VAEExperiment.Configuration? = try resume ? storedConfiguration(in: out, command: "train vae") : nil
        let normalizations = try norm.map { try Command.norms($0, option: "norm") } ?? stored?.normalizations ?? [.weight]
        let seeds = try seeds.map(Command.seeds) ?? stored?.seeds ?? [0]
        let name = preset ?? stored?.preset ?? VAESettings.Preset.quick.rawValue
        guard let preset = VAESettings.Preset(rawValue: name) else {
            throw ValidationError("--preset: expected paper or quick, found '\(name)'")
        }
        let data = data ?? stored?.data ?? "mnist"
        let all = try DataFolder.images(data, .training)
        var settings = stored?.settings ?? VAESettings.preset(preset, isPhotograph: all.channels == 3)
        try apply(to: &settings)
        try require(settings.epochs, in: 1...100_000, option: "epochs")
        try require(settings.batch, in: 1...10_000, option: "batch")
        guard !normalizations.isEmpty, !seeds.isEmpty else {
            throw ValidationError("\(out)/config.json: expected norms and seeds, found none")
        }
        if let importanceDraws { try require(importanceDraws, in: 1...100_000, option: "importance-draws") }
        try prepareProcessor(threads: threads ?? stored?.threads)
        let device = try Device(named: device ?? stored?.device ?? "cpu")
        let experiment = VAEExperiment(
            settings, normalizations: normalizations, seeds: seeds, importanceDraws: importanceDraws ?? stored?.importanceDraws,
            device: device)
        if let images { try require(images, in: 2...1_000_000_000, option: "images") }
        let training = (images ?? stored?.training.count).map { all.sample($0, seed: 0) } ?? all
        try experiment.check(training: training)
        let test = try DataFolder.images(data, .test)
        try requireEqualSizes(training, test, of: data)
        let configuration = VAEExperiment.Configuration(data: data, training: training, test: test, preset: name, experiment: experiment)
        if let stored { try check(configuration, continues: stored) }
        try run(configuration, experiment, training, test, resumes: stored != nil)
    }

    private func apply(to settings: inout VAESettings) throws {
        if let epochs { try require(epochs, in: 1...100_000, option: "epochs") }
        if let batch { try require(batch, in: 1...10_000, option: "batch") }
        if let latents { try require(latents, in: 1...10_000, option: "latents") }
        if let flowSteps { try require(flowSteps, in: 0...(settings.pixels == .levels ? 1 : 100), option: "flow-steps") }
        if let maps { try require(maps, in: 1...10_000, option: "maps") }
        if let freeNats { try require(freeNats, option: "free-nats", expected: "nats from 0 up") { $0 >= 0 } }
        if let learningRate {
            try require(learningRate, option: "learning-rate", expected: "a number above 0 and at most 1000") { $0 > 0 && $0 <= 1000 }
        }
        if let binarisation {
            guard settings.pixels != .levels else {
                throw ValidationError("--binarisation: expected it with grey images alone, found colour ones")
            }
            guard let pixels = VAESettings.Pixels(rawValue: binarisation), pixels != .levels else {
                throw ValidationError("--binarisation: expected dynamic or fixed, found '\(binarisation)'")
            }
            settings.pixels = pixels
        }
        if let depth {
            settings.depth = try depth.split(separator: ",", omittingEmptySubsequences: false).map { word in
                guard let count = Int(word), (1...100).contains(count) else {
                    throw ValidationError("--depth: expected numbers from 1 to 100, found '\(word)'")
                }
                return count
            }
        }
        settings.epochs = epochs ?? settings.epochs
        settings.batch = batch ?? settings.batch
        settings.latents = latents ?? settings.latents
        settings.flowSteps = flowSteps ?? settings.flowSteps
        settings.ladderMaps = maps ?? settings.ladderMaps
        settings.freeNats = freeNats ?? settings.freeNats
        settings.learningRate = learningRate ?? settings.learningRate
    }

    private func check(_ found: VAEExperiment.Configuration, continues stored: VAEExperiment.Configuration) throws {
        for (what, expected, given) in [
            ("norms", stored.norms.joined(separator: ", "), found.norms.joined(separator: ", ")),
            ("seeds", stored.seeds.map { "\($0)" }.joined(separator: ", "), found.seeds.map { "\($0)" }.joined(separator: ", ")),
            ("preset", stored.preset, found.preset), ("settings", "\(stored.settings)", "\(found.settings)"),
            ("draws", "\(stored.importanceDraws ?? 0)", "\(found.importanceDraws ?? 0)"),
            ("training images", "\(stored.training)", "\(found.training)"), ("test images", "\(stored.test)", "\(found.test)"),
        ] where expected != given { throw ValidationError("--resume: expected the run's \(what), \(expected), found \(given)") }
        try checkMachine(device: (stored.device, found.device), threads: (stored.threads, found.threads))
    }

    private func run(
        _ configuration: VAEExperiment.Configuration, _ experiment: VAEExperiment, _ training: ImageSet, _ test: ImageSet, resumes: Bool
    ) throws {
        let folder = resumes ? nil : try RunFolder.start(at: out, config: configuration)
        print("\(training.count) training and \(test.count) test images of \(configuration.data), \(training.size)")
        print("Norms, in the order of the bounds below: \(configuration.norms.joined(separator: ", "))")
        let images = VAEImages(training: training, test: test, experiment.settings, on: experiment.device)
        let run = try folder.map { VAETraining(experiment, images, $0) } ?? VAETraining.resume(experiment, images, at: out)
        if resumes { print("Going on from step \(run.done) of \(run.total)") }
        fflush(nil)
        let interruption = Interruption()
        let display = ProgressDisplay(label: "train", total: run.total, done: run.done)
        try run.run(checkpoints: CheckpointClock(every: checkpointEvery)) {
            interruption.received != nil
        } progress: { done, _, note in
            display.update(done: done, note: note)
        }
        display.finish()
        if !run.isFinished {
            try endStoppedRun(
                after: interruption, at: run.done, savedAt: run.savedAt, of: run.total, command: configuration.command, out: out)
        }
        let summary = VAEExperiment.Summary(
            data: configuration.data, dimensions: training.features, experiment: experiment, runs: run.runs, seconds: run.seconds)
        let seed = configuration.seeds[0]
        let pictures = configuration.norms.compactMap { norm -> (norm: String, samples: Data, reconstructions: Data)? in
            let names = [VAEPictures.samplesName(norm: norm, seed: seed), VAEPictures.reconstructionsName(norm: norm, seed: seed)]
            let found = names.compactMap { FileManager.default.contents(atPath: "\(out)/\($0)") }
            return found.count == 2 ? (norm, found[0], found[1]) : nil
        }
        let report = VAEReport(summary, records: run.records, pictures: pictures)
        try run.folder.write(json: summary, named: "summary.json")
        try run.folder.write(Array(report.page.html().utf8), named: "report.html")
        print(report.text)
        print("The report is \(out)/report.html")
    }
}
