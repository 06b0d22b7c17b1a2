import Foundation
import Testing
import Torch

struct TensorTests {
    @Test("numbers go in and come out")
    func roundTrip() {
        let tensor = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        #expect(tensor.shape == [2, 3])
        #expect(tensor.rank == 2)
        #expect(tensor.count == 6)
        #expect(tensor.type == .float32)
        #expect(tensor.device == .cpu)
        #expect(tensor.elements(as: Float.self) == [1, 2, 3, 4, 5, 6])
        #expect(tensor.transposed().elements(as: Int.self) == [1, 4, 2, 5, 3, 6])
        #expect(Tensor(2.5).item() == 2.5)
        #expect(Tensor([true, false]).elements(as: Bool.self) == [true, false])
        #expect(Tensor([Int32.max]).elements(as: Int64.self) == [Int64(Int32.max)])
        #expect(Tensor([] as [Double], shape: [0, 4]).elements(as: Double.self).isEmpty)
        #expect(Tensor.full([], 3).shape.isEmpty)
    }

    @Test("a tensor is filled in place")
    func filled() {
        let tensor = Tensor.filled([2, 3], type: .int32) { bytes in
            #expect(bytes.count == 24)
            for index in 0..<6 { bytes.storeBytes(of: Int32(index), toByteOffset: 4 * index, as: Int32.self) }
        }
        #expect(tensor.shape == [2, 3] && tensor.type == .int32 && tensor.elements(as: Int.self) == [0, 1, 2, 3, 4, 5])
        #expect(Tensor.filled([0, 3], type: .uint8) { _ in }.elements(as: UInt8.self).isEmpty)
    }

    @Test("too few numbers for a shape trap")
    func wrongCount() async {
        await #expect(processExitsWith: .failure) { _ = Tensor([1.0, 2.0], shape: [3]) }
    }

    @Test("arithmetic, element by element and broadcast")
    func arithmetic() {
        let a = Tensor([1.0, 2, 3, 4], shape: [2, 2])
        let b = Tensor([10.0, 20])
        #expect((a + b).elements() == [11.0, 22, 13, 24])
        #expect((b - a).elements() == [9.0, 18, 7, 16])
        #expect((a * b).elements() == [10.0, 40, 30, 80])
        #expect((a / b).elements() == [0.1, 0.1, 0.3, 0.2])
        #expect((1 - a).elements() == [0.0, -1, -2, -3])
        #expect((2 / a).elements() == [2.0, 1, 2.0 / 3, 0.5])
        #expect((-a + 1).elements() == [0.0, -1, -2, -3])
        #expect(a.power(2).elements() == [1.0, 4, 9, 16])
        #expect((a .> 2).elements() == [false, false, true, true])
        #expect(a.replacing(where: a .> 2, with: -1).elements() == [1.0, 2, -1, -1])
        #expect(a.replacing(where: a .> 2, with: b).elements() == [1.0, 2, 10, 20])
        #expect(a.clamped(from: 2).elements() == [2.0, 2, 3, 4])
        #expect(a.clamped(to: 3).elements() == [1.0, 2, 3, 3])
        #expect(!(a / 0 - a / 0).isFinite().anyTrue())
    }

    @Test("exp(x) − 1 and log(1 + x) are exact near zero, where the plain ones give 0")
    func nearZero() {
        let tiny = Tensor([1e-20, -1e-20], shape: [2])
        #expect((tiny.expMinusOne() - tiny).magnitude().maximum().item() < 1e-35)
        #expect((tiny.logOnePlus() - tiny).magnitude().maximum().item() < 1e-35)
        #expect(abs(Tensor([2.0], shape: [1]).logOnePlus().item() - 1.0986122886681098) < 1e-15)
    }

    @Test("reductions over chosen dimensions")
    func reductions() {
        let a = Tensor([1.0, 2, 3, 4, 5, 9], shape: [2, 3])
        #expect(a.sum().item() == 24)
        #expect(a.sum(over: [0]).elements() == [5.0, 7, 12])
        #expect(a.mean(over: [1], keeping: true).shape == [2, 1])
        #expect(a.mean(over: [-1]).elements() == [2.0, 6])
        #expect(abs(a.variance(over: [1]).elements(as: Double.self)[1] - 14.0 / 3) < 1e-12)
        #expect(a.variance(over: [1], correction: 1).elements() == [1.0, 7])
        #expect(a.maximum(over: [0]).elements() == [4.0, 5, 9])
        #expect(a.indexOfMaximum(along: 1).elements() == [2, 2])
        #expect(abs(a.norm().item() - 136.0.squareRoot()) < 1e-12)
        #expect(a.cumulativeSum(along: 1).elements() == [1.0, 3, 6, 4, 9, 18])
        let (variance, mean) = a.varianceAndMean()
        #expect(abs(mean.item() - 4) < 1e-12 && abs(variance.item() - 40.0 / 6) < 1e-12)
    }

    @Test("a reduction over no dimension leaves the elements as they are")
    func overNothing() {
        let a = Tensor([1.0, -2, 3], shape: [3, 1])
        for found in [a.sum(over: []), a.mean(over: []), a.maximum(over: []), a.minimum(over: []), a.logSumExp(over: [])] {
            #expect(found.shape == [3, 1] && found.elements() == [1.0, -2, 3])
        }
        #expect(a.norm(over: []).elements() == [1.0, 2, 3])
        #expect(a.variance(over: []).elements() == [0.0, 0, 0])
        #expect(a.varianceAndMean(over: []).mean.elements() == [1.0, -2, 3])
    }

