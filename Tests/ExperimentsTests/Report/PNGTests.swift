import Experiments
import Foundation
import Testing
import Torch

struct PNGTests {
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

    @Test("a picture of one grey pixel is, byte by byte, the file that the standards describe")
    func smallest() {
        // The checksums were computed by Python's zlib.
        let expected: [UInt8] = [
            0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A,
            0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3A, 0x7E, 0x9B, 0x55,
            0, 0, 0, 13, 0x49, 0x44, 0x41, 0x54, 0x78, 0x01, 1, 2, 0, 0xFD, 0xFF, 0, 7, 0, 9, 0, 8, 0xB9, 0xAC, 0x86, 0x87,
            0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
        ]
        #expect([UInt8](PNG.file([7], width: 1, height: 1, channels: 1)) == expected)
    }

    @Test("long pictures take several stored blocks, whose bytes are the lines in order")
    func blocks() {
        let (width, height) = (200, 150)
        let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let parts = chunks(PNG.file(pixels, width: width, height: height, channels: 3))
        #expect(parts.map(\.name) == ["IHDR", "IDAT", "IEND"])
        #expect(parts[0].content == [0, 0, 0, 200, 0, 0, 0, 150, 8, 2, 0, 0, 0])
        var stream = Array(parts[1].content.dropFirst(2).dropLast(4))
        var lines: [UInt8] = []
        while true {
            let length = Int(stream[1]) | Int(stream[2]) << 8
            #expect(Int(stream[3]) | Int(stream[4]) << 8 == 65535 - length)
            lines += stream[5..<5 + length]
            let isLast = stream[0] == 1
            stream.removeFirst(5 + length)
            if isLast { break }
        }
        #expect(stream.isEmpty && lines.count == height * (1 + 3 * width))
        let unfiltered = stride(from: 0, to: lines.count, by: 1 + 3 * width).flatMap { lines[$0 + 1..<$0 + 1 + 3 * width] }
        #expect(unfiltered == pixels)
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
