import Foundation
import Testing
import Torch
import WeightNorm

// Squares that leave the type's range although the result does not (pytorch #46849), and g/‖v‖ that does although w does not (fairseq #79). Expected values are
// closed forms.

struct RangeTests {
    private func isClose(_ found: Tensor, _ expected: [Double], _ tolerance: Double = 1e-6) -> Bool {
        zip(found.elements(as: Double.self), expected).allSatisfy { found, expected in
            found == expected || abs(found - expected) <= tolerance * abs(expected)
        }
    }

    @Test("norms and standard deviations far from 1 (pytorch #46849)")
    func norms() {
        for scale in [1e-40, 1e-25, 1, 1e19, 5e37] {
            let tensor = Tensor([Float(3 * scale), Float(4 * scale)])
            #expect(isClose(tensor.norm(), [5 * scale], scale < 1e-38 ? 1e-4 : 1e-6))
            #expect(isClose(Tensor([Float(scale), Float(-scale)]).standardDeviation(), [scale], scale < 1e-38 ? 1e-4 : 1e-6))
        }
        for scale in [Double.leastNonzeroMagnitude, 0x1p-1030, 1e-200, 1e200, 3e307] {
            #expect(isClose(Tensor([3 * scale, 4 * scale]).norm(), [5 * scale], 1e-14))
            #expect(isClose(Tensor([3 * scale, 0, 0, 4 * scale], shape: [2, 2]).norm(over: [1]), [3 * scale, 4 * scale], 1e-14))
            #expect(isClose(Tensor([scale, -scale]).standardDeviation(over: [0], keeping: true), [scale], 1e-14))
        }
        #expect(isClose(Tensor([1e20, 1e20]).converted(to: .bfloat16).norm(), [1.4142135623730951e20], 0.01))
        #expect(Tensor([0.0, 0]).norm().item() == 0 && Tensor([Double.infinity, 1]).norm().item() == .infinity)
        #expect(Tensor([Double.nan, 1]).norm().item().isNaN && Tensor([Float.nan, 1]).norm().item().isNaN)
        #expect(Tensor.zeros([0, 3], type: .float64).norm(over: [0]).elements(as: Double.self) == [0, 0, 0])
        // The gradient is x/‖x‖.
        for scale in [1e-200, 1, 1e200, 3e307] {
            let parameter = Parameter(Tensor([3 * scale, 4 * scale]))
            #expect(isClose(gradients(of: parameter.value.norm(), withRespectTo: [parameter])[0], [0.6, 0.8], 1e-14))
        }
    }

    private static let units: [(v: [Double], g: Double, w: [Double], type: ElementType)] = [
        ([3e-40, 0], 1, [1, 0], .float32), ([3e38, 3e38], 1e-8, [7.0710678118654755e-9, 7.0710678118654755e-9], .float32),
        ([3e-40, 4e-40], 1e-39, [6e-40, 8e-40], .float32), ([1e-45, 0], -2, [-2, 0], .float32), ([3e38, 0], 3e38, [3e38, 0], .float32),
        ([3e19, 4e19], 5, [3, 4], .float32), ([3e200, 4e200], 1, [0.6, 0.8], .float64), ([3e-200, 4e-200], 1, [0.6, 0.8], .float64),
        ([3e307, 4e307], 1e-300, [6e-301, 8e-301], .float64), ([Double.leastNonzeroMagnitude, 0], 3, [3, 0], .float64),
        ([0x3p-1032, 0x4p-1032], 1e308, [6e307, 8e307], .float64),
        ([1.7e308, 1.7e308], 2, [1.4142135623730951, 1.4142135623730951], .float64),
        ([1e20, 1e20], 1, [0.7071067811865475, 0.7071067811865475], .bfloat16),
        ([1e-39, 0], 1, [1, 0], .bfloat16), ([6e-8, 0], 1, [1, 0], .float16),
        ([6e4, 6e4], 1, [0.7071067811865475, 0.7071067811865475], .float16),
    ]

