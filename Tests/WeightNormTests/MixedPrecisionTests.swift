import Testing
import Torch
import WeightNorm

/// Networks in bfloat16 through autocast, against the same networks in float32.
struct MixedPrecisionTests {
    private let device = Device.cpu

    private func network(_ normalization: Normalization) -> Sequential {
        let random = Generator(seed: 2)
        return Sequential(
            Convolution(3, to: 16, kernel: 3, padding: 1, normalization: normalization, random: random), Activation.leakyRelu(),
            Convolution(16, to: 16, kernel: 3, stride: 2, normalization: normalization, random: random), Activation.leakyRelu(),
            Dropout(probability: 0.2), GlobalAverage(), Dense(16, to: 10, normalization: normalization, random: random))
    }

    private let input = Tensor.normal([32, 3, 9, 9], from: Generator(seed: 3)) + 0.5
    private let labels = Tensor.integers(in: 0..<10, [32], from: Generator(seed: 4))

    /// ‖a − b‖/‖b‖.
    private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item() / b.norm().item() }

    private struct Step {
        let logits: Tensor
        let loss: Double
        let gradients: [Tensor]
        let averages: [Tensor]
    }

    private func step(_ normalization: Normalization, _ type: ElementType) -> Step {
        let network = network(normalization)
        withoutGradients { _ = network(input, .initializing(Generator(seed: 5))) }
        let (logits, loss) = withAutocast(type, on: device) {
            let logits = network(input, .training(Generator(seed: 6)))
            return (logits, logits.softmaxCrossEntropy(labels: labels))
        }
        #expect(loss.type == .float32)
        return Step(
            logits: logits.detached().converted(to: .float32), loss: loss.item(),
            gradients: gradients(of: loss, withRespectTo: network.parameters), averages: network.namedBuffers.map(\.value.value))
    }

    @Test("a step's outputs, loss, float32 gradients and running averages are close to float32's", arguments: Normalization.allCases)
    func steps(normalization: Normalization) {
        let exact = step(normalization, .float32)
        let found = step(normalization, .bfloat16)
        #expect(distance(found.logits, exact.logits) < 0.02)
        #expect(found.logits.elements(as: Float.self) != exact.logits.elements(as: Float.self))
        #expect(abs(found.loss - exact.loss) < 0.02)
        let (all, expected) = (found.gradients, exact.gradients)
        #expect(all.allSatisfy { $0.type == .float32 })
        let flat = { (tensors: [Tensor]) in Tensor.concatenated(tensors.map { $0.flattened() }) }
        #expect(distance(flat(all), flat(expected)) < 0.08)
        for (average, exact) in zip(found.averages, exact.averages) {
            #expect(average.type == .float32 && distance(average, exact) < 0.01)
        }
    }

    @Test("what lies between products and losses stays bfloat16", arguments: Normalization.allCases)
    func types(normalization: Normalization) {
        let layer = Convolution(3, to: 4, kernel: 3, normalization: normalization, random: Generator(seed: 1))
        for pass in [Pass.training(Generator(seed: 1)), .inference] {
            #expect(withAutocast(on: device) { layer(input, pass) }.type == .bfloat16)
            #expect(layer(input, pass).type == .float32)
        }
    }

    @Test(
        "data-dependent initialization in bfloat16 gives mean 0 and deviation 1 to rounding",
        arguments: [Normalization.plain, .weight, .logWeight])
    func initialization(normalization: Normalization) {
        let network = network(normalization)
        let report = InitializationReport()
        withAutocast(on: device) {
            withoutGradients { _ = network(input, .initializing(Generator(seed: 5), report: report)) }
        }
        #expect(report.unitCount == 42 && report.constantUnitCount == 0)
        let first = network.layers[0](input, .inference)
        let (variance, mean) = first.varianceAndMean(over: [0, 2, 3])
        #expect(mean.magnitude().maximum().item() < 0.01)
        #expect((variance.squareRoot() - 1).magnitude().maximum().item() < 0.01)
    }

    @Test("recurrent layers run in it too, with float32 gradients", arguments: [true, false])
    func recurrent(peepholes: Bool) {
        let random = Generator(seed: 8)
        let sequence = Tensor.normal([6, 4, 3], from: random)
        let lstm = LSTM(3, hidden: 5, peepholes: peepholes, deviation: 0.5, random: random)
        let gru = GRU(3, hidden: 5, deviation: 0.5, random: random)
        let outputs: [(name: String, parameters: [Parameter], output: () -> Tensor)] = [
            ("LSTM", lstm.parameters, { lstm(sequence, .inference).outputs }),
            (
                "LSTM, step by step", lstm.parameters,
                {
                    let bound = lstm.bound()
                    return bound.step(sequence.selected(0, along: 0), from: bound.start(batch: 4)).output
                }
            ),
            ("GRU", gru.parameters, { gru(sequence, .inference).outputs }),
        ]
        for (name, parameters, output) in outputs {
            func run(_ type: ElementType) -> (Tensor, [Tensor]) {
                let found = withAutocast(type, on: device, output).converted(to: .float32)
                return (found.detached(), gradients(of: found.squared().sum(), withRespectTo: parameters))
            }
            let (exact, found) = (run(.float32), run(.bfloat16))
            #expect(distance(found.0, exact.0) < 0.02, "\(name)")
            let flat = { (tensors: [Tensor]) in Tensor.concatenated(tensors.map { $0.flattened() }) }
            #expect(found.1.allSatisfy { $0.type == .float32 } && distance(flat(found.1), flat(exact.1)) < 0.05, "\(name)")
        }
    }

    @Test("training in bfloat16 goes down as training in float32 does", arguments: [Normalization.weight, .batch, .weightAndMeanOnlyBatch])
    func training(normalization: Normalization) {
        func losses(_ type: ElementType) -> (first: Double, last: Double) {
            let network = network(normalization)
            let random = Generator(seed: 7)
            withoutGradients { _ = network(input, .initializing(random)) }
            // Which channel is brightest can be learned from the global averages.
            let labels = input.mean(over: [2, 3]).indexOfMaximum(along: 1)
            var all: [Double] = []
            for _ in 0..<60 {
                let loss = withAutocast(type, on: device) { network(input, .training(random)).softmaxCrossEntropy(labels: labels) }
                let slopes = gradients(of: loss, withRespectTo: network.parameters)
                for (parameter, slope) in zip(network.parameters, slopes) { parameter.assign(parameter.snapshot() - slope * 0.3) }
                all.append(loss.item())
            }
            return (all[0], all[50...].reduce(0, +) / 10)
        }
        let (exact, found) = (losses(.float32), losses(.bfloat16))
        #expect(exact.last < exact.first - 0.5)
        #expect(abs(found.last - exact.last) < 0.3 * (exact.first - exact.last))
    }
}
