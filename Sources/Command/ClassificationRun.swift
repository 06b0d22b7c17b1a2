import ArgumentParser
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// A comparison or training as the commands run it: in a folder, with checkpoints, until it is finished or a signal arrives.
struct ClassificationRun {
    let configuration: Comparison.Configuration
    let comparison: Comparison
    let training: ImageSet
    let test: ImageSet
    let out: String
    /// Whether the folder already holds this run, to be resumed.
    let resumes: Bool
    /// Seconds between checkpoints.
    let interval: Double
    /// The label of the progress display.
    let label: String

    /// Throws if a run would resume with settings or data other than those it started with; reports a different device or number of threads, which
    /// change rounding.
    static func check(_ configuration: Comparison.Configuration, continues stored: Comparison.Configuration, data: String) throws {
        func require(_ what: String, _ expected: some Equatable, _ found: some Equatable) throws {
            let (expected, found) = ("\(expected)", "\(found)")
            guard expected == found else { throw ValidationError("--resume: expected the run's \(what), \(expected), found \(found)") }
        }
        try require("norms", stored.norms.joined(separator: ", "), configuration.norms.joined(separator: ", "))
        try require(
            "seeds", stored.seeds.map { "\($0)" }.joined(separator: ", "), configuration.seeds.map { "\($0)" }.joined(separator: ", "))
        try require("errors of --under", stored.thresholds, configuration.thresholds)
        try require("held-out images", stored.heldOut ?? 0, configuration.heldOut ?? 0)
        let departures = configuration.settings.departures(from: stored.settings, norms: stored.norms)
        guard configuration.settings == stored.settings else {
            let found = departures.isEmpty ? "others" : departures.joined(separator: ", ")
            throw ValidationError("--resume: expected the run's own settings, found \(found)")
        }
        if let before = stored.test, let now = configuration.test, before != now {
            throw ValidationError("\(data): expected the run's test images, \(before), found \(now)")
        }
        guard let images = stored.training, configuration.training == images else {
            let found = configuration.training.map { "\($0)" } ?? "others"
            throw ValidationError(
                "\(data): expected the run's training images, \(stored.training.map { "\($0)" } ?? "none"), found \(found)")
        }
        try checkMachine(device: (stored.device, configuration.device), threads: (stored.threads, configuration.threads))
    }

    /// Trains, and writes and prints the results. After SIGINT or SIGTERM it saves and exits with 130 or 143.
    func run() throws {
        // Make the folder before whitening, which can take a minute: a run killed in that time can be resumed.
        let folder = resumes ? nil : try RunFiles.start(at: out, config: configuration)
        let (kind, names) = (configuration.heldOut == nil ? "test" : "held-out", configuration.norms.joined(separator: ", "))
        print("\(training.count) training and \(test.count) \(kind) images of \(configuration.data), \(training.size)")
        print(configuration.norms.count == 1 ? "Norm: \(names)" : "Norms, in the order of the losses below: \(names)")
        let images = comparison.images(training: training, test: test, notify: printToError)
        let training =
            try folder.map { ComparisonTraining(comparison, images, $0) } ?? ComparisonTraining.resume(comparison, images, at: out)
        if resumes { try printResumption(training) }
        // Flush output, also to files, before the long work: what a killed run has printed is not lost.
        fflush(nil)

        let stop = try training.runInTerminal(label: label, savingEvery: interval)
        for problem in Set(training.experiment.graphFallbacks) { printToError("steps were not replayed from a recording: \(problem)") }
        try endStoppedRun(training, exitCode: stop, command: configuration.command)
        try report(training)
    }

    private func report(_ training: ComparisonTraining) throws {
        let summary = Comparison.Summary(
            command: configuration.command, data: configuration.data, isCIFAR10: isCIFAR10, heldOut: configuration.heldOut,
            pace: comparison.pace, device: comparison.device, settings: comparison.settings, thresholds: comparison.thresholds,
            runs: training.results, seconds: training.seconds)
        let filters = try configuration.norms.compactMap { norm -> (norm: String, png: Data)? in
            let name = FilterPicture.name(norm: norm, seed: configuration.seeds[0])
            return try RunFolder.picture(named: name, at: out).map { (norm, $0) }
        }
        let report = ComparisonReport(
            summary, records: training.records, layers: try RunFiles.records(in: "layers.jsonl", at: out), filters: filters)
        try training.folder.write(json: summary, named: "summary.json")
        try training.folder.write(Array(report.page.html().utf8), named: "report.html")
        print(report.text)
        print("The report is \(out)/report.html")
    }

    private var isCIFAR10: Bool {
        // Held-out images count too.
        training.count + (configuration.heldOut ?? 0) == 50_000 && (training.channels, training.rows, training.columns) == (3, 32, 32)
    }
}
