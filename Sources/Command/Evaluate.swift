import ArgumentParser
import Datasets
import Experiments
import Foundation
import Report
import Training
import WeightNorm

/// `weightnorm evaluate`: how well a trained network does on images.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a finished run's network on a data set: the error of a classification, the bound of a generative model.",
        discussion: """
            Takes runs of weightnorm train classification, compare, train vae and train draw. Measures on the test images of --data: by default those of the run, or the training images that it held out. \
            weightnorm play shows what a run of train dqn has learned.
            """)

    @Argument(help: ArgumentHelp("Folder of the run.", valueName: "run"))
    var source = "runs/classification"

    @Option(help: ArgumentHelp("\(dataHelp) (default: the run's)", valueName: "name-or-folder"))
    var data: String?

    @OptionGroup var choice: NetworkChoice

    @Option(
        help: ArgumentHelp(
            "Of a generative model, draws of z for each image: above 1, the estimate of log p(x) instead of the bound. (default: 1)",
            valueName: "number"))
    var draws: Int?

    @Flag(help: "Print JSON instead of a table.")
    var json = false

    func run() throws {
        if let draws { try require(draws, in: SettingsLimits.draws, option: "draws") }
        try prepareProcessor(threads: choice.threads)
        let command = try RunHeader(
            at: source, of: [Comparison.trainingCommand, Comparison.command, VAESettings.command, DRAWSettings.command]
        ).command
        if [VAESettings.command, DRAWSettings.command].contains(command) { return try evaluateModel() }
        guard draws == nil else {
            throw ValidationError("--draws: expected it for a generative model, found a run of weightnorm \(command)")
        }
        let network = try choice.network(at: source, data: data)
        let name = data ?? network.data
        let images: ImageSet
        if data == nil, let heldOut = network.heldOut {
            images = try classificationImages(name, heldOut: heldOut, pictureSize: network.pictureSize).test
        } else {
            images = try DataFolder.images(name, .test, pictureSize: network.pictureSize)
        }
        let found = try network.evaluate(images, data: name)
        if json { return try printJSON(found) }
        print("\(source): \(found.norm), seed \(found.seed), on \(found.images) images of \(name)")
        print("error \(NumberText.fixed(100 * found.error, decimals: 2)) %, loss \(NumberText.fixed(found.loss, decimals: 4)) nats")
        let width = found.classes.map(\.name.count).max() ?? 0
        for entry in found.classes {
            let name = entry.name + String(repeating: " ", count: width - entry.name.count)
            let error = entry.images == 0 ? "none" : "\(NumberText.fixed(100 * Double(entry.errors) / Double(entry.images), decimals: 1)) %"
            let other = entry.mistakenFor.map { ", most often mistaken for \($0)" } ?? ""
            print("  \(name)  \(error) of \(entry.images) wrong\(other)")
        }
    }

    private func evaluateModel() throws {
        let model = try GenerativeSampler(at: source, norm: choice.norm, seed: choice.seed)
        let name = data ?? model.data
        let test = try DataFolder.images(name, .test)
        let display = ProgressDisplay(label: "evaluate", total: test.count, unit: "images")
        let bound = try model.bound(of: test, draws: draws ?? 1, seed: 0) { display.update(done: $0, note: "") }
        display.finish(note: "")
        let bits = -bound / log(2) / Double(model.dimensions)
        if json {
            return try printJSON(
                ModelEvaluation(
                    norm: model.norm, seed: model.seed, data: name, images: test.count, draws: draws ?? 1, nats: bound,
                    bitsPerDimension: bits))
        }
        print("\(source): \(model.norm), seed \(model.seed), on \(test.count) images of \(name)")
        let what = draws ?? 1 == 1 ? "bound" : "log p(x), estimated with \(draws ?? 1) draws,"
        print("\(what) \(NumberText.fixed(bound, decimals: 2)) nats an image, \(NumberText.fixed(bits, decimals: 3)) bits a dimension")
    }

    private struct ModelEvaluation: Encodable {
        let norm: String
        let seed: UInt64
        let data: String
        let images: Int
        let draws: Int
        let nats: Double
        let bitsPerDimension: Double
    }
}
