public import Torch

/// The weight of a linear map, in one of the forms in which it can be trained.
///
/// The weight itself is derived whenever ``value`` is read and never stored, so it cannot go stale when parameters are loaded, copied or assigned.
public enum Weight {
    /// w is trained itself: the paper's "normal" parameterisation.
    case direct(Parameter)

    /// w = g·v/‖v‖ with one g per output unit, so ‖w‖ = |g| (eq. 2); v and g are trained.
    ///
    /// v has the weight's shape, g the shape of ``OutputUnits/norms(of:)``: `[outputs, 1, …]` for units along axis 0.
    case normalized(direction: Parameter, gain: Parameter, units: OutputUnits)

    /// w = exp(c·s)·v/‖v‖: the gain on a logarithmic scale (§2.1), so that it is always positive; v and s are trained.
    ///
    /// The paper has c = 1 and found it "not significantly better or worse"; Kingma's later VAE code has c = 3. s has the shape of g.
    case logNormalized(direction: Parameter, logGain: Parameter, factor: Double, units: OutputUnits)

    /// w = s·v with a multiplier per output unit that is set by initialization and not trained: the "normal" baseline of the released code.
    case scaled(Parameter, by: Buffer, units: OutputUnits)

    /// The weight, recorded for gradients. It costs a pass over the weight: a layer that applies it often reads it once.
    public var value: Tensor {
        switch self {
        case .direct(let weight): weight.value
        case .normalized(let direction, let gain, let units): units.normalize(direction.value, gain: gain.value)
        case .logNormalized(let direction, let logGain, let factor, let units):
            units.normalize(direction.value, gain: (logGain.value * factor).exponential())
        case .scaled(let weight, let factor, let units): units.scale(weight.value, by: factor.value)
        }
    }

    /// A normalized weight that equals the given one to rounding: v = w, and g = ‖w‖ in the weight's type.
    public static func normalized(_ weight: Tensor, units: OutputUnits = .axis(0)) -> Weight {
        let norms = withoutGradients { units.norms(of: weight.detached()).converted(to: weight.type) }
        return .normalized(direction: Parameter(weight), gain: Parameter(norms), units: units)
    }

    /// A weight with its gain on a logarithmic scale that equals the given one: v = w, s = log ‖w‖ / factor.
    ///
    /// Where ‖w‖ = 0 the gain is the smallest normal number: w is 0 there whatever it is.
    public static func logNormalized(_ weight: Tensor, factor: Double = 1, units: OutputUnits = .axis(0)) -> Weight {
        trap(unless: factor > 0 && factor.isFinite, "logarithmic gain: expected a factor above 0, found \(factor)")
        let logs = withoutGradients { logGain(of: weight.detached(), factor: factor, units: units) }
        return .logNormalized(direction: Parameter(weight), logGain: Parameter(logs), factor: factor, units: units)
    }

    /// A scaled weight that equals the given one: all multipliers are 1.
    public static func scaled(_ weight: Tensor, units: OutputUnits = .axis(0)) -> Weight {
        let ones = withoutGradients { units.norms(of: weight.detached()).converted(to: weight.type).zerosLike() + 1 }
        return .scaled(Parameter(weight), by: Buffer(ones), units: units)
    }

    /// Gives the weight another value, which it then has to rounding, whatever its form: v = w with g = ‖w‖, or s = log ‖w‖ / c, or a multiplier of 1.
    ///
    /// The parameters stay the same objects, so that an optimizer goes on with them. A norm that g's type cannot hold becomes infinite.
    /// Traps unless the tensor has the weight's shape.
    public func assign(_ weight: Tensor) {
        trap(unless: weight.shape == shape, "weight: expected a tensor of shape \(shape), found \(weight.shape)")
        assign(withoutGradients { values(of: weight) })
    }

    static func logGain(of weight: Tensor, factor: Double, units: OutputUnits) -> Tensor {
        let smallest = weight.type.accumulator.leastNormalMagnitude
        return (units.wideNorms(of: weight).clamped(from: smallest).logarithm() / factor).converted(to: weight.type)
    }

    /// The parameter of the weight's shape: v, or w itself where it is trained plainly.
    public var direction: Parameter {
        switch self {
        case .direct(let weight), .scaled(let weight, _, _): weight
        case .normalized(let direction, _, _), .logNormalized(let direction, _, _, _): direction
        }
    }

    /// The shape of the weight.
    public var shape: [Int] { direction.value.shape }
}

/// The forms that a layer can be asked to give its weight.
public enum WeightForm: String, CaseIterable, Sendable {
    /// ``Weight/direct(_:)``.
    case direct
    /// ``Weight/normalized(direction:gain:units:)``.
    case normalized
    /// ``Weight/logNormalized(direction:logGain:factor:units:)``, with a factor of 1.
    case logNormalized = "log-normalized"
    /// ``Weight/scaled(_:by:units:)``.
    case scaled

    /// A weight of this form that equals the given tensor.
    public func weight(_ initial: Tensor, units: OutputUnits) -> Weight {
        switch self {
        case .direct: .direct(Parameter(initial))
        case .normalized: .normalized(initial, units: units)
        case .logNormalized: .logNormalized(initial, units: units)
        case .scaled: .scaled(initial, units: units)
        }
    }
}

extension Weight: PartsOfModule {
    var parts: [(label: String, value: Any)] {
        switch self {
        case .direct(let weight): [("", weight)]
        case .normalized(let direction, let gain, _): [("direction", direction), ("gain", gain)]
        case .logNormalized(let direction, let logGain, _, _): [("direction", direction), ("logGain", logGain)]
        case .scaled(let weight, let factor, _): [("", weight), ("scale", factor)]
        }
    }
}
