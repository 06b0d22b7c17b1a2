import Experiments
import Foundation
import Testing
import Torch

struct FilterPictureTests {
    /// The chunks of a file: name and content.
    private func chunks(_ png: Data) -> [(name: String, content: [UInt8])] {
        var bytes = [UInt8](png.dropFirst(8))
        var found: [(String, [UInt8])] = []
        while bytes.count >= 12 {
            let length = bytes[0..<4].reduce(0) { $0 << 8 | Int($1) }
            found.append((String(decoding: bytes[4..<8], as: UTF8.self), Array(bytes[8..<8 + length])))
            bytes.removeFirst(12 + length)
        }
        return found
    }

    @Test("filters are drawn each on its own scale, zero as mid grey, sixteen a line")
    func filters() {
        // Two filters of 1 × 1 pixel in three channels, then fifteen of zeros.
        let weight = Tensor([2, 0, -2, 0.5, -0.25, 0] + [Float](repeating: 0, count: 45), shape: [17, 3, 1, 1])
        let parts = chunks(FilterPicture.png(of: weight))
        #expect(parts[0].content == [0, 0, 0, 31, 0, 0, 0, 3, 8, 2, 0, 0, 0], "16 pixels and 15 gaps wide, 2 and 1 high")
        let lines = Array(parts[1].content.dropFirst(7).dropLast(4))
        #expect(Array(lines[1..<10]) == [255, 128, 0, 255, 255, 255, 255, 64, 128])
        let grey = chunks(FilterPicture.png(of: Tensor([1, 3, 2, -4] as [Float], shape: [1, 1, 2, 2])))
        #expect(grey[0].content == [0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0])
    }
}
