import Foundation
import Training
import WeightFiles
package import WeightNorm

/// A network's parameters and buffers in a safetensors file in a run's folder.
package enum NetworkFile {
    /// The file of a norm and seed in a run's folder.
    package static func name(norm: String, seed: UInt64) -> String { "network-\(norm)-seed\(seed).safetensors" }

    /// The file with the network after some of the run's epochs.
    package static func name(norm: String, seed: UInt64, epoch: Int) -> String { "network-\(norm)-seed\(seed)-epoch\(epoch).safetensors" }

    /// Writes a trainer's network as it is now, with its norm, seed and settings as metadata.
    static func write(_ trainer: ClassificationTrainer, epoch: Int? = nil, into folder: RunFolder) throws {
        let norm = trainer.normalization.rawValue
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let settings = String(decoding: try encoder.encode(trainer.settings), as: UTF8.self)
        try trainer.network.write(
            to: folder.path(for: epoch.map { name(norm: norm, seed: trainer.seed, epoch: $0) } ?? name(norm: norm, seed: trainer.seed)),
            layout: .native,
            metadata: ["norm": norm, "seed": "\(trainer.seed)", "step": "\(trainer.stepCount)", "settings": settings])
    }

    /// Loads the numbers from a run's file into a module of the same structure, converted to the module's element types.
    package static func load(_ path: String, into module: some Module) throws {
        try module.load(from: SafetensorsFile(openingOwn: path), convertingTypes: true)
    }
}
