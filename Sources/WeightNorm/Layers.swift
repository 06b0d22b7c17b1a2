public import Torch

// Layers without parameters; activations and pooling have files of their own.

/// A layer that can apply an activation to its result in the same operator, as ``Affine`` can. ``Sequential`` asks for it where an ``Activation`` follows the layer.
public protocol ActivatedLayer: Layer {
    /// The activated result: what the layer and then the activation give, up to rounding.
    func callAsFunction(_ input: Tensor, _ pass: Pass, activation: Activation) -> Tensor
}

/// Layers applied one after the other; an activation together with the layer before it, where that can (``ActivatedLayer``).
public struct Sequential: Layer {
    /// In the order of application.
    public let layers: [any Layer]

    /// Layers in the order of application.
    public init(_ layers: [any Layer]) { self.layers = layers }

    /// Layers in the order of application.
    public init(_ layers: any Layer...) { self.layers = layers }

    /// The last layer's output.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        var result = input
        var index = 0
        while index < layers.count {
            let layer = layers[index]
            let activation = index + 1 < layers.count ? layers[index + 1] as? Activation : nil
            if let activation, let layer = layer as? any ActivatedLayer {
                result = traced(part: "\(index)") { layer(result, pass, activation: activation) }
                index += 2
            } else {
                result = traced(part: "\(index)") { layer(result, pass) }
                index += 1
            }
        }
        return result
    }
}

extension Sequential: PartsOfModule {
    /// The layers; each is named only by its index, as in PyTorch: `features.0.weight`.
    public var moduleParts: [(label: String, value: Any)] { layers.enumerated().map { ("\($0)", $1) } }
}

/// Adds draws from N(0, deviation²), except in inference.
///
/// In a part of a minibatch (``Pass/place``) the examples must be along the first axis.
public struct GaussianNoise: Layer {
    /// σ, in the input's units.
    public let deviation: Double

    /// Noise of the given standard deviation.
    public init(deviation: Double) { self.deviation = deviation }

    /// x + ε.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        guard let random = pass.random, deviation > 0 else { return input }
        return input.adding(input.laidOutAlike { .normal($0, type: input.type, from: random, at: pass.place) }, times: deviation)
    }
}

/// Sets each element to zero with the given probability and divides the others by the probability of being kept, except in inference.
///
/// In a part of a minibatch (``Pass/place``) the examples must be along the first axis.
public struct Dropout: Layer {
    /// The probability of zero.
    public let probability: Double

    /// Dropout with the given probability, from 0 to below 1.
    public init(probability: Double) {
        trap(unless: (0..<1).contains(probability), "dropout: expected a probability from 0 to below 1, found \(probability)")
        self.probability = probability
    }

    /// x·mask/(1 − p).
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        guard let random = pass.random, probability > 0 else { return input }
        let kept = 1 - probability
        return input
            * input.laidOutAlike {
                .bernoulli($0, probability: kept, value: 1 / kept, type: input.type, from: random, at: pass.place)
            }
    }
}

/// Merges all axes after the first: `[batch, …]` to `[batch, features]`.
public struct Flatten: Layer {
    /// Row-major.
    public init() {}

    /// `[batch, features]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.flattened(from: 1) }
}
