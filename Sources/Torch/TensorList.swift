// Lists of tensors, with one operator call per list: what optimizers are made of. Tensors that change in place have a type of their own, which cannot
// be made from tensors that somebody else holds.

/// Tensors that an optimizer treats as one: gradients, and what is computed from them.
public struct TensorList: Sendable {
    /// In the parameters' order.
    public let tensors: [Tensor]

    /// The given tensors.
    public init(_ tensors: [Tensor]) { self.tensors = tensors }

    var all: Operator.Value { .tensors(tensors) }

    /// self + factor·other.
    public func adding(_ other: TensorList, times factor: Double = 1) -> TensorList {
        TensorList(operators.eachAddScaled.results(capacity: tensors.count, all, other.all, .real(factor)))
    }

    /// factor·self.
    public func multiplied(by factor: Double) -> TensorList {
        TensorList(operators.eachMultiplyScalar.results(capacity: tensors.count, all, .real(factor)))
    }

    /// factor·self, with the factor in a tensor of no dimensions, which the device reads.
    public func multiplied(by factor: Tensor) -> TensorList {
        TensorList(operators.eachMultiplyTensor.results(capacity: tensors.count, all, .tensor(factor)))
    }

    /// factor·self.
    public func multiplied(by factor: StepNumber) -> TensorList {
        switch factor.operand {
        case .host(let number): multiplied(by: number)
        case .device(let number): multiplied(by: number)
        }
    }

    /// self/other, element by element.
    public func divided(by other: TensorList) -> TensorList {
        TensorList(operators.eachDivide.results(capacity: tensors.count, all, other.all))
    }

    /// |self|.
    public func magnitudes() -> TensorList { TensorList(operators.eachAbsolute.results(capacity: tensors.count, all)) }
}

/// Tensors that an optimizer changes in place: its averages, and in a step the parameters.
public struct MutableTensorList {
    private let tensors: [Tensor]

    /// The given tensors, which nobody else expects to stay unchanged.
    package init(_ tensors: [Tensor]) { self.tensors = tensors }

    /// Copies of tensors.
    public init(copying others: [Tensor]) { tensors = withoutGradients { others.map { $0.detached().copied() } } }

    /// Zeros with the shapes, types and devices of others.
    public init(zerosLike others: [Tensor]) { tensors = others.map { $0.detached().zerosLike() } }

    /// The tensors, in the parameters' order: live ones, like ``Parameter/value``, whose numbers change with the next step.
    public var values: TensorList { TensorList(tensors) }

    private var all: Operator.Value { .tensors(tensors) }

    /// self ← other, of the same shapes.
    public func assign(_ other: TensorList) {
        for (tensor, value) in zip(tensors, other.tensors) {
            operators.copyInPlace.perform(.tensor(tensor), .tensor(value), .boolean(false))
        }
    }

    /// self ← self + factor·other.
    public func add(_ other: TensorList, times factor: Double = 1) {
        operators.eachAddScaledInPlace.perform(all, other.all, .real(factor))
    }

    /// self ← self + factor·other.
    public func add(_ other: TensorList, times factor: StepNumber) {
        switch factor.operand {
        case .host(let number): add(other, times: number)
        case .device(let number): add(other.multiplied(by: number))
        }
    }

    /// self ← self + number.
    public func add(_ number: Double) { operators.eachAddScalarInPlace.perform(all, .real(number)) }

    /// self ← factor·self.
    public func multiply(by factor: Double) { operators.eachMultiplyScalarInPlace.perform(all, .real(factor)) }

    /// self ← factor·self, with the factor in a tensor of no dimensions, which the device reads.
    public func multiply(by factor: Tensor) { operators.eachMultiplyTensorInPlace.perform(all, .tensor(factor)) }

    /// self ← factor·self.
    public func multiply(by factor: StepNumber) {
        switch factor.operand {
        case .host(let number): multiply(by: number)
        case .device(let number): multiply(by: number)
        }
    }

    /// self ← self + factor·left·right, element by element.
    public func addProduct(_ left: TensorList, _ right: TensorList, times factor: Double) {
        operators.eachAddProductInPlace.perform(all, left.all, right.all, .real(factor))
    }

    /// self ← self + factor·(dividend/divisor), element by element.
    public func addQuotient(_ dividend: TensorList, _ divisor: TensorList, times factor: StepNumber) {
        switch factor.operand {
        case .host(let number): operators.eachAddQuotientInPlace.perform(all, dividend.all, divisor.all, .real(number))
        case .device(let number): add(dividend.divided(by: divisor).multiplied(by: number))
        }
    }

    /// self ← (1 − fraction)·self + fraction·other.
    public func move(towards other: TensorList, by fraction: Double) {
        operators.eachInterpolateInPlace.perform(all, other.all, .real(fraction))
    }

    /// self ← √self.
    public func takeSquareRoot() { operators.eachSquareRootInPlace.perform(all) }

    /// self ← max(self, other).
    public func takeMaximum(with other: TensorList) { operators.eachMaximumInPlace.perform(all, other.all) }

    /// One step of Adam with ε beside the root, fused: m and v are moved, then self ← self − rate·m̂/(√v̂ + ε).
    ///
    /// `steps` holds the number of steps taken before, a float32 tensor of no dimension per parameter, and is incremented. A rate in a tensor must be
    /// float32 on CUDA.
    package func fusedAdam(
        gradients: TensorList, firstMoments: MutableTensorList, secondMoments: MutableTensorList, steps: MutableTensorList,
        rate: StepNumber,
        beta1: Double, beta2: Double, epsilon: Double
    ) {
        steps.add(1)
        let (fused, number): (Operator, Operator.Value) =
            switch rate.operand {
            case .host(let rate): (operators.fusedAdamInPlace, .real(rate))
            case .device(let rate): (operators.fusedAdamWithRateTensorInPlace, .tensor(rate))
            }
        fused.perform(
            all, gradients.all, firstMoments.all, secondMoments.all, .tensors([]), steps.all, number, .real(beta1), .real(beta2), .real(0),
            .real(epsilon), .boolean(false), .boolean(false), .none, .none)
    }
}
