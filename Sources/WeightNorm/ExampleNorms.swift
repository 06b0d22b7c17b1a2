public import Torch

// Normalizations within an example, in contrast to those of `Normalizer`, over a batch. They have no running averages: training and inference are the same.

/// (x − μ)/√(σ² + ε)·g + b over the last axes of each example (Ba, Kiros & Hinton, *Layer Normalization*, 2016).
public final class LayerNorm: Layer {
    /// g, of the normalized lengths; nil if there is none.
    public let gain: Parameter?
    /// b, of the normalized lengths; nil if there is none.
    public let bias: Parameter?
    /// The lengths of the axes over which the mean and the variance are taken.
    public let lengths: [Int]
    /// ε.
    public let epsilon: Double

    /// A normalization over the last axes, of the given lengths, with g = 1 and b = 0, or without them.
    public init(
        over lengths: [Int], gain: Bool = true, bias: Bool = true, epsilon: Double = 1e-5, type: ElementType = .float32,
        device: Device = .cpu
    ) {
        requireLengths(lengths, of: "layer norm")
        self.gain = gain ? Parameter(.ones(lengths, type: type, on: device)) : nil
        self.bias = bias ? Parameter(.zeros(lengths, type: type, on: device)) : nil
        self.lengths = lengths
        self.epsilon = epsilon
    }

    /// A normalization over the last axis.
    public convenience init(
        _ features: Int, gain: Bool = true, bias: Bool = true, epsilon: Double = 1e-5, type: ElementType = .float32, device: Device = .cpu
    ) {
        self.init(over: [features], gain: gain, bias: bias, epsilon: epsilon, type: type, device: device)
    }

    /// The normalized examples, `[…] + lengths`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        traced { input.layerNormalized(over: lengths, scale: gain?.value, shift: bias?.value, epsilon: epsilon) }
    }
}

/// x/√(mean x² + ε)·g over the last axes of each example (Zhang & Sennrich, *Root Mean Square Layer Normalization*, 2019).
public final class RMSNorm: Layer {
    /// g, of the normalized lengths; nil if there is none.
    public let gain: Parameter?
    /// The lengths of the axes over which the mean is taken.
    public let lengths: [Int]
    /// ε; nil for the distance from 1 to the next number of the type, as in PyTorch.
    public let epsilon: Double?

    /// A normalization over the last axes, of the given lengths, with g = 1, or without it.
    public init(over lengths: [Int], gain: Bool = true, epsilon: Double? = nil, type: ElementType = .float32, device: Device = .cpu) {
        requireLengths(lengths, of: "RMS norm")
        self.gain = gain ? Parameter(.ones(lengths, type: type, on: device)) : nil
        self.lengths = lengths
        self.epsilon = epsilon
    }

    /// A normalization over the last axis.
    public convenience init(
        _ features: Int, gain: Bool = true, epsilon: Double? = nil, type: ElementType = .float32, device: Device = .cpu
    ) {
        self.init(over: [features], gain: gain, epsilon: epsilon, type: type, device: device)
    }

    /// The normalized examples, `[…] + lengths`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        traced { input.rootMeanSquareNormalized(over: lengths, scale: gain?.value, epsilon: epsilon) }
    }
}

/// (x − μ)/√(σ² + ε)·g + b over the positions and a group of the channels of each example of `[batch, channels, …]` (Wu & He, *Group Normalization*, 2018).
public final class GroupNorm: Layer {
    /// g, `[channels]`; nil if there is none.
    public let gain: Parameter?
    /// b, `[channels]`; nil if there is none.
    public let bias: Parameter?
    /// Groups of channels with a mean and a variance each.
    public let groups: Int
    /// Channels of the input.
    public let channels: Int
    /// ε.
    public let epsilon: Double

    /// A normalization with g = 1 and b = 0, or without them; traps unless the groups divide the channels.
    public init(
        _ channels: Int, groups: Int, affine: Bool = true, epsilon: Double = 1e-5, type: ElementType = .float32, device: Device = .cpu
    ) {
        trap(
            unless: channels > 0 && groups > 0 && channels.isMultiple(of: groups),
            "group norm: expected a number of groups that divides the channels, found \(groups) groups and \(channels) channels")
        gain = affine ? Parameter(.ones([channels], type: type, on: device)) : nil
        bias = affine ? Parameter(.zeros([channels], type: type, on: device)) : nil
        self.groups = groups
        self.channels = channels
        self.epsilon = epsilon
    }

    /// The normalized examples, `[batch, channels, …]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        traced {
            requireChannels(channels, input, of: "group norm")
            return input.groupNormalized(groups: groups, scale: gain?.value, shift: bias?.value, epsilon: epsilon)
        }
    }
}

/// (x − μ)/√(σ² + ε)·g + b over the positions of each channel of each example of `[batch, channels, …]` (Ulyanov, Vedaldi & Lempitsky, *Instance Normalization*, 2016).
///
/// Without running averages, as is PyTorch's default.
public final class InstanceNorm: Layer {
    /// g, `[channels]`; nil, the default, if there is none.
    public let gain: Parameter?
    /// b, `[channels]`; nil, the default, if there is none.
    public let bias: Parameter?
    /// Channels of the input.
    public let channels: Int
    /// ε.
    public let epsilon: Double

    /// A normalization, if affine with g = 1 and b = 0.
    public init(_ channels: Int, affine: Bool = false, epsilon: Double = 1e-5, type: ElementType = .float32, device: Device = .cpu) {
        trap(unless: channels > 0, "instance norm: expected at least 1 channel, found \(channels)")
        gain = affine ? Parameter(.ones([channels], type: type, on: device)) : nil
        bias = affine ? Parameter(.zeros([channels], type: type, on: device)) : nil
        self.channels = channels
        self.epsilon = epsilon
    }

    /// The normalized examples, `[batch, channels, …]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        traced {
            requireChannels(channels, input, of: "instance norm")
            return input.groupNormalized(groups: channels, scale: gain?.value, shift: bias?.value, epsilon: epsilon)
        }
    }
}

private func requireLengths(_ lengths: [Int], of layer: String) {
    trap(
        unless: !lengths.isEmpty && lengths.allSatisfy { $0 > 0 },
        "lengths of a \(layer): expected at least one, all positive, found \(lengths)")
}

private func requireChannels(_ channels: Int, _ input: Tensor, of layer: String) {
    let shape = input.shape
    trap(
        unless: shape.count > 2 && shape[1] == channels,
        "\(layer): expected an input [batch, \(channels), …] with at least one axis of positions, found \(shape)")
}
