import Testing
import Torch
import WeightNorm
import Workloads

struct VAETests {
    /// What the Swift side calls a parameter of the peer.
    private func path(_ name: String) -> String {
        name.hasPrefix("encoder.") ? "0." + name.dropFirst(8) : "1." + name.dropFirst(8)
    }

    @Test("the work is PyTorch's: from the same parameters, images and draws, loss and gradients agree", arguments: CNN.Layout.allCases)
    func reference(layout: CNN.Layout) throws {
        let reference = try Reference.read()
        let batch = reference.batch
        #expect(reference.vae.map(\.norm) == ["normal", "weight"])
        for expected in reference.vae {
            let normalization = try #require(Normalization(rawValue: expected.norm))
            let work = VAE(normalization: normalization, batch: batch, layout: layout, type: .float64)
            let parameters = work.layers.namedParameters
            let known = Dictionary(uniqueKeysWithValues: expected.gradients.map { (path($0.key), $0.value) })
            #expect(Set(parameters.map(\.path)) == Set(known.keys))
            for (number, parameter) in parameters.enumerated() {
                let isGain = parameter.path.hasSuffix("gain")
                parameter.value.assign(pattern(1000 * number, parameter.value.value.shape) * (isGain ? 0.5 : 0.2) + (isGain ? 1 : 0))
            }
            let images = (pattern(7, [batch, 1, 28, 28]) .> 0).converted(to: .float64)
            let loss = work.loss(layout == .channelsLast ? images.channelsLast() : images, noise: pattern(13, [batch, 32]) * 2)
            #expect(abs(loss.item() - expected.loss) < 1e-12 * expected.loss)
            let found = gradients(of: loss, withRespectTo: parameters.map(\.value))
            for (parameter, gradient) in zip(parameters, found) {
                let numbers = try #require(known[parameter.path])
                let tolerance = 1e-10 * max(1, numbers[0])
                #expect(abs(gradient.norm().item() - numbers[0]) < tolerance, "\(expected.norm), \(parameter.path)")
                #expect(abs((gradient * pattern(23, gradient.shape)).sum().item() - numbers[1]) < tolerance)
            }
        }
    }

    @Test("steps lower the loss on images that stay the same")
    func learns() {
        let work = VAE(normalization: .weight, batch: 8, layout: .contiguous)
        let first = work.step()
        var last = first
        for _ in 0..<5 { last = work.step() }
        #expect(last < first)
    }
}
