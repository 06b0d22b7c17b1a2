import Testing
import Torch
import WeightNorm

struct LayoutTests {
    @Test("a layer keeps the layout of its input, forward and backward", arguments: [false, true])
    func layouts(isChannelsLast: Bool) {
        let random = Generator(seed: 2)
        let layers: [any Layer] = [
            GaussianNoise(deviation: 0.1), Dropout(probability: 0.5), Activation.leakyRelu(), MaxPooling(2), AveragePooling(2),
            Convolution(6, to: 6, kernel: 3, padding: 1, random: random),
            Convolution(6, to: 6, kernel: 3, normalization: .batch, random: random),
            Convolution(6, to: 6, kernel: 1, normalization: .weightAndMeanOnlyBatch, random: random),
        ]
        func laidOut(_ tensor: Tensor) -> Tensor { isChannelsLast ? tensor.channelsLast() : tensor.contiguous() }
        let input = Parameter(laidOut(.normal([3, 6, 8, 8], from: random)))
        #expect(input.value.strides == (isChannelsLast ? [384, 1, 48, 6] : [384, 64, 8, 1]))
        for layer in layers {
            let output = layer(input.value, .training(random))
            #expect(output.strides == laidOut(output).strides, "\(layer)")
            let cotangent = laidOut(Tensor.normal(output.shape, from: random))
            let gradient = gradients(of: output, cotangent: cotangent, withRespectTo: [input.value])[0]
            #expect(gradient.strides == input.value.strides, "\(layer)")
        }
    }

    @Test("images of one channel, which are in both layouts at once, become maps in channels last, forward and backward")
    func oneChannel() {
        let random = Generator(seed: 6)
        let images = Tensor.normal([4, 1, 12, 12], from: random).channelsLast()
        let network = Sequential(
            GaussianNoise(deviation: 0.1), Convolution(1, to: 8, kernel: 3, padding: 1, random: random), Activation.elu, MaxPooling(2))
        let input = Parameter(images)
        let maps = network(input.value, .training(random))
        #expect(maps.strides == maps.channelsLast().strides && maps.strides[1] == 1)
        let double = Convolution(1, to: 8, kernel: 3, normalization: .plain, type: .float64, random: random)
        let exact = Parameter(images.converted(to: .float64))
        let (row, turned) = (
            double(exact.value.contiguous(), .inference), double(exact.value.permuted([0, 1, 3, 2]).permuted([0, 1, 3, 2]), .inference)
        )
        #expect(difference(row, turned) < 1e-12)
        let found = gradients(of: maps.sum(), withRespectTo: [input])[0]
        #expect(found.shape == images.shape)
    }

    @Test("noise and dropout draw in the order of memory: the same numbers for the same bytes")
    func draws() {
        let rows = Tensor.normal([2, 5, 4, 3], from: Generator(seed: 3))
        let turned = rows.permuted([0, 3, 1, 2])
        for layer in [GaussianNoise(deviation: 0.3), Dropout(probability: 0.4)] as [any Layer] {
            let expected = layer(rows, .training(Generator(seed: 4))).permuted([0, 3, 1, 2])
            #expect(difference(layer(turned, .training(Generator(seed: 4))), expected) == 0)
        }
        let noise = Tensor.normal([2, 5, 4, 3], from: Generator(seed: 4))
        #expect(difference(GaussianNoise(deviation: 0.3)(rows, .training(Generator(seed: 4))), rows + noise * 0.3) < 1e-6)
        let kept = Tensor.bernoulli([2, 5, 4, 3], probability: 0.6, from: Generator(seed: 4))
        #expect(difference(Dropout(probability: 0.4)(rows, .training(Generator(seed: 4))), rows * kept / 0.6) < 1e-6)
    }

    @Test("parts of a minibatch get the noise and dropout of the whole, in every layout, also one example at a time")
    func parts() {
        let whole = Tensor.normal([5, 6, 4, 3], from: Generator(seed: 3))
        let layers: [any Layer] = [GaussianNoise(deviation: 0.3), Dropout(probability: 0.4)]
        for images in [whole, whole.channelsLast()] {
            for layer in layers {
                let expected = layer(images, .training(Generator(seed: 4)))
                for cuts in [[0, 2, 5], [0, 1, 2, 3, 4, 5]] {
                    let parts = zip(cuts, cuts.dropFirst()).map { first, last in
                        layer(
                            images.sliced(first..<last, along: 0, step: 1),
                            .training(Generator(seed: 4), at: BatchPlace(first: first, of: 5)))
                    }
                    #expect(difference(Tensor.concatenated(parts), expected) == 0)
                }
            }
        }
        // The examples innermost in memory.
        let turned = Tensor.normal([6, 5], from: Generator(seed: 5)).transposed()
        let expected = Dropout(probability: 0.4)(turned, .training(Generator(seed: 4)))
        for example in 0..<5 {
            let part = Dropout(probability: 0.4)(
                turned.sliced(example..<(example + 1), along: 0, step: 1),
                .training(Generator(seed: 4), at: BatchPlace(first: example, of: 5)))
            #expect(difference(part, expected.sliced(example..<(example + 1), along: 0, step: 1)) == 0)
        }
    }

    @Test("dropout's gradient is its mask, scaled")
    func gradient() {
        let input = Parameter(.ones([50, 7], type: .float64))
        let output = Dropout(probability: 0.2)(input.value, .training(Generator(seed: 5)))
        let gradient = gradients(of: output.sum(), withRespectTo: [input])[0]
        #expect(difference(gradient, output) == 0)
        #expect(Set(gradient.elements(as: Double.self)) == [0, 1.25])
    }
}
