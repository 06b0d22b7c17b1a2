import Datasets
import Foundation
import TestSupport
import Testing
import Torch

struct CIFAR10Tests {
    /// A folder of small files: in image i of file f, red is f, green i and blue 7, and the class is (f + i) mod 10. The test file is number 6.
    private func write(_ folder: String, count: Int = 3) throws {
        for file in 1...6 {
            var bytes: [UInt8] = []
            for index in 0..<count {
                bytes.append(UInt8((file + index) % 10))
                for value in [file, index, 7] { bytes += [UInt8](repeating: UInt8(value), count: 1024) }
            }
            try folder.write(bytes, file == 6 ? "test_batch.bin" : "data_batch_\(file).bin")
        }
    }

    @Test("the five files in their order, red, green and blue apart, are read and go into minibatches")
    func reads() throws {
        try withFolder { folder in
            try write(folder)
            let training = try CIFAR10.load(folder: folder, split: .training)
            #expect((training.count, training.channels, training.rows, training.columns) == (15, 3, 32, 32))
            #expect(training.labels == [1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7])
            let batch = Batches.inOrder(training, size: 15)[0]
            #expect(batch.images.shape == [15, 3, 32, 32])
            let planes = batch.images.flattened(from: 2).converted(to: .float64)
            var expected: [Double] = []
            for file in 1...5 { for index in 0..<3 { expected += [Double(file), Double(index), 7] } }
            #expect(planes.mean(over: [2]).elements(as: Double.self) == expected)
            #expect(planes.variance(over: [2]).sum().item() == 0)
            let test = try CIFAR10.load(folder: folder, split: .test)
            #expect(test.count == 3 && test.images.first == 6)
        }
    }

    @Test("the archive's folder inside the folder, and by the folder's name alone what kind of data it is")
    func recognised() throws {
        try withFolder { folder in
            let inner = "\(folder)/cifar-10-batches-bin"
            try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
            try write(inner)
            let outer = try DataFolder.images(folder, .training)
            let direct = try DataFolder.images(inner, .training)
            #expect(outer == direct && direct.channels == 3)
        }
    }

    @Test("defects are named with file, expected and found")
    func defects() throws {
        func check(_ expected: (String) -> String, _ damage: (String) throws -> Void) throws {
            try withFolder { folder in
                try write(folder)
                try damage(folder)
                #expect(problem { try DataFolder.images(folder, .training) } == expected(folder))
            }
        }
        let three = 3 * 3073
        func bytes(_ folder: String, _ name: String) throws -> [UInt8] {
            [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
        }
        try check({ "\($0)/data_batch_3.bin: expected records of 3073 bytes, one or more, found \(three - 1) bytes" }) {
            try $0.write(Array(bytes($0, "data_batch_3.bin").dropLast()), "data_batch_3.bin")
        }
        try check({ "\($0)/data_batch_3.bin: expected records of 3073 bytes, one or more, found 0 bytes" }) {
            try $0.write([], "data_batch_3.bin")
        }
        try check({ "\($0)/data_batch_3.bin: expected 3 images as in \($0)/data_batch_1.bin, found 2" }) {
            try $0.write(Array(bytes($0, "data_batch_3.bin").dropLast(3073)), "data_batch_3.bin")
        }
        try check({ "\($0)/data_batch_3.bin: expected classes from 0 to 9, found 10 in record 1" }) {
            var changed = try bytes($0, "data_batch_3.bin")
            changed[3073] = 10
            try $0.write(changed, "data_batch_3.bin")
        }
        try check({ "\($0)/data_batch_1.bin: expected at most 10000 records of 3073 bytes, 30730000 bytes, found 30730001" }) {
            try $0.write([UInt8](repeating: 0, count: 30_730_001), "data_batch_1.bin")
        }
        try check({ "\($0): expected the files of CIFAR-10's binary version, found no data_batch_2.bin, no data_batch_5.bin" }) {
            for number in [2, 5] { try FileManager.default.removeItem(atPath: "\($0)/data_batch_\(number).bin") }
        }
    }

    @Test(
        "the real files",
        .enabled(if: packedCIFAR10 != nil, "CIFAR-10's files are neither in ../shared/data nor in the folder that WEIGHTNORM_DATA names"))
    func real() throws {
        let source = try #require(packedCIFAR10)
        try withFolder { folder in
            // Stored packed by xz, which no reader here knows.
            for file in Publication.cifar10.files {
                let plain = "\(source)/\(file.name)"
                let isPlain = FileManager.default.fileExists(atPath: plain)
                try folder.write(
                    isPlain
                        ? [UInt8](Data(contentsOf: URL(fileURLWithPath: plain))) : output("/usr/bin/env", ["xz", "-dc", "\(plain).xz"]),
                    file.name)
                #expect(Publication.check(file, in: folder) == .right, "\(file.name)")
            }
            let training = try CIFAR10.load(folder: folder, split: .training)
            let test = try CIFAR10.load(folder: folder, split: .test)
            #expect(training.count == 50_000 && test.count == 10_000)
            for (set, each) in [(training, 5000), (test, 1000)] {
                let counts = set.labels.reduce(into: [Int](repeating: 0, count: 10)) { $0[Int($1)] += 1 }
                #expect(counts == [Int](repeating: each, count: 10))
            }
            let (means, deviations) = statistics(training)
            for (found, known) in zip(means, [0.49139968, 0.48215841, 0.44653091]) { #expect(abs(found - known) < 1e-7) }
            for (found, known) in zip(deviations, [0.24703224, 0.24348513, 0.26158784]) { #expect(abs(found - known) < 1e-7) }
            // No published test image is also a training image, to the byte; a test set made of training images would be there whole.
            let seen = Set((0..<training.count).map { training.images[$0 * 3072..<$0 * 3072 + 3072] })
            let shared = (0..<test.count).count { seen.contains(test.images[$0 * 3072..<$0 * 3072 + 3072]) }
            #expect(shared == 0, "\(shared) test images are in the training set")
        }
    }

    /// Mean and deviation of each channel on [0, 1].
    private func statistics(_ set: ImageSet) -> (means: [Double], deviations: [Double]) {
        var (sums, squares) = ([Int](repeating: 0, count: 3), [Int](repeating: 0, count: 3))
        for image in 0..<set.count {
            for channel in 0..<3 {
                let start = (image * 3 + channel) * 1024
                for pixel in set.images[start..<start + 1024] {
                    sums[channel] += Int(pixel)
                    squares[channel] += Int(pixel) * Int(pixel)
                }
            }
        }
        let count = Double(set.count * 1024)
        let means = sums.map { Double($0) / count / 255 }
        return (means, zip(squares, means).map { (Double($0) / count / 65025 - $1 * $1).squareRoot() })
    }
}

private let packedCIFAR10 = realDataFolders.map { "\($0)/cifar-10-batches-bin" }.first { folder in
    Publication.cifar10.files.allSatisfy { file in
        ["", ".xz"].contains { FileManager.default.fileExists(atPath: "\(folder)/\(file.name)\($0)") }
    }
}
