import Foundation
package import Torch

// Densities and probabilities in nats, summed over everything but the batch.

extension Tensor {
    /// Σ over all axes but the first.
    package func summedPerImage() -> Tensor { flattened(from: 1).sum(over: [1]) }
}

/// The normal distribution with diagonal covariance, given by μ and log σ, both `[batch, …]`.
package struct DiagonalNormal {
    package let mean: Tensor
    package let logDeviation: Tensor

    package init(mean: Tensor, logDeviation: Tensor) {
        self.mean = mean
        self.logDeviation = logDeviation
    }

    /// μ + σ·ε.
    package func sample(random: Generator, at place: BatchPlace? = nil) -> Tensor {
        mean + logDeviation.boundedExponential() * Tensor.normal(mean.shape, type: mean.type, from: random, at: place)
    }

    /// log N(z; μ, σ²), element by element.
    package func logDensity(_ value: Tensor) -> Tensor {
        let scaled = (value - mean).timesExponential(of: -logDeviation)
        return (scaled.squared() * -0.5) - logDeviation - Self.halfLogTwoPi
    }

    /// KL(N(μ, σ²) ‖ N(0, 1)), element by element.
    package var divergenceFromStandard: Tensor {
        (mean.squared() + (logDeviation * 2).exp() - 1) * 0.5 - logDeviation
    }

    /// log N(z; 0, 1), element by element.
    package static func standardLogDensity(_ value: Tensor) -> Tensor { value.squared() * -0.5 - halfLogTwoPi }

    private static let halfLogTwoPi = 0.918938533204672741780329736406
}

/// The Bernoulli distribution of pixels, given by logits.
package enum BernoulliPixels {
    /// log p(x) of images in [0, 1], `[batch]`.
    package static func logProbability(of images: Tensor, logits: Tensor) -> Tensor {
        -logits.sigmoidCrossEntropy(targets: images, reduction: .none).summedPerImage()
    }
}

/// The logistic distribution with mean μ and scale s, discretized into the 256 values of a pixel (Kingma et al., *Improved Variational Inference with
/// Inverse Autoregressive Flow*, 2016, with open ends at the first and last value, as in van den Oord et al. and Salimans et al., 2017).
///
/// Value k stands for the interval [k/256 − ½, (k + 1)/256 − ½), where the first begins at −∞ and the last ends at ∞, so that the 256 probabilities
/// add up to 1 for any μ and s.
package enum DiscretizedLogistic {
    /// The centre of a value's interval: (k + ½)/256 − ½.
    package static func centred(_ values: Tensor) -> Tensor { (values + 0.5) * (1 / 256.0) - 0.5 }

    /// log P(k), element by element: values from 0 to 255 in a floating-point type, μ in the units of the intervals, log s.
    ///
    /// With a and b the interval's ends, divided by the scale: σ(b) − σ(a) = σ(b)·σ(−a)·(1 − exp(a − b)), where the logarithm of each factor is
    /// accurate however small or large the scale is.
    package static func logProbability(of values: Tensor, mean: Tensor, logScale: Tensor) -> Tensor {
        let start = values * (1 / 256.0) - 0.5 - mean
        // As in `timesExponential(of:)`, computed once for both.
        let root = (logScale * -0.5).boundedExponential()
        let belowEnd = ((start + 1 / 256.0) * root * root).logSigmoid()
        let aboveStart = start * root * root
        let inside = logOfOneMinusExponential(logWidth: -logScale - log(256))
        let isFirst = values .<= 0
        let isLast = values .>= 255
        return belowEnd.replacing(where: isLast, with: 0) + (-aboveStart).logSigmoid().replacing(where: isFirst, with: 0)
            + (inside + start.zerosLike()).replacing(where: isFirst .| isLast, with: 0)
    }

    /// log(1 − exp(−w)) for log w.
    ///
    /// Below w = 1e-3 it is log w − w/2 + w²/24, which is accurate to 1e-15 and still works where w itself leaves the type's range. Each formula gets
    /// only its own range of inputs: a derivative that is not finite would survive a selection between their results.
    private static func logOfOneMinusExponential(logWidth: Tensor) -> Tensor {
        let switchover = log(1e-3)
        let narrow = logWidth.clamped(to: switchover)
        let width = narrow.exp()
        let series = narrow - width * 0.5 + width.squared() * (1 / 24.0)
        let exact = (-(-logWidth.clamped(from: switchover).boundedExponential()).expMinusOne()).log()
        return exact.replacing(where: logWidth .< switchover, with: series)
    }
}
