import Testing
import Torch
import Training
import WeightNorm

private struct Network: Module {
    let encoder: Sequential
    let memory: LSTM
    let output: Dense

    init() {
        let random = Generator(seed: 1)
        encoder = Sequential(
            Dense(3, to: 4, normalization: .weight, type: .float64, random: random),
            Dense(4, to: 4, normalization: .batch, type: .float64, random: random),
            Dense(4, to: 4, normalization: .logWeight, type: .float64, random: random))
        memory = LSTM(4, hidden: 2, peepholes: true, trainableStart: true, type: .float64, random: random)
        output = Dense(2, to: 1, normalization: .fixedGain, type: .float64, random: random)
    }
}

struct ParameterGroupTests {
    private let network = Network()

    /// The parameters' changes, by path, after one step with the given gradient for every element.
    private func changes(_ rules: [ParameterRule], gradient: Double, rate: Double) -> [String: (before: [Double], after: [Double])] {
        let optimizer = GroupedOptimizer(network.parameterGroups(rules)) { SGD($0) }
        let before = network.namedParameters.map { $0.value.snapshot().elements(as: Double.self) }
        optimizer.step(gradients: optimizer.parameters.map { .full($0.value.shape, gradient, type: .float64) }, learningRate: rate)
        var found: [String: ([Double], [Double])] = [:]
        for (named, before) in zip(network.namedParameters, before) { found[named.path] = (before, named.value.snapshot().elements()) }
        return found
    }

    private let weights: Set = [
        "encoder.0.weight.direction", "encoder.1.weight", "encoder.2.weight.direction", "memory.inputWeight.direction",
        "memory.stateWeight.direction", "output.weight",
    ]

    @Test(
        "weight decay shrinks w and v, and leaves g and biases alone unless asked",
        arguments: [WeightDecay.penalty(0.1), .decoupled(0.1)], [false, true])
    func decay(weightDecay: WeightDecay, everything: Bool) {
        let rule = ParameterRule("all", weightDecay: weightDecay, decaysEverything: everything)
        let found = changes([rule], gradient: 0, rate: 0.5)
        #expect(found.count == 19)
        for (path, (before, after)) in found {
            let factor = everything || weights.contains(path) ? 1 - 0.5 * 0.1 : 1
            for (old, new) in zip(before, after) { #expect(abs(new - old * factor) < 1e-15, "\(path)") }
        }
    }

    @Test("the first rule whose predicate holds takes a parameter; its rate is a multiple of the step's; the rest is trained plainly")
    func rates() {
        let rules = [
            ParameterRule("gains", learningRateFactor: 3) { $0.hasSuffix(".gain") && $0.hasPrefix("encoder.") },
            ParameterRule("encoder", learningRateFactor: 0) { $0.hasPrefix("encoder.") },
        ]
        let groups = network.parameterGroups(rules)
        #expect(groups.map(\.rule.name) == ["gains", "encoder", "the rest"])
        #expect(groups[0].parameters.map(\.path) == ["encoder.0.weight.gain", "encoder.1.normalizer.gain"])
        #expect(groups.map(\.parameters.count) == [2, 7, 10])
        let factors = Dictionary(
            uniqueKeysWithValues: zip(groups, [3.0, 0, 1]).flatMap { group, factor in
                group.parameters.map { ($0.path, factor) }
            })
        for (path, (before, after)) in changes(rules, gradient: 2, rate: 0.25) {
            for (old, new) in zip(before, after) { #expect(abs(new - (old - 0.5 * factors[path, default: .nan])) < 1e-15, "\(path)") }
        }
    }

    @Test("a penalty's decay is the gradient of λ/2·‖θ‖², also with momentum and in Adam")
    func penalty() {
        let network = Network()
        let optimizer = GroupedOptimizer(network.parameterGroups([ParameterRule("all", weightDecay: .penalty(0.3))])) {
            Adam($0, beta1: 0.8)
        }
        let plain = Adam(self.network.parameters, beta1: 0.8)
        let weights = self.network.namedParameters.enumerated().filter { self.weights.contains($0.element.path) }.map(\.offset)
        for _ in 0..<3 {
            let gradients = optimizer.parameters.map { Tensor.ones($0.value.shape, type: .float64) }
            optimizer.step(gradients: gradients, learningRate: 0.01)
            #expect(gradients.allSatisfy { ($0 .== 1).allTrue() }, "the caller's gradients are the caller's")
            var penalized = gradients
            for index in weights { penalized[index] = penalized[index] + plain.parameters[index].snapshot() * 0.3 }
            plain.step(gradients: penalized, learningRate: 0.01)
        }
        for (found, expected) in zip(network.parameters, plain.parameters) {
            #expect((found.snapshot() - expected.snapshot()).magnitude().maximum().item() < 1e-14)
        }
    }

    @Test("a rule that takes nothing traps: a slip in its predicate would be silent otherwise")
    func nothing() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Network().parameterGroups([ParameterRule("gains") { $0.hasSuffix(".gian") }])
            })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("rule 'gains'"))
        await #expect(processExitsWith: .failure) { _ = ParameterRule("negative", weightDecay: .decoupled(-1)) }
        await #expect(processExitsWith: .failure) { _ = ParameterRule("not a number", learningRateFactor: .nan) }
    }
}
