import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// `weightnorm analyze`: the covariance of the gradients in w and in v, for the networks of a run.
struct Analyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what weight normalization does to the gradients in a run's networks.",
        discussion: """
            Computes the gradients of individual training images in the networks of a weightnorm compare or train classification run. For every layer, shows \
            the eigenvalues and condition numbers of the gradients' covariance in w and in v, and how close w lies to the leading eigenvectors, next to what a \
            random direction gives. For networks without weight normalization, shows what it would do. Writes analysis.html (open it in a browser) \
            and analysis.json to the run's folder.
            """)

    @Argument(help: ArgumentHelp("Folder of a weightnorm compare or train classification run.", valueName: "run"))
    var source = "runs/compare"

    @Option(
        help: ArgumentHelp("Norms of the run to analyze, separated by commas. (default: all)", valueName: "list"),
        transform: { try normList($0, outOf: Normalization.allCases) })
    var norm: [Normalization]?

    @Option(name: .customLong("norms"), help: .hidden, transform: { try normList($0, outOf: Normalization.allCases) })
    var formerNorm: [Normalization]?

    @Option(help: ArgumentHelp("Seed of the run to analyze. (default: the first)", valueName: "number"))
    var seed: UInt64?

    @Option(
        help: ArgumentHelp(
            "Epoch after which the networks were kept by --snapshots; 0 is the start. (default: the end of the run)", valueName: "number"))
    var epoch: Int?

    @Option(
        help: ArgumentHelp(
            "Training images whose gradients to take. Units with at least as many elements get no condition number.",
            valueName: "number"))
    var examples = 1000

    @Option(
        help: ArgumentHelp("Layers to analyze, such as features.7, separated by commas. (default: all)", valueName: "list"),
        transform: { try list($0, option: "layers", expected: "names of layers") { $0.isEmpty ? nil : $0 } })
    var layers: [String]?

    @Option(help: ArgumentHelp("Maximum number of units to analyze in a layer, evenly spaced.", valueName: "number"))
    var units = 32

    @Option(
        help: ArgumentHelp("The run's data set, if it has moved: a name or a folder, as for compare.", valueName: "name-or-folder")
    )
    var data: String?

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Folder for the results, instead of the run's own: new, empty, or an earlier run's, which is replaced.", valueName: "folder"))
    var out: String?

    func run() throws {
        try require(examples, in: 2...10_000_000, option: "examples")
        try require(units, in: 1...1_000_000, option: "units")
        try prepareProcessor(threads: threads)
        let wanted = try currentNorms(norm, former: formerNorm)
        // Compares what the paths refer to: through a link, the run would be mistaken for an earlier result and removed.
        if let out, RunFolder.isSame(out, source) {
            throw ValidationError("--out: expected another folder than the run's, which is where the results go without it, found '\(out)'")
        }

        var analysis = try RunAnalysis(at: source)
        analysis.epoch = epoch
        let data = data ?? analysis.configuration.data
        let training = try analysis.trainingImages(
            of: DataFolder.images(data, .training, pictureSize: analysis.configuration.pictureSize), data: data)
        let normalizations = wanted ?? analysis.normalizations
        let seed = seed ?? analysis.configuration.seeds.first ?? 0
        try analysis.check(training: training, data: data, norms: normalizations, seed: seed)
        guard examples <= training.count else {
            throw ValidationError("--examples: expected at most the \(training.count) training images, found \(examples)")
        }

        let whitening = analysis.whitening(of: training, notify: printToError)
        // A folder that cannot take the results is detected now, before minutes of work.
        try RunFolder.check(out ?? source, holdsRun: out == nil, writing: ["analysis.json", "analysis.html"])
        let options = NetworkAnalysis.Options(examples: examples, units: units, layers: layers, seed: seed)
        var display: ProgressDisplay?
        let start = ContinuousClock.now
        var networks: [RunAnalysis.Network] = []
        for (index, normalization) in normalizations.enumerated() {
            networks.append(
                try analysis.analyse(normalization, seed: seed, options, training: training, whitening: whitening) { done, note in
                    let shown = display ?? ProgressDisplay(label: "analyze", total: examples * normalizations.count, unit: "images")
                    display = shown
                    shown.update(done: index * examples + done, note: note)
                })
        }
        display?.finish(note: "")
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let summary = RunAnalysis.Summary(
            analysis, data: data, examples: examples, seed: seed, networks: networks, seconds: seconds)
        let report = AnalysisReport(summary)
        print(report.text)
        // The run's folder is opened only now: an earlier mistake or interruption leaves it unchanged.
        let folder =
            try out.map { try RunFiles.start(at: $0, config: Configuration(run: source, examples: examples, seed: seed)) }
            ?? RunFolder.reopen(at: source)
        try folder.write(summary: summary, as: "analysis", report: report, as: "analysis")
        print("The page is \(out ?? source)/analysis.html")
    }

    private struct Configuration: Encodable {
        var command = "analyze"
        let run: String
        let examples: Int
        let seed: UInt64
    }
}
