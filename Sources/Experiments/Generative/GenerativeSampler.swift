import AtomicFiles
package import Foundation
import Report
import Torch
package import Training
import WeightFiles
package import WeightNorm

/// A finished model in a run's folder, to draw from.
package struct GenerativeSampler {
    private let model: any GenerativeModel
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
        (model, size, steps) = try Self.model(kind, at: path, norm: norm, seed: seed)
    }

    /// The kinds of models that it can draw from.
    private static let kinds: [any GenerativeSettings.Type] = [VAESettings.self, DRAWSettings.self]

    private static func model<Settings: GenerativeSettings>(
        _ settings: Settings.Type, at path: String, norm: Normalization?, seed: UInt64?
    ) throws -> (any GenerativeModel, size: Int, steps: Int) {
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
        return (model, settings.channels * configuration.rows * configuration.columns, settings.drawingSteps)
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
