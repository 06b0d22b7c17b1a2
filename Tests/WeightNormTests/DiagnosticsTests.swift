import Foundation
import Testing
import Torch
import WeightNorm

/// A weight as a module that does not say what units its plain form would have.
private struct Holder: Module {
    let weight: Weight
}

private func close(_ found: WeightReading.Statistics?, _ values: [Double], within tolerance: Double = 1e-14) -> Bool {
    guard let found else { return false }
    func near(_ left: Double, _ right: Double) -> Bool { abs(left - right) <= tolerance * max(1, abs(right)) }
    return near(found.mean, values.reduce(0, +) / Double(values.count)) && near(found.smallest, values.min() ?? .nan)
        && near(found.largest, values.max() ?? .nan)
}

struct DiagnosticsTests {
    private let random = Generator(seed: 51)

    private func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float64, from: random) }

    @Test("‖v‖, |g|, the effective step and the angle of each form are those computed by hand", arguments: Normalization.forms)
    func byHand(form: Normalization) throws {
        // Units of lengths 5 and 2, with the gains −10 and 3 where there are such.
        let start = Tensor([3.0, 4, 0, 2], shape: [2, 2])
        let gains = Tensor([-10.0, 3], shape: [2, 1])
        let weight: Weight
        let expected: (gain: [Double], step: [Double])
        switch form {
        case .plain: (weight, expected) = (.direct(Parameter(start)), ([5, 2], [0.5, 0.5]))
        case .weight:
            weight = .normalized(direction: Parameter(start), gain: Parameter(gains), units: .axis(0))
            expected = ([10, 3], [1, 0.75])
        case .logWeight:
            let logs = Tensor([log(10.0) / 3, log(3.0) / 3], shape: [2, 1])
            weight = .logNormalized(direction: Parameter(start), logGain: Parameter(logs), factor: 3, units: .axis(0))
            expected = ([10, 3], [1, 0.75])
        default:
            weight = .scaled(Parameter(start), by: Buffer(gains), units: .axis(0))
            expected = ([50, 6], [5, 1.5])
        }
        let observer = WeightObserver(Holder(weight: weight))
        let first = try #require(observer.read(learningRate: 0.5).first)
        #expect(first.path == "weight" && first.units == 2)
        #expect(close(first.directionNorm, [5, 2]) && close(first.gain, expected.gain) && close(first.effectiveStep, expected.step))
        #expect(first.angle == nil)
        // The first unit turns by a right angle and grows, the second by a tiny angle, of which the cosine is 1 in double.
        weight.form.parts[0].assign(Tensor([-8.0, 6, 2e-9, 2], shape: [2, 2]))
        let second = try #require(observer.read(learningRate: 0.5).first)
        #expect(close(second.directionNorm, [10, 2]))
        #expect(abs((second.angle?.largest ?? 0) - .pi / 2) < 1e-15)
        #expect(abs((second.angle?.smallest ?? 0) - 1e-9) < 1e-17)
        // Nothing moves.
        #expect(observer.read(learningRate: 0.5).first?.angle == .some(close0))
    }

    private var close0: WeightReading.Statistics { .init(mean: 0, smallest: 0, largest: 0) }

    @Test("a gain that changes its sign turns w round; the length of v does not matter to the angle")
    func signAndLength() throws {
        let gain = Parameter(Tensor([2.0], shape: [1, 1]))
        let weight = Weight.normalized(direction: Parameter(Tensor([1.0, 2, 2], shape: [1, 3])), gain: gain, units: .axis(0))
        let observer = WeightObserver(Holder(weight: weight))
        _ = observer.read(learningRate: 1)
        weight.form.parts[0].assign(weight.vector.detached() * 4)
        #expect(try #require(observer.read(learningRate: 1).first?.angle).largest == 0)
        gain.assign(Tensor([-0.1], shape: [1, 1]))
        #expect(abs(try #require(observer.read(learningRate: 1).first?.angle).mean - .pi) < 1e-15)
    }

    @Test("a unit with ‖v‖ = 0 has a finite effective step and no angle; the others are read as ever", arguments: Normalization.forms)
    func zeroUnit(form: Normalization) throws {
        let weight = form.makeWeight(Tensor([0.0, 0, 3, 4], shape: [2, 2]), units: .axis(0))
        let observer = WeightObserver(Holder(weight: weight))
        let first = try #require(observer.read(learningRate: 0.1).first)
        #expect(first.directionNorm.smallest == 0 && first.effectiveStep.mean.isFinite)
        weight.form.parts[0].assign(Tensor([1.0, 0, 4, -3], shape: [2, 2]))
        #expect(close(observer.read(learningRate: 0.1).first?.angle, [0, .pi / 2]))
        weight.form.parts[0].assign(Tensor([0.0, 0, 4, -3], shape: [2, 2]))
        #expect(close(observer.read(learningRate: 0.1).first?.angle, [0, 0]))
    }

    @Test(
        "rows of a weight are its units, in the order of the layer's features, and back",
        arguments: [
            (OutputUnits.axis(0), 4), (.axis(1), 3), (.axis(1, blocks: 2), 6), (.whole, 1),
        ])
    func rows(units: OutputUnits, count: Int) {
        let weight = draw([4, 3, 5])
        let rows = units.rows(of: weight)
        #expect(rows.shape == [count, 60 / count])
        #expect(difference(units.tensor(ofRows: rows, shape: weight.shape), weight) == 0)
        #expect(difference(rows.norm(over: [1]), units.norms(of: weight).reshaped([-1])) < 1e-15)
        if units == .axis(1, blocks: 2) {
            // The second group's first unit: rows 2 and 3 of axis 0 at index 0 of axis 1.
            #expect(difference(rows.selected(3, along: 0), weight.sliced(2..<4, along: 0).selected(0, along: 1).reshaped([-1])) == 0)
        }
    }

    @Test("units are the layer's, in every form: a grouped transposed convolution's are per group, and a whole weight's one")
    func unitsOfLayers() throws {
        for normalization in [Normalization.plain, .fixedGain, .weight, .logWeight] {
            let layer = TransposedConvolution(
                4, to: 6, kernel: [3], groups: 2, normalization: normalization, type: .float64, random: random)
            let reading = try #require(WeightObserver(layer).read(learningRate: 1).first)
            #expect(reading.units == 6)
            let norms = OutputUnits.axis(1, blocks: 2).norms(of: layer.weight.vector).elements(as: Double.self)
            #expect(close(reading.directionNorm, norms))
        }
        let whole = Weight.normalized(draw([3, 4]), units: .whole)
        let reading = try #require(WeightObserver(Holder(weight: whole)).read(learningRate: 1).first)
        #expect(reading.units == 1 && abs(reading.directionNorm.mean - whole.vector.norm().item()) < 1e-14)
    }

    @Test("all weights of a module are read in one list, shared ones once; float32 angles are good to a thousandth of 10⁻⁴")
    func network() throws {
        let shared = Dense(3, to: 3, random: random)
        let network = Sequential(Dense(2, to: 3, random: random), shared, shared, Dense(3, to: 1, normalization: .batch, random: random))
        let observer = WeightObserver(network)
        #expect(observer.read(learningRate: 1).map(\.path) == network.namedWeights.map(\.path))
        let v = Tensor([3.0, 4, 0, 4, -3, 0, 0, 0, 5], shape: [3, 3])
        shared.weight.form.parts[0].assign(v)
        _ = observer.read(learningRate: 1)
        let turned = v + Tensor([0, 0, 5, 0, 0, 5, 5, 0, 0], shape: [3, 3]) * tan(1e-4)
        shared.weight.form.parts[0].assign(turned)
        let angle = try #require(observer.read(learningRate: 1)[1].angle)
        #expect(abs(angle.mean - 1e-4) < 1e-7 && abs(angle.largest - angle.smallest) < 2e-7)
    }
}