    @Test("the norm of 16-bit elements is accumulated and given in float32", arguments: [ElementType.float16, .bfloat16])
    func normOfHalves(type: ElementType) {
        // 256² overflows float16 at once, and a bfloat16 sum of 70,000 ones stops at 256.
        let large = Tensor.full([4], 256, type: type).norm()
        #expect(large.type == .float32)
        #expect(large.item() == 512)
        #expect(abs(Tensor.ones([70_000], type: type).norm().item() - 70_000.0.squareRoot()) < 1e-3)
    }

    @Test("shapes and selections")
    func shapes() {
        let a = Tensor.range(0..<24, type: .float64).reshaped([2, 3, 4])
        #expect(a.permuted([2, 0, 1]).shape == [4, 2, 3])
        #expect(a.flattened(from: 1).shape == [2, 12])
        #expect(a.selected(1, along: 0).shape == [3, 4])
        #expect(a.sliced(1..<3, along: 2).shape == [2, 3, 2])
        #expect(a.split([1, 2], along: 1).map(\.shape) == [[2, 1, 4], [2, 2, 4]])
        #expect(Tensor.concatenated([a, a], along: 1).shape == [2, 6, 4])
        #expect(Tensor.stacked([a, a]).shape == [2, 2, 3, 4])
        #expect(a.selecting(Tensor([1, 1]), along: 0).sum().item() == 2 * Double((12...23).reduce(0, +)))
        #expect(Tensor([1.0, 2, 3, 4], shape: [2, 2]).gathered(Tensor([1, 0], shape: [2, 1]), along: 1).elements() == [2.0, 3])
        #expect(Tensor([1.0, 2]).flipped(along: [0]).elements() == [2.0, 1])
        #expect(Tensor.ones([1, 3]).expanded([5, 3]).sum().item() == 15)
        #expect(Tensor([1.9, -1.9]).converted(to: .int64).elements() == [1, -1])
    }

    @Test("convolution is cross-correlation, and its transpose is its adjoint")
    func convolution() {
        let random = Generator(seed: 1)
        let x = Tensor.normal([2, 4, 9], type: .float64, from: random)
        let w = Tensor.normal([6, 2, 3], type: .float64, from: random)
        let y = x.convolved(with: w, stride: [2], padding: [1], dilation: [1], groups: 2)
        #expect(y.shape == [2, 6, 5])
        let z = Tensor.normal(y.shape, type: .float64, from: random)
        let back = z.convolved(with: w, stride: [2], padding: [1], dilation: [1], groups: 2, transposed: true)
        #expect(back.shape == x.shape)
        #expect(abs((y * z).sum().item() - (x * back).sum().item()) < 1e-10)
    }

    @Test(
        "convolutions by dimension are bit for bit libtorch's general one, gradients too", arguments: [[9], [9, 8], [7, 6, 5]],
        [false, true])
    func generalConvolution(input: [Int], transposed: Bool) {
        let general = Operator("convolution", "")
        let random = Generator(seed: 2)
        let ones = input.map { _ in 1 }
        let parameters = [[4, 6] + input, (transposed ? [6, 4] : [8, 3]) + input.map { _ in 3 }, [8]].map {
            Parameter(.normal($0, from: random))
        }
        let values = parameters.map(\.value)
        let found = values[0].convolved(
            with: values[1], bias: values[2], stride: ones.map { 2 * $0 }, padding: ones, dilation: ones, groups: 2, transposed: transposed)
        let expected = general(
            .tensor(values[0]), .tensor(values[1]), .tensor(values[2]), .integers(ones.map { 2 * $0 }), .integers(ones), .integers(ones),
            .boolean(transposed), .integers(ones.map { 0 * $0 }), .integer(2))
        #expect(found.elements(as: Float.self) == expected.elements(as: Float.self))
        let slopes = [found, expected].map { gradients(of: $0.squared().sum(), withRespectTo: parameters) }
        for (left, right) in zip(slopes[0], slopes[1]) { #expect(left.elements(as: Float.self) == right.elements(as: Float.self)) }
    }

    @Test("losses against their formulas")
    func losses() {
        let logits = Tensor([0.5, -1, 2, 0, 3, 1], shape: [2, 3])
        let expected = [2, 1].enumerated().map { row, label -> Double in
            let scores = logits.selected(row, along: 0).elements(as: Double.self)
            return log(scores.map { exp($0) }.reduce(0, +)) - scores[label]
        }
        let found = logits.softmaxCrossEntropy(labels: Tensor([2, 1]), reduction: .none).elements(as: Double.self)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 })
        let bernoulli = Tensor([2.0]).sigmoidCrossEntropy(targets: Tensor([1.0])).item()
        #expect(abs(bernoulli - log(1 + exp(-2))) < 1e-12)
        #expect(Tensor([0.5, 3.0]).huberLoss(targets: Tensor([0.0, 0]), reduction: .none).elements() == [0.125, 2.5])
        #expect(abs(Tensor([-1.0, 2]).elu().elements(as: Double.self)[0] - (exp(-1) - 1)) < 1e-12)
    }

    @Test("the handles of tensors that went out of use are freed")
    func handles() {
        let before = Runtime.liveTensorCount
        for _ in 0..<100 { _ = (Tensor.ones([8, 8]) * 2 + 1).split([4, 4], along: 0) }
        // Other tests run beside this one and hold some tensors; 100 rounds would leave 500.
        #expect(Runtime.liveTensorCount - before < 250)
    }
}
