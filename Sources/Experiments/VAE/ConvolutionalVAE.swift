package import Torch
package import WeightNorm

/// The paper's model of binary images (its §5.2, MNIST): a residual encoder and decoder, and a posterior by inverse autoregressive flow.
///
/// Images of `[batch, 1, rows, columns]`, rows and columns divisible by 4. Encoder: a 3×3 convolution; three sequences of residual blocks, the first two
/// followed by a 3×3 convolution of stride 2; a dense layer; from it μ, log σ and the flow's context. The decoder is its mirror image.
package struct ConvolutionalVAE: GenerativeModel {
    private let encoder: Sequential
    private let mean: Dense
    private let logDeviation: Dense
    private let context: Dense?
    private let flow: [DenseFlowStep]
    private let decoder: Sequential
    private let latentSize: Int

    package init(
        _ settings: VAESettings, rows: Int, columns: Int, normalization: Normalization, type: ElementType = .float32, random: Generator
    ) {
        let maps = settings.maps
        func convolution(_ inputs: Int, _ outputs: Int, stride: Int = 1) -> Convolution {
            Convolution(
                inputs, to: outputs, kernel: 3, stride: stride, padding: 1, normalization: normalization, type: type, random: random)
        }
        func dense(_ inputs: Int, _ outputs: Int) -> Dense {
            Dense(inputs, to: outputs, normalization: normalization, type: type, random: random)
        }
        func blocks(_ maps: Int) -> [any Layer] {
            (0..<settings.blocks).map { _ in ResidualBlock(maps: maps, normalization: normalization, type: type, random: random) }
        }
        let inner = [maps[2], rows / 4, columns / 4]
        let features = inner.reduce(1, *)

        var up: [any Layer] = [convolution(1, maps[0])] + blocks(maps[0])
        up += [convolution(maps[0], maps[1], stride: 2)] + blocks(maps[1])
        up += [convolution(maps[1], maps[2], stride: 2)] + blocks(maps[2])
        up += [Flatten(), dense(features, settings.hidden), Activation.elu]
        encoder = Sequential(up)
        mean = dense(settings.hidden, settings.latents)
        logDeviation = dense(settings.hidden, settings.latents)
        context = settings.flowSteps > 0 ? dense(settings.hidden, settings.hidden) : nil
        flow = (0..<settings.flowSteps).map { step in
            DenseFlowStep(
                size: settings.latents, hidden: settings.hidden, context: settings.hidden, isReversed: !step.isMultiple(of: 2),
                normalization: normalization, type: type, random: random)
        }

        var down: [any Layer] = [
            dense(settings.latents, settings.hidden), Activation.elu, dense(settings.hidden, features), Reshape(inner),
        ]
        down += blocks(maps[2]) + [Doubling(), convolution(maps[2], maps[1])]
        down += blocks(maps[1]) + [Doubling(), convolution(maps[1], maps[0])]
        down += blocks(maps[0]) + [convolution(maps[0], 1)]
        decoder = Sequential(down)
        latentSize = settings.latents
    }

    package func terms(of images: Tensor, _ pass: Pass, random: Generator) -> BoundTerms {
        let posterior = posterior(of: images, pass, random: random)
        let likelihood = BernoulliPixels.logProbability(of: images, logits: decoder(posterior.latent, pass))
        func divergence() -> Tensor {
            posterior.logDensity() - DiagonalNormal.standardLogDensity(posterior.latent).sum(over: [1])
        }
        guard let exact = posterior.exactDivergence else { return BoundTerms(likelihood: likelihood, divergence: divergence()) }
        return BoundTerms(likelihood: likelihood, penalty: exact.mean(), divergence: divergence)
    }

    /// A draw z of `[batch, latents]`, log q(z | x) of `[batch]`, and, without a flow, the closed form of the divergence from the prior.
    private func posterior(
        of images: Tensor, _ pass: Pass, random: Generator
    ) -> (latent: Tensor, logDensity: () -> Tensor, exactDivergence: Tensor?) {
        let features = encoder(images, pass)
        let start = DiagonalNormal(mean: mean(features, pass), logDeviation: logDeviation(features, pass))
        let first = start.sample(random: random, at: pass.place)
        guard let context = context?(features, pass) else {
            return (first, { start.logDensity(first).sum(over: [1]) }, start.divergenceFromStandard.sum(over: [1]))
        }
        var latent = first
        var logDensity = start.logDensity(first).sum(over: [1])
        for step in flow {
            let (next, scale) = step(latent, context: context, pass)
            (latent, logDensity) = (next, logDensity + scale.sum(over: [1]))
        }
        return (latent, { [logDensity] in logDensity }, nil)
    }

    package func samples(_ count: Int, random: Generator) -> Tensor {
        decoder(.normal([count, latentSize], from: random), .inference).sigmoid()
    }

    package func reconstructions(of images: Tensor, random: Generator) -> Tensor {
        decoder(posterior(of: images, .inference, random: random).latent, .inference).sigmoid()
    }
}
