public import Torch
import Training
public import WeightNorm

/// The paper's CIFAR-10 network: nine convolutions, Adam, softmax cross-entropy.
///
/// Input `[batch, 3, 32, 32]`; Gaussian noise σ = 0.15; 3 × convolution 3×3, 96 maps; pooling; dropout 0.5; 3 × convolution 3×3, 192; pooling; dropout 0.5;
/// convolution 3×3 without padding, 192; 2 × convolution 1×1, 192; global mean; dense 10; leaky ReLU 0.1 after every convolution.
public final class CNN: Workload {
    /// The random numbers of one step, for the comparison of results.
    public struct Draws {
        /// N(0, 1), in the input's shape.
        public var noise: Tensor
        /// 0 or 1 for each element after the first and the second pooling, `[batch, 96, 16, 16]` and `[batch, 192, 8, 8]`.
        public var kept: [Tensor]

        /// Draws that were made elsewhere.
        public init(noise: Tensor, kept: [Tensor]) {
            self.noise = noise
            self.kept = kept
        }
    }

    /// Which layout the elements of images and maps have in memory.
    public enum Layout: String, CaseIterable, Sendable {
        /// Channel after channel, as the shapes say.
        case contiguous
        /// Pixel after pixel.
        case channelsLast = "channels-last"
    }

    /// The convolutions in their order.
    public let convolutions: [Convolution]
    /// The last layer.
    public let output: Dense
    private let optimizer: Adam
    private let input: Tensor
    private let labels: Tensor
    private let random: Generator

    /// The network, its input and its optimizer, all drawn from one seed.
    public init(normalization: Normalization, batch: Int, layout: Layout, type: ElementType = .float32, device: Device = .cpu) {
        let random = Generator(seed: 0, device: device)
        func convolution(_ inputs: Int, _ outputs: Int, _ kernel: Int, _ padding: Int) -> Convolution {
            Convolution(inputs, to: outputs, kernel: kernel, padding: padding, normalization: normalization, type: type, random: random)
        }
        convolutions = [
            convolution(3, 96, 3, 1), convolution(96, 96, 3, 1), convolution(96, 96, 3, 1),
            convolution(96, 192, 3, 1), convolution(192, 192, 3, 1), convolution(192, 192, 3, 1),
            convolution(192, 192, 3, 0), convolution(192, 192, 1, 0), convolution(192, 192, 1, 0),
        ]
        // The batch norms stand behind convolutions alone, as in the peers.
        let last: Normalization = [.weight, .weightAndMeanOnlyBatch].contains(normalization) ? .weight : .plain
        output = Dense(192, to: 10, normalization: last, type: type, random: random)
        optimizer = Adam(convolutions.flatMap(\.parameters) + output.parameters)
        let drawn = Tensor.normal([batch, 3, 32, 32], type: type, from: random)
        input = layout == .channelsLast ? drawn.channelsLast() : drawn
        labels = Tensor.integers(in: 0..<10, [batch], from: random)
        self.random = random
    }

    /// All layers with weights, in their order.
    public var layers: Sequential { Sequential(convolutions + [output as any Layer]) }

    /// The mean loss of a minibatch. The layers draw for themselves, unless draws are given.
    public func loss(_ input: Tensor, labels: Tensor, _ draws: Draws? = nil) -> Tensor {
        let pass = Pass.training(random)
        var maps = draws.map { input + $0.noise * 0.15 } ?? GaussianNoise(deviation: 0.15)(input, pass)
        for (index, convolution) in convolutions.enumerated() {
            maps = convolution(maps, pass).leakyRelu(slope: 0.1)
            guard index == 2 || index == 5 else { continue }
            maps = maps.maxPooled2d(2)
            maps = draws.map { maps * ($0.kept[index / 3] * 2) } ?? Dropout(probability: 0.5)(maps, pass)
        }
        return output(maps.mean(over: [2, 3]), pass).softmaxCrossEntropy(labels: labels)
    }

    /// A step of Adam.
    public func step() -> Double {
        let loss = loss(input, labels: labels)
        optimizer.minimize(loss, learningRate: 1e-3)
        return loss.item()
    }
}
