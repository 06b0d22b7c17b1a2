import Foundation
import Testing
import Torch
import WeightNorm

/// What `peers/reference.py` wrote.
struct Reference: Decodable, Sendable {
    /// The gradient of a parameter of the peer.
    struct Gradient: Decodable, Sendable {
        var name: String
        var norm: Double
        /// The sum of its product with a pattern.
        var product: Double
    }

    struct Network: Decodable, Sendable {
        var norm: String
        var loss: Double
        /// In the order in which the parameters were given their numbers.
        var gradients: [Gradient]

        /// Gives a module's parameters the numbers of the peer's.
        ///
        /// - Parameter paths: the module's names for one of the peer's: of several, the peer's parameter is their rows one after the other.
        func fill(_ module: some Module, _ paths: (String) -> [String]) throws {
            let parameters = Dictionary(uniqueKeysWithValues: module.namedParameters.map { ($0.path, $0.value) })
            #expect(Set(gradients.flatMap { paths($0.name) }) == Set(parameters.keys))
            for (number, gradient) in gradients.enumerated() {
                let parts = try paths(gradient.name).map { try #require(parameters[$0], "\($0)") }
                let rows = parts.map { $0.value.shape[0] }
                let isGain = gradient.name.hasSuffix("gain")
                let shape = [rows.reduce(0, +)] + parts[0].value.shape.dropFirst()
                let numbers = pattern(1000 * number, shape) * (isGain ? 0.5 : 0.2) + (isGain ? 1 : 0)
                for (part, values) in zip(parts, numbers.split(rows, along: 0)) { part.assign(values) }
            }
        }

        /// Compares a loss, to 1e-12 of it, and its gradients, to 1e-10, with what is expected.
        func require(_ found: Tensor, of module: some Module, _ paths: (String) -> [String]) throws {
            #expect(abs(found.item() - loss) < 1e-12 * max(1, loss), "\(norm)")
            let parameters = module.namedParameters
            let slopes = Dictionary(
                uniqueKeysWithValues: zip(
                    parameters.map(\.path), Torch.gradients(of: found, withRespectTo: parameters.map(\.value))))
            for gradient in gradients {
                let slope = Tensor.concatenated(try paths(gradient.name).map { try #require(slopes[$0]) })
                let tolerance = 1e-10 * max(1, gradient.norm)
                #expect(abs(slope.norm().item() - gradient.norm) < tolerance, "\(norm), \(gradient.name)")
                #expect(abs((slope * pattern(23, slope.shape)).sum().item() - gradient.product) < tolerance, "\(norm), \(gradient.name)")
            }
        }
    }

    var torch: String
    var batch: Int
    /// Of DRAW, or steps of a sequence.
    var glimpses: Int
    var cnn: [Network]
    var vae: [Network]
    var draw: [Network]
    var dqn: [Network]
    var lstm: [Network]
    var gru: [Network]

    static func read() throws -> Reference {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "reference.json")
        return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
    }

    /// The generator whose draws the peer was given.
    static var random: Generator { Generator(seed: 5) }
}

/// The numbers that the reference was made from.
func pattern(_ offset: Int, _ shape: [Int]) -> Tensor {
    let count = shape.reduce(1, *)
    let numbers = (offset..<(offset + count)).map { place -> Double in
        let whole = (place * 7919 + 11) % 1009 - 504
        return Double(whole) / 1008
    }
    return Tensor(numbers, shape: shape)
}
