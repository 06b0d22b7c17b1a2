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
