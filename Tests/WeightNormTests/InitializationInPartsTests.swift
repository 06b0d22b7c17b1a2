import Testing
import Torch
import WeightNorm

struct InitializationInPartsTests {
    private func network(_ normalization: Normalization, noise: Double = 0) -> Sequential {
        let random = Generator(seed: 1)
        return Sequential(
            GaussianNoise(deviation: noise),
            Convolution(2, to: 6, kernel: 3, padding: 1, normalization: normalization, type: .float64, random: random),
            Activation.leakyRelu(),
            MaxPooling(2),
            TransposedConvolution(
                6, to: 4, kernel: [2, 2], stride: [2, 2], groups: 2, normalization: normalization, type: .float64, random: random),
            Activation.elu, Flatten(), Dense(4 * 6 * 6, to: 5, normalization: normalization, type: .float64, random: random))
    }

    private let batch = Tensor.normal([24, 2, 6, 6], type: .float64, from: Generator(seed: 2)) * 3 + 1

    /// Parts of different sizes and, since the mean drifts, of different statistics.
    private var parts: [Tensor] {
        let drift = batch + Tensor((0..<24).map { Double($0) / 4 }).reshaped([24, 1, 1, 1])
        return [0..<5, 5..<6, 6..<16, 16..<24].map { drift.sliced($0, along: 0) }
    }

    @Test("a batch in parts gives what the whole batch gives, in every layer", arguments: Normalization.allCases)
    func sameAsWhole(normalization: Normalization) {
        let (whole, inParts) = (network(normalization), network(normalization))
        let expected = InitializationReport()
        _ = whole(.concatenated(parts, along: 0), .initializing(Generator(seed: 3), targetDeviation: 0.5, report: expected))
        let report = inParts.initialize(fromParts: parts, random: Generator(seed: 3), targetDeviation: 0.5)
        for (found, named) in zip(inParts.parameters, whole.namedParameters) {
            #expect(difference(found.value, named.value.value) < 1e-12, "\(named.path)")
        }
        for (found, named) in zip(inParts.namedBuffers, whole.namedBuffers) {
            #expect(difference(found.value.value, named.value.value) < 1e-12, "\(named.path)")
        }
        #expect(report.unitCount == expected.unitCount)
        #expect(report.constantUnitCount == 0)
    }

    @Test("under noise all rounds see the same batch: pre-activations get mean 0 and deviation 1 exactly")
    func noise() {
        let network = network(.weight, noise: 0.7)
        let random = Generator(seed: 5)
        let start = random.state
        network.initialize(fromParts: parts, random: random)
        // The same draws once more.
        let again = Generator(seed: 5)
        #expect(again.state == start)
        let first = Sequential(Array(network.layers.prefix(2)))
        let seen = parts.map { first($0, .training(again)) }
        let (variance, mean) = Tensor.concatenated(seen, along: 0).varianceAndMean(over: [0, 2, 3])
        #expect(mean.magnitude().maximum().item() < 1e-12)
        #expect((variance - 1).magnitude().maximum().item() < 1e-12)
    }

    @Test("parts are asked for again in each round, one for every layer; idempotent")
    func rounds() {
        let network = network(.weight)
        var loads = 0
        func initialize() {
            loads = 0
            WeightNorm.initialize(fromParts: 0..<4, random: Generator(seed: 3)) { index, pass in
                loads += 1
                _ = network(parts[index], pass)
            }
        }
        initialize()
        #expect(loads == 3 * 4)
        let once = network.parameters.map { $0.snapshot() }
        initialize()
        for (parameter, before) in zip(network.parameters, once) { #expect(difference(parameter.value, before) < 1e-12) }
    }

    @Test("an empty part changes nothing, wherever it stands")
    func emptyPart() {
        let nothing = Tensor.zeros([0, 2, 6, 6], type: .float64)
        let expected = network(.weight)
        expected.initialize(fromParts: parts, random: Generator(seed: 3))
        for place in [0, 2, 4] {
            let network = network(.weight)
            var some = parts
            some.insert(nothing, at: place)
            #expect(network.initialize(fromParts: some, random: Generator(seed: 3)).constantUnitCount == 0)
            for (found, before) in zip(network.parameters, expected.parameters) { #expect(difference(found.value, before.value) < 1e-13) }
        }
    }

    @Test("an error of the loading goes to the caller")
    func failure() {
        struct Missing: Error {}
        #expect(throws: Missing.self) {
            try WeightNorm.initialize(fromParts: [1], random: Generator(seed: 3)) { (_: Int, _: Pass) throws(Missing) in throw Missing() }
        }
    }

    @Test("a unit that does not vary over all parts is left as it was and reported once; no part at all traps")
    func constant() async {
        let layer = Dense(2, to: 3, type: .float64, random: Generator(seed: 1))
        let before = layer.parameters.map { $0.snapshot() }
        let constant = Tensor.full([4, 2], 1234.567, type: .float64)
        let report = layer.initialize(fromParts: [constant, constant], random: Generator(seed: 3))
        #expect(report.constantUnitCount == 3)
        for (parameter, old) in zip(layer.parameters, before) { #expect(difference(parameter.value, old) == 0) }
        // Constant in each part, but not over both.
        #expect(layer.initialize(fromParts: [constant, constant * 2], random: Generator(seed: 3)).constantUnitCount == 0)
        await #expect(processExitsWith: .failure) {
            Dense(2, to: 3, random: Generator(seed: 1)).initialize(fromParts: [], random: Generator(seed: 3))
        }
    }
}
