import ArgumentParser
import Experiments
import Foundation
import Training
import WeightFiles
import WeightNorm

/// `weightnorm export`: a finished run's network as a model to share.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a finished run's network as a model to share, with a card that says how it was trained.",
        discussion: """
            Writes a folder as the Hugging Face hub has them: model.safetensors with PyTorch's names, or shards and their index; the run's config.json; and README.md, a model card with the licence, the \
            results and the settings. Takes runs of weightnorm train and weightnorm compare.
            """)

    @Argument(help: ArgumentHelp("Folder of the run.", valueName: "run"))
    var source = "runs/classification"

    @Option(help: ArgumentHelp("The licence of the weights, such as mit, apache-2.0 or cc-by-4.0.", valueName: "identifier"))
    var license: String

    @Option(help: ArgumentHelp("Norm of the network. (default: the run's first)", valueName: "name"), transform: singleNorm)
    var norm: Normalization?

    @Option(help: ArgumentHelp("Seed of the network. (default: the run's first)", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("The model's name in the card. (default: that of the folder)", valueName: "name"))
    var name: String?

    @Option(
        help: ArgumentHelp(
            "How weights are held: \(words(StateLayout.allCases.map(\.rawValue))). (default: parametrizations)", valueName: "layout"),
        transform: { try choice($0, option: "layout", outOf: StateLayout.allCases) })
    var layout: StateLayout?

    @Option(
        help: ArgumentHelp("The most bytes of weights in a file, such as 5GB or 500MB. (default: 5GB)", valueName: "size"),
        transform: WeightsOutput.byteCount)
    var shardSize: Int?

    @Flag(help: "Replace files in a folder that is not empty.")
    var force = false

    @Option(help: ArgumentHelp("The folder to write.", valueName: "folder"))
    var out: String

    func run() throws {
        guard license.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9.+-]{0,63}/) != nil else {
            throw ValidationError("--license: expected an identifier such as mit or apache-2.0, found '\(license)'")
        }
        guard !out.isEmpty, !RunFolder.isSame(out, source) else {
            throw ValidationError("--out: expected another folder than the run's, found '\(out)'")
        }
        let there = (try? FileManager.default.contentsOfDirectory(atPath: out)) ?? []
        guard force || there.isEmpty else {
            throw ValidationError(
                "--out: expected a new or empty folder, found \(there.count) files in \(out); --force replaces those of a model")
        }
        let model = try ModelExport(at: source, norm: norm, seed: seed, notify: printToError)
        let title = name ?? (out as NSString).standardizingPath.split(separator: "/").last.map(String.init) ?? "model"
        let files = try model.write(
            to: out, layout: layout ?? .parametrizations, shardSize: shardSize ?? Safetensors.shardSize, licence: license, name: title)
        print("\(model.norm), seed \(model.seed), is in \(out): \(files.joined(separator: ", "))")
    }
}

private func words(_ list: [String]) -> String { list.joined(separator: ", ") }
