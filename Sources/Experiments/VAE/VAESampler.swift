package import Foundation
import Torch
import Training
package import WeightNorm

/// A finished model of a run's folder, to draw from.
package struct VAESampler {
    private let model: any GenerativeModel

    /// The model of a norm and seed; of the run's first ones where none are given.
    ///
    /// - Throws: ``VAEExperiment/Failure`` if the folder is no such run's or has no such model; what loading the file throws.
    package init(at path: String, norm: Normalization? = nil, seed: UInt64? = nil) throws {
        let command: String
        do {
            command = try Comparison.Configuration.command(at: path)
        } catch let error as FileError {
            throw VAEExperiment.Failure(description: "expected the folder of a run of weightnorm train vae: \(error)")
        }
        guard command == "train vae" else {
            throw VAEExperiment.Failure(description: "\(path): expected a run of weightnorm train vae, found one of weightnorm \(command)")
        }
        let configuration = try RunFolder.read(VAEExperiment.Configuration.self, named: "config.json", at: path)
        guard let firstNorm = configuration.norms.first, let firstSeed = configuration.seeds.first else {
            throw VAEExperiment.Failure(description: "\(path)/config.json: expected norms and seeds, found none")
        }
        let name = norm?.rawValue ?? firstNorm
        guard let normalization = Normalization(rawValue: name), configuration.norms.contains(name) else {
            throw VAEExperiment.Failure(
                description: "norm: expected one of the run's, \(configuration.norms.joined(separator: ", ")), found '\(name)'")
        }
        let number = seed ?? firstSeed
        guard configuration.seeds.contains(number) else {
            let seeds = configuration.seeds.map { "\($0)" }.joined(separator: ", ")
            throw VAEExperiment.Failure(description: "seed: expected one of the run's, \(seeds), found \(number)")
        }
        model = VAETrainer.makeModel(
            configuration.settings, rows: configuration.rows, columns: configuration.columns, normalization: normalization,
            random: Generator(seed: 0))
        let file = "\(path)/\(NetworkFile.name(norm: name, seed: number))"
        guard FileManager.default.fileExists(atPath: file) else {
            throw VAEExperiment.Failure(description: "\(file): expected the model of a finished run, found none; --resume finishes it")
        }
        try model.load(from: file)
    }

    /// A picture of what the model expects for draws of z from the prior; the same for the same seed.
    package func picture(count: Int, across: Int, seed: UInt64) -> Data {
        VAEPictures.grid(withoutGradients { model.samples(count, random: Generator(seed: seed)) }, across: across)
    }
}
