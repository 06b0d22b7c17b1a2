import Testing
import Torch
import WeightNorm

struct LayerTests {
    @Test(
        "gradients of every kind of layer and normalization agree with finite differences", arguments: LayerCase.all, Normalization.allCases
    )
    func finiteDifferences(layerCase: LayerCase, normalization: Normalization) {
        let random = Generator(seed: 3)
        let layer = layerCase.make(normalization, .float64, random)
        let input = Tensor.normal(layerCase.inputShape, type: .float64, from: random)
        for parameter in layer.parameters {
            parameter.assign(parameter.snapshot() + 0.3 * .normal(parameter.value.shape, type: .float64, from: random))
        }
        let seed = Tensor.normal(layer(input, .inference).shape, type: .float64, from: random)
        // Smooth and not linear in the output, so that batch statistics cannot cancel in it.
        func loss() -> Tensor { ((layer(input, .training(random)) * 0.7).tanh() * seed).sum() }
        let found = gradients(of: loss(), withRespectTo: layer.parameters)
        for (named, gradient) in zip(layer.namedParameters, found) {
            #expect(difference(gradient, numericGradient(named.value, of: loss)) < 2e-8, "\(named.path)")
        }
    }

    @Test("wrapped and plain layers of one weight are the same function", arguments: LayerCase.all)
    func sameFunction(layerCase: LayerCase) {
        let input = Tensor.normal(layerCase.inputShape, type: .float64, from: Generator(seed: 8))
        let outputs = [Normalization.plain, .weight, .fixedGain, .logWeight].map { normalization -> Tensor in
            // Called in one expression, the compiler (6.3.1) crashes.
            let layer = layerCase.make(normalization, .float64, Generator(seed: 9))
            return layer(input, .inference)
        }
        #expect(difference(outputs[1], outputs[0]) < 1e-14)
        #expect(difference(outputs[2], outputs[0]) < 1e-14)
        #expect(difference(outputs[3], outputs[0]) < 1e-14)
    }

    @Test("mean-only batch norm: forward, backward (§4), running average, inference")
    func meanOnly() {
        let random = Generator(seed: 4)
        let layer = MeanOnlyBatchNorm(features: 3, type: .float64)
        layer.bias.assign(Tensor([1.0, 2, 3]))
        let input = Parameter(.normal([4, 3, 5], type: .float64, from: random) + 7)
        let output = layer(input.value, .training(random))
        let mean = input.snapshot().mean(over: [0, 2])
        let expected = input.snapshot() - mean.reshaped([1, 3, 1]) + Tensor([1.0, 2, 3]).reshaped([1, 3, 1])
        #expect(difference(output, expected) < 1e-14)
        let seed = Tensor.normal([4, 3, 5], type: .float64, from: random)
        let found = gradients(of: (output * seed).sum(), withRespectTo: [input, layer.bias])
        #expect(difference(found[0], seed - seed.mean(over: [0, 2], keeping: true)) < 1e-13)
        #expect(difference(found[1], seed.sum(over: [0, 2])) < 1e-13)
        #expect(difference(layer.runningMean.value, mean * 0.1) < 1e-15)
        _ = layer(input.value, .training(random))
        #expect(difference(layer.runningMean.value, mean * 0.19) < 1e-15)
        let atRest = layer(input.value, .inference)
        #expect(difference(atRest - output, (mean - mean * 0.19).reshaped([1, 3, 1]).expanded([4, 3, 5])) < 1e-13)
        #expect(difference(layer.runningMean.value, mean * 0.19) < 1e-15, "inference must not change the average")
    }

    @Test("batch norm: forward, running averages of the population's variance, inference", arguments: [[6, 3], [4, 3, 5], [4, 3, 2, 2]])
    func batchNorm(shape: [Int]) {
        let random = Generator(seed: 5)
        let layer = BatchNorm(features: 3, type: .float64)
        let perFeature = [1, 3] + shape.dropFirst(2).map { _ in 1 }
        layer.gain.assign(Tensor([2.0, 1, 0.5]))
        layer.bias.assign(Tensor([1.0, 2, 3]))
        let input = Tensor.normal(shape, type: .float64, from: random) * 3 + 1
        let axes = (0..<shape.count).filter { $0 != 1 }
        let (variance, mean) = input.varianceAndMean(over: axes)
        func expected(_ mean: Tensor, _ variance: Tensor) -> Tensor {
            (input - mean.reshaped(perFeature)) / (variance + 1e-6).squareRoot().reshaped(perFeature)
                * layer.gain.snapshot().reshaped(perFeature)
                + layer.bias.snapshot().reshaped(perFeature)
        }
        #expect(difference(layer(input, .training(random)), expected(mean, variance)) < 1e-12)
        #expect(difference(layer.runningMean.value, mean * 0.1) < 1e-12)
        #expect(difference(layer.runningVariance.value, variance * 0.1 + 0.9) < 1e-12)
        #expect(difference(layer(input, .inference), expected(mean * 0.1, variance * 0.1 + 0.9)) < 1e-12)
    }

