import Testing
import Torch
import WeightNorm

struct SequenceLayerTests {
    private let random = Generator(seed: 1)

    @Test("no result of a causal convolution depends on a later input", arguments: [PaddingMode.zeros, .replicate], [1, 2])
    func causal(mode: PaddingMode, stride: Int) {
        let layer = Convolution(
            2, to: 3, kernel: [3], stride: [stride], paddingMode: mode, isCausal: true, dilation: [2], type: .float64, random: random)
        let input = Parameter(.normal([1, 2, 9], type: .float64, from: random))
        let output = layer(input.value, .inference)
        #expect(output.shape == [1, 3, (9 - 1) / stride + 1])
        for place in 0..<output.shape[2] {
            let slope = gradients(of: layer(input.value, .inference)[.all, .all, place].sum(), withRespectTo: [input])[0]
            let last = place * stride
            #expect(slope[.all, .all, last].magnitude().maximum().item() > 0)
            if last < 8 { #expect(slope[.all, .all, (last + 1)...].magnitude().maximum().item() == 0) }
        }
    }

    @Test("stacked layers are the layers one after the other, in one direction or both")
    func stacked() {
        let stack = StackedLSTM(3, hidden: 4, layers: 2, isBidirectional: true, type: .float64, random: random)
        let input = Tensor.normal([5, 2, 3], type: .float64, from: random)
        func both(_ input: Tensor, _ layer: Int) -> Tensor {
            let forwards = stack.layers[layer](input, .inference)
            let backwards = stack.reversed[layer](input.flipped(along: [0]), .inference)
            return .concatenated([forwards.outputs, backwards.outputs.flipped(along: [0])], along: 2)
        }
        let found = stack(input, .inference)
        #expect(difference(found.outputs, both(both(input, 0), 1)) == 0)
        #expect(found.last.count == 4 && found.last.allSatisfy { $0.output.shape == [2, 4] })
        // The state after the last step of a reversed layer is what it gives for the first time step.
        #expect(difference(found.last[3].output, found.outputs[0, .all, 4...]) == 0)
        // Going on from a state gives what going through gives.
        let one = StackedGRU(3, hidden: 4, layers: 3, type: .float64, random: random)
        let whole = one(input, .inference)
        let half = one(input[..<2], .inference)
        #expect(difference(one(input[2...], .inference, from: half.last).outputs, whole.outputs[2...]) < 1e-12)
    }

    @Test("batches may come first, and dropout acts between layers in training alone, the same for the same generator")
    func options() {
        let (seed, input) = (UInt64(4), Tensor.normal([5, 2, 3], from: random))
        func stack(_ isBatchFirst: Bool, _ dropout: Double) -> StackedLSTM {
            StackedLSTM(3, hidden: 4, layers: 2, isBatchFirst: isBatchFirst, dropout: dropout, random: Generator(seed: seed))
        }
        let plain = stack(false, 0)(input, .inference).outputs
        #expect(difference(stack(true, 0)(input.transposed(0, 1), .inference).outputs.transposed(0, 1), plain) == 0)
        #expect(difference(stack(false, 0.5)(input, .inference).outputs, plain) == 0)
        let dropped = stack(false, 0.5)(input, .training(Generator(seed: 7))).outputs
        #expect(difference(dropped, plain) > 1e-6)
        #expect(difference(stack(false, 0.5)(input, .training(Generator(seed: 7))).outputs, dropped) == 0)
        // Of a part of a minibatch, its part.
        let part = stack(false, 0.5)(input[.all, 1..<2], .training(Generator(seed: 7), at: BatchPlace(first: 1, of: 2))).outputs
        #expect(difference(part, dropped[.all, 1..<2]) < 1e-6)
    }

    @Test("a query that sees no key gets nothing from attention, and gradients stay finite")
    func maskedAttention() {
        for dropout in [0, 0.3] {
            let layer = MultiHeadAttention(4, heads: 2, dropout: dropout, type: .float64, random: random)
            let input = Parameter(.normal([1, 3, 4], type: .float64, from: random))
            let mask = Tensor([true, false, false, false, false, false, true, true, true], shape: [3, 3])
            let output = layer(input.value, mask: mask, .training(Generator(seed: 2)))
            #expect(difference(output[0, 1], layer.outProjection(.zeros([4], type: .float64), .inference)) < 1e-12)
            let slopes = gradients(of: output.squared().sum(), withRespectTo: [input] + layer.parameters)
            #expect(slopes.allSatisfy { $0.isFinite().allTrue() })
        }
        // Without dropped weights, the way that draws them gives what libtorch's operator gives.
        let layer = MultiHeadAttention(4, heads: 2, dropout: 1e-12, type: .float64, random: random)
        let input = Tensor.normal([2, 3, 4], type: .float64, from: random)
        #expect(difference(layer(input, isCausal: true, .training(random)), layer(input, isCausal: true, .inference)) < 1e-9)
    }

    @Test("an initializing pass sets what attention projects to mean 0 and deviation 1")
    func initializedAttention() {
        let layer = MultiHeadAttention(6, heads: 2, random: random)
        let input = Tensor.normal([8, 5, 6], from: random) * 3 + 1
        _ = withoutGradients { layer(input, .initializing(random)) }
        let projected = layer.inProjection(input, .inference).detached()
        #expect(projected.mean(over: [0, 1]).magnitude().maximum().item() < 1e-5)
        #expect((projected.standardDeviation(over: [0, 1]) - 1).magnitude().maximum().item() < 1e-4)
    }

    @Test("an embedding shares its weight with the layer that gives its output, also when that is folded")
    func sharedEmbedding() {
        final class Model: Module {
            let embedding: Embedding
            let output: Dense
            init(_ random: Generator) {
                embedding = Embedding(5, features: 3, normalization: .weight, random: random)
                output = Dense(map: DenseMap(inputs: 3, outputs: 5), weight: embedding.weight, bias: nil)
            }
        }
        let model = Model(random)
        let indices = Tensor([[4, 0], [2, 2]].flatMap { $0 }, shape: [2, 2])
        #expect(model.embedding(indices, .inference).shape == [2, 2, 3] && model.parameters.count == 2)
        let before = model.output(model.embedding(indices, .inference), .inference).detached()
        model.foldWeights()
        #expect(model.parameters.count == 1)
        #expect(difference(model.output(model.embedding(indices, .inference), .inference), before) == 0)
    }
}
