import AtomicFiles
import Datasets
import Foundation
import Report
import TestSupport
import Testing

struct PNGTests {
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
        let parts = pngChunks(PNG.file(pixels, width: width, height: height, channels: 3))
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

    @Test("an animation has its frames' durations, and of each frame the rectangle that changed, in order")
    func animation() throws {
        let colours = [PNG.Colour(red: 1, green: 2, blue: 3), PNG.Colour(red: 255, green: 0, blue: 9)]
        let frames = [
            PNG.Frame([0, 0, 0, 0, 0, 0], milliseconds: 500), PNG.Frame([0, 1, 0, 0, 0, 1], milliseconds: 70),
            PNG.Frame([0, 1, 0, 0, 0, 1], milliseconds: 80),
        ]
        let parts = pngChunks(PNG.animation(frames, width: 3, height: 2, palette: colours))
        #expect(parts.map(\.name) == ["IHDR", "acTL", "PLTE", "fcTL", "IDAT", "fcTL", "fdAT", "fcTL", "fdAT", "IEND"])
        #expect(parts[0].content == [0, 0, 0, 3, 0, 0, 0, 2, 8, 3, 0, 0, 0] && parts[1].content == [0, 0, 0, 3, 0, 0, 0, 0])
        #expect(parts[2].content == [1, 2, 3, 255, 0, 9])
        func control(_ sequence: UInt8, _ size: [UInt8], _ origin: [UInt8], _ duration: [UInt8]) -> [UInt8] {
            [0, 0, 0, sequence] + (size + origin).flatMap { [0, 0, 0, $0] } + duration + [3, 232, 0, 0]
        }
        #expect(parts[3].content == control(0, [3, 2], [0, 0], [1, 244]))
        #expect(parts[5].content == control(1, [2, 2], [1, 0], [0, 70]))
        #expect(parts[7].content == control(3, [1, 1], [0, 0], [0, 80]))
        #expect(Array(parts[6].content[..<4]) == [0, 0, 0, 2] && Array(parts[8].content[..<4]) == [0, 0, 0, 4])
    }

    @Test("a long animation has all its frames, numbered without a gap")
    func longAnimation() {
        let colours = (0..<200).map { PNG.Colour(red: UInt8($0), green: 0, blue: 0) }
        let file = PNG.animation(150, width: 2, height: 1, palette: colours) { PNG.Frame([UInt8($0), 7], milliseconds: 10) }
        let parts = pngChunks(file)
        #expect(parts.map(\.name).filter { $0 == "fcTL" }.count == 150 && parts.map(\.name).filter { $0 == "fdAT" }.count == 149)
        let numbers = parts.filter { ["fcTL", "fdAT"].contains($0.name) }.map { $0.content[..<4].reduce(0) { $0 << 8 | Int($1) } }
        #expect(numbers == Array(0..<299))
        // Each frame but the first changes one pixel.
        #expect(parts.filter { $0.name == "fcTL" }.dropFirst().allSatisfy { Array($0.content[4..<12]) == [0, 0, 0, 1, 0, 0, 0, 1] })
    }

    @Test("the pixels of an animation are packed, and unpack to the same bytes, whatever the temporary folder is")
    func packed() throws {
        let grey = (0..<256).map { PNG.Colour(red: UInt8($0), green: UInt8($0), blue: UInt8($0)) }
        let pixels = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7 * $0) }
        func animation() -> Data { PNG.animation([PNG.Frame(pixels, milliseconds: 40)], width: 1000, height: 100, palette: grey) }
        let data = animation()
        let packed = try #require(pngChunks(data).first { $0.name == "IDAT" }).content
        #expect(packed.count < 90_000 && packed[0] == 0x78, "zlib is needed")
        func number(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        // Each line after a byte for its filter. The deflated part is what a gzip file has inside.
        let lines = (0..<100).flatMap { [0] + pixels[$0 * 1000..<($0 + 1) * 1000] }
        let file =
            [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + packed[2..<packed.count - 4] + number(CRC32.of(lines)) + number(UInt32(lines.count))
        try withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(file).write(to: URL(fileURLWithPath: folder + "/bytes.gz"))
            #expect(try ByteStream(path: folder + "/bytes.gz").next(200_000) == lines)
        }
    }

    @Test(
        "a browser shows an animation without an error",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"))
    func animationInBrowser() async throws {
        let grey = (0..<256).map { PNG.Colour(red: UInt8($0), green: UInt8($0), blue: UInt8($0)) }
        let frames = (0..<2).map { frame in
            PNG.Frame((0..<64 * 50).map { UInt8(truncatingIfNeeded: $0 * 3 + frame) }, milliseconds: 100)
        }
        let picture = PNG.animation(frames, width: 64, height: 50, palette: grey)
        let page = Page(
            "A picture", lead: "An animation.",
            sections: [Page.Section("It", [.image(try Image("Frames", png: picture, alternative: "frames", scale: 2))])], footer: "")
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(page.html().utf8).write(to: file)
        let seen = try await BrowserCheck.inspect(file, scheme: .light)
        #expect(seen.errors.isEmpty && seen.requests.isEmpty)
    }
}
