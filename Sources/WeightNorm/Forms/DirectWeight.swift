public import Torch

/// w is trained itself: the paper's "normal" parameterisation.
public struct DirectWeight: WeightForm {
    /// w.
    public let weight: Parameter

    /// A weight that is the given parameter.
    public init(_ weight: Parameter) { self.weight = weight }

    /// Its name in checkpoints and files.
    public static let identifier = "direct"
    /// Only w, at the weight's own path.
    public static let partNames = [""]
    /// False: a plain weight has none.
    public static let hasUnits = false
    /// True.
    public static let isComputedInAnyType = true

    /// w's own.
    public static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? { [shape] }

    /// w.
    public static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] { [weight] }

    /// A weight that stores copies of the given tensors.
    public init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) { self.init(Parameter(parts[0])) }

    /// w.
    public var parts: [WeightPart] { [.parameter(weight)] }
    /// None.
    public var ownUnits: OutputUnits? { nil }
    /// w.
    public var vector: Tensor { weight.value }
    /// w.
    public var value: Tensor { weight.value }

    /// w/‖w‖.
    public func unscaled(in units: OutputUnits) -> Tensor { units.unit(weight.value) }

    /// w becomes the scale times w/‖w‖.
    public func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        let before = weight.value.detached().converted(to: .float64)
        let norms = units.wideNorms(of: before)
        let after = units.scale(units.unit(before), by: units.shaped(scale, like: norms))
        let chosen = units.scale(before.zerosLike() + 1, by: units.shaped(condition.converted(to: .float64), like: norms))
        weight.assign(before.replacing(where: chosen .!= 0, with: after))
        return scale
    }
}
