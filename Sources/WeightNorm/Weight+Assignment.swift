package import Torch

// The values of one form of a weight put into another.

extension Weight {
    /// Takes over the value of another weight, in this weight's own form and units; the parameters stay the same objects, which an optimizer may
    /// hold.
    ///
    /// Where the forms and the units agree, v, g and the multipliers are taken as they are; where only the units do, v is, and
    /// g = exp(c·s) or s = log g / c. Otherwise w is computed and v = w, g = ‖w‖ (s = log ‖w‖ / c, multipliers 1): the same function, with a
    /// direction of its own length.
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

    /// What a weight's tensors become when it takes over another value: made before any of them is changed.
    package struct Values {
        /// v, or w; in the weight's type.
        package let direction: Tensor
        /// g, s or the multipliers, in their type; nil for a plain weight.
        package let gain: Tensor?
        /// Whether both are the other weight's own, but for their types.
        package let isSameForm: Bool
    }

    /// What ``assign(_:)-(Weight)`` makes of another weight.
    package func values(of other: Weight) -> Values {
        trap(unless: other.shape == shape, "assign to a weight: expected shape \(shape), found \(other.shape)")
        return withoutGradients {
            switch (self, other) {
            case (.direct, .direct(let theirs)):
                return fitted(theirs.value, nil, isSameForm: true)
            case (.scaled(_, _, let units), .scaled(let theirs, let factors, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                return fitted(theirs.value, factors.value, isSameForm: true)
            case (.normalized(_, _, let units), .normalized(let theirs, let gain, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                return fitted(theirs.value, gain.value, isSameForm: true)
            case (.logNormalized(_, _, let factor, let units), .logNormalized(let theirs, let log, let otherFactor, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                let isSame = factor == otherFactor
                return fitted(
                    theirs.value, isSame ? log.value : log.value.converted(to: .float64) * (otherFactor / factor), isSameForm: isSame)
            case (.normalized(_, _, let units), .logNormalized(let theirs, let log, let otherFactor, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                // A gain may need a wider type than its logarithm.
                let gain = (log.value.converted(to: .float64) * otherFactor).exponential()
                return fitted(theirs.value, gain, isSameForm: false)
            case (.logNormalized(_, _, let factor, let units), .normalized(let theirs, let gain, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape) && (gain.value .> 0).allTrue():
                return fitted(theirs.value, gain.value.converted(to: .float64).logarithm() / factor, isSameForm: false)
            default:
                return values(of: other.value)
            }
        }
    }

    /// Takes over what was made for this weight.
    package func assign(_ values: Values) {
        direction.assign(values.direction)
        guard let gain = values.gain else { return }
        switch self {
        case .direct: break
        case .normalized(_, let parameter, _), .logNormalized(_, let parameter, _, _): parameter.assign(gain)
        case .scaled(_, let factors, _): factors.assign(gain)
        }
    }

    private func fitted(_ direction: Tensor, _ gain: Tensor?, isSameForm: Bool) -> Values {
        let ours = self.direction.value
        let newGain = gainTensor.flatMap { before in
            gain.map { $0.detached().reshaped(before.shape).converted(to: before.type).moved(to: before.device) }
        }
        let newDirection = direction.detached().converted(to: ours.type).moved(to: ours.device)
        return Values(direction: newDirection, gain: newGain, isSameForm: isSameForm)
    }

    /// What ``assign(_:)-(Tensor)`` makes of a tensor.
    func values(of weight: Tensor) -> Values {
        let ours = direction.value
        let weight = weight.detached().converted(to: ours.type).moved(to: ours.device)
        let gain: Tensor? =
            switch self {
            case .direct: nil
            case .normalized(_, _, let units): units.norms(of: weight)
            case .logNormalized(_, _, let factor, let units): Self.logGain(of: weight, factor: factor, units: units)
            case .scaled(_, let factors, _): factors.value.zerosLike() + 1
            }
        return fitted(weight, gain, isSameForm: false)
    }

    private var gainTensor: Tensor? {
        switch self {
        case .direct: nil
        case .normalized(_, let gain, _), .logNormalized(_, let gain, _, _): gain.value
        case .scaled(_, let factors, _): factors.value
        }
    }

    private var elementTypes: [ElementType] { [direction.value.type] + (gainTensor.map { [$0.type] } ?? []) }

    /// Whether every number of its tensors is finite.
    package var isFinite: Bool {
        withoutGradients { direction.value.isFinite().allTrue() && gainTensor.map { $0.isFinite().allTrue() } ?? true }
    }
}

extension Weight.Values {
    /// Whether every number is finite.
    package var isFinite: Bool {
        withoutGradients { direction.isFinite().allTrue() && gain.map { $0.isFinite().allTrue() } ?? true }
    }
}

extension OutputUnits {
    /// Whether a weight has the same norms in both: units of length 1 can be told in several ways.
    package func hasSameNorms(as other: OutputUnits, _ shape: [Int]) -> Bool {
        guard self != other else { return true }
        guard let ours = normsShape(ofWeight: shape), let theirs = other.normsShape(ofWeight: shape) else { return false }
        return ours == theirs
    }
}
