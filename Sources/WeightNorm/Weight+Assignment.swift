public import Torch

// Assigning the value of a weight in one form to a weight in another.

extension Weight {
    /// Gives the weight a new value, up to rounding, whatever its form: v = w with g = ‖w‖, or s = log ‖w‖ / c, or a multiplier of 1.
    ///
    /// The parameters stay the same objects, so an optimizer can keep using them. A norm that g's type cannot hold becomes infinite. Traps
    /// unless the tensor has the weight's shape.
    public func assign(_ weight: Tensor) {
        trap(unless: weight.shape == shape, "weight: expected a tensor of shape \(shape), found \(weight.shape)")
        assign(withoutGradients { values(of: weight) })
    }

    /// Takes over the value of another weight, in this weight's own form and units; the parameters stay the same objects, so an optimizer
    /// may hold them.
    ///
    /// If the forms, their settings and the units agree, all parts are taken as they are. If only the units agree, the forms convert what
    /// they can: v, and g = exp(c·s) or s = log g / c. Otherwise w is computed and v = w, g = ‖w‖ (s = log ‖w‖ / c, multipliers 1): the
    /// same function, but the length of v is not kept.
    ///
    /// Numbers that the type of this weight cannot hold become infinite.
    ///
    /// Traps unless both have the same shape. Returns whether everything was taken as it is, in the same element types.
    @discardableResult
    public func assign(_ other: Weight) -> Bool {
        let values = values(of: other)
        assign(values)
        return values.isSameForm && elementTypes == other.elementTypes
    }

    /// What a weight's tensors become when it takes over another value; computed before any of them is changed.
    package struct Values {
        /// One per part of the form, in that part's type.
        package let parts: [Tensor]
        /// Whether all are the other weight's own, apart from their types.
        package let isSameForm: Bool
    }

    /// What ``assign(_:)-(Weight)`` makes of another weight.
    package func values(of other: Weight) -> Values {
        trap(unless: other.shape == shape, "assign to a weight: expected shape \(shape), found \(other.shape)")
        return withoutGradients {
            if form.hasSameParts(as: other.form) { return fitted(other.form.parts.map(\.value), isSameForm: true) }
            if let parts = form.parts(of: other.form) { return fitted(parts, isSameForm: false) }
            return values(of: other.value)
        }
    }

    /// Assigns values that were computed for this weight.
    package func assign(_ values: Values) {
        for (part, value) in zip(form.parts, values.parts) { part.assign(value) }
    }

    private func fitted(_ parts: [Tensor], isSameForm: Bool) -> Values {
        let fitted = zip(form.parts, parts).map { part, new in
            let (before, new) = (part.value, new.detached())
            return (new.shape == before.shape ? new : new.reshaped(before.shape)).converted(to: before.type).moved(to: before.device)
        }
        return Values(parts: fitted, isSameForm: isSameForm)
    }

    /// What ``assign(_:)-(Tensor)`` makes of a tensor.
    private func values(of weight: Tensor) -> Values {
        let ours = vector
        let weight = weight.detached().converted(to: ours.type).moved(to: ours.device)
        return fitted(type(of: form).parts(of: weight, units: units ?? .whole, settings: form.settings), isSameForm: false)
    }

    /// Those of the form's parts.
    package var elementTypes: [ElementType] { form.parts.map(\.value.type) }

    /// Whether every number of its tensors is finite.
    package var isFinite: Bool { withoutGradients { form.parts.allSatisfy { $0.value.isFinite().allTrue() } } }
}

extension Weight.Values {
    /// Whether every number is finite.
    package var isFinite: Bool { withoutGradients { parts.allSatisfy { $0.isFinite().allTrue() } } }
}
