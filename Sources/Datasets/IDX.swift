#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A file in the format of MNIST: a header of big-endian words (magic number, then the dimensions) and one byte per element.
///
/// The magic number is 0x000008NN for unsigned bytes with NN dimensions: 0x00000801 for labels, 0x00000803 for images. A file whose
/// name ends in `.gz` or which begins with the bytes 1f 8b is read through the system's `gzip`.
public struct IDXFile: Equatable, Sendable {
    /// The sizes, the slowest first: `[count, rows, columns]` for images.
    public let dimensions: [Int]
    /// The elements, in row-major order.
    public let bytes: [UInt8]

    /// More elements than this count as a damaged header.
    static let mostElements = 1 << 31

    /// Reads a file; its header is checked before memory is allocated for what it promises.
    ///
    /// The rank is the required number of dimensions; nil permits 1 to 4.
    ///
    /// - Throws: ``DatasetError`` if the file is missing, damaged, shorter or longer than its header says, or of another rank.
    public static func read(_ path: String, rank: Int? = nil) throws -> IDXFile {
        try parse(ByteStream(path: path), rank: rank)
    }

    private static func parse(_ stream: ByteStream, rank expected: Int?) throws -> IDXFile {
        func failure(_ problem: String) -> DatasetError { DatasetError(path: stream.path, problem: problem) }
        let magic = try stream.next(4)
        guard magic.count == 4 else {
            throw failure("expected the header of an IDX file, at least 8 bytes, found \(magic.count)")
        }
        let rank = Int(magic[3])
        guard magic[0...2] == [0, 0, 8], (1...4).contains(rank) else {
            throw failure("expected an IDX file of unsigned bytes (magic number 0x00000801 to 0x00000804), found \(hexadecimal(magic))")
        }
        if let expected, expected != rank {
            throw failure("expected \(kind(expected)), found \(kind(rank))")
        }
        let words = try stream.next(4 * rank)
        guard words.count == 4 * rank else {
            throw failure("expected a header of \(4 + 4 * rank) bytes, found \(4 + words.count)")
        }
        let dimensions = (0..<rank).map { words[4 * $0..<4 * $0 + 4].reduce(0) { $0 << 8 | Int($1) } }
        let shape = dimensions.map(String.init).joined(separator: " × ")
        var elements = 1
        for dimension in dimensions {
            let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
            guard dimension > 0, !overflow, product <= mostElements else {
                throw failure("expected dimensions from 1 up and at most \(mostElements) elements in all, found \(shape)")
            }
            elements = product
        }
        let promised = 4 + 4 * rank + elements
        func wrongLength(_ found: String) -> DatasetError { failure("expected \(promised) bytes for \(shape), found \(found)") }
        if let length = stream.length, length != promised { throw wrongLength("\(length)") }
        // One byte more than promised is requested: it reveals a file that is too long, and a decompression bomb gets no further.
        let bytes = try stream.next(elements + 1)
        guard bytes.count >= elements else { throw wrongLength("\(promised - elements + bytes.count)") }
        guard bytes.count == elements else { throw wrongLength("more") }
        return IDXFile(dimensions: dimensions, bytes: bytes)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        "0x" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func kind(_ rank: Int) -> String {
        let name = [1: "labels, ", 3: "images, "][rank] ?? ""
        return "\(name)\(rank) dimension\(rank == 1 ? "" : "s") (magic number 0x0000080\(rank))"
    }
}

extension ImageSet {
    /// Reads a file of images and the file of their labels.
    ///
    /// - Throws: ``DatasetError`` if one is damaged, their counts differ, or a label is not below `classes`.
    public static func read(images imagePath: String, labels labelPath: String, classes: Int = 10) throws -> ImageSet {
        // The labels first: if the two names were swapped, no images are read in vain.
        let labels = try IDXFile.read(labelPath, rank: 1)
        let images = try IDXFile.read(imagePath, rank: 3)
        guard labels.bytes.count == images.dimensions[0] else {
            throw DatasetError(
                path: labelPath,
                problem: "expected \(images.dimensions[0]) labels, as many as images in \(imagePath), found \(labels.bytes.count)")
        }
        if let index = labels.bytes.firstIndex(where: { $0 >= classes }) {
            throw DatasetError(
                path: labelPath, problem: "expected labels from 0 to \(classes - 1), found \(labels.bytes[index]) at index \(index)")
        }
        return ImageSet(images: images.bytes, labels: labels.bytes, rows: images.dimensions[1], columns: images.dimensions[2])
    }

    /// Reads one part of MNIST, Fashion-MNIST or the like from a folder with the four files, compressed by `gzip` or not.
    ///
    /// The names are the published ones, such as `train-images-idx3-ubyte.gz`; a dot instead of the second hyphen is accepted too.
    public static func load(folder: String, split: Split, classes: Int = 10) throws -> ImageSet {
        try read(
            images: find("\(split.rawValue)-images", "idx3-ubyte", in: folder),
            labels: find("\(split.rawValue)-labels", "idx1-ubyte", in: folder), classes: classes)
    }

    static func find(_ stem: String, _ ending: String, in folder: String) throws -> String {
        let names = ["-", "."].flatMap { ["\(stem)\($0)\(ending)", "\(stem)\($0)\(ending).gz"] }
        let base = folder.hasSuffix("/") ? folder : "\(folder)/"
        guard let name = names.first(where: { access(base + $0, F_OK) == 0 }) else {
            var status = stat()
            let isFolder = stat(folder, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            let expected = "expected one of \(names.joined(separator: ", "))"
            throw DatasetError(path: folder, problem: "\(expected); found \(isFolder ? "none of them" : "no such folder")")
        }
        return base + name
    }
}
