import Testing
import Torch
import WeightNorm
import Workloads

struct CNNTests {
    @Test("the work is PyTorch's: from the same parameters, inputs and draws, loss and gradients agree", arguments: CNN.Layout.allCases)
    func reference(layout: CNN.Layout) throws {
        let reference = try Reference.read()
        let batch = reference.batch
        for expected in reference.cnn {
            let normalization = try #require(Normalization(rawValue: expected.norm))
            let work = CNN(normalization: normalization, batch: batch, layout: layout, type: .float64)
            let parameters = work.layers.namedParameters
            fill(parameters)
            func inLayout(_ tensor: Tensor) -> Tensor { layout == .channelsLast ? tensor.channelsLast() : tensor }
            let draws = CNN.Draws(
                noise: inLayout(pattern(13, [batch, 3, 32, 32]) * 2),
                kept: [(17, 96, 16), (19, 192, 8)].map { offset, maps, size in
                    inLayout((pattern(offset, [batch, maps, size, size]) .> 0).converted(to: .float64))
                })
            let labels = Tensor((0..<batch).map { $0 * 3 % 10 })
            let loss = work.loss(inLayout(pattern(7, [batch, 3, 32, 32]) * 2), labels: labels, draws)
            try expected.require(loss, of: parameters)
        }
    }

    @Test("both layouts do the same work: from the same parameters and draws, the same loss", arguments: [Normalization.plain, .weight])
    func layouts(normalization: Normalization) {
        let random = Generator(seed: 5)
        let input = Tensor.normal([4, 3, 32, 32], from: random)
        let labels = Tensor.integers(in: 0..<10, [4], from: random)
        let draws = CNN.Draws(
            noise: .normal([4, 3, 32, 32], from: random),
            kept: [
                .bernoulli([4, 96, 16, 16], probability: 0.5, from: random), .bernoulli([4, 192, 8, 8], probability: 0.5, from: random),
            ])
        let work = CNN(normalization: normalization, batch: 4, layout: .contiguous)
        let loss = work.loss(input, labels: labels, draws).item()
        let channelsLast = CNN.Draws(noise: draws.noise.channelsLast(), kept: draws.kept.map { $0.channelsLast() })
        #expect(abs(work.loss(input.channelsLast(), labels: labels, channelsLast).item() - loss) < 1e-5)
    }

    @Test("steps lower the loss on a minibatch that stays the same")
    func learns() {
        let work = CNN(normalization: .weight, batch: 8, layout: .contiguous)
        let first = work.step()
        var last = first
        for _ in 0..<5 { last = work.step() }
        #expect(last < first)
    }
}
