package import Torch
package import WeightNorm

/// A step of inverse autoregressive flow (Kingma et al., 2016): z ← (z − 0.1·m)/exp(0.1·s), where m and s of an element depend on earlier elements and a context.
///
/// log |∂z′/∂z| = −0.1·Σ s, since the Jacobian is triangular.
package protocol FlowStep: Module {
    /// The new z, and 0.1·s of every element: log q grows by its sum.
    func callAsFunction(_ latent: Tensor, context: Tensor, _ pass: Pass) -> (latent: Tensor, logScale: Tensor)
}

/// The factor by which m and s are reduced, so that a flow starts near the identity (Kingma's code).
private let strength = 0.1

/// A step for z of `[batch, size]` with a context of `[batch, features]`: one hidden masked dense layer, to which the context is added.
package struct DenseFlowStep: FlowStep {
    private let hidden: MaskedDense
    private let fromContext: Dense
    private let mean: MaskedDense
    private let logScale: MaskedDense

    /// `isReversed` puts the last element of z first in the order, so that alternating steps mix all elements.
    package init(
        size: Int, hidden count: Int, context: Int, isReversed: Bool, normalization: Normalization, type: ElementType = .float32,
        random: Generator
    ) {
        let order = isReversed ? Array((1...size).reversed()) : Array(1...size)
        let degrees = AutoregressiveMask.hiddenDegrees(count, variables: size)
        func masked(_ inputs: [Int], _ outputs: [Int], strict: Bool) -> MaskedDense {
            MaskedDense(
                map: MaskedMap(
                    DenseMap(inputs: inputs.count, outputs: outputs.count),
                    mask: AutoregressiveMask.dense(inputs: inputs, outputs: outputs, strict: strict, on: random.device)),
                normalization: normalization, type: type, random: random)
        }
        hidden = masked(order, degrees, strict: false)
        fromContext = Dense(context, to: count, normalization: normalization, type: type, random: random)
        mean = masked(degrees, order, strict: true)
        logScale = masked(degrees, order, strict: true)
    }

    package func callAsFunction(_ latent: Tensor, context: Tensor, _ pass: Pass) -> (latent: Tensor, logScale: Tensor) {
        let features = (hidden(latent, pass) + fromContext(context, pass)).elu()
        let scale = logScale(features, pass) * strength
        return ((latent - mean(features, pass) * strength).timesExponential(of: -scale), scale)
    }
}

/// A step for z of `[batch, channels, rows, columns]` with a context of `[batch, hidden, rows, columns]`: two hidden masked convolutions, the context added to the first.
///
/// The order is that of the pixels in raster order, and of the channels within a pixel.
package struct ConvolutionalFlowStep: FlowStep {
    private let first: MaskedConvolution
    private let second: MaskedConvolution
    private let mean: MaskedConvolution
    private let logScale: MaskedConvolution

    package init(channels: Int, hidden count: Int, normalization: Normalization, type: ElementType = .float32, random: Generator) {
        let order = Array(1...channels)
        // Two hidden layers: with degree 0 a feature sees only earlier pixels, which the first channel needs too.
        let degrees = (0..<count).map { $0 % channels }
        func masked(_ inputs: [Int], _ outputs: [Int], strict: Bool) -> MaskedConvolution {
            let map = ConvolutionMap(inputs: inputs.count, outputs: outputs.count, kernel: [3, 3], padding: [1, 1])
            let mask = AutoregressiveMask.convolution(
                inputs: inputs, outputs: outputs, kernel: [3, 3], strict: strict, on: random.device)
            return MaskedConvolution(map: MaskedMap(map, mask: mask), normalization: normalization, type: type, random: random)
        }
        first = masked(order, degrees, strict: false)
        second = masked(degrees, degrees, strict: false)
        mean = masked(degrees, order, strict: true)
        logScale = masked(degrees, order, strict: true)
    }

    package func callAsFunction(_ latent: Tensor, context: Tensor, _ pass: Pass) -> (latent: Tensor, logScale: Tensor) {
        let features = second((first(latent, pass) + context).elu(), pass, activation: .elu)
        let scale = logScale(features, pass) * strength
        return ((latent - mean(features, pass) * strength).timesExponential(of: -scale), scale)
    }
}
