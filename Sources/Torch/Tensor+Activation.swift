// Activations whose derivative follows from their value.

/// An activation whose derivative follows from its value, element by element.
///
/// An operator that computes a pre-activation can apply it at once (``Tensor/linear(weight:bias:activation:)``,
/// ``Tensor/convolved(with:bias:stride:padding:dilation:groups:transposed:outputPadding:activation:)``): the pre-activation is then never kept, and takes no pass over memory of its
/// own. The numbers are those of two operators, to rounding.
public enum ActivationFunction: Sendable, Hashable {
    /// max(x, 0).
    case relu
    /// x above zero, slope·x below; the slope is not negative.
    case leakyRelu(slope: Double)
    /// x above zero, exp x − 1 below.
    case elu
    /// tanh x.
    case tanh
    /// 1/(1 + exp −x).
    case sigmoid

    /// What the operators call it (Activation.hpp).
    private var number: Int {
        switch self {
        case .relu: 1
        case .leakyRelu: 2
        case .elu: 3
        case .tanh: 4
        case .sigmoid: 5
        }
    }

    /// The operators' last two arguments.
    static func arguments(_ function: ActivationFunction?) -> (kind: Operator.Value, slope: Operator.Value) {
        guard let function else { return (.integer(0), .real(0)) }
        guard case .leakyRelu(let slope) = function else { return (.integer(function.number), .real(0)) }
        trap(unless: slope >= 0, "leaky ReLU: expected a slope from 0 up, with which its derivative follows from its value, found \(slope)")
        return (.integer(function.number), .real(slope))
    }
}

extension Tensor {
    /// The function's value; only that is kept for the gradient.
    public func activated(_ function: ActivationFunction) -> Tensor {
        let (kind, slope) = ActivationFunction.arguments(function)
        return operators.activation(.tensor(self), kind, slope)
    }

    /// The function's value, or without one the tensor.
    package func activated(_ function: ActivationFunction?) -> Tensor {
        guard let function else { return self }
        return activated(function)
    }

    /// The same, written over this tensor's elements: for a result that nobody else has.
    package func activatedInPlace(_ function: ActivationFunction?) -> Tensor {
        guard let function else { return self }
        let (kind, slope) = ActivationFunction.arguments(function)
        return operators.activationInPlace(.tensor(self), kind, slope)
    }

    /// max(x, 0).
    public func relu() -> Tensor { activated(.relu) }
    /// x above zero, slope·x below.
    public func leakyRelu(slope: Double = 0.01) -> Tensor {
        slope >= 0 ? activated(.leakyRelu(slope: slope)) : operators.leakyRelu(.tensor(self), .real(slope))
    }
    /// x above zero, exp x − 1 below.
    public func elu() -> Tensor { activated(.elu) }
    /// 1/(1 + exp −x).
    public func sigmoid() -> Tensor { activated(.sigmoid) }
    /// tanh x.
    public func tanh() -> Tensor { activated(.tanh) }
}

// MARK: - Activations whose derivative does not follow from their value

/// How a GELU is computed.
public enum GELUForm: String, Sendable {
    /// x·Φ(x), with Φ the distribution function of N(0, 1).
    case exact = "none"
    /// ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))), which differs from it by less than 5e-4.
    case tanh
}

extension Tensor {
    /// x·Φ(x), with Φ the distribution function of N(0, 1) (Hendrycks & Gimpel, 2016), or its approximation.
    public func gelu(_ form: GELUForm = .exact) -> Tensor { operators.gelu(.tensor(self), .text(form.rawValue)) }
    /// x·σ(x), also called Swish (Elfwing et al., 2017; Ramachandran et al., 2017).
    public func silu() -> Tensor { operators.silu(.tensor(self)) }
    /// log(1 + exp x).
    public func softplus() -> Tensor { operators.softplus(.tensor(self), .integer(1), .integer(20)) }
    /// x + scale·sin²(frequency·x) of `[batch, channels, …]`, with a frequency and a scale for each channel, `[channels]` (Ziyin, Hartwig & Ueda, 2020).
    public func snake(frequency: Tensor, scale: Tensor) -> Tensor {
        operators.snake(.tensor(self), .tensor(frequency), .tensor(scale))
    }
    /// erf x = 2/√π·∫₀ˣ exp(−t²) dt.
    public func erf() -> Tensor { operators.errorFunction(.tensor(self)) }
}
