import Testing
import Torch
import WeightNorm

/// Each form, of the units given, with nothing that is 0 or of norm 1.
private func weights(_ shape: [Int], _ units: OutputUnits, seed: UInt64) -> [Weight] {
    let random = Generator(seed: seed)
    func drawn() -> Tensor { .normal(shape, type: .float64, from: random) }
    let made: [Weight] = [
        .direct(Parameter(drawn())), .normalized(drawn(), units: units), .logNormalized(drawn(), factor: 3, units: units),
        .logNormalized(drawn(), units: units), .scaled(drawn(), units: units),
    ]
    for weight in made {
        if let form = weight.form as? NormalizedWeight { form.gain.assign(form.gain.snapshot() * -1.5) }
        if let form = weight.form as? LogNormalizedWeight { form.logGain.assign(form.logGain.snapshot() + 0.3) }
        if let form = weight.form as? ScaledWeight { form.scale.assign(form.scale.value * 2) }
    }
    return made
}

private func parts(_ weight: Weight) -> [[Double]] { weight.form.parts.map { $0.value.elements(as: Double.self) } }

struct WeightAssignmentTests {
    @Test("a weight takes over every other form and units as the same w, and its own form as it is")
    func everyForm() {
        let shape = [4, 3, 2]
        let units: [OutputUnits] = [.axis(0), .axis(1), .axis(1, blocks: 2), .whole]
        for (ourUnits, theirUnits) in units.flatMap({ our in units.map { (our, $0) } }) {
            for (index, source) in weights(shape, theirUnits, seed: 1).enumerated() {
                for (place, target) in weights(shape, ourUnits, seed: 2).enumerated() {
                    let isExact = target.assign(source)
                    #expect(difference(target.value, source.value) < 1e-14)
                    #expect(isExact == (index == place && (index == 0 || ourUnits == theirUnits)))
                    if isExact { #expect(parts(target) == parts(source)) }
                    let isDirectionKept = ourUnits == theirUnits && [1, 2, 3].contains(index) && [1, 2, 3].contains(place)
                    let isNegative = index == 1 && place > 1  // exp(c·s) is not
                    if isDirectionKept && !isNegative { #expect(parts(target)[0] == parts(source)[0]) }
                }
            }
        }
    }

    @Test("units of length 1 are the same in several tellings")
    func lengthOne() {
        let target = Weight.normalized(.ones([1, 3], type: .float64), units: .axis(0))
        #expect(target.assign(.normalized(.full([1, 3], 2, type: .float64), units: .whole)))
        #expect(!target.assign(.normalized(.full([1, 3], 2, type: .float64), units: .axis(1))))
    }

    @Test("a gain is taken from its logarithm in a type that holds it, and other types are not the same")
    func types() {
        func log(_ type: ElementType) -> Weight {
            let (direction, gain) = (Parameter(Tensor.ones([1, 2], type: type)), Parameter(Tensor.full([1, 1], 12, type: type)))
            return .logNormalized(direction: direction, logGain: gain, factor: 1, units: .axis(0))
        }
        let target = Weight.normalized(.ones([1, 2]))
        #expect(!target.assign(log(.float16)))
        #expect(abs(target.value.elements(as: Double.self)[0] / 115085.0 - 1) < 1e-5, "e^12/√2; float16 ends at 65504")
        #expect(log(.float16).assign(log(.float16)) && !log(.float32).assign(log(.float64)))
        #expect(!Weight.normalized(.ones([1, 2])).assign(.normalized(.ones([1, 2], type: .float64))))
        #expect(!Weight.direct(Parameter(.ones([1, 2]))).assign(.direct(Parameter(.ones([1, 2], type: .float64)))))
        #expect(!Weight.scaled(.ones([1, 2])).assign(.scaled(.ones([1, 2], type: .float64))))
    }

    @Test("the shape of the norms is foretold, or that there are no such units")
    func normsShape() {
        let shape = [4, 3, 2]
        for units in [OutputUnits.axis(0), .axis(1), .axis(2), .axis(1, blocks: 2), .axis(1, blocks: 4), .whole] {
            #expect(units.normsShape(ofWeight: shape) == units.norms(of: .ones(shape)).shape)
        }
        for units in [OutputUnits.axis(3), .axis(-1), .axis(1, blocks: 3), .axis(1, blocks: 0)] {
            #expect(units.normsShape(ofWeight: shape) == nil)
        }
    }

    @Test("a unit without a direction gets one, the others stay as they are", arguments: [ElementType.float32, .float64, .bfloat16])
    func zeroDirections(type: ElementType) {
        let direction = Tensor([0, 0, 3, 4, -0.0, 0] as [Float], shape: [3, 2]).converted(to: type)
        let replaced = OutputUnits.axis(0).replacingZeroDirections(direction)
        #expect(replaced.type == type && replaced.elements(as: Float.self) == [1, 1, 3, 4, 1, 1])
        #expect(OutputUnits.axis(1).replacingZeroDirections(direction).elements(as: Float.self) == [0, 0, 3, 4, 0, 0])
    }

    private final class Owner: Module {
        let first: Dense
        let second: Dense
        let list: [Dense]
        var parent: Owner?
        init() {
            first = Dense(2, to: 2, random: Generator(seed: 1))
            second = Dense(map: first.map, weight: first.weight, bias: first.bias)
            list = [second]
            parent = self
        }
    }

    @Test("what stands at several paths is told, an object that points back is not")
    func sharedPaths() {
        let found = Owner().sharedPaths.map { "\($0.path) = \($0.first)" }
        #expect(
            found == [
                "second.weight = first.weight", "second.weight.direction = first.weight.direction",
                "second.weight.gain = first.weight.gain",
                "second.bias = first.bias", "list.0 = second",
            ])
    }
}
