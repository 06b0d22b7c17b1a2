import AtomicFiles
package import Datasets
import Foundation
import Torch
import Training
import WeightFiles
package import WeightNorm

/// Analyses the networks in a comparison's folder.
package struct RunAnalysis {
    package let path: String
    package let configuration: Comparison.Configuration
    /// The epoch after which the networks were kept; nil for those at the end.
    package var epoch: Int?

    /// Reads the settings of the run in a folder; a seed and norms are chosen in ``analyse(_:seed:_:training:whitening:progress:)``.
    ///
    /// - Throws: ``RunFailure`` if the folder is not a comparison's.
    package init(at path: String) throws {
        self.path = path
        _ = try RunHeader(at: path, of: [Comparison.command, Comparison.trainingCommand])
        configuration = try Comparison.Configuration.read(at: path)
    }

    /// The results for one network.
    package struct Network: Codable, Equatable, Sendable {
        package var norm: String
        package var seed: UInt64
        package var layers: [NetworkAnalysis.Layer]
    }

    /// The complete result, as in `analysis.json`.
    package struct Summary: Codable, Equatable, Sendable {
        package var run: String
        package var data: String
        package var examples: Int
        package var seed: UInt64
        /// The epochs that the networks were trained for.
        package var epochs: Int
        package var networks: [Network]
        package var warnings: [String]
        package var seconds: Double
        package var libtorch: String
        package var processor: String
        package var threads: Int

        package init(_ analysis: RunAnalysis, data: String, examples: Int, seed: UInt64, networks: [Network], seconds: Double) {
            run = analysis.path
            self.data = data
            self.examples = examples
            self.seed = seed
            epochs = analysis.epoch ?? analysis.configuration.settings.epochs
            self.networks = networks
            warnings = Summary.warnings(networks.flatMap(\.layers), examples: examples)
            self.seconds = seconds
            libtorch = Runtime.libtorchVersion
            processor = Runtime.processorCapability
            threads = Runtime.threadCount
        }

        private static func warnings(_ layers: [NetworkAnalysis.Layer], examples: Int) -> [String] {
            var names: [String] = []
            for layer in layers where layer.isRankDeficient && !names.contains(layer.path) { names.append(layer.path) }
            guard let most = layers.filter(\.isRankDeficient).map(\.elements).max() else { return [] }
            return [
                "\(examples) examples are too few for the covariance of \(names.joined(separator: ", ")): condition numbers are left out "
                    + "where a unit has as many elements; take more than \(most) --examples for all"
            ]
        }
    }

    /// Throws unless the images are those of the run, the seed and norms are among the run's, and their networks are there.
    package func check(training: ImageSet, data: String, norms: [Normalization], seed: UInt64) throws {
        guard let expected = configuration.training else {
            throw NetworkAnalysis.Failure(
                "\(path): expected a run with saved networks, found one of an earlier version; run weightnorm compare again")
        }
        let found = ImageSummary(training)
        guard found == expected else {
            throw NetworkAnalysis.Failure("\(data): expected the run's training images, \(expected), found \(found)")
        }
        for norm in norms where !configuration.norms.contains(norm.rawValue) {
            throw NetworkAnalysis.Failure(
                "norm: expected one of the run's, \(configuration.norms.joined(separator: ", ")), found '\(norm.rawValue)'")
        }
        guard configuration.seeds.contains(seed) else {
            let seeds = MessageList.joined(configuration.seeds.map { "\($0)" })
            throw NetworkAnalysis.Failure("seed: expected one of the run's, \(seeds), found \(seed)")
        }
        let snapshots = configuration.snapshots ?? []
        if let epoch, !snapshots.contains(epoch) {
            let known = snapshots.isEmpty ? "none" : MessageList.joined(snapshots.map { "\($0)" })
            throw NetworkAnalysis.Failure("epoch: expected one of the run's --snapshots, \(known), found \(epoch)")
        }
        let settings = configuration.settings
        try settings.check(channels: training.channels, rows: training.rows, columns: training.columns, images: 1)
        if let largest = training.labels.max(), largest >= settings.classes {
            throw NetworkAnalysis.Failure(
                "\(path)/config.json: settings: classes: expected more than the largest label of the images, \(largest), found \(settings.classes)"
            )
        }
        // Before spending minutes on those that are there.
        for norm in norms {
            let file = networkFile(norm, seed: seed)
            _ = try SafetensorsFile(openingOwn: file)
        }
    }

    private func networkFile(_ norm: Normalization, seed: UInt64) -> String {
        let name = epoch.map { NetworkFile.name(norm: norm.rawValue, seed: seed, epoch: $0) }
        return AtomicFile.join(path, name ?? NetworkFile.name(norm: norm.rawValue, seed: seed))
    }

    /// The images that the run was trained on, out of all the training images of its data set.
    ///
    /// - Throws: ``NetworkAnalysis/Failure`` if there are too few.
    package func trainingImages(of all: ImageSet, data: String) throws -> ImageSet {
        guard let heldOut = configuration.heldOut else { return all }
        guard heldOut < all.count else {
            throw NetworkAnalysis.Failure("\(data): expected more training images than the \(heldOut) held out, found \(all.count)")
        }
        return all.holdingOut(heldOut).training
    }

    /// The whitening of the run's images; nil if they are not whitened.
    package func whitening(of training: ImageSet, notify: (String) -> Void) -> Whitening? {
        configuration.settings.whitens ? WhiteningCache.whitening(of: training, notify: notify) : nil
    }

    /// The run's norms.
    package var normalizations: [Normalization] { configuration.normalizations }

    /// Loads a finished network and analyses it in float64, on single training images: the same for every norm, in an order that depends only on the
    /// seed. Each image goes through the network as in inference: no noise, no dropout, running averages for batch statistics.
    package func analyse(
        _ normalization: Normalization, seed: UInt64, _ options: NetworkAnalysis.Options, training: ImageSet, whitening: Whitening?,
        progress: (_ examples: Int, _ note: String) -> Void
    ) throws -> Network {
        let network = ClassificationNetwork(
            configuration.settings, channels: training.channels, normalization: normalization, type: .float64, random: Generator(seed: seed)
        )
        try NetworkFile.load(networkFile(normalization, seed: seed), into: network)
        let images = Batches.shuffled(training, size: 1, seed: seed, epoch: 0)
        let layers = try NetworkAnalysis.analyse(network, options) { example in
            let batch = images[example]
            let input = whitening?(batch.images) ?? ResidentImages.scaled(batch.images)
            return network(input.converted(to: .float64), .inference).softmaxCrossEntropy(labels: batch.labels)
        } progress: {
            progress($0, "\(normalization.rawValue): \($1)")
        }
        return Network(norm: normalization.rawValue, seed: seed, layers: layers)
    }
}
