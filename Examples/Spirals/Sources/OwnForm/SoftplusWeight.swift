import Torch
import WeightFiles
import WeightNorm

/// w = softplus(s)·v/‖v‖: a gain that is always positive, and grows linearly where exp(s) would explode.
struct SoftplusWeight: WeightForm {
    let direction: Parameter
    let raw: Parameter
    let sharpness: Double
    let units: OutputUnits

    static let identifier = "softplus"
    static let partNames = ["direction", "rawGain"]
    static let normalizesDirection = true
    static let settings = [WeightSetting("sharpness", standard: 1, expecting: "a sharpness above 0") { $0 > 0 }]

    static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? {
        units.normsShape(ofWeight: shape).map { [shape, $0] }
    }

    static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        [weight, inverse(units.wideNorms(of: weight), settings["sharpness"] ?? 1)]
    }

    /// s with softplus(s) = g, which is log(1 + exp(c·s))/c for a sharpness of c.
    private static func inverse(_ gain: Tensor, _ sharpness: Double) -> Tensor {
        (gain.clamped(from: 1e-30) * sharpness).expMinusOne().log() / sharpness
    }

    init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) {
        (direction, raw) = (Parameter(parts[0]), Parameter(parts[1]))
        (sharpness, self.units) = (settings["sharpness"] ?? 1, units)
    }

    private var gain: Tensor { (raw.value * sharpness).softplus() / sharpness }

    var parts: [WeightPart] { [.parameter(direction), .parameter(raw)] }
    var settings: [String: Double] { ["sharpness": sharpness] }
    var ownUnits: OutputUnits? { units }
    var vector: Tensor { direction.value }
    var multiplier: Tensor? { gain.detached() }
    var value: Tensor { units.normalize(direction.value, gain: gain) }

    func unscaled(in units: OutputUnits) -> Tensor { units.unit(direction.value) }

    func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        raw.assign(units.replacing(raw.value.detached(), with: Self.inverse(scale, sharpness), where: condition))
        return scale
    }

    func parts(of other: any WeightForm) -> [Tensor]? {
        guard type(of: other).normalizesDirection, hasSameUnits(as: other), let gain = other.multiplier, (gain .> 0).allTrue() else {
            return nil
        }
        return [other.vector, Self.inverse(gain, sharpness)]
    }
}

/// In PyTorch's layouts it is the v and g that it stands for.
extension SoftplusWeight: PyTorchForm {}

extension Normalization {
    static let softplus = Normalization("softplus", form: SoftplusWeight.self, settings: ["sharpness": 2])
}