    @Test(
        "every norm goes through initialization, training and inference in 16 bits", arguments: Normalization.allCases,
        [ElementType.float16, .bfloat16])
    func halves(normalization: Normalization, type: ElementType) {
        let random = Generator(seed: 1)
        let layer = Convolution(2, to: 3, kernel: 3, normalization: normalization, type: type, random: random)
        let input = Tensor.normal([8, 2, 6, 6], from: random).converted(to: type)
        for pass in [Pass.initializing(random), .training(random), .inference] {
            let output = layer(input, pass)
            #expect(output.type == type && output.shape == [8, 3, 4, 4] && output.isFinite().allTrue())
        }
    }

    @Test("for a single vector, batch statistics are those of one example: nothing but the bias is left")
    func vector() {
        let layer = Dense(4, to: 3, normalization: .meanOnlyBatch, random: Generator(seed: 1))
        #expect(layer(Tensor.ones([4]), .training(Generator(seed: 1))).elements() == [0, 0, 0] as [Float])
        #expect(GlobalAverage()(Tensor.ones([2, 3]), .inference).shape == [2, 3])
    }

    @Test("a weight with the units of another kind of layer traps: a transposed convolution's outputs are axis 1 (pytorch #7865)")
    func wrongUnits() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let map = TransposedConvolutionMap(inputs: 4, outputs: 4, kernel: [3])
                _ = TransposedConvolution(map: map, weight: .normalized(.ones(map.weightShape)), bias: nil)
            })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("units of an affine layer's weight: expected"))
    }

    @Test("noise and dropout: active in training and initialization, absent in inference, scaled to keep the mean")
    func noise() {
        let input = Tensor.ones([200, 200])
        for pass in [Pass.training(Generator(seed: 1)), .initializing(Generator(seed: 1))] {
            let dropped = Dropout(probability: 0.3)(input, pass)
            #expect(abs(dropped.mean().item() - 1) < 0.02)
            #expect(abs((dropped .== 0).converted(to: .float64).mean().item() - 0.3) < 0.02)
            let noisy = GaussianNoise(deviation: 0.15)(input, pass)
            #expect(abs(noisy.mean().item() - 1) < 0.01 && abs(noisy.standardDeviation().item() - 0.15) < 0.01)
        }
        #expect(difference(Dropout(probability: 0.3)(input, .inference), input) == 0)
        #expect(difference(GaussianNoise(deviation: 0.15)(input, .inference), input) == 0)
    }

    @Test("pooling, flattening and global mean")
    func pooling() {
        let input = Tensor.range(0..<32, type: .float64).reshaped([2, 1, 4, 4])
        #expect(MaxPooling(2)(input, .inference).elements() == [5.0, 7, 13, 15, 21, 23, 29, 31])
        #expect(AveragePooling(2)(input, .inference).elements() == [2.5, 4.5, 10.5, 12.5, 18.5, 20.5, 26.5, 28.5])
        #expect(GlobalAverage()(input, .inference).elements() == [7.5, 23.5])
        #expect(Flatten()(input, .inference).shape == [2, 16])
    }

    @Test("sizes that make no layer trap, and say what was expected in an optimised build too")
    func badSizes() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Dense(0, to: 3, random: Generator(seed: 0))
            })
        #expect(
            String(decoding: result.standardErrorContent, as: UTF8.self).contains("inputs of a dense layer: expected at least 1, found [0]")
        )
        await #expect(processExitsWith: .failure) { _ = Convolution(4, to: 6, kernel: [3], groups: 4, random: Generator(seed: 0)) }
        await #expect(processExitsWith: .failure) { _ = Dropout(probability: 1) }
    }
}
