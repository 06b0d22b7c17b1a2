// Lists of tensors changed in place, a call for the whole list: for the optimizers, which own what they change. Never public: a tensor that users
// hold does not change.

/// A list of tensors on which an optimizer works as one.
package struct TensorList {
    /// In the parameters' order.
    package var tensors: [Tensor]

    /// The given tensors.
    package init(_ tensors: [Tensor]) { self.tensors = tensors }

    /// Zeros in the shapes of others.
    package init(zerosLike others: [Tensor]) { tensors = others.map { $0.detached().zerosLike() } }

    /// self ← other, of the same shapes.
    package func assign(_ other: TensorList) {
        for (tensor, value) in zip(tensors, other.tensors) {
            operators.copyInPlace.perform(.tensor(tensor), .tensor(value), .boolean(false))
        }
    }

    /// Every element of every tensor ← number.
    package func fill(with number: Double) {
        for tensor in tensors { operators.fillInPlace.perform(.tensor(tensor), .real(number)) }
    }

    private var all: Argument { .tensors(tensors) }

    /// self ← self + factor·other.
    package func add(_ other: TensorList, times factor: Double = 1) {
        operators.eachAddScaledInPlace.perform(all, other.all, .real(factor))
    }

    /// self + factor·other, anew.
    package func adding(_ other: TensorList, times factor: Double) -> TensorList {
        TensorList(operators.eachAddScaled.results(capacity: tensors.count, all, other.all, .real(factor)))
    }

    /// self ← self + number.
    package func add(_ number: Double) { operators.eachAddScalarInPlace.perform(all, .real(number)) }

    /// self ← factor·self.
    package func multiply(by factor: Double) { operators.eachMultiplyScalarInPlace.perform(all, .real(factor)) }

    /// factor·self, anew.
    package func multiplied(by factor: Double) -> TensorList {
        TensorList(operators.eachMultiplyScalar.results(capacity: tensors.count, all, .real(factor)))
    }

    /// self ← factor·self, with the factor in a tensor of no dimension, which the device reads.
    package func multiply(by factor: Tensor) { operators.eachMultiplyTensorInPlace.perform(all, .tensor(factor)) }

    /// factor·self, anew, with the factor in a tensor of no dimension, which the device reads.
    package func multiplied(by factor: Tensor) -> TensorList {
        TensorList(operators.eachMultiplyTensor.results(capacity: tensors.count, all, .tensor(factor)))
    }

    /// self ← self + factor·left·right, element by element.
    package func addProduct(_ left: TensorList, _ right: TensorList, times factor: Double) {
        operators.eachAddProductInPlace.perform(all, left.all, right.all, .real(factor))
    }

    /// self ← self + factor·dividend/divisor, element by element.
    package func addQuotient(_ dividend: TensorList, _ divisor: TensorList, times factor: Double) {
        operators.eachAddQuotientInPlace.perform(all, dividend.all, divisor.all, .real(factor))
    }

    /// self ← (1 − fraction)·self + fraction·other.
    package func move(towards other: TensorList, by fraction: Double) {
        operators.eachInterpolateInPlace.perform(all, other.all, .real(fraction))
    }

    /// self ← √self.
    package func takeSquareRoot() { operators.eachSquareRootInPlace.perform(all) }

    /// |self|, anew.
    package func magnitudes() -> TensorList { TensorList(operators.eachAbsolute.results(capacity: tensors.count, all)) }

    /// self ← max(self, other).
    package func takeMaximum(with other: TensorList) { operators.eachMaximumInPlace.perform(all, other.all) }

    /// One step of Adam with ε beside the root, fused: m and v are moved, then self ← self − rate·m̂/(√v̂ + ε).
    ///
    /// `steps` holds the number of steps taken before, a float32 tensor of no dimension per parameter, and is counted up.
    package func fusedAdam(
        gradients: TensorList, firstMoments: TensorList, secondMoments: TensorList, steps: TensorList, rate: Double, beta1: Double,
        beta2: Double, weightDecay: Double, epsilon: Double
    ) {
        steps.add(1)
        operators.fusedAdamInPlace.perform(
            all, gradients.all, firstMoments.all, secondMoments.all, .tensors([]), steps.all, .real(rate), .real(beta1), .real(beta2),
            .real(weightDecay), .real(epsilon), .boolean(false), .boolean(false), .none, .none)
    }

    /// The same with the rate in a tensor of no dimension, which the device reads: on CUDA it must be float32.
    package func fusedAdam(
        gradients: TensorList, firstMoments: TensorList, secondMoments: TensorList, steps: TensorList, rate: Tensor, beta1: Double,
        beta2: Double, epsilon: Double
    ) {
        steps.add(1)
        operators.fusedAdamWithRateTensorInPlace.perform(
            all, gradients.all, firstMoments.all, secondMoments.all, .tensors([]), steps.all, .tensor(rate), .real(beta1), .real(beta2),
            .real(0), .real(epsilon), .boolean(false), .boolean(false), .none, .none)
    }
}
