/// A tensor that is trained.
///
/// It is an object: everyone who holds it sees it change, as an optimizer needs.
public final class Parameter {
    /// The current value, recorded for gradients.
    ///
    /// It is the live tensor, not a copy: its numbers change with the optimizer's next step. Use ``snapshot()`` for a value that does not change.
    public let value: Tensor

    /// Its path in the largest module that it was listed in, for messages.
    package private(set) var path: String?

    /// Keeps the path unless a longer one, in a larger module, is known.
    package func keepPath(_ path: String) {
        if path.utf8.count > self.path?.utf8.count ?? -1 { self.path = path }
    }

    /// Whether a module that held it holds others in its place: a loss that does not depend on it any more was meant to.
    package private(set) var isReplaced = false

    /// Remembers that a module holds others in its place.
    package func replace() { isReplaced = true }

    /// A parameter that starts at a copy of the given numbers. Traps unless they are floating-point, of at least 16 bits.
    public init(_ initial: Tensor) {
        trap(
            unless: initial.type.isFloatingPoint && !initial.type.isFloat8,
            "parameter: expected floating-point elements of at least 16 bits, found \(initial.type)")
        value = withoutGradients { initial.detached().copied() }
        value.setRequiresGradient(true)
    }

    /// A copy of the current value that does not change and is not recorded.
    public func snapshot() -> Tensor { withoutGradients { value.detached().copied() } }

    /// Replaces the numbers, converted to the parameter's type and device. Traps unless the shape is the same.
    public func assign(_ replacement: Tensor) {
        trap(
            unless:
                replacement.shape == value.shape, "assign to a parameter: expected shape \(value.shape), found \(replacement.shape)")
        withoutGradients { operators.copyInPlace.perform(.tensor(value), .tensor(replacement), .boolean(false)) }
    }
}

/// A tensor that belongs to a module and is saved with it, but is not trained: running averages, fixed gains. Also the inputs and outputs of a
/// ``StepGraph``.
public final class Buffer {
    private var current: Tensor
    // A recorded step knows the place in memory, not this object.
    private var keepsPlace = false
    // Read by a step that may not be finished: no other thread may get its memory before the work after the step is submitted.
    private var former: Tensor?

    /// A buffer that starts at the given value.
    public init(_ initial: Tensor) { current = initial.detached() }

    /// The current value, never recorded for gradients.
    ///
    /// It does not change when the buffer is assigned, unless the buffer was read or assigned in a step of a ``StepGraph`` on CUDA: from then on it
    /// is live, as ``Parameter/value`` is. Use ``snapshot()`` for a value that never changes.
    public var value: Tensor {
        keepPlaceInStep()
        return current
    }

    /// A copy of the current value that does not change.
    public func snapshot() -> Tensor { withoutGradients { current.copied() } }

    /// Replaces the value; does not wait for the device. Traps unless shape and type are the same.
    public func assign(_ replacement: Tensor) {
        trap(
            unless:
                replacement.shape == current.shape && replacement.type == current.type,
            "assign to a buffer: expected \(current.type)\(current.shape), found \(replacement.type)\(replacement.shape)")
        keepPlaceInStep()
        guard keepsPlace else { return current = replacement.detached() }
        if !StepPhase.isStep { former = nil }
        withoutGradients {
            operators.copyInPlace.perform(.tensor(current), .tensor(replacement), .boolean(!current.device.isCPU))
        }
    }

    private func keepPlaceInStep() {
        guard !keepsPlace, StepPhase.isStep else { return }
        // A place of its own, since someone may hold the tensor. While a step is recorded, none can be allocated that outlives the recording.
        if StepPhase.isWarmingUp {
            former = current
            current = withoutGradients { current.copied() }
        }
        keepsPlace = true
    }
}
