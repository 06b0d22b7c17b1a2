import AtomicFiles
package import Datasets
package import Foundation
import Report
import Torch
package import Training
import WeightFiles
package import WeightNorm

/// A finished model in a run's folder, to draw from.
package struct GenerativeSampler {
    private let model: any GenerativeModel
    /// The run's norm and seed whose model it is.
    package let norm: String
    package let seed: UInt64
    /// The data set that it was trained on, as the run's user named it.
    package let data: String
    private let pixels: PixelKind
    private let shape: (channels: Int, rows: Int, columns: Int)
    /// The number of elements in an image that it draws.
    private let size: Int
    /// The number of drawing steps.
    private let steps: Int

    /// The model of a norm and seed; by default the run's first ones.
    ///
    /// - Throws: ``RunFailure`` if the folder is not such a run's or has no such model; what loading the file throws.
    package init(at path: String, norm: Normalization? = nil, seed: UInt64? = nil) throws {
        let command = try RunHeader(at: path, of: Self.kinds.map { $0.command }).command
        let kind = Self.kinds.first { $0.command == command }!
        let found = try Self.model(kind, at: path, norm: norm, seed: seed)
        (model, steps, self.norm, self.seed) = (found.model, found.steps, found.choice.norm.rawValue, found.choice.seed)
        (data, pixels, shape) = (found.data, found.pixels, found.shape)
        size = shape.channels * shape.rows * shape.columns
    }

    /// The kinds of models that it can draw from.
    private static let kinds: [any GenerativeSettings.Type] = [VAESettings.self, DRAWSettings.self]

    private static func model<Settings: GenerativeSettings>(
        _ settings: Settings.Type, at path: String, norm: Normalization?, seed: UInt64?
    ) throws -> Found {
        let configuration = try GenerativeSetup<Settings>.Configuration.read(at: path)
        let choice = try RunChoice(norm: norm, seed: seed, norms: configuration.norms, seeds: configuration.seeds, at: path)
        let name = choice.norm.rawValue
        let file = NetworkFile.name(norm: name, seed: choice.seed)
        guard RunFolder.has(file, at: path) else {
            throw RunFailure("\(path)/\(file): expected the model of a finished run, found none; --resume finishes it")
        }
        let model = configuration.settings.makeModel(
            rows: configuration.rows, columns: configuration.columns, normalization: choice.norm,
            random: Generator(seed: 0))
        try model.load(from: RunFolder.tensors(named: file, at: path))
        let settings = configuration.settings
        return Found(
            model: model, choice: choice, data: configuration.data, pixels: settings.pixels,
            shape: (settings.channels, configuration.rows, configuration.columns), steps: settings.drawingSteps)
    }

    private struct Found {
        let model: any GenerativeModel
        let choice: RunChoice
        let data: String
        let pixels: PixelKind
        let shape: (channels: Int, rows: Int, columns: Int)
        let steps: Int
    }

    /// The model itself.
    package var module: any Module { model }

    /// The number of elements in an image, for converting nats to bits a dimension.
    package var dimensions: Int { size }

    /// The mean bound in nats over images, drawn with a seed; with several draws of z the importance-weighted estimate of log p(x).
    ///
    /// Images that the model takes as binary are drawn from their grey levels, always the same.
    ///
    /// - Throws: ``RunFailure`` if they are not of the model's size.
    package func bound(of images: ImageSet, draws: Int, seed: UInt64, progress: (Int) -> Void) throws -> Double {
        guard (images.channels, images.rows, images.columns) == shape else {
            throw RunFailure("images: expected \(shape.channels) × \(shape.rows) × \(shape.columns) pixels, found \(images.size)")
        }
        let resident = ResidentImages(pixels == .levels ? images : images.binarised(seed: 1))
        return model.meanBound(on: resident, pixels, draws: draws, random: Generator(seed: seed), progress: progress)
    }

    /// Throws unless the given number of pictures fits into memory, including all their steps for an animation.
    package func check(count: Int, isAnimation: Bool, available: Int? = SystemMemory.available) throws(RunFailure) {
        // For each step a canvas in float32 and one in bytes, enlarged three times; the last one in float64 too.
        let bytes = count * size * (isAnimation ? (steps + 2) * 13 + 16 : 24)
        guard let available, bytes > available else { return }
        throw RunFailure(
            "\(count) images: expected ones that fit into the \(NumberText.bytes(available)) of memory available, found ones of \(NumberText.bytes(bytes)); draw fewer"
        )
    }

    /// A picture of the model's expectations for draws of z from the prior; the same for the same seed.
    package func picture(count: Int, across: Int, seed: UInt64) -> Data {
        GenerativePictures.grid(withoutGradients { model.samples(count, random: Generator(seed: seed)) }, across: across)
    }

    /// Whether the model draws in steps, which ``animation(count:across:seed:)`` shows.
    package var isAnimated: Bool { model is any DrawsInSteps }

    /// An animation of how the model draws such images; nil if it does not draw in steps.
    package func animation(count: Int, across: Int, seed: UInt64) -> Data? {
        guard let model = model as? any DrawsInSteps else { return nil }
        return DrawingAnimation.file(withoutGradients { model.drawnSamples(count, random: Generator(seed: seed)) }, across: across)
    }
}
