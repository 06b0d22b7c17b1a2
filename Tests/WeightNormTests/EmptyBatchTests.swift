import Testing
import Torch
import WeightNorm

// An empty batch (pytorch #12013): nothing is learnt from it, and nothing breaks.

struct EmptyBatchTests {
    private static let shapes = [[0, 3], [0, 3, 4, 4], [2, 3, 0, 4]]

    @Test("normalizers leave their statistics as they are and give an empty result", arguments: shapes)
    func normalizers(shape: [Int]) {
        let random = Generator(seed: 1)
        let (mean, batch) = (MeanOnlyBatchNorm(features: 3), BatchNorm(features: 3))
        let filled = Tensor.normal([5, 3, 2, 2], from: random) + 2
        for layer in [mean, batch] as [any Layer] { _ = layer(filled, .training(random)) }
        let before = [mean.runningMean, batch.runningMean, batch.runningVariance].map { $0.snapshot().elements(as: Float.self) }
        for phase in [Pass.training(random), .inference, .initializing(random)] {
            for (layer, bias) in [(mean as any Layer, mean.bias), (batch, batch.bias)] {
                let output = layer(.zeros(shape), phase)
                #expect(output.shape == shape)
                #expect(gradients(of: output.sum(), withRespectTo: [bias])[0].elements(as: Float.self) == [0, 0, 0])
            }
        }
        #expect([mean.runningMean, batch.runningMean, batch.runningVariance].map { $0.value.elements(as: Float.self) } == before)
        #expect(before.joined().allSatisfy { $0.isFinite })
    }

    @Test("features on the last axis, and a normalizer in double")
    func lastAxis() {
        let random = Generator(seed: 1)
        for layer in [MeanOnlyBatchNorm(features: 3, axis: -1, type: .float64), BatchNorm(features: 3, axis: -1, type: .float64)]
            as [any Layer]
        {
            #expect(layer(.zeros([0, 7, 3], type: .float64), .training(random)).shape == [0, 7, 3])
            #expect(layer.namedBuffers.allSatisfy { $0.value.value.isFinite().allTrue() })
        }
    }

    @Test(
        "every layer takes an empty batch, in training and inference, and initialization leaves its weights", arguments: LayerCase.all,
        Normalization.allCases)
    func layers(layerCase: LayerCase, normalization: Normalization) {
        let random = Generator(seed: 1)
        let layer = layerCase.make(normalization, .float32, random)
        let input = Tensor.zeros([0] + layerCase.inputShape.dropFirst())
        let before = layer.parameters.map { $0.snapshot() }
        let report = InitializationReport()
        for pass in [Pass.training(random), .inference, .initializing(random, report: report)] {
            let output = layer(input, pass)
            #expect(output.count == 0)
            for slope in gradients(of: output.sum(), withRespectTo: layer.parameters) { #expect(slope.isFinite().allTrue()) }
        }
        #expect(report.constantUnitCount == report.unitCount)
        for (parameter, value) in zip(layer.parameters, before) { #expect(difference(parameter.value, value) == 0) }
        #expect(layer.namedBuffers.allSatisfy { $0.value.value.isFinite().allTrue() })
    }

    @Test("an empty part of an initialization in parts counts nothing")
    func parts() {
        func layers() -> Sequential {
            let random = Generator(seed: 2)
            return Sequential(
                Dense(4, to: 6, random: random), Activation.relu, Dense(6, to: 5, normalization: .batch, random: random),
                Dense(5, to: 3, normalization: .weightAndMeanOnlyBatch, random: random))
        }
        let input = Tensor.normal([8, 4], from: Generator(seed: 3))
        let (one, other) = (layers(), layers())
        one.initialize(fromParts: [input], random: Generator(seed: 4))
        other.initialize(fromParts: [.zeros([0, 4]), input, .zeros([0, 4])], random: Generator(seed: 4))
        for (left, right) in zip(one.parameters, other.parameters) { #expect(difference(left.value, right.value) < 1e-6) }
    }

    @Test("recurrent layers take a sequence of an empty batch")
    func recurrent() {
        let random = Generator(seed: 1)
        #expect(LSTM(4, hidden: 3, random: random)(.zeros([5, 0, 4]), .training(random)).outputs.shape == [5, 0, 3])
        #expect(LSTM(4, hidden: 3, peepholes: true, random: random)(.zeros([5, 0, 4]), .training(random)).outputs.shape == [5, 0, 3])
        #expect(GRU(4, hidden: 3, random: random)(.zeros([5, 0, 4]), .training(random)).outputs.shape == [5, 0, 3])
    }

    @Test("dropout, noise, pooling and flattening of an empty batch")
    func parameterless() {
        let random = Generator(seed: 1)
        let layers: [any Layer] = [
            Dropout(probability: 0.5), GaussianNoise(deviation: 1), MaxPooling(2), AveragePooling(2), Activation.elu,
        ]
        for layer in layers { #expect(layer(.zeros([0, 3, 4, 4]), .training(random)).count == 0) }
        #expect(GlobalAverage()(.zeros([0, 3, 4, 4]), .training(random)).shape == [0, 3])
        #expect(Flatten()(.zeros([0, 3, 4, 4]), .training(random)).shape == [0, 48])
    }
}
