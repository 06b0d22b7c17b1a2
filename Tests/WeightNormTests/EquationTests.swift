import Testing
import Torch
import WeightNorm

/// A layer whose weight is to be given, with a loss that is smooth and not linear in it.
private struct WeightCase: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let shape: [Int]
    let units: OutputUnits
    let loss: @Sendable (Weight) -> Tensor

    /// Σ seed·tanh(0.3·output).
    private static func loss(_ output: Tensor) -> Tensor {
        ((output * 0.3).tanh() * Tensor.normal(output.shape, type: .float64, from: Generator(seed: 21))).sum()
    }

    private static func affine<Map: LinearMap & Sendable>(_ name: String, _ map: Map, input: [Int]) -> WeightCase {
        WeightCase(testDescription: name, shape: map.weightShape, units: map.units) { weight in
            let input = Tensor.normal(input, type: .float64, from: Generator(seed: 22))
            return loss(map(input, weight: weight.value, bias: nil))
        }
    }

    private static func recurrent(_ name: String, shape: [Int], _ outputs: @escaping @Sendable (Weight, Tensor) -> Tensor) -> WeightCase {
        WeightCase(testDescription: name, shape: shape, units: .axis(0)) { weight in
            loss(outputs(weight, Tensor.normal([3, 2, 4], type: .float64, from: Generator(seed: 23))) * 3)
        }
    }

    private static func plain(_ shape: [Int]) -> Weight { .direct(Parameter(.normal(shape, type: .float64, from: Generator(seed: 24)))) }
    private static func bias(_ count: Int) -> Parameter { Parameter(.normal([count], type: .float64, from: Generator(seed: 25))) }

    static let all: [WeightCase] = [
        affine("dense", DenseMap(inputs: 5, outputs: 4), input: [6, 5]),
        affine(
            "convolution 1d",
            ConvolutionMap(inputs: 4, outputs: 6, kernel: [3], stride: [2], padding: [1], dilation: [2], groups: 2), input: [2, 4, 9]),
        affine("convolution 2d", ConvolutionMap(inputs: 2, outputs: 3, kernel: [3, 2], padding: [1, 1]), input: [2, 2, 5, 4]),
        affine("convolution 3d", ConvolutionMap(inputs: 2, outputs: 3, kernel: [2, 2, 2]), input: [2, 2, 3, 4, 3]),
        affine(
            "transposed convolution 1d, grouped",
            TransposedConvolutionMap(inputs: 4, outputs: 6, kernel: [3], stride: [2], padding: [1], outputPadding: [1], groups: 2),
            input: [2, 4, 5]),
        affine(
            "transposed convolution 2d", TransposedConvolutionMap(inputs: 3, outputs: 2, kernel: [3, 3], stride: [2, 2]),
            input: [2, 3, 3, 3]),
        recurrent("LSTM, input", shape: [12, 4]) { weight, input in
            LSTM(inputWeight: weight, stateWeight: plain([12, 3]), bias: bias(12))(input, .inference).outputs
        },
        recurrent("LSTM, state", shape: [12, 3]) { weight, input in
            LSTM(inputWeight: plain([12, 4]), stateWeight: weight, bias: bias(12))(input, .inference).outputs
        },
        recurrent("GRU, input", shape: [9, 4]) { weight, input in
            GRU(inputWeight: weight, stateWeight: plain([9, 3]), inputBias: bias(9), stateBias: bias(9))(input, .inference).outputs
        },
        recurrent("GRU, state", shape: [9, 3]) { weight, input in
            GRU(inputWeight: plain([9, 4]), stateWeight: weight, inputBias: bias(9), stateBias: bias(9))(input, .inference).outputs
        },
    ]
}

/// Which units a weight has: its layer's, or itself as one.
private enum Grouping: CaseIterable {
    case perOutput, whole
}

struct EquationTests {
    private let random = Generator(seed: 31)

    private func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float64, from: random) }

    /// Σ over each unit's elements, in the shape of the units' norms.
    private func sums(_ tensor: Tensor, _ units: OutputUnits) -> Tensor {
        let shape = tensor.shape
        guard let axis = units.axis else { return tensor.sum(over: Array(shape.indices), keeping: true) }
        guard units.blocks > 1 else { return tensor.sum(over: shape.indices.filter { $0 != axis }, keeping: true) }
        let blocked = tensor.reshaped([units.blocks, shape[0] / units.blocks] + shape.dropFirst())
        return blocked.sum(over: (0...shape.count).filter { $0 != 0 && $0 != axis + 1 }, keeping: true)
    }

    @Test(
        "for every layer and form the gradients are eqs. 3 and 4 of the plain weight's, agree with finite differences, and ∇v ⟂ v",
        arguments: WeightCase.all, Grouping.allCases)
    private func equations(layer: WeightCase, grouping: Grouping) throws {
        let units = grouping == .whole ? .whole : layer.units
        let v = draw(layer.shape)
        let norms = units.norms(of: v)
        let g = draw(norms.shape) + 0.5  // of both signs
        for (form, factor) in [(Normalization.weight, 1.0), (.logWeight, 1), (.logWeight, 3), (.fixedGain, 1)] {
            let magnitude = g.magnitude()
            let weight: Weight =
                switch form {
                case .logWeight:
                    .logNormalized(
                        direction: Parameter(v), logGain: Parameter(magnitude.log() / factor), factor: factor, units: units)
                case .fixedGain: .scaled(Parameter(v), by: Buffer(g), units: units)
                default: .normalized(direction: Parameter(v), gain: Parameter(g), units: units)
                }
            let parameters = Sequential([Holder(weight)]).parameters
            let found = gradients(of: layer.loss(weight), withRespectTo: parameters)

            let plain = Parameter(weight.value)
            let w = plain.snapshot()
            let slope = gradients(of: layer.loss(.direct(plain)), withRespectTo: [plain])[0]  // ∇w L
            #expect(difference(slope, numericGradient(plain) { layer.loss(.direct(plain)) }) < 1e-8)

            switch form {
            case .fixedGain:
                #expect(difference(found[0], units.scale(slope, by: g)) < 1e-13)
            default:
                let gain = form == .logWeight ? magnitude : g
                let gainSlope = sums(slope * v, units) / norms  // eq. 3, ∇g L
                let expected = form == .logWeight ? gainSlope * gain * factor : gainSlope
                #expect(difference(found[1], expected) < 1e-13)
                let byThree = units.scale(slope, by: gain / norms) - units.scale(v, by: gain * gainSlope / norms.squared())
                #expect(difference(found[0], byThree) < 1e-13)
                let projected = slope - units.scale(w, by: sums(slope * w, units) / sums(w.squared(), units))
                #expect(difference(found[0], units.scale(projected, by: gain / norms)) < 1e-13)
                #expect(sums(found[0] * v, units).magnitude().maximum().item() < 1e-13 * slope.norm().item() * v.norm().item())
            }
            for (parameter, gradient) in zip(parameters, found) {
                #expect(difference(gradient, numericGradient(parameter) { layer.loss(weight) }) < 1e-8)
            }
        }
    }
}

/// A weight as a module.
private struct Holder: Layer {
    let weight: Weight
    init(_ weight: Weight) { self.weight = weight }
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input * weight.value }
}
