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

    @Test("a CUDA device is there exactly where libtorch's CUDA half and a GPU are; elsewhere the error says what was looked for")
    func cuda() async {
        // In a process of its own: once a gradient was taken, libtorch has settled that there is no CUDA.
        await #expect(processExitsWith: .success) {
            let hasGPU = FileManager.default.fileExists(atPath: "/dev/nvidia0")
            do {
                let device = try Device(named: "cuda")
                guard hasGPU, Tensor.ones([2], on: device).sum().item() == 2 else { exit(1) }
            } catch {
                let text = "\(error)"
                let isMissing = text.contains("libtorch_cuda.so: cannot open shared object file")
                let isWithoutGPU = !hasGPU && text.contains("found 0 devices")
                guard text.hasPrefix("no CUDA device"), isMissing || isWithoutGPU else { exit(2) }
            }
        }
    }

    @Test("TF32 is forbidden until it is allowed")
    func tf32() async {
        // In a process of its own: the setting is the whole process's.
        await #expect(processExitsWith: .success) {
            guard !Runtime.allowsTF32 else { exit(1) }
            Runtime.allowsTF32 = true
            guard Runtime.allowsTF32 else { exit(2) }
            let product = Tensor.ones([2, 2]).matrixProduct(.ones([2, 2]))
            Runtime.allowsTF32 = false
            guard !Runtime.allowsTF32, product.sum().item() == 8 else { exit(3) }
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
