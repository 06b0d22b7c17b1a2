import Testing
import Torch
import WeightNorm

/// Passes its input on and keeps what went through.
private final class Probe: Layer {
    private(set) var seen: Tensor?
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        seen = input
        return input
    }
}

struct InitializationTests {
    private func network(_ normalization: Normalization, _ probes: [Probe], _ random: Generator) -> Sequential {
        Sequential(
            GaussianNoise(deviation: 0.15),
            Convolution(2, to: 8, kernel: 3, padding: 1, normalization: normalization, type: .float64, random: random), probes[0],
            Activation.leakyRelu(), MaxPooling(2), Dropout(probability: 0.5),
            Convolution(8, to: 6, kernel: [3, 3], stride: [2, 2], normalization: normalization, type: .float64, random: random), probes[1],
            Activation.relu,
            TransposedConvolution(6, to: 4, kernel: [2, 2], stride: [2, 2], normalization: normalization, type: .float64, random: random),
            probes[2], Activation.elu, Flatten(), Dense(4 * 6 * 6, to: 10, normalization: normalization, type: .float64, random: random),
            probes[3])
    }

    @Test(
        "pre-activations get mean 0 and the target deviation per unit in every layer, under noise and dropout",
        arguments: Normalization.allCases,
        [1, 0.1])
    func everyLayer(normalization: Normalization, target: Double) throws {
        let probes = (0..<4).map { _ in Probe() }
        let network = network(normalization, probes, Generator(seed: 2))
        let input = Tensor.normal([64, 2, 14, 14], type: .float64, from: Generator(seed: 2)) * 5 + 3
        let report = InitializationReport()
        _ = network(input, .initializing(Generator(seed: 3), targetDeviation: target, report: report))
        for probe in probes {
            let seen = try #require(probe.seen)
            let (variance, mean) = seen.varianceAndMean(over: [0] + Array(2..<seen.rank))
            #expect(mean.magnitude().maximum().item() < 1e-12)
            // Batch norm's ε of 1e-6 stands beside a variance that small inputs and small weights make small.
            let tolerance = normalization == .batch ? 1e-4 / (target * target) : 1e-12
            #expect(difference(variance.squareRoot() / target, .ones(variance.shape, type: .float64)) < tolerance)
        }
        #expect(report.constantUnitCount == 0)
        #expect(report.unitCount == (normalization == .batch ? 0 : 28))
    }

    @Test("'normal', 'fixed-gain', 'weight' and 'log-weight' are the same function after initialization")
    func sameStart() {
        let input = Tensor.normal([32, 2, 14, 14], type: .float64, from: Generator(seed: 2))
        let outputs = [Normalization.plain, .fixedGain, .weight, .logWeight].map { normalization in
            let network = network(normalization, (0..<4).map { _ in Probe() }, Generator(seed: 1))
            _ = network(input, .initializing(Generator(seed: 3)))
            return network(input, .inference)
        }
        #expect(difference(outputs[1], outputs[0]) < 1e-12)
        #expect(difference(outputs[2], outputs[0]) < 1e-12)
        #expect(difference(outputs[3], outputs[0]) < 1e-12)
    }

    @Test("initialization twice is initialization once", arguments: Normalization.allCases)
    func idempotent(normalization: Normalization) {
        let network = network(normalization, (0..<4).map { _ in Probe() }, Generator(seed: 1))
        let input = Tensor.normal([16, 2, 14, 14], type: .float64, from: Generator(seed: 2))
        _ = network(input, .initializing(Generator(seed: 3)))
        let once = network.parameters.map { $0.snapshot() }
        _ = network(input, .initializing(Generator(seed: 3)))
        for (parameter, before) in zip(network.parameters, once) { #expect(difference(parameter.value, before) < 1e-12) }
    }

    @Test("a mean-only batch norm's bias stays 0, its gain is set; running means are not touched")
    func meanOnly() {
        let layer = Dense(3, to: 2, normalization: .weightAndMeanOnlyBatch, type: .float64, random: Generator(seed: 1))
        _ = layer(Tensor.normal([50, 3], type: .float64, from: Generator(seed: 2)) + 4, .initializing(Generator(seed: 3)))
        let buffers = layer.namedBuffers
        #expect(buffers.map(\.path) == ["normalizer.runningMean"])
        #expect(buffers[0].value.value.magnitude().maximum().item() == 0)
        let bias = layer.namedParameters.first { $0.path == "normalizer.bias" }
        #expect(bias?.value.value.elements() == [0.0, 0])
    }

    @Test("a unit that does not vary is left as it was and reported", arguments: [Normalization.plain, .weight, .logWeight, .fixedGain])
    func constantUnit(normalization: Normalization) {
        // Without an input there is no variation; a large constant input tempts rounding into looking like it.
        let layer = Dense(2, to: 3, normalization: normalization, random: Generator(seed: 1))
        let before = layer.parameters.map { $0.snapshot() }
        let report = InitializationReport()
        let constant = Tensor.full([64, 2], 1234.567)
        let output = layer(constant, .initializing(Generator(seed: 3), report: report))
        #expect(report.constantUnitCount == 3)
        #expect(output.isFinite().allTrue())
        for (parameter, old) in zip(layer.parameters, before) { #expect(difference(parameter.value, old) == 0) }
    }

    @Test("16-bit layers are initialized with statistics in float32")
    func halves() {
        let layer = Dense(64, to: 16, type: .bfloat16, random: Generator(seed: 1))
        let input = Tensor.normal([4096, 64], type: .float32, from: Generator(seed: 2)).converted(to: .bfloat16)
        _ = layer(input, .initializing(Generator(seed: 3)))
        let (variance, mean) = layer(input, .inference).converted(to: .float32).varianceAndMean(over: [0])
        #expect(mean.magnitude().maximum().item() < 0.02)
        #expect((variance.squareRoot() - 1).magnitude().maximum().item() < 0.02)
    }

    @Test("one layer with weight norm on whitened input computes what batch norm computes (§2.2)")
    func whitened() {
        let random = Generator(seed: 6)
        let raw = Tensor.normal([500, 4], type: .float64, from: random)
        let centred = raw - raw.mean(over: [0], keeping: true)
        let (values, vectors) = (centred.transposed().matrixProduct(centred) / 500).symmetricEigen()
        let white = centred.matrixProduct(vectors) / values.squareRoot()
        let weight = Tensor.normal([3, 4], type: .float64, from: random)
        let gain = Tensor([2.0, 0.5, 1])
        let bias = Tensor([1.0, -1, 0])
        let normalized = Dense(
            map: DenseMap(inputs: 4, outputs: 3),
            weight: .normalized(direction: Parameter(weight), gain: Parameter(gain.reshaped([3, 1])), units: .axis(0)),
            bias: Parameter(bias))
        let batchNorm = BatchNorm(features: 3, epsilon: 0, type: .float64)
        batchNorm.gain.assign(gain)
        batchNorm.bias.assign(bias)
        let batch = Dense(map: DenseMap(inputs: 4, outputs: 3), weight: .direct(Parameter(weight)), bias: nil, normalizer: batchNorm)
        #expect(difference(batch(white, .training(random)), normalized(white, .training(random))) < 1e-12)
    }
}
