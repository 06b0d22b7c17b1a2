import Foundation
import TestSupport
import Torch
import WeightFiles
import WeightNorm

/// Every layer once; `Network` in Scripts/reference/interchange.py is the same.
final class InterchangeNetwork: Layer {
    let conv1: Convolution
    let up1: TransposedConvolution
    let conv2: Convolution
    let up2: TransposedConvolution
    let conv3: Convolution
    let up3: TransposedConvolution
    let hidden1: Dense
    let hidden2: Dense
    let lstm: LSTM
    let gru: GRU
    let outputLayer: Dense

    init(_ normalization: Normalization, type: ElementType, seed: UInt64 = 1) {
        let random = Generator(seed: seed)
        conv1 = Convolution(4, to: 6, kernel: [3], padding: [1], groups: 2, normalization: normalization, type: type, random: random)
        up1 = TransposedConvolution(6, to: 4, kernel: [2], stride: [2], groups: 2, normalization: normalization, type: type, random: random)
        conv2 = Convolution(4, to: 6, kernel: [3, 3], groups: 2, normalization: normalization, type: type, random: random)
        up2 = TransposedConvolution(
            6, to: 4, kernel: [2, 2], stride: [2, 2], groups: 2, normalization: normalization, type: type, random: random)
        conv3 = Convolution(2, to: 3, kernel: [2, 2, 2], normalization: normalization, type: type, random: random)
        up3 = TransposedConvolution(3, to: 2, kernel: [2, 2], normalization: normalization, type: type, random: random)
        func hidden(_ inputs: Int, _ outputs: Int, _ normalizer: any Normalizer) -> Dense {
            let map = DenseMap(inputs: inputs, outputs: outputs)
            let initial = Tensor.normal(map.weightShape, type: type, from: random) * 0.05
            return Dense(map: map, weight: normalization.makeWeight(initial, units: map.units), bias: nil, normalizer: normalizer)
        }
        // A large ε: without it the function does not depend on the gain of hidden1, and its gradient is rounding alone.
        hidden1 = hidden(32, 10, BatchNorm(features: 10, axis: -1, epsilon: 0.1, type: type))
        hidden2 = hidden(10, 6, MeanOnlyBatchNorm(features: 6, axis: -1, type: type))
        lstm = LSTM(3, hidden: 4, normalization: normalization, type: type, random: random)
        gru = GRU(4, hidden: 3, normalization: normalization, type: type, random: random)
        outputLayer = Dense(3, to: 2, normalization: normalization, type: type, random: random)
    }

    /// `[2, 4, 2]` of `[4, 4, 8]`.
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        var x = conv1(input, pass).tanh()
        x = up1(x, pass).tanh().reshaped([-1, 4, 4, 4])
        x = conv2(x, pass).tanh()
        x = up2(x, pass).tanh().reshaped([-1, 2, 2, 4, 4])
        x = conv3(x, pass).tanh().reshaped([-1, 3, 3, 3])
        x = up3(x, pass).tanh().flattened(from: 1)
        x = hidden1(x, pass).tanh()
        x = hidden2(x, pass).tanh().reshaped([-1, 2, 3]).transposed(0, 1)
        x = lstm(x, pass).outputs
        x = gru(x, pass).outputs
        return outputLayer(x, pass)
    }

    /// Moves every parameter and buffer at random, so that nothing is 0 and no gain is a norm.
    func move(_ seed: UInt64) {
        let random = Generator(seed: seed)
        for parameter in parameters {
            parameter.assign(parameter.snapshot() + 0.2 * .normal(parameter.value.shape, type: parameter.value.type, from: random))
        }
        for buffer in namedBuffers.map(\.value) {
            buffer.assign(buffer.value + 0.5 * .uniform(buffer.value.shape, type: buffer.value.type, from: random))
        }
    }

    /// Outputs, and the gradients of Σ outputs·seed with respect to the input and every parameter, named by path.
    func results(_ input: Tensor, seed: Tensor) -> [(name: String, value: Tensor)] {
        let inference = withoutGradients { self(input, .inference) }
        let variable = Parameter(input)
        let named = namedParameters
        let output = self(variable.value, .training(Generator(seed: 0)))
        let found = gradients(of: (output * seed).sum(), withRespectTo: [variable] + named.map(\.value))
        return [("output.inference", inference), ("output.training", output.detached()), ("gradient.input", found[0])]
            + zip(named, found.dropFirst()).map { ("gradient.\($0.path)", $1) }
    }
}

extension LoadReport {
    /// For the path of every parameter and buffer of an adopted file, the file's names for it.
    var namesByPath: [String: [String]] {
        var names: [String: [String]] = [:]
        for tensor in tensors { names[tensor.path] = tensor.names }
        for weight in weights {
            if weight.names.count == 1 {
                names[weight.path] = weight.names
            } else {
                names["\(weight.path).direction"] = [weight.names[0]]
                names["\(weight.path).gain"] = [weight.names[1]]
            }
        }
        return names
    }
}

/// The largest difference of two tensors, relative to the largest element of the second.
func relativeDifference(_ found: Tensor, _ expected: Tensor) -> Double {
    let scale = expected.detached().magnitude().maximum().item()
    let difference = (found.detached() - expected.detached()).magnitude().maximum().item()
    return difference == 0 ? 0 : difference / scale
}

/// The tolerances that are asked for: 1e-5 in float32, 1e-12 in double.
func tolerance(_ type: ElementType) -> Double { type == .float64 ? 1e-12 : 1e-5 }

/// A folder for the duration of a test, or the one that an environment variable names.
func withInterchangeFolder(_ variable: String? = nil, _ body: (URL) throws -> Void) throws {
    if let variable, let path = ProcessInfo.processInfo.environment[variable], !path.isEmpty {
        let folder = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return try body(folder)
    }
    try withFolder { try body(URL(fileURLWithPath: $0)) }
}