    @Test("w is right wherever its type can hold it, whatever g/‖v‖ is (fairseq #79)", arguments: units.indices)
    func weights(index: Int) {
        let (v, g, w, type) = Self.units[index]
        let direction = Parameter(Tensor(v, shape: [1, 2]).converted(to: type))
        let gain = Parameter(Tensor([g], shape: [1, 1]).converted(to: type))
        let weight = Weight.normalized(direction: direction, gain: gain, units: .axis(0))
        // As far as the numbers could be written down in the type.
        let isSubnormal = type == .float64 ? v[0] < 1e-308 : v[0] < 1e-38 || w[0].magnitude < 1e-38
        let tolerance: Double =
            switch type {
            case .float16: 2e-3
            case .bfloat16: 1e-2
            case .float64: 1e-13
            default: isSubnormal ? 1e-4 : 1e-6
            }
        #expect(isClose(weight.value, w, tolerance))
        // The other implementation, for devices without a kernel and for derivatives of the gradient: here w as a function whose gradient is recorded.
        let slopes = gradients(of: (weight.value * weight.value.zerosLike()).sum(), withRespectTo: [direction, gain], createGraph: true)
        for slope in slopes { #expect((slope .== 0).allTrue(), "no gradient stays none") }
        // ∇g = ∇w·v/‖v‖, and ∇v is across v, where it is finite.
        let cotangent = Tensor([1.0, 0], shape: [1, 2]).converted(to: type)
        let largest = max(v[0], v[1])
        let along = v[0] / largest / hypot(v[0] / largest, v[1] / largest)
        for createGraph in [false, true] {
            let found = gradients(
                of: weight.value, cotangent: cotangent, withRespectTo: [direction.value, gain.value], createGraph: createGraph)
            #expect(isClose(found[1], [along], max(tolerance, 1e-4)))
            #expect(!found[0].elements(as: Double.self).contains { $0.isNaN })
        }
    }

    @Test("a gradient of v that the type can hold is right where ‖v‖² and g/‖v‖ are not in its range", arguments: [false, true])
    func directionGradients(createGraph: Bool) {
        // ∇v = g/‖v‖·(∇w − (∇w·v̂) v̂), with v along the first axis and ∇w = (1, 1)·c: (0, g·c/‖v‖).
        for (length, g, c, type): (Double, Double, Double, ElementType) in [
            (1e-30, 1, 1e-20, .float32), (3e-40, 1e-10, 1e-20, .float32), (1e38, 1e30, 1e20, .float32), (1e38, 1e-8, 1e30, .float32),
            (1e-200, 1, 1e-150, .float64), (1e200, 1e100, 1e150, .float64), (0x1p-1030, 1e-100, 1e-100, .float64),
        ] {
            let direction = Parameter(Tensor([length, 0], shape: [1, 2]).converted(to: type))
            let weight = Weight.normalized(
                direction: direction, gain: Parameter(Tensor([g], shape: [1, 1]).converted(to: type)), units: .axis(0))
            let cotangent = Tensor([c, c], shape: [1, 2]).converted(to: type)
            let found = gradients(of: weight.value, cotangent: cotangent, withRespectTo: [direction.value], createGraph: createGraph)[0]
            let expected = g / length * c
            let numbers = found.elements(as: Double.self)
            #expect(
                abs(numbers[0] / expected) < 1e-6 && abs(numbers[1] / expected - 1) < (length < 1e-38 ? 1e-4 : 1e-6),
                "\(length), \(g), \(c)")
        }
    }

    @Test("∇w·v leaves float64's range although neither gradient does", arguments: [(1e50, 1e290), (1e-50, 1e-290)], [false, true])
    func products(sizes: (v: Double, cotangent: Double), createGraph: Bool) {
        let direction = Parameter(Tensor([3 * sizes.v, 4 * sizes.v], shape: [1, 2]))
        let gain = Parameter(Tensor([2.0], shape: [1, 1]))
        let found = gradients(
            of: Weight.normalized(direction: direction, gain: gain, units: .axis(0)).value,
            cotangent: Tensor([sizes.cotangent, 0], shape: [1, 2]), withRespectTo: [direction, gain].map(\.value), createGraph: createGraph)
        #expect(isClose(found[1], [0.6 * sizes.cotangent], 1e-13))
        let slope = 2 / (5 * sizes.v) * sizes.cotangent
        #expect(isClose(found[0], [0.64 * slope, -0.48 * slope], 1e-13))
    }

