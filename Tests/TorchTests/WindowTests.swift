import Testing
import Torch

struct WindowTests {
    private let row = Tensor([1, 2, 3, 4] as [Float], shape: [1, 1, 4])

    @Test("padding adds what its mode says, before and after each dimension")
    func padding() {
        #expect(row.padded(before: [2], after: [1]).elements() == [Float(0), 0, 1, 2, 3, 4, 0])
        #expect(row.padded(before: [2], after: [1], with: -5).elements() == [Float(-5), -5, 1, 2, 3, 4, -5])
        #expect(row.padded(before: [2], after: [1], mode: .reflect).elements() == [Float(3), 2, 1, 2, 3, 4, 3])
        #expect(row.padded(before: [2], after: [1], mode: .replicate).elements() == [Float(1), 1, 1, 2, 3, 4, 4])
        #expect(row.padded(before: [2], after: [1], mode: .circular).elements() == [Float(3), 4, 1, 2, 3, 4, 1])
        #expect(row.padded(before: [-1], after: [0]).elements() == [Float(2), 3, 4])
        let image = Tensor([1, 2, 3, 4] as [Float], shape: [1, 1, 2, 2])
        #expect(image.padded(before: [1, 0], after: [0, 1]).elements() == [Float(0), 0, 0, 1, 2, 0, 3, 4, 0])
    }

    @Test("pooling over 1, 2 and 3 dimensions takes the largest element or the mean of each window")
    func pooling() {
        #expect(row.maxPooled([2]).elements() == [Float(2), 4] && row.maxPooled([2], stride: [1]).elements() == [Float(2), 3, 4])
        #expect(row.maxPooled([3], stride: [2], padding: [1]).elements() == [Float(2), 4])
        #expect(
            row.maxPooled([3], stride: [2]).shape == [1, 1, 1] && row.maxPooled([3], stride: [2], roundingUp: true).shape == [1, 1, 2])
        #expect((-row).maxPooled([3], padding: [1]).elements() == [Float(-1), -3])
        #expect(row.averagePooled([2]).elements() == [Float(1.5), 3.5])
        #expect(row.averagePooled([2], stride: [3], padding: [1]).elements() == [Float(0.5), 3.5])
        #expect(row.averagePooled([2], stride: [3], padding: [1], countingPadding: false).elements() == [Float(1), 3.5])
        let cube = Tensor.range(0..<64, type: .float64).reshaped([1, 1, 4, 4, 4])
        #expect(cube.maxPooled([2, 2, 2]).elements() == [21.0, 23, 29, 31, 53, 55, 61, 63])
        #expect(cube.averagePooled([4, 4, 2]).elements() == [30.5, 32.5])
        let square = Tensor.range(0..<16, type: .float64).reshaped([1, 1, 4, 4])
        #expect(square.maxPooled2d(2).elements() == square.maxPooled([2, 2]).elements(as: Double.self))
        #expect(square.averagePooled2d(2).elements() == [2.5, 4.5, 10.5, 12.5])
    }

    @Test("adaptive pooling gives the lengths asked for, whatever the input's")
    func adaptive() {
        let five = Tensor([1, 2, 3, 4, 5] as [Double], shape: [1, 1, 5])
        #expect(five.adaptiveAveragePooled(to: [2]).elements() == [2.0, 4] && five.adaptiveMaxPooled(to: [2]).elements() == [3.0, 5])
        #expect(Tensor.ones([2, 3, 5, 7]).adaptiveAveragePooled(to: [1, 1]).shape == [2, 3, 1, 1])
        #expect(Tensor.ones([2, 3, 5, 7, 2]).adaptiveMaxPooled(to: [2, 2, 1]).shape == [2, 3, 2, 2, 1])
    }

    @Test("resizing repeats elements, or interpolates between them")
    func resizing() {
        #expect(row.resizedNearest(to: [8]).elements() == [Float(1), 1, 2, 2, 3, 3, 4, 4])
        #expect(row.resizedLinear(to: [8]).elements() == [Float(1), 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4])
        #expect(row.resizedLinear(to: [7], aligningCorners: true).elements() == [Float(1), 1.5, 2, 2.5, 3, 3.5, 4])
        #expect(Tensor.ones([1, 2, 3, 4]).resizedLinear(to: [6, 8]).shape == [1, 2, 6, 8])
        #expect(Tensor.ones([1, 2, 3, 4, 5]).resizedNearest(to: [6, 8, 10]).shape == [1, 2, 6, 8, 10])
    }

    @Test("as many lengths as the tensor has dimensions after the channels, or it traps with both")
    func dimensions() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.zeros([1, 2, 3]).maxPooled([2, 2])
            })
        #expect(
            String(decoding: result.standardErrorContent, as: UTF8.self).contains(
                "max pooling over 2 dimensions: expected a tensor of 2 (1 to 3) dimensions besides batch and channels, found shape [1, 2, 3]"
            ))
    }
}
