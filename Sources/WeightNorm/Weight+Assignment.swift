import Torch

// The values of one form of a weight put into another.

extension Weight {
    /// Takes over the value of another weight, in this weight's own form and units; the parameters stay the same objects, which an optimizer may
    /// hold.
    ///
    /// Where the forms and the units agree, v, g and the multipliers are taken as they are; where only the units do, v is, and
    /// g = exp(c·s) or s = log g / c. Otherwise w is computed and v = w, g = ‖w‖ (s = log ‖w‖ / c, multipliers 1): the same function, with a
    /// direction of its own length.
    ///
    /// Traps unless both have the same shape. Returns whether everything was taken as it is.
    @discardableResult
    public func assign(_ other: Weight) -> Bool {
        trap(unless: other.shape == shape, "assign to a weight: expected shape \(shape), found \(other.shape)")
        return withoutGradients {
            switch (self, other) {
            case (.direct(let ours), .direct(let theirs)):
                ours.assign(theirs.value)
                return true
            case (.scaled(let ours, let factors, let units), .scaled(let theirs, let otherFactors, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                ours.assign(theirs.value)
                let before = factors.value
                factors.assign(otherFactors.value.reshaped(before.shape).converted(to: before.type).moved(to: before.device))
                return true
            case (.normalized(let ours, let gain, let units), .normalized(let theirs, let otherGain, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                ours.assign(theirs.value)
                gain.assign(otherGain.value.reshaped(gain.value.shape))
                return true
            case (
                .logNormalized(let ours, let log, let factor, let units),
                .logNormalized(let theirs, let otherLog, let otherFactor, let otherUnits)
            )
            where units.hasSameNorms(as: otherUnits, shape):
                ours.assign(theirs.value)
                let same = factor == otherFactor
                let logs = same ? otherLog.value : otherLog.value.converted(to: .float64) * (otherFactor / factor)
                log.assign(logs.reshaped(log.value.shape))
                return same
            case (.normalized(let ours, let gain, let units), .logNormalized(let theirs, let otherLog, let otherFactor, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape):
                ours.assign(theirs.value)
                gain.assign((otherLog.value * otherFactor).exponential().reshaped(gain.value.shape))
                return false
            case (.logNormalized(let ours, let log, let factor, let units), .normalized(let theirs, let otherGain, let otherUnits))
            where units.hasSameNorms(as: otherUnits, shape) && (otherGain.value .> 0).allTrue():
                ours.assign(theirs.value)
                log.assign((otherGain.value.converted(to: .float64).logarithm() / factor).reshaped(log.value.shape))
                return false
            default:
                assign(other.value)
                return false
            }
        }
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
