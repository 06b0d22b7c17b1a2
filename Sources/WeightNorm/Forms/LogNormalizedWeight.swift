public import Torch

/// w = exp(c·s)·v/‖v‖: the gain on a logarithmic scale (§2.1), so that it is always positive; v and s are trained.
///
/// The paper has c = 1 and found it "not significantly better or worse"; Kingma's later VAE code has c = 3. s has the shape of g.
public struct LogNormalizedWeight: WeightForm {
    /// v.
    public let direction: Parameter
    /// s.
    public let logGain: Parameter
    /// c.
    public let factor: Double
    /// Which elements of v share an s.
    public let units: OutputUnits

    /// A weight of v and s. Traps unless c is above 0.
    public init(direction: Parameter, logGain: Parameter, factor: Double = 1, units: OutputUnits) {
        trap(unless: factor > 0 && factor.isFinite, "logarithmic gain: expected a factor above 0, found \(factor)")
        (self.direction, self.logGain, self.factor, self.units) = (direction, logGain, factor, units)
    }

    /// Its name in checkpoints and files.
    public static let identifier = "log-normalized"
    /// v and s.
    public static let partNames = ["direction", "logGain"]
    /// True.
    public static let normalizesDirection = true
    /// c.
    public static let settings = [WeightSetting("factor", standard: 1, expecting: "a factor above 0") { $0 > 0 }]

    /// Of v and s.
    public static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? {
        units.normsShape(ofWeight: shape).map { [shape, $0] }
    }

    /// v = w, s = log ‖w‖ / c. Where ‖w‖ = 0 the gain is the smallest normal number: w is 0 there whatever the gain.
    public static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        let smallest = weight.type.accumulator.leastNormalMagnitude
        let logs = units.wideNorms(of: weight).clamped(from: smallest).log() / (settings["factor"] ?? 1)
        return [weight, logs.converted(to: weight.type)]
    }

    /// A weight that stores copies of the given tensors.
    public init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) {
        self.init(direction: Parameter(parts[0]), logGain: Parameter(parts[1]), factor: settings["factor"] ?? 1, units: units)
    }

    /// v and s.
    public var parts: [WeightPart] { [.parameter(direction), .parameter(logGain)] }
    /// c.
    public var settings: [String: Double] { ["factor": factor] }
    /// Those of s.
    public var ownUnits: OutputUnits? { units }
    /// Such as `log-normalized by 3.0`.
    public var summary: String { "\(Self.identifier) by \(factor)" }
    /// v.
    public var vector: Tensor { direction.value }
    /// In float64: a gain may need a wider type than its logarithm.
    public var multiplier: Tensor? { (logGain.value.detached().converted(to: .float64) * factor).exp() }
    /// exp(c·s)·v/‖v‖.
    public var value: Tensor { units.normalize(direction.value, gain: (logGain.value * factor).exp()) }

    /// v/‖v‖.
    public func unscaled(in units: OutputUnits) -> Tensor { units.unit(direction.value) }

    /// s becomes the logarithm of the scale, divided by c.
    public func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        let before = logGain.value.detached()
        logGain.assign(units.replacing(before, with: scale.log() / factor, where: condition))
        return scale
    }

    /// v and the logarithm of g of a form that has them, in the same units, where no g is negative or 0.
    public func parts(of other: any WeightForm) -> [Tensor]? {
        guard hasSameUnits(as: other) else { return nil }
        if let other = other as? LogNormalizedWeight {
            return [other.vector, other.logGain.value.detached().converted(to: .float64) * (other.factor / factor)]
        }
        guard type(of: other).normalizesDirection, let gain = other.multiplier, (gain .> 0).allTrue() else { return nil }
        return [other.vector, gain.converted(to: .float64).log() / factor]
    }
}
