import Foundation
import Testing
import Torch
import WeightNorm

/// t − μ + b and the activation, in libtorch's operators.
private func composed(_ input: Tensor, _ bias: Tensor, _ axis: Int, _ function: ActivationFunction?) -> Tensor {
    let others = (0..<input.rank).filter { $0 != axis }
    let centred = input - input.mean(over: others, keeping: true) + bias.reshaped((0..<input.rank).map { $0 == axis ? -1 : 1 })
    return function.map(centred.activated) ?? centred
}

private func largest(_ tensor: Tensor) -> Double { tensor.magnitude().maximum().item() }

@Suite("Mean-only and batch normalization with the activation after them")
struct NormalizerTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        let sizes: [Int]
        let axis: Int
        var testDescription: String { "\(sizes), axis \(axis)" }

        /// With the features one beside the other.
        func tensor(_ random: Generator) -> Tensor {
            let drawn = Tensor.normal(sizes, from: random) * 3 + 5
            return sizes.count == 4 ? drawn.channelsLast() : drawn
        }
    }

    static let shapes = [
        Shape(sizes: [1, 1], axis: 1), Shape(sizes: [7, 1], axis: 1), Shape(sizes: [1, 5], axis: 1), Shape(sizes: [129, 17], axis: 1),
        Shape(sizes: [3, 50, 33], axis: 2), Shape(sizes: [5, 3, 4, 6], axis: 1), Shape(sizes: [9, 96, 8, 8], axis: 1),
        Shape(sizes: [4], axis: 0),
    ]
    static let functions: [ActivationFunction?] = [nil, .relu, .leakyRelu(slope: 0.1), .elu, .tanh, .sigmoid]

    @Test("one operator gives what the formula does in double precision, gradients included", arguments: shapes)
    func formula(shape: Shape) throws {
        for function in Self.functions {
            let random = Generator(seed: 1)
            let (x, bias) = (Parameter(shape.tensor(random)), Parameter(Tensor.normal([shape.sizes[shape.axis]], from: random)))
            let found = try #require(x.value.meanOnlyBatchNormalized(shift: bias.value, axis: shape.axis, activation: function))
            let weight = Tensor.normal(shape.sizes, from: random)
            let exact = (Parameter(x.value.detached().converted(to: .float64)), Parameter(bias.value.detached().converted(to: .float64)))
            let expected = composed(exact.0.value, exact.1.value, shape.axis, function)
            #expect(found.result.strides == x.value.strides)
            #expect(largest(found.result.converted(to: .float64) - expected) < 1e-5)
            let slopes = gradients(of: (found.result * weight).sum(), withRespectTo: [x, bias])
            let exactSlopes = gradients(of: (expected * weight.converted(to: .float64)).sum(), withRespectTo: [exact.0, exact.1])
            for (slope, exact) in zip(slopes, exactSlopes) {
                // A pre-activation that is 0 but for rounding has the slope of either side.
                if shape.sizes.dropLast().reduce(1, *) == 1 && (function == .relu || function == .leakyRelu(slope: 0.1)) { continue }
                #expect(largest(slope.converted(to: .float64) - exact) < 1e-5 * (1 + largest(exact)))
            }
        }
    }

    @Test("gradients can be differentiated", arguments: functions)
    func second(function: ActivationFunction?) throws {
        for shape in [Shape(sizes: [6, 5], axis: 1), Shape(sizes: [3, 4, 2, 5], axis: 1), Shape(sizes: [5], axis: 0)] {
            let random = Generator(seed: 2)
            let (x, bias) = (Parameter(shape.tensor(random)), Parameter(Tensor.normal([shape.sizes[shape.axis]], from: random)))
            let weight = Tensor.normal(shape.sizes, from: random)
            func second(_ x: Parameter, _ bias: Parameter, _ value: Tensor) -> [Tensor] {
                let weight = weight.converted(to: value.type)
                let first = gradients(of: (value * value * weight).sum(), withRespectTo: [x, bias], createGraph: true)
                return gradients(of: (first[0] * weight).squared().sum() + first[1].squared().sum(), withRespectTo: [x, bias])
            }
            let value = try #require(x.value.meanOnlyBatchNormalized(shift: bias.value, axis: shape.axis, activation: function)).result
            let exact = (
                Parameter(x.value.detached().converted(to: .float64)), Parameter(bias.value.detached().converted(to: .float64))
            )
            let expected = second(exact.0, exact.1, composed(exact.0.value, exact.1.value, shape.axis, function))
            for (found, exact) in zip(second(x, bias, value), expected) {
                #expect(largest(found.converted(to: .float64) - exact) < 1e-4 * (1 + largest(exact)))
            }
        }
    }

    @Test("gradients are written over no tensor that anyone else has", arguments: functions)
    func gradientsOfOthers(function: ActivationFunction?) throws {
        let random = Generator(seed: 6)
        let (input, bias) = (Tensor.normal([32, 24], from: random), Tensor.normal([24], from: random))
        let given = Tensor.normal([32, 24], from: random)
        let before = given.elements(as: Float.self)
        let x = Parameter(input)
        let result = try #require(x.value.meanOnlyBatchNormalized(shift: bias, axis: 1, activation: function)).result
        _ = gradients(of: result, cotangent: given, withRespectTo: [x.value])
        #expect(given.elements(as: Float.self) == before)
        // A sum gives both of its terms the same gradient; and one term's is asked for too.
        func slopes(_ type: ElementType, _ norm: (Tensor) throws -> Tensor) rethrows -> [Tensor] {
            let x = Parameter(input.converted(to: type))
            let (one, other) = (try norm(x.value), try norm(x.value * 2))
            let sum = one + other
            return gradients(of: sum.squared().sum(), withRespectTo: [x.value, one, other, sum])
        }
        let found = try slopes(.float32) { try #require($0.meanOnlyBatchNormalized(shift: bias, axis: 1, activation: function)).result }
        let expected = slopes(.float64) { composed($0, bias.converted(to: .float64), 1, function) }
        for (found, expected) in zip(found, expected) { #expect(largest(found.converted(to: .float64) - expected) < 1e-4) }
    }

    @Test("has the same bits with one thread and with two")
    func threads() async {
        // In a process of its own: the number is the whole process's.
        await #expect(processExitsWith: .success) {
            let runs = try [1, 2].map { count in
                try Runtime.setThreadCount(count)
                let random = Generator(seed: 3)
                let (x, bias) = (Parameter(Tensor.normal([20, 48, 16, 16], from: random).channelsLast()), Parameter(.zeros([48])))
                guard let found = x.value.meanOnlyBatchNormalized(shift: bias.value, axis: 1, activation: .elu) else { exit(1) }
                let slopes = gradients(of: found.result.squared().sum(), withRespectTo: [x, bias])
                return ([found.result, found.mean] + slopes).map { $0.elements(as: Float.self) }
            }
            guard runs[0] == runs[1] else { exit(1) }
        }
    }

    @Test("the mean is exact to a unit in the last place", arguments: [0.1, 1000.003, 12345.678, 16777.1] as [Float])
    func exactness(value: Float) throws {
        let input = Tensor.full([1003, 3], Double(value))
        let found = try #require(input.meanOnlyBatchNormalized(shift: .zeros([3]), axis: 1, activation: nil))
        #expect(found.mean.elements(as: Float.self).allSatisfy { abs($0 - value) <= value.ulp })
    }

    @Test("features elsewhere than on the axis trap")
    func axes() async throws {
        let results = [
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = MeanOnlyBatchNorm(features: 4, axis: 2)(.ones([3, 4]), .training(Generator(seed: 1)))
            },
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = MeanOnlyBatchNorm(features: 4, axis: -3)(.ones([3, 4]), .inference)
            },
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = BatchNorm(features: 4)(Tensor(Float(3)), .training(Generator(seed: 1)))
            },
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = BatchNorm(features: 4)(.ones([3, 5]), .training(Generator(seed: 1)))
            },
        ]
        let expected = [
            "mean-only batch norm: expected 4 features on axis 2, found shape [3, 4]",
            "mean-only batch norm: expected 4 features on axis -3, found shape [3, 4]",
            "batch norm: expected 4 features on axis 1, found shape []", "batch norm: expected 4 features on axis 1, found shape [3, 5]",
        ]
        for (result, expected) in zip(results, expected) {
            #expect(String(decoding: try #require(result).standardErrorContent, as: UTF8.self).contains(expected))
        }
    }

    @Test("a sum outside of the type's range has its mean, and what is not finite stays so")
    func range() throws {
        let large = Tensor((0..<600).map { $0 % 2 == 0 ? 3e38 : 1 } as [Float], shape: [300, 2])
        let found = try #require(large.meanOnlyBatchNormalized(shift: .zeros([2]), axis: 1, activation: nil))
        #expect(found.mean.elements(as: Float.self) == [3e38, 1] && largest(found.result) == 0)
        let broken = Tensor([.infinity, 1, 2, .nan, 3, 4] as [Float], shape: [2, 3])
        let other = try #require(broken.meanOnlyBatchNormalized(shift: .zeros([3]), axis: 1, activation: .relu))
        let elements = other.mean.elements(as: Float.self)
        #expect(elements[0].isNaN && elements[1] == 2 && elements[2] == 3)
    }

    @Test("is taken in float32 with the features one beside the other alone")
    func refusals() {
        let bias = Tensor.zeros([4])
        for input in [
            Tensor.zeros([2, 4, 3, 3]), .zeros([2, 4], type: .float64), .zeros([0, 4]), .zeros([2, 8]).split([4, 4], along: 1)[0],
            .zeros([2, 4], type: .bfloat16), Tensor.zeros([1, 4]).expanded([3, 4]), .zeros([4]),
        ] { #expect(input.meanOnlyBatchNormalized(shift: bias, axis: 1, activation: nil) == nil) }
    }

    @Test(
        "layers give the same in every layout, and with the activation or without",
        arguments: [Normalization.batch, .weightAndMeanOnlyBatch])
    func layers(normalization: Normalization) {
        let images = Tensor.normal([6, 3, 8, 8], from: Generator(seed: 5))
        for activation in [Activation.relu, .elu, Activation { $0.squared() }] {
            func run(_ images: Tensor, joined: Bool) -> [Tensor] {
                let random = Generator(seed: 4)
                let layer = Convolution(3, to: 8, kernel: 3, padding: 1, normalization: normalization, random: random)
                let input = Parameter(images)
                let pass = Pass.training(random)
                let maps =
                    joined ? layer(input.value, pass, activation: activation) : activation(layer(input.value, pass), pass)
                let slopes = gradients(of: maps.squared().sum(), withRespectTo: [input, layer.parameters[0]])
                return [maps] + slopes + layer.namedBuffers.map(\.value.value)
            }
            let expected = run(images, joined: false)
            for found in [run(images, joined: true), run(images.channelsLast(), joined: false), run(images.channelsLast(), joined: true)] {
                #expect(found.count == expected.count)
                for (found, expected) in zip(found, expected) { #expect(largest(found - expected) < 1e-4 * (1 + largest(expected))) }
            }
        }
    }
}
