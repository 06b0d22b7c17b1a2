public import Torch

/// The weight of a linear map, in one of the forms in which it can be trained.
///
/// The weight itself is derived whenever ``value`` is read and never stored, so it cannot go stale when parameters are loaded, copied or
/// assigned. The forms here are ``DirectWeight``, ``NormalizedWeight``, ``LogNormalizedWeight`` and ``ScaledWeight``; any other
/// ``WeightForm`` works too.
public struct Weight {
    /// What is stored, and how w is derived from it.
    public let form: any WeightForm

    /// A weight in a form.
    public init(_ form: any WeightForm) { self.form = form }

    /// The weight, recorded for gradients. Deriving it costs a pass over the weight, so a layer that applies it often reads it once.
    public var value: Tensor { form.value }

    /// The weight as a layer uses it in a pass. It differs from ``value`` only for a form that updates something in training.
    public func value(in pass: Pass) -> Tensor { form.value(in: pass) }

    /// v, or w itself if it is trained directly; of the weight's shape, recorded for gradients.
    public var vector: Tensor { form.vector }

    /// The shape of the weight.
    public var shape: [Int] { form.vector.shape }

    /// The units that the form itself has; nil for a direct weight, which takes its map's.
    public var units: OutputUnits? { form.ownUnits }

    /// w, if it is trained directly; nil for every other form.
    public var plain: Parameter? { (form as? DirectWeight)?.weight }
}

extension Weight {
    /// A ``DirectWeight``.
    public static func direct(_ weight: Parameter) -> Weight { Weight(DirectWeight(weight)) }

    /// A ``NormalizedWeight`` of v and g.
    public static func normalized(direction: Parameter, gain: Parameter, units: OutputUnits) -> Weight {
        Weight(NormalizedWeight(direction: direction, gain: gain, units: units))
    }

    /// A normalized weight that equals the given one to rounding: v = w, and g = ‖w‖ in the weight's type.
    public static func normalized(_ weight: Tensor, units: OutputUnits = .axis(0)) -> Weight {
        NormalizedWeight.makeWeight(weight, units: units)
    }

    /// A ``LogNormalizedWeight`` of v and s.
    public static func logNormalized(direction: Parameter, logGain: Parameter, factor: Double, units: OutputUnits) -> Weight {
        Weight(LogNormalizedWeight(direction: direction, logGain: logGain, factor: factor, units: units))
    }

    /// A weight that equals the given one, with its gain on a logarithmic scale: v = w, s = log ‖w‖ / factor.
    ///
    /// Where ‖w‖ = 0 the gain is the smallest normal number; w is 0 there whatever the gain. Traps unless the factor is above 0.
    public static func logNormalized(_ weight: Tensor, factor: Double = 1, units: OutputUnits = .axis(0)) -> Weight {
        LogNormalizedWeight.makeWeight(weight, units: units, settings: ["factor": factor])
    }

    /// A ``ScaledWeight`` of v and multipliers.
    public static func scaled(_ weight: Parameter, by scale: Buffer, units: OutputUnits) -> Weight {
        Weight(ScaledWeight(weight, by: scale, units: units))
    }

    /// A scaled weight that equals the given one: all multipliers are 1.
    public static func scaled(_ weight: Tensor, units: OutputUnits = .axis(0)) -> Weight { ScaledWeight.makeWeight(weight, units: units) }

    /// The plain weight that this one stands for, as a parameter of its own.
    public func folded() -> Weight { .direct(Parameter(withoutGradients { value })) }
}

extension Weight: PartsOfModule {
    /// What the form stores, under its names.
    public var moduleParts: [(label: String, value: Any)] {
        zip(type(of: form).partNames, form.parts).map { name, part in (label: name, value: part.object) }
    }
}

extension Weight {
    /// What a weight is made of: two weights made of the same parts are the same weight. Weights may share v and each have their own g.
    package struct Identity: Hashable {
        private let form: ObjectIdentifier
        private let parts: [ObjectIdentifier]
        private let units: OutputUnits?
        private let settings: [String: Double]

        fileprivate init(_ form: any WeightForm) {
            self.form = ObjectIdentifier(type(of: form))
            parts = form.parts.map { ObjectIdentifier($0.object) }
            units = form.ownUnits
            settings = form.settings
        }
    }

    /// Equal for two weights that are the same weight.
    package var identity: Identity { Identity(form) }
}
