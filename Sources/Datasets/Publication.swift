#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A data set as published: its files with their checksums, and where to get them.
public struct Publication: Equatable, Sendable {
    /// A file as it is in the data set's folder, unpacked.
    public struct File: Equatable, Sendable {
        /// Its name without folders.
        public let name: String
        /// Its size.
        public let bytes: Int
        /// MD5 in hexadecimal digits.
        public let md5: String

        /// A file with its size and its MD5 in hexadecimal digits.
        public init(_ name: String, bytes: Int, md5: String) {
            self.name = name
            self.bytes = bytes
            self.md5 = md5
        }
    }

    /// A file as downloaded: one file compressed by `gzip`, or a `.tar.gz` of several.
    public struct Download: Equatable, Sendable {
        /// Its name, which follows a mirror's address and a slash.
        public let name: String
        /// MD5 of the published compressed file. Others may have compressed the same files again: what counts is in ``files``.
        public let md5: String
        /// The files in it that belong to the data set; other files of an archive are ignored.
        public let files: [File]

        /// A download that holds these files.
        public init(_ name: String, md5: String, files: [File]) {
            self.name = name
            self.md5 = md5
            self.files = files
        }

        /// Whether it is an archive of several files, by its name.
        public var isArchive: Bool { name.hasSuffix(".tar.gz") }

        /// No more bytes than this are accepted: compression makes nothing much longer.
        public var mostBytes: Int {
            let unpacked = files.reduce(0) { $0 + $1.bytes }
            return unpacked + unpacked / 100 + 1_000_000
        }
    }

    /// The name of the data set, and of its folder.
    public let name: String
    /// A one-line description.
    public let title: String
    /// The address of its page.
    public let home: String
    /// The terms on which it may be used, as far as they are stated.
    public let licence: String
    /// Addresses of folders with the downloads; they are tried in this order.
    public let mirrors: [String]
    /// What is fetched from a mirror.
    public let downloads: [Download]

    /// A data set of your own, which ``DataFetcher`` fetches and checks like the known ones.
    public init(name: String, title: String, home: String, licence: String, mirrors: [String], downloads: [Download]) {
        self.name = name
        self.title = title
        self.home = home
        self.licence = licence
        self.mirrors = mirrors
        self.downloads = downloads
    }

    /// The files of all downloads.
    public var files: [File] { downloads.flatMap(\.files) }
    /// The size of all files.
    public var bytes: Int { files.reduce(0) { $0 + $1.bytes } }

    // MARK: - What lies in a folder

    /// A file's path in a folder, under any of its possible names: compressed or not, in the archive's folder or not.
    public static func find(_ file: File, in folder: String) -> String? {
        spellings(of: file.name).map { "\(folder)/\($0)" }.first { access($0, F_OK) == 0 }
    }

    private static func spellings(of name: String) -> [String] {
        if name.hasSuffix(".bin") { return [name, "\(CIFAR10.archiveFolder)/\(name)"] }
        let names =
            [name] + ["idx1-ubyte", "idx3-ubyte"].filter { name.hasSuffix("-\($0)") }.map { "\(name.dropLast($0.count + 1)).\($0)" }
        return names.flatMap { [$0, "\($0).gz"] }
    }

    /// The state of a file in a folder.
    public enum State: Equatable, Sendable {
        /// It has the size and the checksum.
        case right
        /// There is no file under any of its names.
        case missing
        /// What was expected and found, in words.
        case wrong(String)
    }

    /// Reads a file in a folder and compares the checksum of its unpacked bytes.
    public static func check(_ file: File, in folder: String) -> State {
        guard let path = find(file, in: folder) else { return .missing }
        do {
            let (sum, bytes) = try MD5.ofFile(path, limit: file.bytes)
            if bytes != file.bytes { return .wrong("expected \(file.bytes) bytes, found \(bytes)") }
            return sum == file.md5 ? .right : .wrong("expected MD5 \(file.md5), found \(sum)")
        } catch let error as DatasetError {
            return .wrong(error.problem)
        } catch {
            return .wrong("\(error)")
        }
    }

    /// Whether every file is in the folder, judged only by name.
    public func isThere(in folder: String) -> Bool { files.allSatisfy { Self.find($0, in: folder) != nil } }
}

extension Publication {
    /// Every data set known by name.
    public static let all = [cifar10, fashionMNIST, mnist]

    /// CIFAR-10, in its binary version.
    public static let cifar10 = Publication(
        name: "cifar10", title: "CIFAR-10: 60,000 colour photographs, 32 × 32, 10 classes",
        home: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: "none stated; cite Krizhevsky 2009",
        mirrors: ["https://www.cs.toronto.edu/~kriz"],
        downloads: [
            Download(
                "cifar-10-binary.tar.gz", md5: "c32a1d4ab5d03f1284b67883e8d87530",
                files: [
                    File("data_batch_1.bin", bytes: 30_730_000, md5: "5dd7e06a14cb22eb9f671a540d1b7c25"),
                    File("data_batch_2.bin", bytes: 30_730_000, md5: "5ea93a67294ea407fff1d09f752e9692"),
                    File("data_batch_3.bin", bytes: 30_730_000, md5: "942cd6a4bcdd0dd3c604fbe906cb4421"),
                    File("data_batch_4.bin", bytes: 30_730_000, md5: "ae636b3ba5c66a11e91e8cb52e771fcb"),
                    File("data_batch_5.bin", bytes: 30_730_000, md5: "53f37980c15c3d472c316c40844f3f0d"),
                    File("test_batch.bin", bytes: 30_730_000, md5: "803d5f7f4d78ea53de84dbe85f74fb6d"),
                ])
        ])

    /// Fashion-MNIST.
    public static let fashionMNIST = Publication(
        name: "fashion-mnist", title: "Fashion-MNIST: 70,000 grey pictures of clothes, 28 × 28, 10 classes",
        home: "https://github.com/zalandoresearch/fashion-mnist", licence: "MIT",
        mirrors: [
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            // It does not support https; what it sends is checked like everything else.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        ],
        downloads: idx([
            ("train-images-idx3-ubyte", 47_040_016, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            ("train-labels-idx1-ubyte", 60_008, "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
            ("t10k-images-idx3-ubyte", 7_840_016, "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
            ("t10k-labels-idx1-ubyte", 10_008, "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
        ]))

    /// MNIST.
    public static let mnist = Publication(
        name: "mnist", title: "MNIST: 70,000 handwritten digits in grey, 28 × 28, 10 classes", home: "http://yann.lecun.com/exdb/mnist",
        licence: "CC BY-SA 3.0, by Keras's documentation",
        mirrors: ["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
        downloads: idx([
            ("train-images-idx3-ubyte", 47_040_016, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
            ("train-labels-idx1-ubyte", 60_008, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
            ("t10k-images-idx3-ubyte", 7_840_016, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
            ("t10k-labels-idx1-ubyte", 10_008, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
        ]))

    private static func idx(_ files: [(name: String, bytes: Int, packed: String, unpacked: String)]) -> [Download] {
        files.map { Download("\($0.name).gz", md5: $0.packed, files: [File($0.name, bytes: $0.bytes, md5: $0.unpacked)]) }
    }
}
