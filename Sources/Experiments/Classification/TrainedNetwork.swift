import AtomicFiles
public import Datasets
public import Torch
import Training
import WeightFiles
public import WeightNorm

/// The network of a finished run of `weightnorm train classification` or `weightnorm compare`, with everything that is done to an image before.
///
/// ```swift
/// let trained = try TrainedNetwork(at: "runs/classification")
/// let probabilities = trained.logits(of: [try Picture(reading: "cat.jpg")]).softmax(along: 1)
/// ```
public struct TrainedNetwork {
    /// The network itself: inputs of `[batch, channels, rows, columns]` to logits of `[batch, classes]`.
    public let network: any Layer
    /// The name of the norm that it was trained with.
    public let norm: String
    /// The seed of its run.
    public let seed: UInt64
    /// The number of classes.
    public let classes: Int
    /// The classes' names, as far as known.
    public let classNames: [String]?
    /// 1 for grey images, 3 for coloured ones.
    public let channels: Int
    /// The height of its images in pixels.
    public let rows: Int
    /// The width of its images in pixels.
    public let columns: Int
    /// The data set that it was trained on, as the run's user named it.
    public let data: String
    /// The number of training images that were held out, of which the error was measured; nil if that was of the test images.
    public let heldOut: Int?
    /// The size that pictures in folders were fitted to; nil for other data sets.
    public let pictureSize: Int?
    private let whitening: Whitening?

    /// The network of a norm and a seed of the run in a folder; by default the run's first ones.
    ///
    /// A run of an earlier version did not keep the map that its images were whitened by: that is fitted again to its training images, which must be there.
    ///
    /// - Throws: an error of one line if the folder is no such run's, has no such network, or a file is damaged or missing.
    public init(at path: String, norm: String? = nil, seed: UInt64? = nil) throws {
        try self.init(at: path, norm: norm, seed: seed, data: nil) { _ in }
    }

    /// The same with the data set in another place, for runs without a whitening of their own; `notify` gets messages for the user.
    package init(at path: String, norm: String?, seed: UInt64?, data: String?, notify: (String) -> Void) throws {
        _ = try RunHeader(at: path, of: [Comparison.command, Comparison.trainingCommand])
        let configuration = try Comparison.Configuration.read(at: path)
        let wanted = try norm.map { name in
            guard let norm = Normalization(rawValue: name) else {
                throw RunFailure("norm: expected one of the run's, \(configuration.norms.joined(separator: ", ")), found '\(name)'")
            }
            return norm
        }
        let choice = try RunChoice(norm: wanted, seed: seed, norms: configuration.norms, seeds: configuration.seeds, at: path)
        guard let images = configuration.training else {
            throw RunFailure("\(path): expected a run with saved networks, found one of an earlier version")
        }
        let name = NetworkFile.name(norm: choice.norm.rawValue, seed: choice.seed)
        guard RunFolder.has(name, at: path) else {
            throw RunFailure("\(path)/\(name): expected the network of a finished run, found none; --resume finishes it")
        }
        let settings = configuration.settings
        let file = AtomicFile.join(path, name)
        channels = try Self.channels(of: SafetensorsFile(openingOwn: file))
        try settings.check(channels: channels, rows: images.rows, columns: images.columns, images: 1)
        let network = ClassificationNetwork(settings, channels: channels, normalization: choice.norm, random: Generator(seed: 0))
        try NetworkFile.load(file, into: network)
        self.network = network
        (self.norm, self.seed, classes) = (choice.norm.rawValue, choice.seed, settings.classes)
        (rows, columns, self.data) = (images.rows, images.columns, configuration.data)
        (classNames, heldOut, pictureSize) = (configuration.classNames, configuration.heldOut, configuration.pictureSize)
        guard settings.whitens else {
            whitening = nil
            return
        }
        if RunFolder.has(Whitening.fileName, at: path) {
            whitening = try Whitening(inRun: path, features: channels * images.rows * images.columns)
            return
        }
        let data = data ?? configuration.data
        let all = try DataFolder.images(data, .training, pictureSize: configuration.pictureSize)
        let training = try RunAnalysis(at: path).trainingImages(of: all, data: data)
        guard ImageSummary(training) == images else {
            throw RunFailure(
                "\(data): expected the run's training images, \(images), to which its whitening was fitted, found \(ImageSummary(training))"
            )
        }
        whitening = WhiteningCache.whitening(of: training, notify: notify)
    }

    /// The channels of the images, which the first convolution's weight has.
    private static func channels(of file: SafetensorsFile) throws -> Int {
        for name in file.names where name.hasPrefix("features.1.weight") {
            let shape = try file.info(name).shape
            // g has as many dimensions, and a length of 1 there.
            if shape.count == 4, shape[2] == 3 { return shape[1] }
        }
        throw RunFailure("\(file.path): expected a network whose first layer is a 3×3 convolution, found none")
    }

    /// Logits, `[pictures, classes]`, of pictures of any size, which are made grey or coloured and fitted to the network's images (`Picture.fitted(rows:columns:)`).
    public func logits(of pictures: [Picture]) -> Tensor {
        logits(ofBytes: pictures.flatMap { $0.with(channels: channels).fitted(rows: rows, columns: columns).pixels }, count: pictures.count)
    }

    /// Logits, `[count, classes]`, of images; traps unless they have the network's size.
    public func logits(of images: ImageSet) -> Tensor {
        trap(
            unless: (images.channels, images.rows, images.columns) == (channels, rows, columns),
            "images of a trained network: expected \(channels) × \(rows) × \(columns) pixels, found \(images.size)")
        return logits(ofBytes: images.images, count: images.count)
    }

    private func logits(ofBytes bytes: [UInt8], count: Int) -> Tensor {
        let size = channels * rows * columns
        return withoutGradients {
            let parts = stride(from: 0, to: count, by: 500).map { first -> Tensor in
                let last = min(first + 500, count)
                let images = Tensor(Array(bytes[first * size..<last * size]), shape: [last - first, channels, rows, columns])
                return network((whitening?(images) ?? ResidentImages.scaled(images)).channelsLast(), .inference)
            }
            return parts.isEmpty ? .zeros([0, classes]) : .concatenated(parts)
        }
    }
}
