import Foundation
import Testing
import Torch
import WeightNorm

/// What `peers/reference.py` wrote.
struct Reference: Decodable, Sendable {
    struct Network: Decodable, Sendable {
        var norm: String
        var loss: Double
        /// By the parameter's path: the gradient's norm, and its product with a pattern.
        var gradients: [String: [Double]]

        /// Compares a loss, to 1e-12 of it, and its gradients, to 1e-10, with what is expected.
        func require(_ found: Tensor, of parameters: [Named<Parameter>]) throws {
            #expect(Set(parameters.map(\.path)) == Set(gradients.keys))
            #expect(abs(found.item() - loss) < 1e-12 * max(1, loss))
            let slopes = Torch.gradients(of: found, withRespectTo: parameters.map(\.value))
            for (parameter, gradient) in zip(parameters, slopes) {
                let numbers = try #require(gradients[parameter.path])
                let tolerance = 1e-10 * max(1, numbers[0])
                #expect(abs(gradient.norm().item() - numbers[0]) < tolerance, "\(norm), \(parameter.path)")
                #expect(abs((gradient * pattern(23, gradient.shape)).sum().item() - numbers[1]) < tolerance, "\(norm), \(parameter.path)")
            }
        }
    }

    var torch: String
    var batch: Int
    /// Of DRAW.
    var glimpses: Int
    var cnn: [Network]
    var vae: [Network]
    var draw: [Network]
    var dqn: [Network]

    static func read() throws -> Reference {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "reference.json")
        return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
    }
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

/// Gives the parameters the numbers of the pattern that the reference was made from.
func fill(_ parameters: [Named<Parameter>]) {
    for (number, parameter) in parameters.enumerated() {
        let isGain = parameter.path.hasSuffix("gain")
        parameter.value.assign(pattern(1000 * number, parameter.value.value.shape) * (isGain ? 0.5 : 0.2) + (isGain ? 1 : 0))
    }
}
