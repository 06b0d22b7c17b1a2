import Testing
import Torch
import WeightNorm
import Workloads

struct DRAWTests {
    @Test("the work is PyTorch's: from the same parameters, images and draws, loss and gradients agree")
    func reference() throws {
        let reference = try Reference.read()
        let batch = reference.batch
        #expect(reference.draw.map(\.norm) == ["normal", "weight"])
        for expected in reference.draw {
            let normalization = try #require(Normalization(rawValue: expected.norm))
            let work = DRAW(normalization: normalization, batch: batch, type: .float64)
            let parameters = work.network.namedParameters
            fill(parameters)
            let images = (pattern(7, [batch, 28, 28]) .> 0).converted(to: .float64)
            let loss = work.loss(images, noise: pattern(13, [reference.glimpses, batch, 100]) * 2)
            try expected.require(loss, of: parameters)
        }
    }

    @Test("steps lower the loss on images that stay the same")
    func learns() {
        let work = DRAW(normalization: .weight, batch: 8)
        let first = work.step()
        var last = first
        for _ in 0..<5 { last = work.step() }
        #expect(last < first)
    }
}
