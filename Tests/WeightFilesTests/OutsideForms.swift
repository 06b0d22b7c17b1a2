import Torch
import WeightFiles
import WeightNorm

// Forms of weights, a normalizer and names as a program of a user's own would have them: by public API alone.

/// w = g·v/‖v‖ with v = W + B·A of a low rank (DoRA): W is not trained, A, B and g are. Counts the passes of training in which it was used.
struct AdaptedWeight: WeightForm {
    let base: Buffer
    let left: Parameter
    let right: Parameter
    let gain: Parameter
    let uses: Buffer
    let rank: Double
    let units: OutputUnits

    static let identifier = "adapted"
    static let partNames = ["base", "left", "right", "gain", "uses"]
    static let normalizesDirection = true
    static let settings = [WeightSetting("rank", standard: 1, expecting: "a rank of at least 1") { $0 >= 1 }]

    private static func rank(_ settings: [String: Double]) -> Int { Int(settings["rank"] ?? 1) }

    static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? {
        guard let rows = shape.first, let norms = units.normsShape(ofWeight: shape) else { return nil }
        return [shape, [rows, rank(settings)], [rank(settings), shape.dropFirst().reduce(1, *)], norms, []]
    }

    static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        let (rows, columns) = (weight.shape[0], weight.shape.dropFirst().reduce(1, *))
        let count = rank(settings) * columns
        let right = (Tensor.range(0..<count).converted(to: .float64) + 1).log().reshaped([rank(settings), columns])
        return [weight, .zeros([rows, rank(settings)]), right, units.norms(of: weight), .zeros([])]
    }

    init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) {
        (base, left, right) = (Buffer(parts[0]), Parameter(parts[1]), Parameter(parts[2]))
        (gain, uses) = (Parameter(parts[3]), Buffer(parts[4]))
        (rank, self.units) = (settings["rank"] ?? 1, units)
    }

    var parts: [WeightPart] { [.buffer(base), .parameter(left), .parameter(right), .parameter(gain), .buffer(uses)] }
    var settings: [String: Double] { ["rank": rank] }
    var ownUnits: OutputUnits? { units }
    var vector: Tensor { base.value + left.value.matrixProduct(right.value).reshaped(base.value.shape) }
    var vectorParameters: [Parameter] { [left, right] }
    var multiplier: Tensor? { gain.value.detached() }
    var value: Tensor { units.normalize(vector, gain: gain.value) }

    func value(in pass: Pass) -> Tensor {
        if pass.phase == .training { uses.assign(uses.value + 1) }
        return value
    }

    func unscaled(in units: OutputUnits) -> Tensor { units.unit(vector) }

    func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor {
        gain.assign(units.replacing(gain.value.detached(), with: scale, where: condition))
        return scale
    }
}

/// w = tanh(v), which has no scale to set and no units; in PyTorch's layouts of this program's making it has a name of its own.
struct BoundedWeight: PyTorchForm {
    let raw: Parameter

    static let identifier = "bounded"
    static let partNames = ["raw"]
    static let hasUnits = false
    static let isReadFromPyTorch = true

    static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]? { [shape] }

    static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor] {
        let bounded = weight.converted(to: .float64).clamped(from: -0.999, to: 0.999)
        return [((1 + bounded) / (1 - bounded)).log() / 2]
    }

    init(parts: [Tensor], units: OutputUnits, settings: [String: Double]) { raw = Parameter(parts[0]) }

    var parts: [WeightPart] { [.parameter(raw)] }
    var ownUnits: OutputUnits? { nil }
    var vector: Tensor { value }
    var value: Tensor { raw.value.tanh() }

    static func pyTorchNames(of weight: String, in layout: StateLayout) -> [(name: String, part: String)] { [("\(weight)_raw", "raw")] }
    static func pyTorchShapes(ofWeight shape: [Int], units: OutputUnits) -> [[Int]] { [shape] }
    var pyTorchTensors: [Tensor] { [raw.value.detached()] }
}

/// t − μ[t] + b of the batch at hand.
final class Centring: Normalizer, PyTorchNamed {
    let bias: Parameter
    let count: Buffer
    private let axis: Int

    init(features: Int, axis: Int, type: ElementType) {
        bias = Parameter(.zeros([features], type: type))
        count = Buffer(.zeros([], type: type))
        self.axis = axis
    }

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let feature = axis < 0 ? input.rank + axis : axis
        let shape = (0..<input.rank).map { $0 == feature ? -1 : 1 }
        let mean =
            statisticsInParts(of: input, feature, pass)?.mean.converted(to: input.type)
            ?? input.mean(over: (0..<input.rank).filter { $0 != feature }, keeping: false)
        return input + (bias.value - mean).reshaped(shape)
    }

    func pyTorchNames(of property: String) -> [String] { [property == "bias" ? "shift" : property] }
    func pyTorchCounter(beside property: String) -> String? { property == "count" ? "num_batches" : nil }
}

extension Normalization {
    static let adapted = Normalization("adapted", form: AdaptedWeight.self, settings: ["rank": 2])
    static let bounded = Normalization("bounded", form: BoundedWeight.self)
    static let centred = Normalization("adapted+centred", form: AdaptedWeight.self) { features, axis, type, _ in
        Centring(features: features, axis: axis, type: type)
    }
}
