import Foundation
import Testing
import Torch
import Training
import WeightNorm

// 16-bit parameters: ε that is 0 in their type (optax #1754), averages that stand still in it (sd_dreambooth_extension #1415), and gradients whose squares leave
// the range (pytorch #46849).

struct NarrowParameterTests {
    private static let types = [ElementType.float16, .bfloat16]

    private func step(_ optimizer: any Optimizer, _ gradient: Double, rate: Double) {
        optimizer.step(gradients: optimizer.parameters.map { $0.value.detached().zerosLike() + gradient }, learningRate: rate)
    }

    /// What the closure makes, with the step's numbers where CUDA has them or where the CPU has them.
    private func make<Result>(inTensors: Bool, _ body: () -> Result) -> Result {
        StepNumber.$liesInTensors.withValue(inTensors, operation: body)
    }

    @Test(
        "a zero gradient changes nothing, wherever ε stands and however small it is (optax #1754)",
        arguments: RecordedStepTests.makers,
        ElementType.allCases.filter { $0.isFloatingPoint && !$0.isFloat8 })
    func zeroGradient(maker: RecordedStepTests.Maker, type: ElementType) {
        for inTensors in [false, true] {
            let parameter = Parameter(Tensor([1.5, -2]).converted(to: type))
            let optimizer = make(inTensors: inTensors) { maker.make([parameter]) }
            for _ in 0..<3 { step(optimizer, 0, rate: 0.1) }
            #expect(parameter.value.elements(as: Double.self) == [1.5, -2])
        }
        for (epsilon, inTensors) in [0, 1e-60, 1e-300].flatMap({ [($0, false), ($0, true)] }) {
            let optimizers: [any Optimizer] = make(inTensors: inTensors) {
                [
                    Adam([Parameter(Tensor([1.5]).converted(to: type))], epsilon: epsilon, epsilonPlace: .insideRoot),
                    Adam([Parameter(Tensor([1.5]).converted(to: type))], epsilon: epsilon),
                    Adamax([Parameter(Tensor([1.5]).converted(to: type))], epsilon: epsilon),
                ]
            }
            for optimizer in optimizers {
                for _ in 0..<2 { step(optimizer, 0, rate: 0.1) }
                #expect(optimizer.parameters[0].value.item() == 1.5)
                step(optimizer, 1, rate: 0.1)
                #expect(optimizer.parameters[0].value.isFinite().allTrue() && optimizer.parameters[0].value.item() < 1.5)
            }
        }
    }

    @Test("an exponential average in a 16-bit type does not stand still (sd_dreambooth_extension #1415)", arguments: types)
    func average(type: ElementType) {
        let parameter = Parameter(Tensor([0.5]).converted(to: type))
        let average = ExponentialAverage([parameter], decay: 0.999)
        parameter.assign(Tensor([1.0]))
        for _ in 0..<20_000 { average.update() }
        #expect(average.withAverages { parameter.value.item() } == 1)
        #expect(parameter.value.item() == 1 && parameter.value.type == type && average.values[0].type == .float32)
    }

    /// 100 gradients of 1, then 5,000 of 0.01, with a rate of 0.001, in double: what the parameter is in the end.
    private func expected(_ maker: (Parameter) -> any Optimizer) -> Double {
        let parameter = Parameter(Tensor([0.0]))
        let optimizer = maker(parameter)
        for index in 0..<5100 { step(optimizer, index < 100 ? 1 : 0.01, rate: 0.001) }
        return parameter.value.item()
    }

