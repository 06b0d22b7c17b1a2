package import Datasets
import Foundation
package import Torch
package import WeightNorm

/// A model of images with latent variables z: p(x, z), and an approximate posterior q(z | x).
package protocol GenerativeModel: Module {
    /// The terms of the bound for images `[batch, channels, rows, columns]` and one draw of z from q, using the generator.
    ///
    /// The pass says what layers do; the draws of z are made in every phase.
    func terms(of images: Tensor, _ pass: Pass, random: Generator) -> BoundTerms

    /// The expectations of p(x | z) for draws of z from the prior: `[count, channels, rows, columns]` in [0, 1].
    func samples(_ count: Int, random: Generator) -> Tensor

    /// The expectations of p(x | z) for draws of z from q given images, in [0, 1].
    func reconstructions(of images: Tensor, random: Generator) -> Tensor
}

/// The parts of the evidence lower bound log p(x) ≥ E_q[log p(x | z) − log q(z | x) + log p(z)] for one draw of z, in nats.
package struct BoundTerms {
    /// log p(x | z), `[batch]`.
    package let likelihood: Tensor
    private let makeDivergence: () -> Tensor
    /// The closed form of the divergence of q from the prior, `[batch]`, if there is one.
    private let exactDivergence: Tensor?
    /// What training subtracts instead of the divergence's mean, one number: an estimate of lower variance, or one with free bits.
    package let penalty: Tensor

    package init(likelihood: Tensor, divergence: Tensor, penalty: Tensor? = nil) {
        self.likelihood = likelihood
        makeDivergence = { divergence }
        exactDivergence = nil
        self.penalty = penalty ?? divergence.mean()
    }

    /// Terms with a separate penalty, so that the divergence of the draw, `[batch]`, is only computed on demand.
    package init(likelihood: Tensor, penalty: Tensor, divergence: @escaping () -> Tensor) {
        self.likelihood = likelihood
        makeDivergence = divergence
        exactDivergence = nil
        self.penalty = penalty
    }

    /// Terms whose divergence has a closed form, `[batch]`; that of the draw is only computed on demand.
    package init(likelihood: Tensor, exactDivergence: Tensor, divergence: @escaping () -> Tensor) {
        self.likelihood = likelihood
        self.exactDivergence = exactDivergence
        makeDivergence = divergence
        penalty = exactDivergence.mean()
    }

    /// log q(z | x) − log p(z) of the draw, `[batch]`.
    package var divergence: Tensor { makeDivergence() }

    /// An estimate of the bound, `[batch]`, with the closed form of the divergence if there is one.
    package var bound: Tensor { likelihood - (exactDivergence ?? divergence) }

    /// log p(x | z) − log q(z | x) + log p(z), `[batch]`: its mean is the bound, and the mean of its exponential is p(x).
    package var logWeight: Tensor { likelihood - divergence }

    /// What training minimizes: the negative bound, with ``penalty`` for the divergence.
    package var loss: Tensor { penalty - likelihood.mean() }
}

extension GenerativeModel {
    /// The bound of every image, `[batch]`, with one draw of z each.
    package func bound(of images: Tensor, random: Generator) -> Tensor { terms(of: images, .inference, random: random).bound }

    /// log (1/K Σ p(x, z_k)/q(z_k | x)) of every image, `[batch]`: an estimate of log p(x) that is never above it on average, and closer with more draws
    /// (Burda, Grosse & Salakhutdinov, 2016).
    package func importanceWeighted(_ images: Tensor, draws: Int, random: Generator) -> Tensor {
        let weights = (0..<draws).map { _ in terms(of: images, .inference, random: random).logWeight }
        return Tensor.stacked(weights, along: 0).logSumExp(over: [0]) - log(Double(draws))
    }

    /// The mean over images, which must already be binary if the model's are, of ``bound(of:random:)`` or, with several draws, of ``importanceWeighted(_:draws:random:)``; `progress` gets the number of
    /// images done.
    package func meanBound(
        on set: ResidentImages, _ pixels: PixelKind, draws: Int, random: Generator, progress: (Int) -> Void = { _ in }
    ) -> Double {
        withoutGradients {
            var sum = Tensor.zeros([], type: .float64, on: set.device)
            let size = set.device.isCPU ? 100 : 1000
            for start in stride(from: 0, to: set.count, by: size) {
                let end = min(start + size, set.count)
                let images = pixels.scaled(set.pixels(Tensor.range(start..<end, on: set.device)))
                let bounds = draws == 1 ? bound(of: images, random: random) : importanceWeighted(images, draws: draws, random: random)
                sum = sum + bounds.converted(to: .float64).sum()
                progress(end)
            }
            return sum.item() / Double(set.count)
        }
    }
}

extension PixelKind {
    /// Pixels as input for a model, without drawing: levels from 0 to 255, or grey as 0 to 1.
    func scaled(_ pixels: Tensor) -> Tensor {
        (pixels.converted(to: .float32) * (self == .levels ? 1 : 1 / 255.0)).laidOutForModels()
    }
}

extension Tensor {
    /// Channels last on the CPU, where convolutions are faster that way; every layer keeps it.
    func laidOutForModels() -> Tensor { device.isCPU ? channelsLast() : self }
}
