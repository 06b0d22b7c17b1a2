import Testing
import Torch
import WeightNorm
import Workloads

struct DQNTests {
    @Test("the work is PyTorch's: from the same parameters and transitions, loss and gradients agree", arguments: CNN.Layout.allCases)
    func reference(layout: CNN.Layout) throws {
        let reference = try Reference.read()
        let batch = reference.batch
        #expect(reference.dqn.map(\.norm) == ["normal", "weight"])
        for expected in reference.dqn {
            let normalization = try #require(Normalization(rawValue: expected.norm))
            let work = DQN(normalization: normalization, batch: batch, layout: layout, type: .float64)
            let parameters = work.online.namedParameters
            fill(parameters)
            let others = work.target.namedParameters
            fill(others)
            for parameter in others { parameter.value.assign(parameter.value.value * 0.75) }
            func frames(_ offset: Int) -> Tensor {
                let bytes = ((pattern(offset, [batch, 4, 84, 84]) + 0.5) * 255).converted(to: .uint8)
                return layout == .channelsLast ? bytes.channelsLast() : bytes
            }
            let transitions = DQN.Transitions(
                frames: frames(7), nextFrames: frames(29), actions: Tensor((0..<batch).map { $0 * 5 % 6 }),
                rewards: pattern(13, [batch]) * 4)
            try expected.require(work.loss(transitions), of: parameters)
        }
    }

    @Test("steps lower the loss on transitions that stay the same")
    func learns() {
        let work = DQN(normalization: .weight, batch: 8, layout: .channelsLast)
        let first = work.step()
        var last = first
        for _ in 0..<5 { last = work.step() }
        #expect(last < first)
    }
}
