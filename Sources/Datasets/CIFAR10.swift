#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// CIFAR-10 in its binary version: 60,000 photographs of 32 × 32 pixels in colour, in ten classes.
///
/// The five files `data_batch_1.bin` to `data_batch_5.bin` are for training, `test_batch.bin` for the test error. A file consists of records of 3073
/// bytes, without a header: the class, then 1024 bytes each of red, green and blue, row-major. (Krizhevsky, *Learning Multiple Layers of Features
/// from Tiny Images*, 2009.)
public enum CIFAR10 {
    /// What the classes 0 to 9 show.
    public static let classNames = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

    /// The folder in the published archive.
    static let archiveFolder = "cifar-10-batches-bin"

    private static let side = 32
    private static let channels = 3
    private static let features = channels * side * side
    /// Records in a published file; a file with more is another data set.
    private static let mostRecords = 10_000

    static func files(_ split: ImageSet.Split) -> [String] {
        switch split {
        case .training: (1...5).map { "data_batch_\($0).bin" }
        case .test: ["test_batch.bin"]
        }
    }

    /// Reads a part of the data set from a folder with its files, or with the archive's folder `cifar-10-batches-bin`.
    ///
    /// A file may hold fewer images than the published 10,000, as long as all files of the part hold the same number.
    ///
    /// - Throws: ``DatasetError`` if a file is missing, is not a whole number of records, or has a class above 9.
    public static func load(folder: String, split: ImageSet.Split) throws -> ImageSet {
        let names = files(split)
        let paths = names.map { find($0, in: folder) }
        let missing = zip(names, paths).filter { $0.1 == nil }.map(\.0)
        guard missing.isEmpty else {
            throw DatasetError(
                path: folder, problem: "expected the files of CIFAR-10's binary version, found no \(missing.joined(separator: ", no "))")
        }
        var images: [UInt8] = []
        var labels: [UInt8] = []
        var first: (path: String, count: Int)?
        for path in paths.compactMap({ $0 }) {
            let count = try append(path, to: &images, &labels)
            if let first, first.count != count {
                throw DatasetError(path: path, problem: "expected \(first.count) images as in \(first.path), found \(count)")
            }
            if first == nil {
                first = (path, count)
                images.reserveCapacity(count * paths.count * features)
                labels.reserveCapacity(count * paths.count)
            }
        }
        return ImageSet(images: images, labels: labels, channels: channels, rows: side, columns: side, classNames: classNames)
    }

    /// Whether a folder contains a file of this data set, or the archive's folder.
    static func isThere(in folder: String) -> Bool {
        ImageSet.Split.allCases.contains { files($0).contains { find($0, in: folder) != nil } }
            || access("\(folder)/\(archiveFolder)", F_OK) == 0
    }

    private static func find(_ name: String, in folder: String) -> String? {
        ["\(folder)/\(name)", "\(folder)/\(archiveFolder)/\(name)"].first { access($0, F_OK) == 0 }
    }

    /// Appends a file's images and labels; returns their number.
    private static func append(_ path: String, to images: inout [UInt8], _ labels: inout [UInt8]) throws -> Int {
        func failure(_ problem: String) -> DatasetError { DatasetError(path: path, problem: problem) }
        let record = 1 + features
        let stream = try ByteStream(path: path)
        let most = mostRecords * record
        let bytes = try stream.next(most + 1)
        guard bytes.count <= most else {
            throw failure(
                "expected at most \(mostRecords) records of \(record) bytes, \(most) bytes, found \(stream.length.map(String.init) ?? "more")"
            )
        }
        guard !bytes.isEmpty, bytes.count.isMultiple(of: record) else {
            throw failure("expected records of \(record) bytes, one or more, found \(bytes.count) bytes")
        }
        let count = bytes.count / record
        for index in 0..<count {
            let label = bytes[index * record]
            guard label < classNames.count else {
                throw failure("expected classes from 0 to \(classNames.count - 1), found \(label) in record \(index)")
            }
            labels.append(label)
            images += bytes[index * record + 1..<(index + 1) * record]
        }
        return count
    }
}
