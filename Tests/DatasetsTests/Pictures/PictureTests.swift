import AtomicFiles
import Datasets
import Foundation
import Report
import TestSupport
import Testing

/// Writes a PNG picture whose pixel at a row, column and channel the closure says.
func writePNG(_ path: String, rows: Int, columns: Int, channels: Int = 3, _ value: (Int, Int, Int) -> UInt8) throws {
    let pixels = (0..<rows).flatMap { row in (0..<columns).flatMap { column in (0..<channels).map { value(row, column, $0) } } }
    try PNG.file(pixels, width: columns, height: rows, channels: channels).write(to: URL(fileURLWithPath: path))
}

/// The library that decodes JPEG need not be on a machine; then the error says what brings it.
let hasJPEG: Bool = {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("weightnorm-\(UUID().uuidString).jpg")
    defer { try? FileManager.default.removeItem(at: path) }
    try? Data(base64Encoded: PictureFixture.grey)?.write(to: path)
    return (try? Picture(reading: path.path)) != nil
}()

struct PictureTests {
    private func picture(_ base64: String) throws -> Picture {
        try withFolder { folder in
            try Data(base64Encoded: base64)?.write(to: URL(fileURLWithPath: "\(folder)/picture"))
            return try Picture(reading: "\(folder)/picture")
        }
    }

    private func problem(_ bytes: [UInt8]) throws -> String {
        try withFolder { folder in
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/picture.png"))
            let error = #expect(throws: DatasetError.self) { try Picture(reading: "\(folder)/picture.png") }
            return error?.problem ?? ""
        }
    }

    @Test("PNG pictures in grey and colour are read as they were written, whatever the file is called")
    func png() throws {
        try withFolder { folder in
            try writePNG("\(folder)/a.jpg", rows: 3, columns: 5) { UInt8(50 * $0 + 10 * $1 + $2) }
            let picture = try Picture(reading: "\(folder)/a.jpg")
            #expect((picture.channels, picture.rows, picture.columns) == (3, 3, 5))
            #expect(picture.pixels[..<5] == [0, 10, 20, 30, 40] && picture.pixels[15 + 5] == 51 && picture.pixels[44] == 142)
            try writePNG("\(folder)/b.png", rows: 2, columns: 2, channels: 1) { row, column, _ in UInt8(100 * row + column) }
            #expect(try Picture(reading: "\(folder)/b.png") == Picture(pixels: [0, 1, 100, 101], channels: 1, rows: 2, columns: 2))
        }
    }

    @Test("palettes, transparency, 16 bits and black and white are read as 8 bits of grey or colour")
    func kinds() throws {
        let palette = try picture(PictureFixture.palette)
        #expect((palette.channels, palette.rows, palette.columns) == (3, 12, 16))
        #expect(palette.pixels[0] == 255 && palette.pixels[15] == 0 && palette.pixels[2 * 192] == 128)
        #expect(try picture(PictureFixture.alpha) == palette, "what is transparent is not mixed with a background")
        let deep = try picture(PictureFixture.grey16)
        #expect(deep.channels == 1 && deep.pixels == (0..<20).map { UInt8(10 * $0) })
        let bits = try picture(PictureFixture.bit)
        #expect(bits.channels == 1 && bits.pixels == (0..<20).map { $0 == 7 ? 255 : 0 })
    }

    @Test("JPEG pictures are read, or the error says which command brings what reads them")
    func jpeg() throws {
        guard hasJPEG else {
            let bytes = try #require(Data(base64Encoded: PictureFixture.rgb))
            #expect(try problem(Array(bytes)).contains("apt-get install libturbojpeg0 brings it"))
            return
        }
        let colour = try picture(PictureFixture.rgb)
        #expect((colour.channels, colour.rows, colour.columns) == (3, 12, 16))
        for (place, value) in [(0, 255), (15, 0), (192, 0), (192 + 15, 255), (384, 128), (384 + 11 * 16, 0)] {
            #expect(abs(Int(colour.pixels[place]) - value) < 8, "\(place)")
        }
        let grey = try picture(PictureFixture.grey)
        #expect(grey.channels == 1 && abs(Int(grey.pixels[0]) - 91) < 4)
        #expect(throws: DatasetError.self) { try picture(PictureFixture.cmyk) }
    }

    @Test("what is no picture, or a damaged one, is refused in one line")
    func damaged() throws {
        #expect(try problem([]).contains("expected a PNG or JPEG picture, found an empty file"))
        #expect(try problem(Array("GIF89a".utf8)).contains("expected a PNG or JPEG picture, found something else"))
        let png = Array(try #require(Data(base64Encoded: PictureFixture.palette)))
        for end in [8, 20, 33, png.count - 30, png.count - 13] {
            #expect(try problem(Array(png[..<end])).contains("expected an undamaged PNG picture, found: "), "\(end)")
        }
        // A header that states 65535 × 65535 pixels, with its checksum.
        var large = Array(PNG.file([0], width: 1, height: 1, channels: 1))
        large.replaceSubrange(16..<24, with: [0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF])
        let sum = CRC32.of(large[12..<29])
        large.replaceSubrange(29..<33, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) })
        #expect(try problem(large).contains("expected at most 100000000 pixels, found 65535 × 65535"))
        guard hasJPEG else { return }
        let jpeg = Array(try #require(Data(base64Encoded: PictureFixture.rgb)))
        for end in [3, 40, jpeg.count - 40] {
            #expect(try problem(Array(jpeg[..<end])).contains("expected an undamaged JPEG picture, found: "), "\(end)")
        }
    }

    @Test("grey and colour become each other, and a picture is scaled to cover a size, of which the middle stays")
    func fitted() throws {
        let colour = Picture(pixels: [255, 0, 0, 255, 10, 20], channels: 3, rows: 1, columns: 2)
        #expect(colour.with(channels: 1).pixels == [77, 152] && colour.with(channels: 3) == colour)
        #expect(colour.with(channels: 1).with(channels: 3).pixels == [77, 152, 77, 152, 77, 152])
        // A stripe down the middle of a wide picture fills what is cut out.
        let wide = Picture(pixels: (0..<4 * 16).map { (6..<10).contains($0 % 16) ? 200 : 0 }, channels: 1, rows: 4, columns: 16)
        #expect(wide.fitted(rows: 4, columns: 4).pixels == [UInt8](repeating: 200, count: 16))
        #expect(wide.fitted(rows: 4, columns: 16) == wide)
        let even = Picture(pixels: [UInt8](repeating: 77, count: 35), channels: 1, rows: 5, columns: 7)
        for size in [1, 3, 12, 40] { #expect(even.fitted(rows: size, columns: size).pixels == [UInt8](repeating: 77, count: size * size)) }
        // Made smaller, each pixel is a mean of those that it covers.
        let board = Picture(pixels: (0..<64).map { ($0 / 8 + $0 % 8) % 2 == 0 ? 0 : 200 }, channels: 1, rows: 8, columns: 8)
        #expect(board.fitted(rows: 2, columns: 2).pixels.allSatisfy { (90...110).contains($0) })
    }
}