    @Test("second derivatives where g is 0, and far from 1", arguments: [ElementType.float32, .float64])
    func secondDerivatives(type: ElementType) {
        // ∇v = g/‖v‖·(0, c) for v along the first axis: its derivative with respect to g is c/‖v‖, also where g is 0.
        for (length, g, c) in [(1.0, 0.0, 1e-8), (1, 0, 1e-5), (1e-30, 0, 1e-20), (1e30, 1, 1e20), (1, 1, 1e-8)] {
            let direction = Parameter(Tensor([length, 0], shape: [1, 2]).converted(to: type))
            let gain = Parameter(Tensor([g], shape: [1, 1]).converted(to: type))
            let weight = Weight.normalized(direction: direction, gain: gain, units: .axis(0))
            let cotangent = Tensor([0, c], shape: [1, 2]).converted(to: type)
            let slope = gradients(of: weight.value, cotangent: cotangent, withRespectTo: [direction.value], createGraph: true)[0]
            let second = gradients(of: slope.sum(), withRespectTo: [gain])[0]
            #expect(isClose(second, [c / length], 1e-5), "\(length), \(g), \(c)")
        }
    }

    @Test("a constant feature beyond all bounds gives b, and no gradient that is not a number")
    func constantFeature() {
        // The other feature makes it go the way for numbers out of range.
        let norm = BatchNorm(features: 2, type: .float64)
        norm.bias.assign(Tensor([2.0, 0]))
        let input = Parameter(Tensor([1e200, 1e200, 1e200, -1e200], shape: [2, 2]))
        let output = norm(input.value, .training(Generator(seed: 1)))
        #expect(isClose(output, [2, 1, 2, -1], 1e-12))
        #expect(gradients(of: output.sum(), withRespectTo: [input])[0].isFinite().allTrue())
    }

    @Test("weight decay on v of a dead unit: w stays finite and of unit length for 5,000 steps (fairseq #79)")
    func deadUnit() {
        let random = Generator(seed: 1)
        let direction = Parameter(.normal([1, 6], from: random) * 0.05)
        let weight = Weight.normalized(direction: direction, gain: Parameter(.ones([1, 1])), units: .axis(0))
        for step in 1...5000 {
            // Of a dead unit the loss has no gradient; the penalty's is 0.1·v.
            let slope = gradients(of: (weight.value * Tensor.zeros([1, 6])).sum(), withRespectTo: [direction])[0]
            direction.assign(direction.value - (slope + direction.snapshot() * 0.1) * 0.25)
            guard step % 250 == 0 else { continue }
            #expect(abs(weight.value.norm().item() - 1) < 1e-6, "step \(step)")
        }
        #expect(direction.value.magnitude().maximum().item() < 1e-40)
    }

    @Test("a normalized copy of a weight is that weight, and so is what folding makes of it", arguments: Normalization.forms)
    func copies(form: Normalization) {
        for (scale, type): (Double, ElementType) in [
            (1e200, .float64), (1e-200, .float64), (0x1p-1063, .float64), (1e-40, .float32), (5e37, .float32),
        ] {
            let tensor = Tensor([3 * scale, 4 * scale, 0, scale], shape: [2, 2]).converted(to: type)
            let weight = form.makeWeight(tensor, units: .axis(0))
            let tolerance = form == .logWeight ? 1e-4 : scale < 1e-300 || type == .float32 ? 1e-4 : 1e-13
            let isSubnormal = form == .logWeight && (scale == 0x1p-1063 || scale == 1e-40)
            // A gain on a logarithmic scale begins at the smallest normal number.
            guard !isSubnormal else { continue }
            #expect(isClose(weight.value, tensor.elements(), tolerance))
            #expect(isClose(weight.folded().value, tensor.elements(), tolerance))
        }
    }

