import Testing
import Torch
import WeightNorm

/// The largest difference of two tensors, relative to the largest element of the second (or absolute, below 1).
func difference(_ found: Tensor, _ expected: Tensor) -> Double {
    let scale = max(1, expected.detached().magnitude().maximum().item())
    return (found.detached() - expected.detached()).magnitude().maximum().item() / scale
}

/// The derivative of a scalar function of parameters by central differences, for every element of one of them.
func numericGradient(_ parameter: Parameter, step: Double = 1e-6, of function: () -> Tensor) -> Tensor {
    withoutGradients {
        let start = parameter.snapshot()
        let numbers = start.elements(as: Double.self)
        let slopes = numbers.indices.map { index -> Double in
            func value(_ offset: Double) -> Double {
                var moved = numbers
                moved[index] += offset
                parameter.assign(Tensor(moved, shape: start.shape))
                return function().item()
            }
            return (value(step) - value(-step)) / (2 * step)
        }
        parameter.assign(start)
        return Tensor(slopes, shape: start.shape)
    }
}

extension Normalization {
    /// Those that are a form of the weights alone.
    static let forms = allCases.filter { !$0.hasNormalizer }
}

/// A layer with an input that fits it, for tests over all kinds.
struct LayerCase: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let inputShape: [Int]
    let make: @Sendable (Normalization, ElementType, Generator) -> any Layer

    static let all: [LayerCase] = [
        LayerCase(testDescription: "dense", inputShape: [7, 5]) { Dense(5, to: 4, normalization: $0, type: $1, random: $2) },
        LayerCase(testDescription: "dense over time", inputShape: [3, 6, 5]) { Dense(5, to: 4, normalization: $0, type: $1, random: $2) },
        LayerCase(testDescription: "convolution 1d", inputShape: [3, 4, 9]) {
            Convolution(4, to: 6, kernel: [3], stride: [2], padding: [1], dilation: [2], groups: 2, normalization: $0, type: $1, random: $2)
        },
        LayerCase(testDescription: "convolution 2d", inputShape: [3, 2, 6, 5]) {
            Convolution(2, to: 3, kernel: 3, padding: 1, normalization: $0, type: $1, random: $2)
        },
        LayerCase(testDescription: "convolution 3d", inputShape: [2, 2, 3, 4, 3]) {
            Convolution(2, to: 3, kernel: [2, 2, 2], normalization: $0, type: $1, random: $2)
        },
        LayerCase(testDescription: "transposed convolution 1d", inputShape: [3, 4, 5]) {
            TransposedConvolution(
                4, to: 6, kernel: [3], stride: [2], padding: [1], outputPadding: [1], groups: 2, normalization: $0, type: $1, random: $2)
        },
        LayerCase(testDescription: "transposed convolution 2d", inputShape: [2, 3, 4, 4]) {
            TransposedConvolution(3, to: 2, kernel: [3, 3], stride: [2, 2], padding: [1, 1], normalization: $0, type: $1, random: $2)
        },
    ]
}
