import Foundation
import Torch
import Training
package import WeightNorm

/// A network's parameters and buffers by their paths, in a safetensors file of a run's folder.
package enum NetworkFile {
    /// The file of a norm and seed in a run's folder.
    package static func name(norm: String, seed: UInt64) -> String { "network-\(norm)-seed\(seed).safetensors" }

    /// Writes a trainer's network as it is now, with its norm, seed and settings as metadata.
    static func write(_ trainer: ClassificationTrainer, into folder: RunFolder) throws {
        let norm = trainer.normalization.rawValue
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let settings = String(decoding: try encoder.encode(trainer.settings), as: UTF8.self)
        try Safetensors.write(
            values(of: trainer.network).map { ($0.path, $0.value) },
            metadata: ["norm": norm, "seed": "\(trainer.seed)", "step": "\(trainer.stepCount)", "settings": settings],
            to: folder.path(for: name(norm: norm, seed: trainer.seed)))
    }

    /// Puts a file's numbers into a module of the same structure, converted to the module's element types.
    ///
    /// Nothing is changed unless all fits.
    ///
    /// - Throws: ``Mismatch``, which names every tensor that is missing, unexpected, of another shape or not of floating-point numbers.
    package static func load(_ path: String, into module: some Module) throws {
        let file = try SafetensorsFile(opening: path)
        let wanted = values(of: module)
        var problems = Set(file.names).subtracting(wanted.map(\.path)).sorted().map { "unexpected \($0)" }
        var found: [String: Tensor] = [:]
        for named in wanted {
            guard file.names.contains(named.path) else {
                problems.append("missing \(named.path)")
                continue
            }
            let (type, shape) = try file.info(named.path)
            if shape != named.value.shape {
                problems.append("\(named.path): expected shape \(named.value.shape), found \(shape)")
            } else if !type.isFloatingPoint {
                problems.append("\(named.path): expected floating-point numbers, found \(type)")
            } else {
                found[named.path] = try file.tensor(named.path)
            }
        }
        guard problems.isEmpty else { throw Mismatch(path: path, problems: problems) }
        for parameter in module.namedParameters {
            if let value = found[parameter.path] { parameter.value.assign(value) }
        }
        for buffer in module.namedBuffers {
            if let value = found[buffer.path] {
                let before = buffer.value.value
                buffer.value.assign(value.converted(to: before.type).moved(to: before.device))
            }
        }
    }

    /// A file that does not fit a network: everything that is wrong with it.
    package struct Mismatch: Error, CustomStringConvertible {
        package let path: String
        package let problems: [String]
        package var description: String { "\(path): not the network that was expected: \(problems.joined(separator: "; "))" }
    }

    private static func values(of module: some Module) -> [(path: String, value: Tensor)] {
        module.namedParameters.map { ($0.path, $0.value.value) } + module.namedBuffers.map { ($0.path, $0.value.value) }
    }
}
