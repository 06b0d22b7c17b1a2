package import Foundation
import Torch
import Training
package import WeightNorm

/// A finished model of a run's folder, to draw from.
package struct GenerativeSampler {
    private let model: any GenerativeModel

    /// The model of a norm and seed; of the run's first ones where none are given.
    ///
    /// - Throws: ``RunFailure`` if the folder is no such run's or has no such model; what loading the file throws.
    package init(at path: String, norm: Normalization? = nil, seed: UInt64? = nil) throws {
        let command: String
        do {
            command = try RunHeader(at: path).command
        } catch let error as FileError {
            throw RunFailure("expected the folder of a run of weightnorm train vae or train draw: \(error)")
        }
        model =
            switch command {
            case VAESettings.command: try Self.model(VAESettings.self, at: path, norm: norm, seed: seed)
            case DRAWSettings.command: try Self.model(DRAWSettings.self, at: path, norm: norm, seed: seed)
            default:
                throw RunFailure("\(path): expected a run of weightnorm train vae or train draw, found one of weightnorm \(command)")
            }
    }

    private static func model<Settings: GenerativeSettings>(
        _ settings: Settings.Type, at path: String, norm: Normalization?, seed: UInt64?
    ) throws -> any GenerativeModel {
        let configuration = try RunFolder.read(GenerativeExperiment<Settings>.Configuration.self, named: "config.json", at: path)
        let choice = try RunChoice(norm: norm, seed: seed, norms: configuration.norms, seeds: configuration.seeds, at: path)
        let (normalization, name) = (choice.norm, choice.norm.rawValue)
        // What a file says may be no model at all.
        try configuration.settings.checkNumbers()
        guard Settings.norms.contains(normalization), (1...4096).contains(configuration.rows), (1...4096).contains(configuration.columns)
        else {
            throw RunFailure(
                "\(path)/config.json: expected a norm and a size that such a model can have, found \(name), \(configuration.rows) × \(configuration.columns)"
            )
        }
        let model = configuration.settings.makeModel(
            rows: configuration.rows, columns: configuration.columns, normalization: normalization,
            random: Generator(seed: 0))
        let file = "\(path)/\(NetworkFile.name(norm: name, seed: choice.seed))"
        guard FileManager.default.fileExists(atPath: file) else {
            throw RunFailure("\(file): expected the model of a finished run, found none; --resume finishes it")
        }
        try model.load(from: file)
        return model
    }

    /// A picture of what the model expects for draws of z from the prior; the same for the same seed.
    package func picture(count: Int, across: Int, seed: UInt64) -> Data {
        GenerativePictures.grid(withoutGradients { model.samples(count, random: Generator(seed: seed)) }, across: across)
    }

    /// Whether the model draws in steps, which ``animation(count:across:seed:)`` shows.
    package var isAnimated: Bool { model is any DrawsInSteps }

    /// How the model draws such images, as an animation; nil if it does not draw in steps.
    package func animation(count: Int, across: Int, seed: UInt64) -> Data? {
        guard let model = model as? any DrawsInSteps else { return nil }
        return DrawingAnimation.file(withoutGradients { model.drawnSamples(count, random: Generator(seed: seed)) }, across: across)
    }
}
