import ArgumentParser
import Datasets
import Experiments
import Foundation
import Report
import Torch
import Training
import WeightNorm

/// `weightnorm predict`: what a trained network says of pictures.
struct Predict: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what pictures show, with a network trained by weightnorm train classification or compare.",
        discussion: """
            Takes PNG and JPEG pictures of any size. They are made grey or coloured and scaled to cover the network's images, of which the middle is taken. Prints the likeliest classes of each picture, \
            with the probabilities that the network gives them. weightnorm evaluate measures the error on images whose classes are known.
            """)

    @Argument(help: ArgumentHelp("Folder of a weightnorm train classification or compare run.", valueName: "run"))
    var source = "runs/classification"

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Pictures, or folders of pictures.", valueName: "files-or-folders"))
    var images: [String]

    @OptionGroup var choice: NetworkChoice

    @Option(help: ArgumentHelp("How many classes to print for each picture.", valueName: "number"))
    var top = 3

    @Flag(help: "Print JSON instead of a table: of each picture the probability of every class.")
    var json = false

    func run() throws {
        try require(top, in: 1...256, option: "top")
        try prepareProcessor(threads: choice.threads)
        let paths = try Self.pictures(images)
        let network = try choice.network(at: source)
        var predictions: [Prediction] = []
        // In parts: the pictures themselves may be large.
        for start in stride(from: 0, to: paths.count, by: 100) {
            let part = paths[start..<min(start + 100, paths.count)]
            let pictures = try part.map { path in
                try Picture(reading: path).with(channels: network.channels).fitted(rows: network.rows, columns: network.columns)
            }
            let rows = network.logits(of: pictures).softmax(along: 1)
            for (index, path) in part.enumerated() {
                predictions.append(Prediction(file: path, probabilities: rows[index].elements(as: Double.self), network))
            }
        }
        if json { return try printJSON(predictions) }
        for prediction in predictions {
            let texts = prediction.classes.prefix(top).map { "\($0.name) \(NumberText.fixed(100 * $0.probability, decimals: 1)) %" }
            print("\(prediction.file): \(texts.joined(separator: ", "))")
        }
    }

    /// The named files, and the pictures in the named folders.
    private static func pictures(_ names: [String]) throws -> [String] {
        let files = try names.flatMap { name -> [String] in
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: name, isDirectory: &isFolder), isFolder.boolValue else { return [name] }
            let inside = try FileManager.default.contentsOfDirectory(atPath: name).filter { file in
                !file.hasPrefix(".") && ["png", "jpg", "jpeg"].contains(file.split(separator: ".").last?.lowercased() ?? "")
            }
            guard !inside.isEmpty else { throw ValidationError("--images: expected PNG or JPEG pictures in \(name), found none") }
            return inside.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { name.hasSuffix("/") ? name + $0 : "\(name)/\($0)" }
        }
        guard !files.isEmpty else { throw ValidationError("--images: expected at least one picture, found none") }
        return files
    }

    private struct Prediction: Encodable {
        struct Class: Encodable {
            let name: String
            let probability: Double
        }

        let file: String
        /// The likeliest first.
        let classes: [Class]

        init(file: String, probabilities: [Double], _ network: TrainedNetwork) {
            self.file = file
            classes = probabilities.enumerated().sorted { ($1.element, $0.offset) < ($0.element, $1.offset) }
                .map { Class(name: network.name(of: $0.offset), probability: $0.element) }
        }
    }
}

/// Which of a run's networks.
struct NetworkChoice: ParsableArguments {
    @Option(help: ArgumentHelp("Norm of the network. (default: the run's first)", valueName: "name"), transform: singleNorm)
    var norm: Normalization?

    @Option(help: ArgumentHelp("Seed of the network. (default: the run's first)", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    func network(at path: String, data: String? = nil) throws -> TrainedNetwork {
        try TrainedNetwork(at: path, norm: norm?.rawValue, seed: seed, data: data, notify: printToError)
    }
}
