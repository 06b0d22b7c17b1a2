import Foundation
import Torch

/// What `peers/reference.py` wrote.
struct Reference: Decodable, Sendable {
    struct Network: Decodable, Sendable {
        var norm: String
        var loss: Double
        /// By the parameter's path: the gradient's norm, and its product with a pattern.
        var gradients: [String: [Double]]
    }

    var torch: String
    var batch: Int
    var cnn: [Network]
    var vae: [Network]

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
