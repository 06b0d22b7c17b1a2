import Foundation
import Testing
import Torch
import Training
import WeightNorm

/// Steps in two halves, as a recording takes them, and with their numbers in tensors, as CUDA has them, against plain ones.
struct RecordedStepTests {
    struct Maker: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let make: @Sendable ([Parameter]) -> any Optimizer
    }

    static let makers = [
        Maker(testDescription: "SGD") { SGD($0) },
        Maker(testDescription: "SGD with momentum") { SGD($0, momentum: 0.9) },
        Maker(testDescription: "Adam, ε inside the root") { Adam($0, epsilonPlace: .insideRoot) },
        Maker(testDescription: "Adam, ε beside the root") { Adam($0) },
        Maker(testDescription: "Adamax") { Adamax($0) },
        Maker(testDescription: "Adamax without correction") { Adamax($0, correctsBias: false) },
    ]

    private func start(_ type: ElementType) -> [Parameter] {
        let random = Generator(seed: 1)
        return [[3, 4], [], [5]].map { Parameter(.normal($0, type: type, from: random)) }
    }

    /// ∇ of Σ (θ² + sin 3θ).
    private func slopes(_ parameters: [Parameter]) -> [Tensor] {
        withoutGradients { parameters.map { $0.snapshot() * 2 + ($0.snapshot() * 3).cos() * 3 } }
    }

    private func rate(_ step: Int) -> Double { step == 299 ? 0 : 0.01 / (1 + Double(step) / 50) }

    private func distance(_ a: [Parameter], _ b: [Parameter]) -> Double {
        zip(a, b).map { ($0.snapshot() - $1.snapshot()).magnitude().maximum().item() }.max() ?? 0
    }

    private func make<Result>(inTensors: Bool, _ body: () -> Result) -> Result {
        StepNumber.$liesInTensors.withValue(inTensors, operation: body)
    }

    /// Halves give the plain step's bits; numbers in tensors give them to rounding.
    private func isClose(_ a: [Parameter], _ b: [Parameter], _ inTensors: Bool, _ tolerance: Double) -> Bool {
        inTensors ? distance(a, b) < tolerance : distance(a, b) == 0
    }

    @Test(
        "halves give the same bits, and numbers in tensors the same to rounding, over 300 steps, through a change of β1 and a last rate of 0",
        arguments: makers, [ElementType.float32, .float64])
    func both(maker: Maker, type: ElementType) {
        for inTensors in [false, true] {
            let (one, other) = (start(type), start(type))
            let plain = maker.make(one)
            let halves = make(inTensors: inTensors) { maker.make(other) }
            for step in 0..<300 {
                if step == 150 { for optimizer in [plain, halves] { (optimizer as? Adam)?.beta1 = 0.5 } }
                plain.step(gradients: slopes(one), learningRate: rate(step))
                halves.prepare(learningRate: rate(step))
                halves.apply(gradients: slopes(other))
            }
            #expect(isClose(one, other, inTensors, type == .float32 ? 2e-5 : 1e-13))
            #expect(distance(one, start(type)) > 0.1)
            #expect(plain.state.numbers == halves.state.numbers)
            if let adam = halves as? Adam { #expect(adam.stepCount == 300 && adam.recordingKey == [0.5]) }
        }
    }

    @Test("the forms may take turns, and a state from the middle is resumed by either", arguments: makers)
    func restored(maker: Maker) throws {
        for inTensors in [false, true] {
            let (one, other) = (start(.float64), start(.float64))
            let plain = maker.make(one)
            let (first, second) = make(inTensors: inTensors) { (maker.make(other), maker.make(other)) }
            for step in 0..<20 {
                plain.step(gradients: slopes(one), learningRate: rate(step))
                if step.isMultiple(of: 3) {
                    first.step(gradients: slopes(other), learningRate: rate(step))
                } else {
                    first.prepare(learningRate: rate(step))
                    first.apply(gradients: slopes(other))
                }
            }
            try second.restore(first.state)
            for step in 20..<40 {
                plain.step(gradients: slopes(one), learningRate: rate(step))
                second.prepare(learningRate: rate(step))
                second.apply(gradients: slopes(other))
            }
            #expect(isClose(one, other, inTensors, 1e-13))
        }
    }

    @Test("groups with factors and both kinds of decay do the same in halves")
    func groups() {
        func network() -> Dense { Dense(4, to: 3, random: Generator(seed: 1)) }
        func optimizer(_ network: Dense) -> GroupedOptimizer<Adam> {
            GroupedOptimizer(
                network.parameterGroups([
                    ParameterRule("v", learningRateFactor: 0.5, weightDecay: .decoupled(0.1)) { $0.hasSuffix("direction") },
                    ParameterRule("g", learningRateFactor: 2, weightDecay: .penalty(0.2), decaysEverything: true) { $0.hasSuffix("gain") },
                ])
            ) { Adam($0, epsilonPlace: .insideRoot) }
        }
        for inTensors in [false, true] {
            let (one, other) = (network(), network())
            let plain = optimizer(one)
            let halves = make(inTensors: inTensors) { optimizer(other) }
            for step in 0..<50 {
                plain.step(gradients: slopes(plain.parameters), learningRate: rate(step))
                halves.prepare(learningRate: rate(step))
                halves.apply(gradients: slopes(halves.parameters))
            }
            #expect(isClose(one.parameters, other.parameters, inTensors, 1e-5))
            #expect(halves.recordingKey == [0.9, 0.9, 0.9])
        }
    }

    @Test("applying what was not prepared traps; no parameters at all are no mistake")
    func mistakes() async {
        await #expect(processExitsWith: .failure) { Adam([Parameter(.ones([1]))]).apply(gradients: [.ones([1])]) }
        for maker in Self.makers {
            let optimizer = maker.make([])
            optimizer.prepare(learningRate: 1)
            optimizer.apply(gradients: [])
        }
    }
}
