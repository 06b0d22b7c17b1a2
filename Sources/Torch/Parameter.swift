/// A tensor that is trained.
///
/// It is an object: everyone who holds it sees it change, which is what an optimizer is for.
public final class Parameter {
    /// The current value, recorded for gradients.
    ///
    /// It is the live tensor, not a copy: its numbers change with the next step of an optimizer. Take ``snapshot()`` for a value that stays.
    public let value: Tensor

    /// A parameter that starts at a copy of the given numbers. Traps unless they are floating-point.
    public init(_ initial: Tensor) {
        trap(unless: initial.type.isFloatingPoint, "parameter: expected floating-point elements, found \(initial.type)")
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

/// A tensor that belongs to a module and is saved with it, but is not trained: running averages, fixed gains.
public final class Buffer {
    /// The current value, never recorded for gradients.
    public private(set) var value: Tensor

    /// A buffer that starts at the given value.
    public init(_ initial: Tensor) { value = initial.detached() }

    /// Replaces the value. Traps unless shape and type are the same.
    public func assign(_ replacement: Tensor) {
        trap(
            unless:
                replacement.shape == value.shape && replacement.type == value.type,
            "assign to a buffer: expected \(value.type)\(value.shape), found \(replacement.type)\(replacement.shape)")
        value = replacement.detached()
    }
}