    @Test(
        "initialization from inputs of any size gives pre-activations of mean 0 and deviation 1 (pytorch #46849)",
        arguments: [1e-25, 3e19, 1e-15, 1], [Normalization.weight, .logWeight, .plain, .fixedGain])
    func initialization(scale: Double, normalization: Normalization) {
        let layer = Dense(1, to: 1, normalization: normalization, random: Generator(seed: 1))
        layer.weight.assign(Tensor([Float(1)], shape: [1, 1]))
        let report = InitializationReport()
        let input = Tensor([Float(scale), Float(-scale)], shape: [2, 1])
        _ = layer(input, .initializing(Generator(seed: 1), report: report))
        #expect(report.unitCount == 1 && report.constantUnitCount == 0)
        #expect(isClose(layer.weight.value, [1 / Double(Float(scale))], 1e-5))
        #expect(isClose(layer(input, .inference), [1, -1], 1e-5))
    }

    @Test("initialization in parts, in double and with inputs whose squares leave its range", arguments: [1e-200, 1e200, 0x1p-1030, 4e307])
    func initializationInDouble(scale: Double) {
        let layer = Dense(1, to: 1, type: .float64, random: Generator(seed: 1))
        layer.weight.assign(Tensor([1.0], shape: [1, 1]))
        let parts = [[1.0, -1, 3], [4.0, 0]].map { part in Tensor(part.map { $0 * scale }, shape: [part.count, 1]) }
        let report = initialize(fromParts: parts, random: Generator(seed: 1)) { part, pass in _ = layer(part, pass) }
        guard scale != 0x1p-1030 else {
            // 1/σ is more than float64 holds: the unit stays, and is told.
            #expect(report.constantUnitCount == 1)
            return
        }
        #expect(report.constantUnitCount == 0)
        let found = parts.map { layer($0, .inference).elements(as: Double.self) }.flatMap { $0 }
        // Mean 1.4 and deviation √3.44 of 1, −1, 3, 4, 0.
        for (number, value) in zip(found, [1.0, -1, 3, 4, 0]) { #expect(abs(number - (value - 1.4) / 3.44.squareRoot()) < 1e-12) }
    }

    @Test("initialization with a fixed gain from inputs of 1e-21 is as exact as from others (deviation 1, not 0.96 to 1.03)")
    func fixedGain() {
        let random = Generator(seed: 3)
        let layer = Dense(20, to: 10, normalization: .fixedGain, random: random)
        let input = Tensor.normal([500, 20], from: random) * 1e-21
        _ = layer(input, .initializing(random))
        for deviation in layer(input, .inference).standardDeviation(over: [0]).elements(as: Double.self) {
            #expect(abs(deviation - 1) < 1e-5)
        }
        let wide = Dense(20, to: 10, type: .bfloat16, random: random)
        let large = (Tensor.normal([500, 20], from: random) * 1e20).converted(to: .bfloat16)
        let report = InitializationReport()
        _ = wide(large, .initializing(random, report: report))
        #expect(report.constantUnitCount == 0)
        for deviation in wide(large, .inference).converted(to: .float32).standardDeviation(over: [0]).elements(as: Double.self) {
            #expect(abs(deviation - 1) < 0.02)
        }
    }

    @Test("a gain that float16 cannot hold is not set: the unit stays as it was, and is told")
    func gainOutOfRange() {
        let layer = Dense(1, to: 1, type: .float16, random: Generator(seed: 1))
        let before = layer.weight.value.item()
        let report = InitializationReport()
        _ = layer(
            Tensor([Float(1e-6), Float(-1e-6)], shape: [2, 1]).converted(to: .float16), .initializing(Generator(seed: 1), report: report))
        #expect(report.constantUnitCount == 1 && layer.weight.value.item() == before && layer.bias?.value.item() == 0)
    }

    @Test("batch norm where the variance leaves the range, with its gradient (pytorch #46849)")
    func batchNorm() {
        for (scale, type): (Double, ElementType) in [(3e19, .float32), (1e38, .float32), (1e200, .float64), (1e300, .float64)] {
            let norm = BatchNorm(features: 2, type: type)
            // The second feature is an ordinary one.
            let input = Parameter(Tensor([scale, 2, -scale, -2], shape: [2, 2]).converted(to: type))
            let output = norm(input.value, .training(Generator(seed: 1)))
            #expect(isClose(output, [1, 1, -1, -1], 1e-6))
            let variance = norm.runningVariance.value.elements(as: Double.self)
            let largest = type == .float32 ? Double(Float.greatestFiniteMagnitude) : 0.1 * Double.greatestFiniteMagnitude
            #expect(abs(variance[0] / min(0.9 + 0.1 * scale * scale, largest) - 1) < 1e-6 && abs(variance[1] - 1.3) < 1e-6)
            #expect(isClose(norm.runningMean.value, [0, 0]))
            #expect(norm(input.value, .inference).isFinite().allTrue())
            // Two numbers go to ±1 whatever they are.
            let slopes = gradients(of: (output * Tensor([1.0, 1, 2, 2], shape: [2, 2]).converted(to: type)).sum(), withRespectTo: [input])
            #expect(slopes[0].isFinite().allTrue() && slopes[0].magnitude().maximum().item() < 1e-5)
        }
        // An ε that is 0 beside small inputs.
        let exact = BatchNorm(features: 1, epsilon: 0)
        #expect(isClose(exact(Tensor([Float(2e-25), Float(-2e-25)], shape: [2, 1]), .training(Generator(seed: 1))), [1, -1], 1e-6))
        // Not a number stays that.
        let broken = BatchNorm(features: 1)
        #expect(!broken(Tensor([Float.nan, 1], shape: [2, 1]), .training(Generator(seed: 1))).isFinite().anyTrue())
    }

    @Test("batch norm's two ways agree where both are exact, gradients of gain, bias and input included")
    func batchNormWays() {
        let random = Generator(seed: 5)
        let scale = 1e25
        let small = Tensor.normal([6, 3, 4], type: .float64, from: random)
        func run(_ factor: Double, _ epsilon: Double, _ type: ElementType) -> [Tensor] {
            let norm = BatchNorm(features: 3, epsilon: epsilon, type: type)
            norm.gain.assign(Tensor([0.5, 2, -1]))
            norm.bias.assign(Tensor([1.0, 0, -3]))
            let input = Parameter((small * factor).converted(to: type))
            let output = norm(input.value, .training(Generator(seed: 1)))
            let weights = Tensor((0..<72).map { sin(Double($0)) }, shape: [6, 3, 4]).converted(to: type)
            let slopes = gradients(of: (output * weights).sum(), withRespectTo: [input, norm.gain, norm.bias])
            return [output, slopes[0].converted(to: .float64) * factor, slopes[1], slopes[2]]
        }
        for (found, expected) in zip(run(scale, 1e-6, .float32), run(1, 0, .float64)) {
            #expect(difference(found.converted(to: .float64), expected) < 1e-5)
        }
    }

    @Test("a mean whose sum leaves the range")
    func mean() {
        let norm = MeanOnlyBatchNorm(features: 1)
        let input = Tensor([Float(3e38), Float(3e38), Float(2e38)], shape: [3, 1])
        #expect(isClose(norm(input, .training(Generator(seed: 1))), [0.3333333e38, 0.3333333e38, -0.6666667e38], 1e-5))
        #expect(isClose(norm.runningMean.value, [0.2666667e38], 1e-5))
        let parameter = Parameter(input)
        let first = gradients(
            of: norm(parameter.value, .training(Generator(seed: 1))).selected(0, along: 0).sum(), withRespectTo: [parameter])[0]
        #expect(isClose(first, [2.0 / 3, -1.0 / 3, -1.0 / 3], 1e-6))
    }

    @Test("what an observer reads of weights far from 1")
    func observer() {
        let layer = Dense(2, to: 1, type: .float64, random: Generator(seed: 1))
        layer.weight.assign(Tensor([3e200, 4e200], shape: [1, 2]))
        let observer = WeightObserver(layer)
        let first = observer.read(learningRate: 0.1)[0]
        #expect(abs(first.directionNorm.mean / 5e200 - 1) < 1e-14 && abs(first.effectiveStep.mean - 0.1) < 1e-14)
        layer.weight.assign(Tensor([-4e-200, 3e-200], shape: [1, 2]))
        #expect(abs((observer.read(learningRate: 0.1)[0].angle?.mean ?? 0) - Double.pi / 2) < 1e-12)
    }
}
