import Testing
import Torch

struct LossTests {
    private let found = Tensor([1, -2, 0.5, 3] as [Double])
    private let targets = Tensor([0, 0, 0, 3] as [Double])

    @Test("squared, absolute and smooth errors, and the Huber loss, are what their formulas say")
    func values() {
        #expect(
            found.squaredError(targets: targets).item() == 5.25 / 4 && found.absoluteError(targets: targets, reduction: .sum).item() == 3.5)
        #expect(found.smoothL1Loss(targets: targets, reduction: .none).elements() == [0.5, 1.5, 0.125, 0])
        #expect(found.smoothL1Loss(targets: targets, beta: 0.5, reduction: .none).elements() == [0.75, 1.75, 0.25, 0])
        #expect(found.huberLoss(targets: targets, delta: 0.5, reduction: .none).elements() == [0.375, 0.875, 0.125, 0])
    }

    @Test("targets of another shape trap instead of being broadcast")
    func shapes() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.zeros([4, 1]).squaredError(targets: .zeros([4]))
            })
        #expect(
            String(decoding: result.standardErrorContent, as: UTF8.self).contains(
                "targets of a squared error: expected shape [4, 1], found [4]"))
    }
}
