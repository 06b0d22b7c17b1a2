package import Torch
package import WeightNorm

/// x + 0.1·conv(ELU(conv(ELU x))), with 3×3 convolutions that keep the size and the number of maps.
package struct ResidualBlock: Layer {
    private let first: Convolution
    private let second: Convolution

    package init(maps: Int, normalization: Normalization, type: ElementType = .float32, random: Generator) {
        first = Convolution(maps, to: maps, kernel: 3, padding: 1, normalization: normalization, type: type, random: random)
        second = Convolution(maps, to: maps, kernel: 3, padding: 1, normalization: normalization, type: type, random: random)
    }

    package func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        input.adding(second(first(input.elu(), pass, activation: .elu), pass), times: 0.1)
    }
}

/// Every pixel of `[batch, channels, rows, columns]` repeated twice in both directions.
package struct Doubling: Layer {
    package init() {}

    package func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let shape = input.shape
        return input.resizedNearest2d(height: 2 * shape[2], width: 2 * shape[3])
    }
}

/// Features of `[batch, …]` in another shape.
package struct Reshape: Layer {
    private let shape: [Int]

    package init(_ shape: [Int]) { self.shape = shape }

    package func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let maps = input.reshaped([-1] + shape)
        // Channels last, with which convolutions on the CPU are fastest; they keep it.
        return maps.device.isCPU && shape.count == 3 ? maps.channelsLast() : maps
    }
}
