import Foundation
import Testing
import Torch

struct MachineTests {
    @Test("two generators of one seed draw the same, another seed draws otherwise")
    func seeds() {
        let draws = [7, 7, 8].map { Tensor.normal([100], from: Generator(seed: $0)).elements(as: Float.self) }
        #expect(draws[0] == draws[1])
        #expect(draws[0] != draws[2])
    }

    @Test("a generator goes on from a state that was read")
    func state() throws {
        let random = Generator(seed: 3)
        _ = Tensor.uniform([5], from: random)
        let state = random.state
        let first = Tensor.bernoulli([50], probability: 0.5, from: random).elements(as: Float.self)
        let other = Generator(seed: 99)
        try other.restore(state)
        #expect(Tensor.bernoulli([50], probability: 0.5, from: other).elements(as: Float.self) == first)
        #expect(throws: TorchError.self) { try other.restore([1, 2, 3]) }
    }

    @Test("draws have the distribution they are named after")
    func distributions() {
        let random = Generator(seed: 5)
        let normal = Tensor.normal([100_000], type: .float64, from: random)
        #expect(abs(normal.mean().item()) < 0.02 && abs(normal.standardDeviation().item() - 1) < 0.02)
        #expect(abs(Tensor.bernoulli([100_000], probability: 0.3, from: random).mean().item() - 0.3) < 0.01)
        let whole = Tensor.integers(in: 2..<5, [1000], from: random)
        #expect(whole.minimum().item() == 2 && whole.maximum().item() == 4)
    }

    @Test("a device that is not there is a clear error", arguments: ["gpu", "cuda:", "cuda:-1", "cuda:9999", ""])
    func unknownDevice(name: String) {
        #expect { try Device(named: name) } throws: { "\($0)" == "unknown device: expected cpu, cuda or cuda:INDEX, found '\(name)'" }
    }

    @Test(
        "without CUDA, asking for it says what was looked for", .enabled(if: (try? Device.cuda()) == nil, "this machine has a CUDA device"))
    func noCUDA() {
        #expect { try Device(named: "cuda") } throws: {
            "\($0)".hasPrefix("no CUDA device: expected libtorch_cuda.so") || "\($0)".contains("found 0 devices")
        }
    }

    @Test("the version is one that is supported")
    func version() throws {
        let parts = Runtime.libtorchVersion.split(separator: ".").compactMap { Int($0) }
        try #require(parts.count == 3)
        #expect(parts[0] == 2 && parts[1] >= 11)
        #expect(throws: TorchError.self) { try Runtime.setThreadCount(0) }
    }
}
