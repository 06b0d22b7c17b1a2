import Testing
import Torch

struct AutocastTests {
    private let random = Generator(seed: 1)

    private struct Failure: Error {}

    /// The type in which a product of float32 matrices is computed at this moment.
    private var productType: ElementType { Tensor.ones([2, 2]).matrixProduct(.ones([2, 2])).type }

    @Test("the setting is restored at the end, after a throw too, and float32 switches it off inside")
    func restored() {
        #expect(productType == .float32)
        withAutocast(on: .cpu) {
            #expect(productType == .bfloat16)
            withAutocast(.float16, on: .cpu) { #expect(productType == .float16) }
            #expect(productType == .bfloat16)
            withAutocast(.float32, on: .cpu) { #expect(productType == .float32) }
            #expect(productType == .bfloat16)
            #expect(throws: Failure.self) { try withAutocast(.float32, on: .cpu) { throw Failure() } }
            #expect(productType == .bfloat16)
        }
        #expect(productType == .float32)
        #expect(throws: Failure.self) { try withAutocast(on: .cpu) { throw Failure() } }
        #expect(productType == .float32)
    }

    @Test("another type traps")
    func otherType() async {
        await #expect(processExitsWith: .failure) { withAutocast(.float64, on: .cpu) {} }
    }

    @Test("products and convolutions run in bfloat16, and the gradients of float32 parameters are float32, close to float32's")
    func operators() {
        func close(_ a: Tensor, _ b: Tensor) -> Bool { (a - b).norm().item() <= 0.02 * b.norm().item() }
        func check(_ name: String, _ shapes: [[Int]], _ function: ([Tensor]) -> Tensor) {
            let parameters = shapes.map { Parameter(.normal($0, from: random)) }
            let exact = function(parameters.map(\.value))
            let found = withAutocast(on: .cpu) { function(parameters.map(\.value)) }
            #expect(exact.type == .float32 && found.type == .bfloat16, "\(name)")
            #expect(close(found.converted(to: .float32), exact), "\(name)")
            let cotangent = Tensor.normal(exact.shape, from: random)
            let expected = gradients(of: exact, cotangent: cotangent, withRespectTo: parameters.map(\.value))
            let slopes = gradients(of: found, cotangent: cotangent.converted(to: .bfloat16), withRespectTo: parameters.map(\.value))
            for (slope, expected) in zip(slopes, expected) { #expect(slope.type == .float32 && close(slope, expected), "\(name)") }
        }
        check("matmul", [[5, 7], [7, 3]]) { $0[0].matrixProduct($0[1]) }
        check("linear", [[5, 7], [3, 7], [3]]) { $0[0].linear(weight: $0[1], bias: $0[2]) }
        for (input, kernel) in [([9], [3]), ([6, 5], [3, 2]), ([4, 5, 4], [2, 3, 2])] {
            let ones = kernel.map { _ in 1 }
            check("convolution \(kernel)", [[2, 4] + input, [6, 2] + kernel, [6]]) {
                $0[0].convolved(with: $0[1], bias: $0[2], stride: ones, padding: ones, dilation: ones, groups: 2)
            }
            check("transposed convolution \(kernel)", [[2, 4] + input, [4, 3] + kernel, [6]]) {
                $0[0].convolved(
                    with: $0[1], bias: $0[2], stride: ones.map { 2 * $0 }, padding: ones, dilation: ones, groups: 2, transposed: true,
                    outputPadding: ones)
            }
        }
    }

    @Test("losses of bfloat16 logits are computed and given in float32")
    func losses() {
        let logits = Tensor.normal([50, 10], from: random).converted(to: .bfloat16)
        let wide = logits.converted(to: .float32)
        let labels = Tensor.integers(in: 0..<10, [50], from: random)
        let targets = Tensor.uniform([50, 10], from: random)
        withAutocast(on: .cpu) {
            for (found, exact) in [
                (logits.softmaxCrossEntropy(labels: labels), wide.softmaxCrossEntropy(labels: labels)),
                (logits.sigmoidCrossEntropy(targets: targets), wide.sigmoidCrossEntropy(targets: targets)),
                (logits.huberLoss(targets: targets), wide.huberLoss(targets: targets)),
            ] {
                #expect(found.type == .float32 && abs(found.item() - exact.item()) < 1e-6)
            }
        }
    }

    @Test("a parameter that changes inside is cast anew, and one that was first read without recording has its gradient")
    func nothingIsKept() {
        let weight = Parameter(.ones([1, 1]))
        let input = Tensor.ones([1, 1])
        withAutocast(on: .cpu) {
            let first = withoutGradients { input.linear(weight: weight.value).item() }
            #expect(first == 1)
            let output = input.linear(weight: weight.value)
            #expect(gradients(of: output.sum(), withRespectTo: [weight])[0].item() == 1)
            weight.assign(Tensor([3.0], shape: [1, 1]))
            #expect(input.linear(weight: weight.value).item() == 3)
        }
    }

    @Test("g·v/‖v‖ is computed in float32")
    func weightNorm() {
        let v = Parameter(.normal([4, 6], from: random))
        let g = Parameter(.uniform([4, 1], from: random))
        func weight() -> Tensor { v.value.normalizedWeight(gain: g.value, blocks: 1, outer: 1, units: 4, inner: 6) }
        let exact = weight()
        let found = withAutocast(on: .cpu) { weight() }
        #expect(found.type == .float32 && found.elements(as: Float.self) == exact.elements(as: Float.self))
    }
}
