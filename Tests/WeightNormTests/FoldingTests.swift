import Testing
import Torch
import WeightNorm

struct FoldingTests {
    private func network(_ normalization: Normalization, seed: UInt64 = 1) -> Sequential {
        let random = Generator(seed: seed)
        return Sequential(
            Convolution(2, to: 4, kernel: [3, 3], groups: 2, normalization: normalization, random: random), Activation.relu,
            TransposedConvolution(4, to: 6, kernel: [2, 2], groups: 2, normalization: normalization, random: random), Flatten(),
            Dense(6 * 5 * 5, to: 3, normalization: normalization, random: random))
    }

    private let input = Tensor.normal([5, 2, 6, 6], from: Generator(seed: 2))

    @Test(
        "a folded model is the same function, bit for bit, with plain weights alone",
        arguments: [Normalization.weight, .logWeight, .fixedGain])
    func fold(normalization: Normalization) {
        let network = network(normalization)
        _ = withoutGradients { network(input, .initializing(Generator(seed: 3))) }
        let before = network(input, .inference).elements(as: Float.self)
        network.foldWeights()
        #expect(network(input, .inference).elements(as: Float.self) == before)
        #expect(network.namedParameters.map(\.path) == self.network(.plain).namedParameters.map(\.path))
        #expect(network.namedBuffers.isEmpty)
    }

    @Test("folding and normalizing again leaves the function unchanged, with g = ‖w‖ per output unit")
    func thereAndBack() {
        let network = network(.weight)
        let before = network(input, .inference)
        network.foldWeights()
        network.normalizeWeights()
        #expect(difference(network(input, .inference), before) < 1e-6)
        let shapes = network.namedParameters.filter { $0.path.hasSuffix("gain") }.map { $0.value.value.shape }
        #expect(shapes == [[4, 1, 1, 1], [2, 1, 3, 1, 1], [3, 1]])
    }

    @Test("a copied model has all values and shares none: target networks (pytorch #28594, #102981)", arguments: Normalization.allCases)
    func copy(normalization: Normalization) {
        let online = network(normalization)
        _ = online(input, .training(Generator(seed: 3)))  // moves running averages
        let target = network(normalization, seed: 9)
        target.copyValues(from: online)
        let copied = target(input, .inference).elements(as: Float.self)
        #expect(copied == online(input, .inference).elements(as: Float.self))
        for parameter in online.parameters { parameter.assign(parameter.snapshot() + 1) }
        _ = online(input, .training(Generator(seed: 4)))
        #expect(target(input, .inference).elements(as: Float.self) == copied, "the copy does not follow")
        #expect(online(input, .inference).elements(as: Float.self) != copied)
    }

    @Test("a copy between different structures traps and names what differs")
    func differentStructure() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let random = Generator(seed: 1)
                Dense(2, to: 3, random: random).copyValues(from: Dense(2, to: 3, normalization: .plain, random: random))
            })
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("weight.direction [3, 2], weight.gain [3, 1]"))
        #expect(text.contains("unexpected [weight [3, 2]]"))
    }
}
