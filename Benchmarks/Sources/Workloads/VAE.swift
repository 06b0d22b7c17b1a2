public import Torch
import Training
public import WeightNorm

/// A residual variational autoencoder of binary images, without a flow: the paper's MNIST model as the race has it.
///
/// Encoder: convolution 3×3 to 16 maps, three stages of two residual blocks with 16, 32 and 32 maps, between them convolutions of stride 2; dense 450; dense to mean and log σ
/// of z 32. The decoder is its mirror image, with nearest doubling. Loss: Bernoulli reconstruction and divergence, in nats.
public final class VAE: Workload {
    private let encoder: Sequential
    private let decoder: Sequential
    private let optimizer: Adamax
    private let images: Tensor
    private let random: Generator
    private static let latents = 32

    /// The network, its input and its optimizer, all drawn from one seed.
    public init(normalization: Normalization, batch: Int, layout: CNN.Layout, type: ElementType = .float32, device: Device = .cpu) {
        let random = Generator(seed: 0, device: device)
        func convolution(_ inputs: Int, _ outputs: Int, stride: Int = 1) -> Convolution {
            Convolution(
                inputs, to: outputs, kernel: 3, stride: stride, padding: 1, normalization: normalization, type: type, random: random)
        }
        func dense(_ inputs: Int, _ outputs: Int) -> Dense {
            Dense(inputs, to: outputs, normalization: normalization, type: type, random: random)
        }
        func blocks(_ maps: Int) -> [any Layer] {
            (0..<2).map { _ in Block(first: convolution(maps, maps), second: convolution(maps, maps)) }
        }
        var up: [any Layer] = [convolution(1, 16)] + blocks(16)
        up += [convolution(16, 32, stride: 2)] + blocks(32)
        up += [convolution(32, 32, stride: 2)] + blocks(32)
        up += [Flatten(), dense(7 * 7 * 32, 450), Activation.elu, dense(450, 2 * Self.latents)]
        encoder = Sequential(up)
        var down: [any Layer] = [
            dense(Self.latents, 450), Activation.elu, dense(450, 7 * 7 * 32), Images(isChannelsLast: layout == .channelsLast),
        ]
        down += blocks(32) + [Doubling(), convolution(32, 32)]
        down += blocks(32) + [Doubling(), convolution(32, 16)]
        down += blocks(16) + [convolution(16, 1)]
        decoder = Sequential(down)
        optimizer = Adamax(encoder.parameters + decoder.parameters)
        let drawn = Tensor.bernoulli([batch, 1, 28, 28], probability: 0.2, type: type, from: random)
        images = layout == .channelsLast ? drawn.channelsLast() : drawn
        self.random = random
    }

    /// Encoder and decoder, in this order.
    public var layers: Sequential { Sequential(encoder, decoder) }

    /// The mean loss of images; the draws ε of N(0, 1), `[batch, 32]`, are made here unless they are given.
    public func loss(_ images: Tensor, noise: Tensor? = nil) -> Tensor {
        let pass = Pass.training(random)
        let batch = images.shape[0]
        let parts = encoder(images, pass).split([Self.latents, Self.latents], along: 1)
        let (mean, logDeviation) = (parts[0], parts[1])
        let deviation = logDeviation.exp()
        let latent = mean + deviation * (noise ?? .normal(mean.shape, type: mean.type, from: random))
        let divergence = (mean.squared() + deviation.squared() - logDeviation * 2 - 1).sum(over: [1]).mean() * 0.5
        return decoder(latent, pass).sigmoidCrossEntropy(targets: images, reduction: .sum) * (1 / Double(batch)) + divergence
    }

    /// A step of Adamax.
    public func step() -> Double {
        let loss = loss(images)
        optimizer.minimize(loss, learningRate: 2e-3)
        return loss.item()
    }
}

/// x + 0.1·conv(ELU(conv(ELU x))).
private struct Block: Layer {
    let first: Convolution
    let second: Convolution

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input + second(first(input.elu(), pass).elu(), pass) * 0.1 }
}

/// `[batch, 7·7·32]` as maps.
private struct Images: Layer {
    let isChannelsLast: Bool

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let maps = input.reshaped([-1, 32, 7, 7])
        return isChannelsLast ? maps.channelsLast() : maps
    }
}

/// Every pixel repeated twice in both directions.
private struct Doubling: Layer {
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let shape = input.shape
        return input.resizedNearest2d(height: 2 * shape[2], width: 2 * shape[3])
    }
}
