import Testing
import Torch
import WeightNorm

struct UnitAxesTests {
    @Test(
        "a weight has one norm for every combination of indices of any set of axes",
        arguments: [[], [0], [1], [2], [3], [0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [0, 1, 3], [0, 2, 3], [0, 1, 2, 3]])
    func anyAxes(axes: [Int]) {
        let random = Generator(seed: 3)
        let units = OutputUnits.axes(axes)
        let weight = Weight.normalized(.normal([3, 2, 4, 5], type: .float64, from: random), units: units)
        let parts = weight.form.parts
        #expect(parts[1].value.shape == (0..<4).map { axes.contains($0) ? [3, 2, 4, 5][$0] : 1 })
        parts[1].assign(.normal(parts[1].value.shape, type: .float64, from: random))
        let (v, g) = (parts[0].value, parts[1].value)
        let others = (0..<4).filter { !axes.contains($0) }
        let expected = others.isEmpty ? g * v.sign() : g * v / v.squared().sum(over: others, keeping: true).squareRoot()
        #expect(difference(weight.value, expected) < 1e-14)
        // ∇v ⟂ v in every unit, and the gradient of g is that of the formula.
        let seed = Tensor.normal([3, 2, 4, 5], type: .float64, from: random)
        let parameters = parts.compactMap { if case .parameter(let parameter) = $0 { parameter } else { nil } }
        let slopes = gradients(of: (weight.value * seed).sum(), withRespectTo: parameters)
        let inner = others.isEmpty ? slopes[0] * v : (slopes[0] * v).sum(over: others)
        #expect(inner.magnitude().maximum().item() < 1e-12)
        for (parameter, slope) in zip(parameters, slopes) where !others.isEmpty {
            #expect(difference(slope, numericGradient(parameter) { (weight.value * seed).sum() }) < 1e-7)
        }
        #expect(units.rows(of: v).shape == [g.count, 120 / g.count])
        #expect(difference(units.tensor(ofRows: units.rows(of: v), shape: [3, 2, 4, 5]), v) == 0)
        #expect(
            OutputUnits(units.description) == units
                && units.normsShape(ofWeight: [3, 2])
                    == (axes.allSatisfy { $0 < 2 } ? (0..<2).map { axes.contains($0) ? [3, 2][$0] : 1 } : nil)
        )
    }

    @Test("layers can be made with any units, and are trained, folded and normalized like others")
    func layers() {
        let random = Generator(seed: 3)
        let layers: [any Layer] = [
            Convolution(4, to: 6, kernel: [3], units: .axis(2), type: .float64, random: random),
            TransposedConvolution(4, to: 6, kernel: [3], units: .axis(0), type: .float64, random: random),
            Convolution(4, to: 6, kernel: [3], normalization: .logWeight, units: .axes([0, 2]), type: .float64, random: random),
        ]
        let input = Tensor.normal([2, 4, 7], type: .float64, from: random)
        for layer in layers {
            let before = layer(input, .inference).detached()
            #expect(gradients(of: layer(input, .inference).sum(), withRespectTo: layer.parameters).allSatisfy { $0.isFinite().allTrue() })
            layer.foldWeights()
            #expect(difference(layer(input, .inference), before) == 0)
            layer.normalizeWeights(along: .axis(1))
            #expect(difference(layer(input, .inference), before) < 1e-14 && layer.namedWeights.allSatisfy { $0.value.units == .axis(1) })
        }
    }
}
