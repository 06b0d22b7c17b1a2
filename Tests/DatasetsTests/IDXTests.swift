import Datasets
import Foundation
import TestSupport
import Testing

@Suite struct IDXTests {
    // MARK: What is read

    @Test func plainAndPackedFilesGiveTheSame() throws {
        try withFolder { folder in
            let file = idx([2, 3, 2], body: Array(1...12))
            let plain = try folder.write(file, "plain")
            let packed = try folder.write(gzip(file), "packed.gz")
            // Without the ending it is known by its first bytes; a name like an option is no trouble either.
            let disguised = try folder.write(gzip(file), "-dc")
            for path in [plain, packed, disguised] {
                let read = try IDXFile.read(path, rank: 3)
                #expect(read.dimensions == [2, 3, 2] && read.bytes == Array(1...12), "\(path)")
            }
        }
    }

    @Test(arguments: 1...4) func everyRankIsRead(rank: Int) throws {
        try withFolder { folder in
            let path = try folder.write(idx([Int](repeating: 2, count: rank), body: Array(0..<UInt8(1 << rank))), "x")
            #expect(try IDXFile.read(path).dimensions == [Int](repeating: 2, count: rank))
        }
    }

    @Test func manyPackedFilesAreReadAtOnce() async throws {
        // 300 kB each: more than a pipe holds.
        try await withFolder { folder in
            let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
            let path = try folder.write(gzip(idx([300, 1000], body: body)), "many.gz")
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { try IDXFile.read(path).bytes == body } }
                for try await same in group { #expect(same) }
            }
        }
    }

    // MARK: What is refused

    /// Every defect of a single file, read as images (3 dimensions), plain and packed.
    static let defects: [(name: String, file: [UInt8], plain: String, packed: String)] = {
        let good = idx([2, 3, 2], body: Array(1...12))
        func same(_ name: String, _ file: [UInt8], _ problem: String) -> (String, [UInt8], String, String) {
            (name, file, problem, problem)
        }
        let magic = "expected an IDX file of unsigned bytes (magic number 0x00000801 to 0x00000804), found"
        let size = "expected dimensions from 1 up and at most 2147483648 elements in all, found"
        return [
            same("empty", [], "expected the header of an IDX file, at least 8 bytes, found 0"),
            same("half a magic number", [0, 0, 8], "expected the header of an IDX file, at least 8 bytes, found 3"),
            same("half a header", Array(good[..<13]), "expected a header of 16 bytes, found 13"),
            same("no body", Array(good[..<16]), "expected 28 bytes for 2 × 3 × 2, found 16"),
            same("half a body", Array(good[..<20]), "expected 28 bytes for 2 × 3 × 2, found 20"),
            ("one byte more", good + [0], "expected 28 bytes for 2 × 3 × 2, found 29", "expected 28 bytes for 2 × 3 × 2, found more"),
            same("text", Array("<!DOCTYPE html>".utf8), "\(magic) 0x3c21444f"),
            same("floats", [0, 0, 0x0D, 3] + good[4...], "\(magic) 0x00000d03"),
            same("no dimensions", [0, 0, 8, 0] + good[4...], "\(magic) 0x00000800"),
            same("five dimensions", idx([1, 1, 1, 1, 1], body: [0]), "\(magic) 0x00000805"),
            same(
                "labels", idx([3], body: [1, 2, 3]),
                "expected images, 3 dimensions (magic number 0x00000803), found labels, 1 dimension (magic number 0x00000801)"),
            same("nothing in it", idx([0, 28, 28], body: []), "\(size) 0 × 28 × 28"),
            same("too large", idx([1 << 31, 2, 1], body: []), "\(size) 2147483648 × 2 × 1"),
            same("overflow", idx([0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], body: []), "\(size) 4294967295 × 4294967295 × 4294967295"),
            same("a promise not kept", idx([1 << 31, 1, 1], body: [7]), "expected 2147483664 bytes for 2147483648 × 1 × 1, found 17"),
        ]
    }()

    @Test(arguments: defects.indices) func aDefectIsNamed(index: Int) throws {
        let defect = Self.defects[index]
        try withFolder { folder in
            let plain = try folder.write(defect.file, "plain")
            #expect(problem { try IDXFile.read(plain, rank: 3) } == "\(plain): \(defect.plain)")
            let packed = try folder.write(gzip(defect.file), "packed.gz")
            #expect(problem { try IDXFile.read(packed, rank: 3) } == "\(packed): \(defect.packed)")
        }
    }

    @Test func damagedGzipFilesAreNamed() throws {
        try withFolder { folder in
            let good = try gzip(idx([40, 50], body: (0..<2000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 5) }))
            let cut = try folder.write(Array(good[..<(good.count / 2)]), "cut.gz")
            #expect(problem { try IDXFile.read(cut) } == "\(cut): gzip cannot unpack it: unexpected end of file")
            var changed = good
            changed[good.count / 2] ^= 0x55
            let corrupt = try folder.write(changed, "corrupt.gz")
            #expect(problem { try IDXFile.read(corrupt) }?.hasPrefix("\(corrupt): gzip cannot unpack it: ") == true)
            var sum = good
            sum[good.count - 5] ^= 1
            let wrongSum = try folder.write(sum, "sum.gz")
            #expect(problem { try IDXFile.read(wrongSum) }?.hasPrefix("\(wrongSum): gzip cannot unpack it: ") == true)
            let text = try folder.write(Array("no such page".utf8), "text.gz")
            #expect(problem { try IDXFile.read(text) } == "\(text): gzip cannot unpack it: not in gzip format")
        }
    }

    @Test func aBombIsNotUnpacked() throws {
        // 256 MB of zeros in 250 kB, with a header that promises three bytes: only the first four are taken.
        try withFolder { folder in
            let path = try folder.write(gzip(idx([3], body: [UInt8](repeating: 0, count: 1 << 28))), "bomb.gz")
            #expect(problem { try IDXFile.read(path) } == "\(path): expected 11 bytes for 3, found more")
        }
    }

    @Test func whatIsNoFileIsNamed() throws {
        try withFolder { folder in
            #expect(problem { try IDXFile.read("\(folder)/none") } == "\(folder)/none: cannot read it: No such file or directory")
            #expect(problem { try IDXFile.read(folder) } == "\(folder): expected a regular file, found a folder, device or pipe")
        }
    }

    // MARK: Image sets

    @Test func anImageSetIsRead() throws {
        try withFolder { folder in
            let images = try folder.write(idx([2, 1, 3], body: [1, 2, 3, 4, 5, 6]), "images")
            let labels = try folder.write(idx([2], body: [9, 0]), "labels")
            let set = try ImageSet.read(images: images, labels: labels)
            #expect(set.images == [1, 2, 3, 4, 5, 6] && set.labels == [9, 0])
            #expect(set.count == 2 && set.rows == 1 && set.columns == 3)
            let swapped = problem { try ImageSet.read(images: labels, labels: images) }
            #expect(
                swapped
                    == "\(images): expected labels, 1 dimension (magic number 0x00000801), "
                    + "found images, 3 dimensions (magic number 0x00000803)")
        }
    }

    @Test func labelsThatDoNotFitAreNamed() throws {
        try withFolder { folder in
            let images = try folder.write(idx([2, 1, 1], body: [1, 2]), "images")
            let three = try folder.write(idx([3], body: [1, 2, 3]), "three")
            #expect(
                problem { try ImageSet.read(images: images, labels: three) }
                    == "\(three): expected 2 labels, as many as images in \(images), found 3")
            let ten = try folder.write(idx([2], body: [9, 10]), "ten")
            #expect(
                problem { try ImageSet.read(images: images, labels: ten) } == "\(ten): expected labels from 0 to 9, found 10 at index 1")
            #expect(try ImageSet.read(images: images, labels: ten, classes: 11).labels == [9, 10])
        }
    }

    @Test func bothSplitsAreFoundUnderEverySpelling() throws {
        for (separator, ending) in [("-", ""), ("-", ".gz"), (".", ""), (".", ".gz")] {
            try withFolder { folder in
                for (label, split) in ImageSet.Split.allCases.enumerated() {
                    let (images, labels) = (idx([1, 1, 1], body: [7]), idx([1], body: [UInt8(label)]))
                    let packed = ending == ".gz"
                    try folder.write(packed ? gzip(images) : images, "\(split.rawValue)-images\(separator)idx3-ubyte\(ending)")
                    try folder.write(packed ? gzip(labels) : labels, "\(split.rawValue)-labels\(separator)idx1-ubyte\(ending)")
                }
                #expect(try ImageSet.load(folder: folder, split: .training).labels == [0])
                #expect(try ImageSet.load(folder: "\(folder)/", split: .test).labels == [1])
            }
        }
    }

    @Test func missingFilesAreNamed() throws {
        try withFolder { folder in
            let names = "t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz"
            #expect(
                problem { try ImageSet.load(folder: folder, split: .test) } == "\(folder): expected one of \(names); found none of them")
            let none = "\(folder)/none"
            #expect(problem { try ImageSet.load(folder: none, split: .test) } == "\(none): expected one of \(names); found no such folder")
        }
    }

    // MARK: The real data

    @Test(.enabled(if: realData != nil, "MNIST is in neither ../shared/data/mnist nor the folder that WEIGHTNORM_DATA names"))
    func mnistHasItsKnownCounts() throws {
        let folder = try #require(realData)
        let training = try ImageSet.load(folder: folder, split: .training)
        #expect(training.count == 60_000 && training.rows == 28 && training.columns == 28)
        let counts = training.labels.reduce(into: [Int](repeating: 0, count: 10)) { $0[Int($1)] += 1 }
        #expect(counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
        // The mean of the training pixels, 0.1307 of white, is the one that everyone subtracts.
        let mean = Double(training.images.reduce(0) { $0 + Int($1) }) / Double(training.images.count) / 255
        #expect(abs(mean - 0.1307) < 0.00005)
        let test = try ImageSet.load(folder: folder, split: .test)
        #expect(test.count == 10_000 && test.images.prefix(784) != training.images.prefix(784))
    }
}

/// Where MNIST lies: the folder itself or its subfolder `mnist`.
private let realData = realDataFolders.flatMap { [$0, "\($0)/mnist"] }.first { (try? ImageSet.load(folder: $0, split: .test)) != nil }

private func idx(_ dimensions: [Int], body: [UInt8]) -> [UInt8] {
    [0, 0, 8, UInt8(dimensions.count)] + dimensions.flatMap { size in [24, 16, 8, 0].map { UInt8(size >> $0 & 0xFF) } } + body
}
