import Foundation
import Testing
import Torch
import WeightNorm

struct WeightTests {
    private let random = Generator(seed: 11)

    private func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float64, from: random) }

    @Test("w = g·v/‖v‖ and so ‖w‖ = |g| (eq. 2), as libtorch computes it too")
    func definition() {
        let direction = draw([4, 3, 2, 2])
        let gain = Tensor([2, -1, 0.5, 0], shape: [4, 1, 1, 1])
        let weight = Weight.normalized(direction: Parameter(direction), gain: Parameter(gain), units: .axis(0)).value
        #expect(difference(weight, .referenceWeightNorm(direction: direction, gain: gain, axis: 0)) < 1e-15)
        #expect(difference(weight.norm(over: [1, 2, 3]), Tensor([2.0, 1, 0.5, 0])) < 1e-14)
    }

    @Test("the gradients are those of eqs. 3 and 4, and ∇v is orthogonal to v")
    func gradientFormulas() {
        let direction = Parameter(draw([5, 8]))
        let gain = Parameter(draw([5, 1]))
        let weight = Weight.normalized(direction: direction, gain: gain, units: .axis(0)).value
        let seed = draw([5, 8])  // ∇w L of L = Σ seed·w
        let found = gradients(of: (weight * seed).sum(), withRespectTo: [direction, gain])
        let (v, g) = (direction.snapshot(), gain.snapshot())
        let norm = v.norm(over: [1], keeping: true)
        let gainGradient = (seed * v).sum(over: [1], keeping: true) / norm
        #expect(difference(found[1], gainGradient) < 1e-14, "eq. 3, ∇g")
        #expect(difference(found[0], g / norm * seed - g * gainGradient / norm.squared() * v) < 1e-14, "eq. 3, ∇v")
        let w = weight.detached()
        let projected = seed - w * (w * seed).sum(over: [1], keeping: true) / w.squared().sum(over: [1], keeping: true)
        #expect(difference(found[0], g / norm * projected) < 1e-14, "eq. 4")
        #expect((found[0] * v).sum(over: [1]).magnitude().maximum().item() < 1e-13)
    }

    @Test("the length of v does not matter")
    func scaleOfDirection() {
        let direction = draw([3, 4])
        let gain = draw([3, 1])
        func weight(_ factor: Double) -> Tensor {
            Weight.normalized(direction: Parameter(direction * factor), gain: Parameter(gain), units: .axis(0)).value
        }
        #expect(difference(weight(1e6), weight(1)) < 1e-14)
        #expect(difference(weight(1e-6), weight(1)) < 1e-14)
    }

    @Test("wrapping an existing weight leaves it unchanged: g starts at ‖v‖, not at 1", arguments: Normalization.forms)
    func wrapping(form: Normalization) {
        let weight = draw([6, 4, 3]) * 7
        for units in [OutputUnits.axis(0), .axis(1), .axis(1, blocks: 3), .whole] {
            #expect(difference(form.makeWeight(weight, units: units).value, weight) < 3e-15)
        }
    }

    @Test("float32 weights whose squares leave float32's range are wrapped unchanged too", arguments: [1e-25, 1e25])
    func extremeSizes(size: Double) {
        let weight = Tensor.normal([3, 5], from: random) * size
        #expect(difference(Weight.normalized(weight).value / size, weight / size) < 1e-6)
    }

    @Test("a gain on a logarithmic scale: w = exp(c·s)·v/‖v‖, also where a unit is zero", arguments: [1.0, 3])
    func logarithmicGain(factor: Double) {
        let initial = Tensor([3.0, 4, 0, 0], shape: [2, 2])
        let weight = Weight.logNormalized(initial, factor: factor)
        #expect(difference(weight.value, initial) < 1e-15)
        guard let form = weight.form as? LogNormalizedWeight else { Issue.record("form"); return }
        let (direction, logGain) = (form.direction, form.logGain)
        logGain.assign(Tensor([log(10) / factor, 0], shape: [2, 1]))
        #expect(difference(weight.value, Tensor([6.0, 8, 0, 0], shape: [2, 2])) < 1e-14)
        let found = gradients(of: weight.value.sum(), withRespectTo: [direction, logGain])
        #expect(abs(found[1].elements(as: Double.self)[0] - 14 * factor) < 1e-12, "dw/ds = c·w")
        #expect(found.allSatisfy { $0.isFinite().allTrue() })
    }

    @Test("one gain for the whole tensor (PyTorch's dim=None)")
    func whole() {
        let weight = draw([3, 4])
        guard let form = Weight.normalized(weight, units: .whole).form as? NormalizedWeight else { Issue.record("form"); return }
        let (direction, gain) = (form.direction, form.gain)
        #expect(gain.value.count == 1)
        #expect(abs(gain.value.item() - direction.value.norm().item()) < 1e-14)
    }

    @Test("a transposed convolution's norm is per output unit, which is axis 1, and per group")
    func transposedUnits() {
        let weight = draw([4, 3, 5])  // two groups: 4 inputs, 6 outputs
        let norms = OutputUnits.axis(1, blocks: 2).norms(of: weight)
        #expect(norms.shape == [2, 1, 3, 1])
        let byHand = Tensor.stacked([weight.sliced(0..<2, along: 0), weight.sliced(2..<4, along: 0)]).norm(over: [1, 3])
        #expect(difference(norms.reshaped([2, 3]), byHand) < 1e-15)
        #expect(OutputUnits.axis(1).norms(of: weight).shape == [1, 3, 1])
    }

    @Test("‖v‖ = 0 gives w = 0 and finite gradients")
    func zeroDirection() {
        let direction = Parameter(Tensor([0.0, 0, 3, 4], shape: [2, 2]))
        let gain = Parameter(Tensor([2.0, 5], shape: [2, 1]))
        let weight = Weight.normalized(direction: direction, gain: gain, units: .axis(0)).value
        #expect(weight.elements() == [0.0, 0, 3, 4])
        let found = gradients(of: (weight * Tensor([1.0, 2, 3, 4], shape: [2, 2])).sum(), withRespectTo: [direction, gain])
        #expect(found.allSatisfy { $0.isFinite().allTrue() })
    }

    @Test(
        "second derivatives agree with finite differences of the first",
        arguments: [OutputUnits.axis(0), .axis(1), .axis(1, blocks: 2), .whole])
    func secondDerivatives(units: OutputUnits) {
        let direction = Parameter(draw([4, 3, 2]))
        guard let gain = (Weight.normalized(direction.value, units: units).form as? NormalizedWeight)?.gain else {
            Issue.record("form"); return
        }
        gain.assign(draw(gain.value.shape))
        let weight = Weight.normalized(direction: direction, gain: gain, units: units)
        let (seed, along, alongGain) = (draw([4, 3, 2]), draw([4, 3, 2]), draw(gain.value.shape))
        // A number made of the first derivatives, so that its own derivative is made of the second.
        func slope(recording: Bool) -> Tensor {
            let first = gradients(of: (weight.value.power(3) * seed).sum(), withRespectTo: [direction, gain], createGraph: recording)
            return (first[0] * along).sum() + (first[1] * alongGain).sum()
        }
        let found = gradients(of: slope(recording: true), withRespectTo: [direction, gain])
        for (parameter, gradient) in zip([direction, gain], found) {
            #expect(difference(gradient, numericGradient(parameter) { withGradients { slope(recording: false) } }) < 1e-7)
        }
    }

    @Test("a weight that several threads share is normalized as a small one is", arguments: [OutputUnits.axis(0), .axis(1)])
    func large(units: OutputUnits) {
        let direction = Parameter(Tensor.normal([300, 400, 3], from: random))
        guard let gain = (Weight.normalized(direction.value, units: units).form as? NormalizedWeight)?.gain else {
            Issue.record("form"); return
        }
        gain.assign(Tensor.normal(gain.value.shape, from: random))
        let seed = Tensor.normal([300, 400, 3], from: random)
        func both(_ weight: Tensor) -> [Tensor] {
            [weight] + gradients(of: weight, cotangent: seed, withRespectTo: [direction.value, gain.value])
        }
        let found = both(units.normalize(direction.value, gain: gain.value))
        let expected = both(direction.value * (gain.value / units.norms(of: direction.value)))
        for (one, other) in zip(found, expected) { #expect(difference(one, other) < 2e-6) }
    }

    @Test("16-bit weights: the norm is accumulated in float32", arguments: [ElementType.float16, .bfloat16])
    func halves(type: ElementType) {
        // 40,000 elements of 8: the sum of squares is far above float16's range.
        let weight = Weight.normalized(Tensor.full([1, 40_000], 8, type: type)).value
        #expect(weight.type == type)
        #expect(difference(weight.converted(to: .float64), .full([1, 40_000], 8, type: .float64)) < 0.005)
    }
}
