import Foundation
import Testing
import Torch

struct StepGraphTests {
    @Test("on the CPU every run runs the closure, whatever the key")
    func cpu() {
        let graph = StepGraph(on: .cpu, generators: [Generator(seed: 1)])
        let sum = Buffer(Tensor(0.0))
        var runs = 0
        for step in 1...10 {
            graph.run(key: step / 4) {
                runs += 1
                sum.assign(sum.value + Double(step))
            }
        }
        #expect(runs == 10 && sum.value.item() == 55)
        #expect(graph.fallback == nil && graph.recordingCount == 0)
    }

    @Test("random numbers, gradients and parameters in a step are what they are outside of one")
    func step() {
        func train(_ run: (_ step: () -> Void) -> Void, _ random: Generator) -> [Float] {
            let weight = Parameter(.ones([3]))
            for _ in 0..<5 {
                run {
                    let loss = (weight.value * .normal([3], from: random)).squared().sum()
                    let slope = gradients(of: loss, withRespectTo: [weight])[0]
                    withoutGradients { weight.assign(weight.value - slope * 0.1) }
                }
            }
            return weight.snapshot().elements()
        }
        let random = Generator(seed: 1)
        let graph = StepGraph(on: .cpu, generators: [random])
        #expect(train({ graph.run(key: 0, $0) }, random) == train({ $0() }, Generator(seed: 1)))
    }

    @Test("where libtorch's CUDA half is not loaded, what is missing is said")
    func unavailable() async {
        // In a process of its own: another test may load it.
        await #expect(processExitsWith: .success) {
            let text = StepGraph.unavailability?.description ?? ""
            let expected =
                "CUDA graphs: expected the CUDA half of a libtorch from 2.11.0 to 2.15.0, loaded; found no CUDAGraph(bool) beside libtorch "
            guard text == expected + Runtime.libtorchVersion else { exit(1) }
        }
    }

    @Test("no warm-up at all traps")
    func noWarmUp() async {
        await #expect(processExitsWith: .failure) { _ = StepGraph(on: .cpu, warmUps: 0) }
    }

    @Test("a buffer's value stays as it was when the buffer is assigned, and so does a snapshot")
    func buffer() {
        let start = Tensor([1.0, 2])
        let buffer = Buffer(start)
        let (before, snapshot) = (buffer.value, buffer.snapshot())
        buffer.assign(Tensor([3.0, 4]))
        #expect(buffer.value.elements() == [3.0, 4])
        for old in [start, before, snapshot] { #expect(old.elements() == [1.0, 2]) }
    }
}
