package import Foundation
import Torch
import Training

/// Pictures as PNG files, without compression: those of a report are small.
package enum PNG {
    /// A file of `[height, width, channels]` bytes: 1 channel is grey, 3 are red, green and blue.
    ///
    /// The compressed data are stored blocks of the deflate format (RFC 1950, 1951), so that no compressor is needed. Traps unless the bytes are as
    /// many as the size says.
    package static func file(_ pixels: [UInt8], width: Int, height: Int, channels: Int) -> Data {
        trap(
            unless: (channels == 1 || channels == 3) && width > 0 && height > 0 && pixels.count == width * height * channels,
            "PNG: expected 1 or 3 × \(width) × \(height) bytes, found \(pixels.count) for \(channels)")
        var data = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        // Eight bits a channel; colour type 0 is grey, 2 is colour; no interlacing.
        chunk("IHDR", number(width) + number(height) + [8, channels == 1 ? 0 : 2, 0, 0, 0], to: &data)
        var lines: [UInt8] = []
        lines.reserveCapacity(height * (1 + width * channels))
        for row in 0..<height {
            lines.append(0)  // the line's filter: none
            lines += pixels[row * width * channels..<(row + 1) * width * channels]
        }
        chunk("IDAT", stored(lines), to: &data)
        chunk("IEND", [], to: &data)
        return data
    }

    private static func chunk(_ name: StaticString, _ content: [UInt8], to data: inout Data) {
        let named = name.withUTF8Buffer { Array($0) } + content
        data += number(content.count)
        data += named
        data += number(Int(CRC32.of(named)))
    }

    /// A zlib stream of stored blocks.
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [0x78, 0x01]
        let most = 65535
        for start in stride(from: 0, to: bytes.count, by: most) {
            let end = min(start + most, bytes.count)
            let length = end - start
            result.append(end == bytes.count ? 1 : 0)
            result += [UInt8(length & 255), UInt8(length >> 8), UInt8(~length & 255), UInt8(~length >> 8 & 255)]
            result += bytes[start..<end]
        }
        // Adler-32.
        var (first, second): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            first = (first + UInt32(byte)) % 65521
            second = (second + first) % 65521
        }
        return result + number(Int(second << 16 | first))
    }

    private static func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
}
