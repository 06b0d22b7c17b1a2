import Foundation
import Testing
import Torch

struct SnakeTests {
    /// x + s·sin²(a·x) by libtorch's operators.
    private func reference(_ x: Tensor, _ a: Tensor, _ s: Tensor) -> Tensor {
        let shape = (0..<x.rank).map { $0 == 1 ? -1 : 1 }
        return x + s.reshaped(shape) * (a.reshaped(shape) * x).sin().squared()
    }

    private func parameters(_ shape: [Int], _ type: ElementType, spread: Double) -> [Parameter] {
        let random = Generator(seed: 4)
        return [
            Parameter(.normal(shape, type: type, from: random) * spread), Parameter(.normal([shape[1]], type: type, from: random)),
            Parameter(.normal([shape[1]], type: type, from: random)),
        ]
    }

    @Test("value and gradients are those of the formula", arguments: [[2, 3, 37], [1, 1, 5], [2, 5, 3, 9], [4, 7]])
    func formula(shape: [Int]) {
        // Up to a hundred periods; beyond 8192 there is another way, with the same result.
        for (spread, tolerance) in [(1.0, 2e-6), (100, 2e-5), (30000, 1e-2)] {
            let found = parameters(shape, .float32, spread: spread)
            let exact = found.map { Parameter($0.value.detached().converted(to: .float64)) }
            let seed = Tensor.normal(shape, from: Generator(seed: 5))
            let value = found[0].value.snake(frequency: found[1].value, scale: found[2].value)
            let expected = reference(exact[0].value, exact[1].value, exact[2].value)
            let size = max(1, expected.detached().magnitude().maximum().item())
            #expect((value.detached().converted(to: .float64) - expected.detached()).magnitude().maximum().item() / size < tolerance)
            let slopes = gradients(of: (value * seed).sum(), withRespectTo: found)
            let exactSlopes = gradients(of: (expected * seed.converted(to: .float64)).sum(), withRespectTo: exact)
            for (slope, exact) in zip(slopes, exactSlopes) {
                let size = max(1, exact.magnitude().maximum().item())
                #expect((slope.converted(to: .float64) - exact).magnitude().maximum().item() / size < 20 * tolerance, "\(spread)")
            }
        }
    }

    @Test("the kernel is right to a few units in the last place over all its range")
    func accuracy() {
        let count = 200_000
        let x = (Tensor.uniform([1, 1, count], from: Generator(seed: 6)) - 0.5) * 400
        let (a, s) = (Tensor([1] as [Float]), Tensor([1] as [Float]))
        let squared = x.snake(frequency: a, scale: s) - x
        // Of the rounded sum: its last place is at most 2⁻¹⁶ for numbers up to 256.
        let exact = x.converted(to: .float64).sin().squared()
        #expect((squared.converted(to: .float64) - exact).magnitude().maximum().item() < 0x1p-16)
    }

    @Test("gradients of gradients, other types and layouts")
    func others() {
        let double = parameters([2, 3, 7], .float64, spread: 1)
        let value = double[0].value.snake(frequency: double[1].value, scale: double[2].value)
        #expect((value - reference(double[0].value, double[1].value, double[2].value)).detached().magnitude().maximum().item() < 1e-12)
        let single = parameters([2, 3, 7], .float32, spread: 1)
        func penalty(_ all: [Parameter], _ f: (Tensor, Tensor, Tensor) -> Tensor) -> [Tensor] {
            let value = f(all[0].value, all[1].value, all[2].value)
            let first = gradients(of: value.squared().sum(), withRespectTo: all, createGraph: true)
            return gradients(of: first.map { $0.squared().sum() }.reduce(Tensor(Float(0))) { $0 + $1 }, withRespectTo: all)
        }
        for (found, expected) in zip(penalty(single) { $0.snake(frequency: $1, scale: $2) }, penalty(single, reference)) {
            #expect((found - expected).magnitude().maximum().item() < 1e-4 * max(1, expected.magnitude().maximum().item()))
        }
        let strided = Tensor.normal([2, 7, 3], from: Generator(seed: 7)).transposed(1, 2)
        let (a, s) = (single[1].value.detached(), single[2].value.detached())
        #expect((strided.snake(frequency: a, scale: s) - reference(strided, a, s)).magnitude().maximum().item() < 1e-6)
        let half = strided.converted(to: .bfloat16)
        #expect(half.snake(frequency: a.converted(to: .bfloat16), scale: s.converted(to: .bfloat16)).type == .bfloat16)
        #expect(!Tensor([Float.infinity, .nan], shape: [1, 1, 2]).snake(frequency: a[..<1], scale: s[..<1]).isFinite().anyTrue())
        #expect(Tensor.zeros([0, 3, 4]).snake(frequency: a, scale: s).shape == [0, 3, 4])
    }
}
