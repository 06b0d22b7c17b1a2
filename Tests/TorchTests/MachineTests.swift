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

    @Test("memory of freed tensors is kept for the next, once that is asked for, and sizes that come once do not pile up")
    func keptMemory() async {
        // In a process of its own: it is for the rest of the process's life.
        await #expect(processExitsWith: .success) {
            let before = Tensor.ones([1 << 20])
            Runtime.keepFreedMemory()
            func address(_ count: Int) -> UInt64 { Tensor.ones([count]).address }
            let first = address(1 << 20)
            // The same block for the same size and a little less, but not while it is in use.
            guard address(1 << 20) == first, address((1 << 20) - 100_000) == first else { exit(1) }
            let (one, other) = (Tensor.ones([1 << 20]), Tensor.ones([1 << 20]))
            guard one.address == first, other.address != first, address(1 << 20) != first else { exit(2) }
            // Right numbers in blocks that were used before, of every size from nothing up, by several threads, and from before.
            DispatchQueue.concurrentPerform(iterations: 8) { thread in
                for size in [0, 1, 10, 1000, 20_000, 300_000] {
                    guard Tensor.full([size], Double(thread)).sum().item() == Double(thread * size) else { exit(3) }
                }
            }
            guard before.sum().item() == Double(1 << 20), one.sum().item() + other.sum().item() == Double(1 << 21) else { exit(4) }
            // 6 GB in a hundred sizes, of which at most 128 MB are in use at a time.
            for step in 1...100 { _ = Tensor.zeros([160_000 * step]) + 1 }
            #if os(Linux)
                // Of this program alone: getrusage's would be the test runner's, which started it, where that was larger.
                let status = FileManager.default.contents(atPath: "/proc/self/status").map { String(decoding: $0, as: UTF8.self) } ?? ""
                let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
                guard let peak = line?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { exit(6) }
                guard peak < 1_000_000 else { exit(5) }  // kB
            #endif
        }
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
