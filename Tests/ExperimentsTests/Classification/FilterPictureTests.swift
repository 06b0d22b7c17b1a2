import Experiments
import Foundation
import TestSupport
import Testing
import Torch

struct FilterPictureTests {
    @Test("filters are drawn each on its own scale, zero as mid grey, sixteen a line")
    func filters() {
        // Two filters of 1 × 1 pixel in three channels, then fifteen of zeros.
        let weight = Tensor([2, 0, -2, 0.5, -0.25, 0] + [Float](repeating: 0, count: 45), shape: [17, 3, 1, 1])
        let parts = pngChunks(FilterPicture.png(of: weight))
        #expect(parts[0].content == [0, 0, 0, 31, 0, 0, 0, 3, 8, 2, 0, 0, 0], "16 pixels and 15 gaps wide, 2 and 1 high")
        let lines = Array(parts[1].content.dropFirst(7).dropLast(4))
        #expect(Array(lines[1..<10]) == [255, 128, 0, 255, 255, 255, 255, 64, 128])
        let grey = pngChunks(FilterPicture.png(of: Tensor([1, 3, 2, -4] as [Float], shape: [1, 1, 2, 2])))
        #expect(grey[0].content == [0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0])
    }
}
