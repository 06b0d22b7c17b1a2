import Foundation
import Testing
import Torch

struct BernoulliTests {
    @Test(
        "the draws are Philox's: the expected ones come from a second implementation in Python, with the key that NumPy's Mersenne Twister gives for the seed"
    )
    func knownAnswers() {
        func text(_ probability: Double) -> String {
            let draws = Tensor.bernoulli([80], probability: probability, type: .uint8, from: Generator(seed: 11))
            return draws.elements(as: UInt8.self).map { $0 == 0 ? "0" : "1" }.joined()
        }
        #expect(text(0.5) == "00010100101110110001011011011011011010010111011111011101100101000110000100011100")
        #expect(text(0.1) == "00010000001000000000000001011000000000000000000000000000000000000110000000000000")
    }

    @Test("every type draws the same, whatever counts as 1; probabilities of 0 and 1 are certain")
    func types() {
        let types: [ElementType] = [.uint8, .int8, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64, .bool]
        func draws(_ type: ElementType, _ probability: Double, value: Double = 1) -> [Double] {
            // 1003 elements: the last block is not full.
            Tensor.bernoulli([17, 59], probability: probability, value: value, type: type, from: Generator(seed: 2)).elements()
        }
        let expected = draws(.float64, 0.7)
        #expect(Set(expected) == [0, 1])
        for type in types {
            #expect(draws(type, 0.7) == expected)
            #expect(draws(type, 1) == [Double](repeating: 1, count: 1003))
            #expect(draws(type, 0) == [Double](repeating: 0, count: 1003))
        }
        #expect(draws(.float32, 0.7, value: 4) == expected.map { $0 * 4 })
        #expect(Tensor.bernoulli([0, 3], probability: 0.5, from: Generator(seed: 2)).count == 0)
    }

    @Test("the share of successes is the probability, and neighbours know nothing of each other", arguments: [0.001, 0.25, 0.5, 0.9])
    func distribution(probability: Double) {
        let count = 1_000_000
        let random = Generator(seed: 6)
        let first = Tensor.bernoulli([count], probability: probability, type: .float64, from: random) - probability
        let second = Tensor.bernoulli([count], probability: probability, type: .float64, from: random) - probability
        let variance = probability * (1 - probability)
        // Five standard deviations.
        #expect(abs(first.mean().item()) < 5 * (variance / Double(count)).squareRoot())
        let bound = 5 * variance / Double(count).squareRoot()
        #expect(abs((first * second).mean().item()) < bound)
        // Distances of the next element, of the words of one counter, and of the next block.
        for distance in [1, 16, 64] {
            let rest = count - distance
            let product = first.sliced(0..<rest, along: 0) * first.sliced(distance..<count, along: 0)
            #expect(abs(product.mean().item()) < bound, "distance \(distance)")
        }
    }

    @Test("the draws do not depend on the number of threads")
    func threads() async {
        // In a process of its own: the number is the whole process's.
        await #expect(processExitsWith: .success) {
            let draws = try [1, 2, 3].map { count in
                try Runtime.setThreadCount(count)
                return Tensor.bernoulli([1_000_003], probability: 0.4, from: Generator(seed: 8)).elements(as: Float.self)
            }
            guard draws[0] == draws[1], draws[0] == draws[2] else { exit(1) }
        }
    }

    @Test("a probability that is none traps")
    func badProbability() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.bernoulli([2], probability: 1.5, from: Generator(seed: 0))
            })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("expected a probability from 0 to 1, found 1.5"))
    }
}
