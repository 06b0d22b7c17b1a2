public import Torch

// Activations: functions of each element, and those with a parameter for each channel.

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
    /// x above zero, slope·x below. (The paper's network has a slope of 0.1.)
    public static func leakyRelu(slope: Double = 0.01) -> Activation {
        slope >= 0 ? Activation(.leakyRelu(slope: slope)) : Activation { $0.leakyRelu(slope: slope) }
    }
    /// x above zero, exp x − 1 below.
    public static let elu = Activation(.elu)
    /// tanh x.
    public static let tanh = Activation(.tanh)
    /// 1/(1 + exp −x).
    public static let sigmoid = Activation(.sigmoid)

    /// x·Φ(x), with Φ the distribution function of N(0, 1) (Hendrycks & Gimpel, 2016), or its approximation.
    public static func gelu(_ form: GELUForm = .exact) -> Activation { Activation { $0.gelu(form) } }
    /// x·σ(x), also called Swish (Elfwing et al., 2017; Ramachandran et al., 2017).
    public static let silu = Activation { $0.silu() }
    /// log(1 + exp x).
    public static let softplus = Activation { $0.softplus() }

    /// The function's value.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        switch function {
        case .known(let function): input.activated(function)
        case .other(let function): function(input)
        }
    }
}

/// x + sin²(αx)/α for each channel of `[batch, channels, …]`, with a trained α (Ziyin, Hartwig & Ueda, *Neural Networks Fail to Learn Periodic Functions and How to Fix It*, 2020).
///
/// PyTorch has it in DAC, SNAC and BigVGAN, with the parameter `alpha`.
public final class Snake: Layer {
    /// α or, if logarithmic, log α: `[channels]`, or that with further lengths of 1.
    public let alpha: Parameter
    /// Whether α = exp of ``alpha``.
    public let isLogarithmic: Bool

    /// A snake of the given α; traps unless only one length differs from 1, or none.
    public init(alpha: Parameter, isLogarithmic: Bool = false) {
        requireChannels(alpha, "alpha of a snake")
        self.alpha = alpha
        self.isLogarithmic = isLogarithmic
    }

    /// α = 1 for each channel. The shape is that of ``alpha``, by default `[channels]`, as in BigVGAN; DAC and SNAC have `[1, channels, 1]`.
    public convenience init(
        _ channels: Int, shape: [Int]? = nil, isLogarithmic: Bool = false, type: ElementType = .float32, device: Device = .cpu
    ) {
        let alpha = Parameter(snakeStart(channels, shape, isLogarithmic, type, device))
        self.init(alpha: alpha, isLogarithmic: isLogarithmic)
    }

    /// x + sin²(αx)/(α + 1e-9).
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let alpha = perChannel(alpha, isLogarithmic)
        return traced { input.snake(frequency: alpha, scale: 1 / (alpha + snakeEpsilon)) }
    }
}

/// x + sin²(αx)/β for each channel of `[batch, channels, …]`, with trained α and β (Lee et al., *BigVGAN*, 2023).
///
/// PyTorch has it in BigVGAN, with the parameters `alpha` and `beta`.
public final class SnakeBeta: Layer {
    /// α or, if logarithmic, log α: `[channels]`, or that with further lengths of 1.
    public let alpha: Parameter
    /// β or, if logarithmic, log β, of the same shape.
    public let beta: Parameter
    /// Whether α and β are exp of ``alpha`` and ``beta``, as in BigVGAN.
    public let isLogarithmic: Bool

    /// A snake of the given α and β; traps unless they have one shape, in which only one length differs from 1, or none.
    public init(alpha: Parameter, beta: Parameter, isLogarithmic: Bool = true) {
        requireChannels(alpha, "alpha of a snake")
        trap(
            unless: beta.value.shape == alpha.value.shape,
            "beta of a snake: expected alpha's shape, \(alpha.value.shape), found \(beta.value.shape)")
        self.alpha = alpha
        self.beta = beta
        self.isLogarithmic = isLogarithmic
    }

    /// α = β = 1 for each channel. The shape is that of ``alpha`` and ``beta``, by default `[channels]`.
    public convenience init(
        _ channels: Int, shape: [Int]? = nil, isLogarithmic: Bool = true, type: ElementType = .float32, device: Device = .cpu
    ) {
        func start() -> Parameter { Parameter(snakeStart(channels, shape, isLogarithmic, type, device)) }
        self.init(alpha: start(), beta: start(), isLogarithmic: isLogarithmic)
    }

    /// x + sin²(αx)/(β + 1e-9).
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        traced {
            input.snake(frequency: perChannel(alpha, isLogarithmic), scale: 1 / (perChannel(beta, isLogarithmic) + snakeEpsilon))
        }
    }
}

/// What all published versions add before they divide.
private let snakeEpsilon = 1e-9

private func perChannel(_ parameter: Parameter, _ isLogarithmic: Bool) -> Tensor {
    let value = parameter.value.rank == 1 ? parameter.value : parameter.value.flattened()
    return isLogarithmic ? value.exp() : value
}

private func requireChannels(_ parameter: Parameter, _ name: String) {
    let shape = parameter.value.shape
    trap(
        unless: !shape.isEmpty && shape.filter { $0 != 1 }.count <= 1,
        "\(name): expected shape [channels], or that with further lengths of 1, found \(shape)")
}

private func snakeStart(_ channels: Int, _ shape: [Int]?, _ isLogarithmic: Bool, _ type: ElementType, _ device: Device) -> Tensor {
    let shape = shape ?? [channels]
    trap(
        unless: channels > 0 && shape.reduce(1, *) == channels,
        "snake: expected at least 1 channel and a shape of as many elements, found \(channels) and \(shape)")
    return isLogarithmic ? .zeros(shape, type: type, on: device) : .ones(shape, type: type, on: device)
}
