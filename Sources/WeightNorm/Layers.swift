public import Torch

// Layers without parameters.

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
        var rest = layers[...]
        while let layer = rest.popFirst() {
            if let activation = rest.first as? Activation, let layer = layer as? any ActivatedLayer {
                rest.removeFirst()
                result = layer(result, pass, activation: activation)
            } else {
                result = layer(result, pass)
            }
        }
        return result
    }
}

extension Sequential: PartsOfModule {
    /// The layers; each is named only by its index, as in PyTorch: `features.0.weight`.
    public var moduleParts: [(label: String, value: Any)] { layers.enumerated().map { ("\($0)", $1) } }
}

/// A function applied element by element.
public struct Activation: Layer, Sendable {
    private enum Function: Sendable {
        case known(ActivationFunction)
        case other(@Sendable (Tensor) -> Tensor)
    }

    private let function: Function

    /// The function, if operators can apply it to their result at once.
    var known: ActivationFunction? {
        if case .known(let function) = function { function } else { nil }
    }

    /// Any function that keeps the shape.
    public init(_ function: @escaping @Sendable (Tensor) -> Tensor) { self.function = .other(function) }

    /// One that operators can apply to their result at once.
    public init(_ function: ActivationFunction) { self.function = .known(function) }

    /// max(x, 0).
    public static let relu = Activation(.relu)
    /// x above zero, slope·x below.
    public static func leakyRelu(slope: Double = 0.1) -> Activation {
        slope >= 0 ? Activation(.leakyRelu(slope: slope)) : Activation { $0.leakyRelu(slope: slope) }
    }
    /// x above zero, exp x − 1 below.
    public static let elu = Activation(.elu)
    /// tanh x.
    public static let tanh = Activation(.tanh)
    /// 1/(1 + exp −x).
    public static let sigmoid = Activation(.sigmoid)

    /// The function's value.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        switch function {
        case .known(let function): input.activated(function)
        case .other(let function): function(input)
        }
    }
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

/// The largest element of each square window of `[batch, channels, height, width]`.
public struct MaxPooling: Layer {
    /// The window's side, and its stride.
    public let size: Int

    /// Pooling over windows that do not overlap.
    public init(_ size: Int) { self.size = size }

    /// `[batch, channels, height/size, width/size]`, rounded down.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.maxPooled2d(size) }
}

/// The mean of each square window of `[batch, channels, height, width]`.
public struct AveragePooling: Layer {
    /// The window's side, and its stride.
    public let size: Int

    /// Pooling over windows that do not overlap.
    public init(_ size: Int) { self.size = size }

    /// `[batch, channels, height/size, width/size]`, rounded down.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.averagePooled2d(size) }
}

/// The mean over all positions: `[batch, channels, …]` to `[batch, channels]`.
public struct GlobalAverage: Layer {
    /// The mean over all axes after the second.
    public init() {}

    /// `[batch, channels]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.mean(over: Array(2..<input.rank)) }
}

/// Merges all axes after the first: `[batch, …]` to `[batch, features]`.
public struct Flatten: Layer {
    /// Row-major.
    public init() {}

    /// `[batch, features]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.flattened(from: 1) }
}
