import Foundation
import Testing
import Torch
import WeightNorm

// The layers of the article "Writing a layer", as they stand there.

/// x + 0.1·f(x), with two convolutions in f.
struct ResidualBlock: Layer {
    let first: Convolution
    let second: Convolution

    init(_ maps: Int, _ normalization: Normalization, _ random: Generator) {
        func convolution() -> Convolution {
            Convolution(
                maps, to: maps, kernel: 3, padding: 1,
                normalization: normalization, random: random)
        }
        first = convolution()
        second = convolution()
    }

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let inner = first(input.elu(), pass)
        return input + second(inner.elu(), pass) * 0.1
    }
}

/// x of `[batch, inputs, time]` to `[batch, outputs, time]`; an output sees
/// `kernel` inputs, `dilation` apart, up to its own time.
struct CausalMap: LinearMap {
    let inputs: Int
    let outputs: Int
    let kernel: Int
    let dilation: Int

    var weightShape: [Int] { [outputs, inputs, kernel] }
    var units: OutputUnits { .axis(0) }
    var featureAxis: Int { 1 }

    func callAsFunction(
        _ input: Tensor, weight: Tensor, bias: Tensor?
    ) -> Tensor {
        let shape = input.shape
        let before = Tensor.zeros(
            [shape[0], inputs, (kernel - 1) * dilation],
            type: input.type, on: input.device)
        return Tensor.concatenated([before, input], along: 2)
            .convolved(
                with: weight, bias: bias, stride: [1], padding: [0],
                dilation: [dilation], groups: 1)
    }
}

typealias CausalConvolution = Affine<CausalMap>

/// tanh(w·x + b) and w′·h + c, with one w for both ways.
final class TiedAutoencoder: Layer, HoldsWeights {
    private(set) var weight: Weight
    let hiddenBias: Parameter
    let outputBias: Parameter

    init(_ inputs: Int, hidden: Int, _ normalization: Normalization, _ random: Generator) {
        let initial = Tensor.normal([hidden, inputs], from: random) * 0.05
        weight = normalization.makeWeight(initial, units: .axis(0))
        hiddenBias = Parameter(.zeros([hidden]))
        outputBias = Parameter(.zeros([inputs]))
    }

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let weight = weight.value  // derived once, used twice
        let hidden = input.linear(weight: weight, bias: hiddenBias.value)
        return hidden.tanh()
            .linear(weight: weight.transposed(), bias: outputBias.value)
    }

    func changeWeights(_ change: (String, Weight, OutputUnits) -> Weight) {
        weight = change("weight", weight, .axis(0))
    }
}

struct WritingALayerTests {
    private let random = Generator(seed: 1)

    @Test("the article's code is the code tested here")
    func article() throws {
        let here = URL(filePath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "Sources/WeightNorm/WeightNorm.docc/WritingALayer.md"), encoding: .utf8)
        let tested = try String(contentsOf: here, encoding: .utf8)
        let blocks = text.components(separatedBy: "```swift\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
        #expect(blocks.count == 3)
        for block in blocks { #expect(tested.contains(block.trimmingCharacters(in: .whitespacesAndNewlines))) }
    }

    @Test("the code of the article on forms is the example's")
    func articleOnForms() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "Sources/WeightNorm/WeightNorm.docc/WritingAForm.md"), encoding: .utf8)
        let example = root.appending(path: "Examples/Spirals/Sources/OwnForm/SoftplusWeight.swift")
        let code = try String(contentsOf: example, encoding: .utf8)
        let blocks = text.components(separatedBy: "```swift\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
        #expect(blocks.count == 3)
        for block in blocks { #expect(code.contains(block.trimmingCharacters(in: .whitespacesAndNewlines))) }
    }

    @Test("a block of layers is initialized, named and folded through its parts")
    func block() {
        let block = ResidualBlock(2, .weight, random)
        #expect(block.namedParameters.map(\.path).prefix(3) == ["first.weight.direction", "first.weight.gain", "first.bias"])
        let input = Tensor.normal([16, 2, 5, 5], from: random)
        let output = block(input, .initializing(random))
        let (variance, mean) = ((output - input) * 10).varianceAndMean(over: [0, 2, 3])
        #expect(mean.magnitude().maximum().item() < 1e-5)
        #expect((variance - 1).magnitude().maximum().item() < 1e-4)
        let before = block(input, .inference)
        block.foldWeights()
        #expect(difference(block(input, .inference), before) == 0)
        #expect(block.parameters.count == 4)
    }

    @Test("a map of one's own sees nothing later, and has every normalization", arguments: Normalization.allCases)
    func causal(normalization: Normalization) {
        let map = CausalMap(inputs: 1, outputs: 8, kernel: 2, dilation: 4)
        let layer = CausalConvolution(map: map, normalization: normalization, type: .float64, random: random)
        let input = Tensor.normal([3, 1, 12], type: .float64, from: random)
        _ = layer(input, .initializing(random))
        let later = Tensor.concatenated([input.sliced(0..<7, along: 2), .zeros([3, 1, 5], type: .float64)], along: 2)
        let (found, expected) = (layer(later, .inference), layer(input, .inference))
        #expect(found.shape == [3, 8, 12])
        #expect(difference(found.sliced(0..<7, along: 2), expected.sliced(0..<7, along: 2)) == 0)
        #expect(difference(found, expected) > 1e-3)
    }

    @Test("a weight of one's own is folded and normalized again", arguments: Normalization.forms)
    func tied(form: Normalization) {
        let layer = TiedAutoencoder(5, hidden: 3, form, random)
        let input = Tensor.normal([4, 5], from: random)
        let before = layer(input, .inference)
        layer.foldWeights()
        #expect(layer.namedParameters.map(\.path) == ["weight", "hiddenBias", "outputBias"])
        #expect(difference(layer(input, .inference), before) == 0)
        layer.normalizeWeights()
        #expect(layer.parameters.count == 4)
        #expect(difference(layer(input, .inference), before) < 1e-6)
    }
}
