import Foundation
import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A file in the format of MNIST: a header of big-endian words (magic number, then the dimensions) and one byte an element.
///
/// The magic number is 0x000008NN for unsigned bytes with NN dimensions: 0x00000801 for labels, 0x00000803 for images. A file whose
/// name ends in `.gz` or which begins with the bytes 1f 8b is read through the system's `gzip`.
public struct IDXFile: Equatable, Sendable {
    /// The sizes, the slowest first: `[count, rows, columns]` for images.
    public let dimensions: [Int]
    /// The elements, in row-major order.
    public let bytes: [UInt8]

    /// More elements than this are taken for a damaged header.
    static let mostElements = 1 << 31

    /// Reads a file, and checks its header before it makes room for what that promises.
    ///
    /// The rank is the number of dimensions to insist on; nil permits 1 to 4.
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
        // One byte more than promised is asked for: it tells a file that is too long, and a bomb never gets further.
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

/// Images of one size in grey, and the class of each.
public struct ImageSet: Equatable, Sendable {
    /// The pixels, 0 for black to 255, as `[count, rows, columns]`.
    public let images: [UInt8]
    /// The class of each image, from 0 up.
    public let labels: [UInt8]
    /// The height of an image in pixels.
    public let rows: Int
    /// The width of an image in pixels.
    public let columns: Int
    /// The number of images.
    public var count: Int { labels.count }

    /// A set of images in memory; traps unless there is a class and rows × columns bytes for each image.
    public init(images: [UInt8], labels: [UInt8], rows: Int, columns: Int) {
        trap(
            unless:
                images.count == labels.count * rows * columns,
            "images: expected \(labels.count) of \(rows) × \(columns) pixels, found \(images.count) bytes")
        self.images = images
        self.labels = labels
        self.rows = rows
        self.columns = columns
    }

    /// The two parts in which MNIST and its like are published.
    public enum Split: String, CaseIterable, Sendable {
        /// The images to learn from.
        case training = "train"
        /// The images to measure the error on.
        case test = "t10k"
    }

    /// Reads a file of images and the file of their labels.
    ///
    /// - Throws: ``DatasetError`` if one is damaged, their counts differ, or a label is not below `classes`.
    public static func read(images imagePath: String, labels labelPath: String, classes: Int = 10) throws -> ImageSet {
        // The labels first: if the two names were given the wrong way round, no images are read in vain.
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

    /// Reads one part of MNIST, Fashion-MNIST or the like from a folder that holds their four files, packed by `gzip` or not.
    ///
    /// The names are those of publication, such as `train-images-idx3-ubyte.gz`; a dot in the place of the second hyphen is known too.
    public static func load(folder: String, split: Split, classes: Int = 10) throws -> ImageSet {
        try read(
            images: find("\(split.rawValue)-images", "idx3-ubyte", in: folder),
            labels: find("\(split.rawValue)-labels", "idx1-ubyte", in: folder), classes: classes)
    }

    private static func find(_ stem: String, _ ending: String, in folder: String) throws -> String {
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

/// The bytes of a file in order, unpacked by `gzip` where it is packed.
private final class ByteStream {
    let path: String
    /// The number of bytes in all; nil for a packed file, where only reading tells.
    let length: Int?

    private let input: FileHandle
    private let gzip: Process?
    private let messages = Pipe()

    init(path: String) throws {
        self.path = path
        func failure(_ problem: String) -> DatasetError { DatasetError(path: path, problem: problem) }
        // Not blocking: opening a pipe would wait for its writer, before it can be told from a file.
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw failure("cannot read it: \(String(cString: strerror(errno)))") }
        let file = FileHandle(fileDescriptor: number, closeOnDealloc: true)
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("expected a regular file, found a folder, device or pipe")
        }
        var start: [UInt8] = [0, 0]
        let isPacked = pread(number, &start, 2, 0) == 2 && start == [0x1F, 0x8B]
        guard isPacked || path.hasSuffix(".gz") else {
            (length, input, gzip) = (Int(status.st_size), file, nil)
            return
        }
        guard let program = Self.findGzip() else {
            throw failure("expected the program gzip to unpack it, found none in PATH: install gzip or unpack the file")
        }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["-dc"]
        // By standard input, gzip minds neither how the file's name ends nor a hyphen at its beginning.
        process.standardInput = file
        process.standardOutput = output
        process.standardError = messages
        do {
            try process.run()
        } catch {
            throw failure("cannot run \(program) to unpack it: \(error.localizedDescription)")
        }
        (length, input, gzip) = (nil, output.fileHandleForReading, process)
    }

    // Reading may end early, at a wrong header or at a byte too many: gzip would wait for ever to write the rest. It ends because the
    // pipe is closed. SIGTERM would not do: started on a worker thread, gzip has inherited that thread's mask, which blocks it.
    deinit {
        guard let gzip, gzip.isRunning else { return }
        try? input.close()
        gzip.waitUntilExit()
    }

    /// The next `count` bytes, or fewer where the file ends.
    ///
    /// Room is made as bytes arrive, not as many as a header may promise.
    func next(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(count, 1 << 26))
        var chunk = [UInt8](repeating: 0, count: min(count, 1 << 18))
        while bytes.count < count {
            let found = read(input.fileDescriptor, &chunk, min(count - bytes.count, chunk.count))
            if found > 0 {
                bytes += chunk[..<found]
            } else if found == 0 {
                try checkGzip()
                break
            } else if errno != EINTR {
                throw DatasetError(path: path, problem: "cannot read it: \(String(cString: strerror(errno)))")
            }
        }
        return bytes
    }

    /// At the end of the output: whether gzip was content with its input.
    private func checkGzip() throws {
        guard let gzip else { return }
        // Read only now, after the output's end: gzip says a line or two, far less than the pipe holds, so it never waited for this.
        let said = (try? messages.fileHandleForReading.readToEnd()) ?? Data()
        gzip.waitUntilExit()
        guard gzip.terminationReason != .exit || gzip.terminationStatus != 0 else { return }
        let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
        let reason = lines.joined(separator: "; ").replacingOccurrences(of: "gzip: stdin: ", with: "")
        throw DatasetError(path: path, problem: "gzip cannot unpack it: \(reason.isEmpty ? "status \(gzip.terminationStatus)" : reason)")
    }

    private static func findGzip() -> String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/bin", "/bin"]
        return folders.map { "\($0)/gzip" }.first { access($0, X_OK) == 0 }
    }
}