/// §2.1 of the paper: what plain gradient descent does to the length of v.
struct NormGrowthTests {
    private let random = Generator(seed: 52)

    /// Descent on a small regression; gives ‖v‖ of every unit after each step, the predicted growth, and the first and last effective steps.
    private func descend(rate: Double, steps: Int) throws -> (norms: [[Double]], predicted: [[Double]], effective: (Double, Double)) {
        let layer = Dense(5, to: 4, type: .float64, random: Generator(seed: 7))
        let input = Tensor.normal([64, 5], type: .float64, from: Generator(seed: 8))
        let wanted = Tensor.normal([4, 5], type: .float64, from: Generator(seed: 9))
        let target = input.linear(weight: wanted)
        let form = try #require(layer.weight.form as? NormalizedWeight)
        let (direction, gain, units) = (form.direction, form.gain, form.units)
        gain.assign(units.norms(of: wanted))  // so that what is to be learned is the direction
        let observer = WeightObserver(layer)
        let parameters = layer.parameters
        var effective = [try #require(observer.read(learningRate: rate).first).effectiveStep.mean]
        var norms = [units.norms(of: direction.value).elements(as: Double.self)]
        var predicted: [[Double]] = []
        for _ in 0..<steps {
            let loss = (layer(input, .inference) - target).squared().mean()
            let slopes = gradients(of: loss, withRespectTo: parameters)
            for (parameter, slope) in zip(parameters, slopes) {
                let step = withoutGradients { slope * -rate }
                if parameter === direction {
                    let c = zip(units.norms(of: step).elements(as: Double.self), norms[norms.count - 1]).map { $0 / $1 }
                    predicted.append(zip(c, norms[norms.count - 1]).map { (1 + $0 * $0).squareRoot() * $1 })
                }
                withoutGradients { parameter.assign(parameter.value + step) }
            }
            norms.append(units.norms(of: direction.value).elements(as: Double.self))
            effective.append(try #require(observer.read(learningRate: rate).first).effectiveStep.mean)
        }
        return (norms, predicted, (effective[0], effective[steps]))
    }

    private struct Unexpected: Error {}

    @Test("under gradient descent ‖v′‖ = √(1 + c²)·‖v‖ with c = ‖Δv‖/‖v‖, for every unit and step, and so ‖v‖ never falls")
    func growth() throws {
        let found = try descend(rate: 0.05, steps: 60)
        for (step, predicted) in found.predicted.enumerated() {
            for (unit, expected) in predicted.enumerated() {
                #expect(abs(found.norms[step + 1][unit] / expected - 1) < 1e-14)
                #expect(found.norms[step + 1][unit] > found.norms[step][unit])
            }
        }
    }

    @Test("a larger learning rate makes v grow more, and the effective step shrink more")
    func largeRate() throws {
        let rates = [0.001, 0.05, 1]
        let runs = try rates.map { try descend(rate: $0, steps: 60) }
        let growth = runs.map { run in zip(run.norms[60], run.norms[0]).map { $0 / $1 }.min() ?? .nan }
        #expect(growth[0] < growth[1] && growth[1] < growth[2])
        let shrinking = runs.map { $0.effective.1 / $0.effective.0 }
        #expect(shrinking[0] < 1 && shrinking[1] < shrinking[0] && shrinking[2] < shrinking[1])
        // A rate 20 times as large begins with steps 20 times as long and ends with steps of about the same length.
        #expect(abs(runs[2].effective.0 / runs[1].effective.0 - 20) < 1e-9 && runs[2].effective.1 / runs[1].effective.1 < 2)
    }
}