    @Test(
        "moments and small steps in a 16-bit type do not stand still (sd_dreambooth_extension #1415)",
        arguments: RecordedStepTests.makers, types)
    func moments(maker: RecordedStepTests.Maker, type: ElementType) {
        let exact = expected { maker.make([$0]) }
        if maker.testDescription.hasPrefix("Adam,") { #expect(abs(exact + 0.786) < 5e-4) }
        for inTensors in [false, true] {
            let parameter = Parameter(Tensor([0.0]).converted(to: type))
            let optimizer = make(inTensors: inTensors) { maker.make([parameter]) }
            for index in 0..<5100 { step(optimizer, index < 100 ? 1 : 0.01, rate: 0.001) }
            #expect(abs(parameter.value.item() / exact - 1) < (type == .float16 ? 1e-3 : 5e-3), "\(parameter.value.item()), \(exact)")
            #expect(optimizer.state.tensors.allSatisfy { $0.value.type == .float32 })
        }
    }

    @Test("weight decay of a 16-bit parameter does not stand still", arguments: [WeightDecay.decoupled(0.1), .penalty(0.1)], types)
    func decay(decay: WeightDecay, type: ElementType) {
        for inTensors in [false, true] {
            let layer = Dense(1, to: 1, normalization: .plain, bias: false, type: type, random: Generator(seed: 1))
            layer.weight.assign(Tensor([1.0], shape: [1, 1]))
            let optimizer = make(inTensors: inTensors) {
                GroupedOptimizer(layer.parameterGroups([ParameterRule("all", weightDecay: decay)])) { SGD($0) }
            }
            for _ in 0..<1000 { step(optimizer, 0, rate: 0.01) }
            #expect(abs(layer.weight.value.item() / pow(1 - 0.001, 1000) - 1) < 5e-3)
        }
    }

    @Test("a 16-bit parameter that somebody assigns is trained on from there", arguments: RecordedStepTests.makers)
    func assigned(maker: RecordedStepTests.Maker) {
        for inTensors in [false, true] {
            let parameter = Parameter(Tensor([1.0, 2]).converted(to: .bfloat16))
            let optimizer = make(inTensors: inTensors) { maker.make([parameter]) }
            step(optimizer, 1, rate: 0.001)
            parameter.assign(Tensor([-8.0, 2]))
            step(optimizer, 1, rate: 0.001)
            let found = parameter.value.elements(as: Double.self)
            #expect(abs(found[0] + 8) < 0.05 && abs(found[1] - 2) < 0.05)
        }
    }

    @Test(
        "a state of 16-bit parameters goes on in the same bits; one of version 0.1.0, in 16 bits and without copies, is read",
        arguments: RecordedStepTests.makers)
    func restored(maker: RecordedStepTests.Maker) throws {
        let start = Tensor([1.0, -2, 0.25]).converted(to: .bfloat16)
        let (one, two) = (Parameter(start), Parameter(start))
        let (first, second) = (maker.make([one]), maker.make([two]))
        for _ in 0..<40 { step(first, 0.3, rate: 0.001) }
        two.assign(one.value)
        try second.restore(first.state)
        for _ in 0..<40 { for optimizer in [first, second] { step(optimizer, 0.3, rate: 0.001) } }
        #expect((one.value - two.value).magnitude().maximum().item() == 0)
        #expect(
            first.state.tensors.map { $0.value.elements(as: Float.self) } == second.state.tensors.map { $0.value.elements(as: Float.self) })
        let old = OptimizerState(
            kind: first.state.kind, numbers: first.state.numbers,
            tensors: first.state.tensors.filter { !$0.name.hasPrefix("copy") }.map { name, value in
                (name, name.hasPrefix("steps") ? value : value.converted(to: .bfloat16))
            })
        // Further on, so that its copies are others within the parameters' rounding.
        step(second, 0.3, rate: 1e-5)
        two.assign(one.value)
        try second.restore(old)
        #expect(second.state.tensors.allSatisfy { $0.value.isFinite().allTrue() })
        for (name, value) in second.state.tensors where name.hasPrefix("copy") {
            #expect((value - two.value.converted(to: .float32)).magnitude().maximum().item() == 0)
        }
        step(second, 0, rate: 0)
        #expect((one.value - two.value).magnitude().maximum().item() == 0, "a rate of 0: the parameters stay")
    }

    @Test("clipping where squares of gradients leave the range (pytorch #46849)")
    func clipping() {
        func clip(_ gradients: [Tensor], _ maxNorm: Double) -> [Double] {
            clipped(gradients, maxNorm: maxNorm).flatMap { $0.elements(as: Double.self) }
        }
        func isClose(_ found: [Double], _ expected: [Double], _ tolerance: Double = 1e-6) -> Bool {
            zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance * abs($1) } && found.count == expected.count
        }
        #expect(isClose(clip([Tensor([Float(3e19)]), Tensor([Float(4e19)])], 5), [3, 4]))
        #expect(isClose(clip([Tensor(Array(repeating: Float(1e-25), count: 100))], 1e-30), Array(repeating: 1e-31, count: 100)))
        #expect(isClose(clip([Tensor([Float(3e38), Float(3e38)])], 1e-8), [7.0710678e-9, 7.0710678e-9]))
        #expect(isClose(clip([Tensor([3e200, 4e200])], 1), [0.6, 0.8], 1e-13))
        #expect(isClose(clip([Tensor([3e-200, 4e-200])], 1e-210), [6e-211, 8e-211], 1e-13))
        #expect(isClose(clip([Tensor([1e20, 1e20]).converted(to: .bfloat16)], 1), [0.70710678, 0.70710678], 1e-2))
        #expect(isClose(clip([Tensor([Float(3)]), Tensor([4.0]), Tensor([0.0]).converted(to: .float16)], 2.5), [1.5, 2, 0]))
        #expect(isClose(clip([Tensor([Float(3e-25), Float(4e-25)])], 1), [3e-25, 4e-25]))
    }

    @Test("running means and variances reach what stays the same (after 1,000 batches of 10,000.5: 10,000.496)")
    func runningMean() {
        let random = Generator(seed: 1)
        let (mean, batch) = (MeanOnlyBatchNorm(features: 1), BatchNorm(features: 1))
        let input = Tensor([Float(10_000.5), Float(10_000.5)], shape: [2, 1])
        for _ in 0..<1000 { for layer in [mean, batch] as [any Layer] { _ = layer(input, .training(random)) } }
        #expect(abs(mean.runningMean.value.item() - 10_000.496) < 6e-4)
        #expect(abs(batch.runningMean.value.item() - 10_000.496) < 6e-4)
    }
}
