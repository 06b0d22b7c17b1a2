internal import AtomicFiles
internal import CPictures
import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A picture from a PNG or JPEG file, 8 bits a channel.
///
/// Files are decoded by the system's libpng and libjpeg-turbo, which are loaded when first needed. Transparency is left out, as are colour profiles and the orientation that a camera noted.
public struct Picture: Equatable, Sendable {
    /// 1 for grey, 3 for red, green and blue.
    public let channels: Int
    /// The height in pixels.
    public let rows: Int
    /// The width in pixels.
    public let columns: Int
    /// 0 for dark to 255, `[channels, rows, columns]`.
    public let pixels: [UInt8]

    /// A picture in memory; traps unless there are channels × rows × columns bytes.
    public init(pixels: [UInt8], channels: Int, rows: Int, columns: Int) {
        trap(
            unless: pixels.count == channels * rows * columns && channels > 0,
            "picture: expected \(channels) × \(rows) × \(columns) pixels, found \(pixels.count) bytes")
        (self.pixels, self.channels, self.rows, self.columns) = (pixels, channels, rows, columns)
    }

    /// The largest file that is read, in bytes, and the most pixels that one may have.
    static let mostBytes = 256 << 20, mostPixels = 100_000_000

    /// Reads a picture; which kind it is, its first bytes say.
    ///
    /// - Throws: `FileError` if the system cannot read the file; ``DatasetError`` if it is no PNG or JPEG picture, a damaged one, one of more than 100 million pixels, or if the library that
    ///   decodes it is not on this machine: the error then says which command brings it.
    public init(reading path: String) throws {
        let (picture, decoded) = try Self.decode(path, wantsPixels: true)
        guard let decoded else { throw FileError(path: path, operation: "read", code: ENOMEM) }
        defer { cpictures_free(decoded) }
        let (channels, size) = (Int(picture.channels), Int(picture.width) * Int(picture.height))
        let pixels = [UInt8](unsafeUninitializedCapacity: channels * size) { buffer, count in
            for channel in 0..<channels {
                for place in 0..<size { buffer[channel * size + place] = decoded[place * channels + channel] }
            }
            count = channels * size
        }
        self.init(pixels: pixels, channels: channels, rows: Int(picture.height), columns: Int(picture.width))
    }

    /// What a picture's header says, without decoding it.
    struct Header: Equatable {
        var channels: Int
        var rows: Int
        var columns: Int
    }

    /// Reads only a picture's header; throws as ``init(reading:)``.
    static func header(of path: String) throws -> Header {
        let picture = try decode(path, wantsPixels: false).picture
        return Header(channels: Int(picture.channels), rows: Int(picture.height), columns: Int(picture.width))
    }

    private static func decode(
        _ path: String, wantsPixels: Bool
    ) throws -> (picture: CPicture, pixels: UnsafeMutablePointer<UInt8>?) {
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK, reportedAs: path, operation: "read")
        let bytes = try file.contents(atMost: mostBytes, reportedAs: path)
        let isPNG = bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        guard isPNG || bytes.starts(with: [0xFF, 0xD8, 0xFF]) else {
            throw DatasetError(
                path: path, problem: "expected a PNG or JPEG picture, found \(bytes.isEmpty ? "an empty file" : "something else")")
        }
        let decode = isPNG ? cpictures_png : cpictures_jpeg
        var message = [CChar](repeating: 0, count: 256)
        func run(_ decodes: Bool) throws -> CPicture {
            var picture = CPicture()
            switch Int(decode(bytes, bytes.count, decodes ? 1 : 0, &picture, &message, message.count)) {
            case CPICTURES_OK: return picture
            case CPICTURES_NO_LIBRARY:
                let (library, package) = isPNG ? ("libpng", "libpng16-16") : ("libjpeg-turbo", "libturbojpeg0")
                throw DatasetError(
                    path: path, problem: "expected \(library) on this machine, found none; on Debian, apt-get install \(package) brings it")
            case CPICTURES_NO_MEMORY: throw FileError(path: path, operation: "read", code: ENOMEM)
            default:
                let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                throw DatasetError(path: path, problem: "expected an undamaged \(isPNG ? "PNG" : "JPEG") picture, found: \(text)")
            }
        }
        // The header first: what it states is compared with what is sensible before memory is allocated.
        let header = try run(false)
        guard Int(header.width) * Int(header.height) <= mostPixels else {
            throw DatasetError(path: path, problem: "expected at most \(mostPixels) pixels, found \(header.width) × \(header.height)")
        }
        guard wantsPixels else { return (header, nil) }
        let picture = try run(true)
        return (picture, picture.pixels)
    }

    /// The picture in grey or in colour: grey is repeated for red, green and blue; of a coloured one it is 0.299 R + 0.587 G + 0.114 B.
    public func with(channels wanted: Int) -> Picture {
        guard wanted != channels else { return self }
        let size = rows * columns
        if wanted == 3 { return Picture(pixels: pixels + pixels + pixels, channels: 3, rows: rows, columns: columns) }
        let grey = (0..<size).map { place -> UInt8 in
            let sum = 299 * Int(pixels[place]) + 587 * Int(pixels[size + place]) + 114 * Int(pixels[2 * size + place])
            return UInt8((sum + 500) / 1000)
        }
        return Picture(pixels: grey, channels: 1, rows: rows, columns: columns)
    }

    /// The picture scaled, keeping its proportions, to cover the given size, and its middle cut out; smoothed where it becomes smaller.
    public func fitted(rows: Int, columns: Int) -> Picture {
        guard (rows, columns) != (self.rows, self.columns) else { return self }
        let factor = max(Double(rows) / Double(self.rows), Double(columns) / Double(self.columns))
        let height = max(rows, Int((Double(self.rows) * factor).rounded()))
        let width = max(columns, Int((Double(self.columns) * factor).rounded()))
        let (top, left) = ((height - rows) / 2, (width - columns) / 2)
        return withoutGradients {
            let scaled = Tensor(pixels, shape: [1, channels, self.rows, self.columns]).converted(to: .float32)
                .resizedSmooth(to: [height, width])
            let part = scaled[0, .all, top..<top + rows, left..<left + columns]
            // To the nearest whole number.
            return Picture(
                pixels: (part.clamped(from: 0, to: 255) + 0.5).floor().elements(as: UInt8.self), channels: channels, rows: rows,
                columns: columns)
        }
    }
}
