import Foundation
import Report
import Torch
import Training
import WeightNorm

/// Least squares with more unknowns than equations, by gradient descent from a start of a chosen length: which of the many solutions is found (Wu et
/// al. 2020).
struct MinimumNormTask: StudyTask {
    var norm: String
    /// ‖w‖ at the start, as a multiple of the smallest solution's length.
    var startLength: Double
    var learningRate: Double
    var unknowns = 50
    var equations = 20
    var steps = 10_000
    var readings = 20

    static let kind = "minimum norm"

    struct Source {
        let inputs: Tensor
        let targets: Tensor
        let start: Tensor
        /// The solution of the smallest length.
        let smallest: Tensor
    }

    func check() throws(RunFailure) {
        try SettingsCheck.whole("unknowns", unknowns, in: 1...10_000)
        try SettingsCheck.whole("equations", equations, in: 1...unknowns)
        try SettingsCheck.whole("steps", steps, in: 1...10_000_000)
        try SettingsCheck.whole("readings", readings, in: 1...1000)
        try SettingsCheck.number("learningRate", learningRate, in: .rate)
        try SettingsCheck.number("startLength", startLength, in: .above(0, atMost: 1000))
    }

    func makeSource(seed: UInt64, data: StudyData) -> Source {
        withoutGradients {
            let random = Generator(seed: seed)
            // Rows of length about 1, so that one rate suits every size.
            let inputs = Tensor.normal([equations, unknowns], type: .float64, from: random) * (1 / Double(unknowns).squareRoot())
            let targets = Tensor.normal([equations, 1], type: .float64, from: random)
            // w = Xᵀ(XXᵀ)⁻¹y, the inverse by way of eigenvalues: XXᵀ is symmetric and positive.
            let (values, vectors) = inputs.matrixProduct(inputs.transposed()).symmetricEigen()
            let turned = vectors.transposed().matrixProduct(targets) / values.expandingDimension(1)
            let smallest = inputs.transposed().matrixProduct(vectors.matrixProduct(turned)).reshaped([1, unknowns])
            let start = Tensor.normal([1, unknowns], type: .float64, from: random)
            let length = smallest.norm(over: [0, 1]).item() / start.norm(over: [0, 1]).item() * startLength
            return Source(inputs: inputs, targets: targets, start: start * length, smallest: smallest)
        }
    }

    func makeTrainee(seed: UInt64, source: Source) throws -> ModelTrainee<Dense, Tensor> {
        guard let norm = Normalization(rawValue: norm) else { throw RunFailure("norm: expected one, found '\(norm)'") }
        let map = DenseMap(inputs: unknowns, outputs: 1)
        // Both norms start as the same function. Wu et al. begin with ‖v‖ = 1.
        let length = source.start.norm(over: [1], keeping: true)
        let weight =
            norm == .weight
            ? Weight.normalized(direction: Parameter(source.start / length), gain: Parameter(length), units: map.units)
            : norm.makeWeight(source.start, units: map.units)
        let layer = Dense(map: map, weight: weight, bias: nil)
        let targets = source.targets
        return ModelTrainee(layer, optimizer: SGD(layer.parameters), random: Generator(seed: seed)) { _ in
            learningRate
        } loss: {
            layer, inputs, _ in
            (layer(inputs, .inference) - targets).squared().sum() * 0.5
        }
    }

    func input(step: Int, source: Source) -> Tensor { source.inputs }

    func values(of layer: Dense, step: Int, source: Source) -> [String: Double] {
        let weight = layer.weight.value
        let (length, least) = (weight.norm(over: [0, 1]).item(), source.smallest.norm(over: [0, 1]).item())
        let residual = (layer(source.inputs, .inference) - source.targets).norm(over: [0, 1]).item()
        return [
            "excess": length / least - 1, "distance": (weight - source.smallest).norm(over: [0, 1]).item() / least,
            "residual": residual / source.targets.norm(over: [0, 1]).item(),
        ]
    }
}
