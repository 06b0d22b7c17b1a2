public import Foundation

/// Pictures as PNG files: still pictures, uncompressed since those in a report are small, and animations.
public enum PNG {
    /// A file of `[height, width, channels]` bytes: 1 channel is grey, 3 are red, green and blue.
    ///
    /// The compressed data are stored blocks of the deflate format (RFC 1950, 1951), so no compressor is needed. Traps unless the number of bytes
    /// matches the size.
    public static func file(_ pixels: [UInt8], width: Int, height: Int, channels: Int) -> Data {
        guard channels == 1 || channels == 3, width > 0, height > 0, pixels.count == width * height * channels else {
            fatalError("PNG: expected 1 or 3 × \(width) × \(height) bytes, found \(pixels.count) for \(channels)")
        }
        var data = signature
        // Eight bits per channel; colour type 0 is grey, 2 is colour; no interlacing.
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

    /// A colour of a palette.
    public struct Colour: Equatable, Sendable {
        /// From 0 to 255.
        public let red: UInt8
        /// From 0 to 255.
        public let green: UInt8
        /// From 0 to 255.
        public let blue: UInt8

        /// A colour from three components from 0 to 255.
        public init(red: UInt8, green: UInt8, blue: UInt8) { (self.red, self.green, self.blue) = (red, green, blue) }

        /// The given number of grey levels, from black to white.
        public static func greys(_ count: Int) -> [Colour] {
            (0..<count).map { level in
                let grey = UInt8((Double(level) * 255 / Double(count - 1)).rounded())
                return Colour(red: grey, green: grey, blue: grey)
            }
        }
    }

    /// A frame of an animation.
    public struct Frame {
        /// Palette indices, `[height, width]`.
        public let pixels: [UInt8]
        /// How long it is shown.
        public let milliseconds: Int

        /// A frame that is shown for the given time.
        public init(_ pixels: [UInt8], milliseconds: Int) {
            self.pixels = pixels
            self.milliseconds = milliseconds
        }
    }

    /// A looping animation (PNG, third edition, §11.3.6: APNG), which browsers play; other programs show its first frame.
    ///
    /// Only the rectangle of each frame that differs from the previous one is stored. Traps unless there are 1 to 256 colours, at least one frame,
    /// and each has as many pixels as the size says.
    public static func animation(_ frames: [Frame], width: Int, height: Int, palette: [Colour]) -> Data {
        animation(frames.count, width: width, height: height, palette: palette) { frames[$0] }
    }

    /// The same with frames made one after the other, so that only two of them are in memory.
    public static func animation(_ count: Int, width: Int, height: Int, palette: [Colour], frame: (Int) throws -> Frame) rethrows -> Data {
        guard count > 0, width > 0, height > 0, (1...256).contains(palette.count) else {
            fatalError(
                "PNG: expected frames of at least a pixel and 1 to 256 colours, found \(count) of \(width) × \(height) and \(palette.count)"
            )
        }
        var data = signature
        // Colour type 3: palette indices.
        chunk("IHDR", number(width) + number(height) + [8, 3, 0, 0, 0], to: &data)
        chunk("acTL", number(count) + number(0), to: &data)
        chunk("PLTE", palette.flatMap { [$0.red, $0.green, $0.blue] }, to: &data)
        var sequence = 0
        func next() -> [UInt8] {
            defer { sequence += 1 }
            return number(sequence)
        }
        var last: Frame?
        for index in 0..<count {
            let frame = try frame(index)
            guard frame.pixels.count == width * height else {
                fatalError("PNG: expected frames of \(width) × \(height) pixels, found one of \(frame.pixels.count)")
            }
            let part = last.map { Part(of: frame, from: $0, width: width) } ?? Part(left: 0, top: 0, width: width, height: height)
            last = frame
            var lines: [UInt8] = []
            for row in part.top..<part.top + part.height {
                lines.append(0)
                lines += frame.pixels[row * width + part.left..<row * width + part.left + part.width]
            }
            let duration = max(0, min(frame.milliseconds, 65535))
            // The frame stays until the next is drawn over it, and replaces what is there.
            let control =
                number(part.width) + number(part.height) + number(part.left) + number(part.top)
                + [UInt8(duration >> 8), UInt8(duration & 255), UInt8(1000 >> 8), UInt8(1000 & 255), 0, 0]
            chunk("fcTL", next() + control, to: &data)
            if index == 0 { chunk("IDAT", packed(lines), to: &data) } else { chunk("fdAT", next() + packed(lines), to: &data) }
        }
        chunk("IEND", [], to: &data)
        return data
    }

    /// The rectangle of a frame that is stored; one pixel if nothing has changed.
    private struct Part {
        var left: Int
        var top: Int
        var width: Int
        var height: Int

        init(left: Int, top: Int, width: Int, height: Int) { (self.left, self.top, self.width, self.height) = (left, top, width, height) }

        init(of frame: Frame, from last: Frame, width: Int) {
            var (left, right, top, bottom) = (width, -1, -1, -1)
            for row in 0..<frame.pixels.count / width {
                let line = row * width..<(row + 1) * width
                guard frame.pixels[line] != last.pixels[line] else { continue }
                if top < 0 { top = row }
                bottom = row
                for column in 0..<width where frame.pixels[line.lowerBound + column] != last.pixels[line.lowerBound + column] {
                    left = min(left, column)
                    right = max(right, column)
                }
            }
            self =
                right < 0
                ? Part(left: 0, top: 0, width: 1, height: 1)
                : Part(left: left, top: top, width: right - left + 1, height: bottom - top + 1)
        }
    }

    private static let signature = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])

    private static func chunk(_ name: StaticString, _ content: [UInt8], to data: inout Data) {
        let named = name.withUTF8Buffer { Array($0) } + content
        data += number(content.count)
        data += named
        data += number(Int(crc32(named)))
    }

    /// The checksum of a chunk (ISO 3309). Implemented here so that reports need no other target of this package; pictures are small.
    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var sum = ~UInt32(0)
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 {
                let isOdd = sum & 1 == 1
                sum >>= 1
                if isOdd { sum ^= 0xEDB8_8320 }
            }
        }
        return ~sum
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
        return result + adler32(bytes)
    }

    /// A zlib stream, compressed if the system has zlib.
    private static func packed(_ bytes: [UInt8]) -> [UInt8] { Zlib.packed(bytes) ?? stored(bytes) }

    /// The checksum of a zlib stream.
    private static func adler32(_ bytes: [UInt8]) -> [UInt8] {
        var (first, second): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            first = (first + UInt32(byte)) % 65521
            second = (second + first) % 65521
        }
        return number(Int(second << 16 | first))
    }

    private static func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
}
