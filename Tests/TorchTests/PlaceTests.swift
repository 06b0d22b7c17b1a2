import Testing
import Torch

@Suite("Draws by their place")
struct PlaceTests {
    @Test("normal draws have the moments, the tails and the independence of N(0, 1)", arguments: [ElementType.float32, .float64])
    func moments(type: ElementType) {
        let count = 1 << 20
        let x = Tensor.normal([count], type: type, from: Generator(seed: 1)).converted(to: .float64)
        // Five standard errors.
        func bound(_ variance: Double) -> Double { 5 * (variance / Double(count)).squareRoot() }
        #expect(abs(x.mean().item()) < bound(1))
        #expect(abs(x.squared().mean().item() - 1) < bound(2))
        #expect(abs((x.squared() * x).mean().item()) < bound(15))
        #expect(abs(x.squared().squared().mean().item() - 3) < bound(96))
        for (limit, share) in [(1.0, 0.158655), (2, 0.0227501), (3, 0.00134990)] {
            for tail in [x .> limit, x .< -limit] {
                #expect(abs(tail.converted(to: .float64).mean().item() - share) < bound(share))
            }
        }
        // The two numbers of a pair stand 32 places apart.
        for lag in [1, 2, 16, 32, 64] {
            let (one, other) = (x.sliced(0..<(count - lag), along: 0, step: 1), x.sliced(lag..<count, along: 0, step: 1))
            #expect(abs((one * other).mean().item()) < bound(1), "\(lag)")
            #expect(abs((one.squared() * other.squared()).mean().item() - 1) < bound(8), "\(lag)")
        }
        #expect(x.isFinite().allTrue() && x.magnitude().maximum().item() < 6.8)
    }

    @Test(
        "uniform draws are from 0 to below 1 in every type, and uniform", arguments: [ElementType.float64, .float32, .float16, .bfloat16])
    func uniform(type: ElementType) {
        let count = 1 << 18
        let x = Tensor.uniform([count], type: type, from: Generator(seed: 9)).converted(to: .float64)
        #expect(x.minimum().item() >= 0 && x.maximum().item() < 1)
        // Numbers of 16 bits are rounded down: by half a unit of 2⁻¹¹ or 2⁻⁸ on average.
        let shift =
            switch type {
            case .float16: 0x1p-12;
            case .bfloat16: 0x1p-9;
            default: 0.0
            }
        let error = 5 / (12 * Double(count)).squareRoot()
        #expect(abs(x.mean().item() + shift - 0.5) < error)
        #expect(abs((x + shift).squared().mean().item() - 1.0 / 3) < 2 * error)
        for distance in [1, 16, 64] {
            let product =
                (x.sliced(0..<(count - distance), along: 0, step: 1) - 0.5) * (x.sliced(distance..<count, along: 0, step: 1) - 0.5)
            #expect(abs(product.mean().item() - shift * shift) < error)
        }
    }

    @Test("float32 and the 16-bit types have the numbers of float64, rounded")
    func types() {
        func draw(_ type: ElementType) -> Tensor { Tensor.normal([5000], type: type, from: Generator(seed: 7)).converted(to: .float64) }
        let exact = draw(.float64)
        for (type, tolerance) in [(ElementType.float32, 2e-6), (.float16, 4e-3), (.bfloat16, 4e-2)] {
            #expect((draw(type) - exact).magnitude().maximum().item() < tolerance, "\(type)")
        }
    }

    @Test("parts of a minibatch get what the whole gets, in every order of the axes and for any number of threads")
    func parts() async {
        await #expect(processExitsWith: .success) {
            for threads in [1, 2, 3] {
                try Runtime.setThreadCount(threads)
                for (shape, axis) in [([10, 7], 0), ([3, 10, 5], 1), ([10], 0), ([2, 2, 10, 300], 2), ([10, 40, 40, 8], 0)] {
                    func draws(_ place: BatchPlace?, rows: Int) -> [Tensor] {
                        var part = shape
                        part[axis] = rows
                        return [
                            .normal(part, from: Generator(seed: 2), at: place, axis: axis),
                            .uniform(part, from: Generator(seed: 2), at: place, axis: axis),
                            .bernoulli(part, probability: 0.3, value: 2, from: Generator(seed: 2), at: place, axis: axis),
                        ]
                    }
                    let whole = draws(nil, rows: 10)
                    for cuts in [[0, 10], [0, 1, 10], [0, 3, 3, 7, 10]] {
                        let parts = zip(cuts, cuts.dropFirst()).map { draws(BatchPlace(first: $0, of: 10), rows: $1 - $0) }
                        for (kind, expected) in whole.enumerated() {
                            let joined = Tensor.concatenated(parts.map { $0[kind] }, along: axis)
                            guard joined.elements(as: Float.self) == expected.elements(as: Float.self) else {
                                fatalError("\(shape) \(cuts)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("a part that is not within the whole traps")
    func outside() async {
        await #expect(processExitsWith: .failure) { _ = BatchPlace(first: 11, of: 10) }
        await #expect(processExitsWith: .failure) { _ = Tensor.normal([4, 2], from: Generator(seed: 1), at: BatchPlace(first: 7, of: 10)) }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.normal([4], from: Generator(seed: 1), at: BatchPlace(first: 0, of: 10), axis: 1)
        }
    }
}
