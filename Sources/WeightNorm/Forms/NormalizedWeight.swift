public import Torch

/// w = g·v/‖v‖ with one g per output unit, so ‖w‖ = |g| (eq. 2); v and g are trained.
///
/// v has the weight's shape, g the shape of ``OutputUnits/norms(of:)``: `[outputs, 1, …]` for units along axis 0.
public struct NormalizedWeight: WeightForm {
    /// v.
    public let direction: Parameter
    /// g.
    public let gain: Parameter
    /// Which elements of v share a g.
    public let units: OutputUnits

    /// A weight of v and g.
    public init(direction: Parameter, gain: Parameter, units: OutputUnits) {
        (self.direction, self.gain, self.units) = (direction, gain, units)
    }

    /// Its name in checkpoints and files.
    public static let identifier = "normalized"
    /// v and g.
    public static let partNames = ["direction", "gain"]
    /// True.
    public static let normalizesDirection = true
    /// True.
    public static let isComputedInAnyType = true

    /// Of v and g.
    public static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? {
        units.normsShape(ofWeight: shape).map { [shape, $0] }
    }

    /// v = w, g = ‖w‖.
    public static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        [weight, units.norms(of: weight)]
    }

    /// A weight that stores copies of the given tensors.
    public init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) {
        self.init(direction: Parameter(parts[0]), gain: Parameter(parts[1]), units: units)
    }

    /// v and g.
    public var parts: [WeightPart] { [.parameter(direction), .parameter(gain)] }
    /// Those of g.
    public var ownUnits: OutputUnits? { units }
    /// v.
    public var vector: Tensor { direction.value }
    /// g.
    public var multiplier: Tensor? { gain.value.detached() }
    /// g·v/‖v‖.
    public var value: Tensor { units.normalize(direction.value, gain: gain.value) }

    /// v/‖v‖.
    public func unscaled(in units: OutputUnits) -> Tensor { units.unit(direction.value) }

    /// g becomes the scale.
    public func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        let before = gain.value.detached()
        gain.assign(units.replacing(before, with: scale, where: condition))
        return scale
    }

    /// v and g of a form that has them, in the same units.
    public func parts(of other: any WeightForm) -> [Tensor]? {
        guard type(of: other).normalizesDirection, hasSameUnits(as: other), let gain = other.multiplier else { return nil }
        return [other.vector, gain]
    }
}
