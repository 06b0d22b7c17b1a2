public import Torch

/// w = s·v with one multiplier per output unit, set by initialization and not trained: the "normal" baseline of the released code.
public struct ScaledWeight: WeightForm {
    /// v.
    public let weight: Parameter
    /// s, of the shape of ``OutputUnits/norms(of:)``.
    public let scale: Buffer
    /// Which elements of v share an s.
    public let units: OutputUnits

    /// A weight of v and s.
    public init(_ weight: Parameter, by scale: Buffer, units: OutputUnits) {
        (self.weight, self.scale, self.units) = (weight, scale, units)
    }

    /// Its name in checkpoints and files.
    public static let identifier = "scaled"
    /// v, at the weight's own path, and s.
    public static let partNames = ["", "scale"]

    /// Of v and s.
    public static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? {
        units.normsShape(ofWeight: shape).map { [shape, $0] }
    }

    /// v = w, s = 1.
    public static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        [weight, units.norms(of: weight).zerosLike() + 1]
    }

    /// A weight that stores copies of the given tensors.
    public init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) {
        self.init(Parameter(parts[0]), by: Buffer(parts[1]), units: units)
    }

    /// v and s.
    public var parts: [WeightPart] { [.parameter(weight), .buffer(scale)] }
    /// Those of s.
    public var ownUnits: OutputUnits? { units }
    /// v.
    public var vector: Tensor { weight.value }
    /// s.
    public var multiplier: Tensor? { scale.value }
    /// s·v.
    public var value: Tensor { units.scale(weight.value, by: scale.value) }

    /// v.
    public func unscaled(in units: OutputUnits) -> Tensor { weight.value }

    /// s becomes the scale.
    public func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        self.scale.assign(units.replacing(self.scale.value, with: scale, where: condition))
        return scale
    }
}
