import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles

struct WhiteningCacheTests {
    private static let noise: [UInt8] = {
        var random = Xoshiro256(seed: 8)
        return (0..<20 * 12).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()
    private let set = ImageSet(images: Self.noise, labels: [UInt8](repeating: 0, count: 20), channels: 3, rows: 2, columns: 2)

    private func whitening(_ set: ImageSet, _ folder: String) -> (Whitening, [String]) {
        var lines: [String] = []
        let whitening = WhiteningCache.whitening(of: set, in: folder) { lines.append($0) }
        return (whitening, lines)
    }

    private func same(_ first: Whitening, _ second: Whitening) -> Bool {
        first.matrix.elements(as: Float.self) == second.matrix.elements(as: Float.self)
            && first.mean.elements(as: Float.self) == second.mean.elements(as: Float.self)
    }

    @Test("fitted once, then read")
    func once() throws {
        try withFolder { folder in
            let (first, said) = whitening(set, folder)
            #expect(said == ["fitting the whitening to 20 images of 3 × 2 × 2 pixels"])
            let (second, saidThen) = whitening(set, folder)
            #expect(saidThen.isEmpty && same(first, second) && same(first, Whitening(fittedTo: set)))
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(names == ["zca-\(WhiteningCache.key(of: set)).safetensors"])
        }
    }

    @Test("one pixel, the shape and the number of images are in the key; labels are not")
    func keys() {
        func key(
            label: UInt8 = 0, shape: (channels: Int, rows: Int, columns: Int) = (3, 2, 2), _ change: (inout [UInt8]) -> Void = { _ in }
        ) -> String {
            let (channels, rows, columns) = shape
            var images = set.images
            change(&images)
            let labels = [UInt8](repeating: label, count: images.count / channels / rows / columns)
            return WhiteningCache.key(of: ImageSet(images: images, labels: labels, channels: channels, rows: rows, columns: columns))
        }
        let keys = [
            key(), key { $0[239] ^= 1 }, key { $0.removeLast(12) }, key(shape: (1, 3, 4)), key(shape: (3, 1, 4)), key(shape: (3, 4, 1)),
        ]
        #expect(Set(keys).count == keys.count)
        #expect(key(label: 1) == key())
    }

    @Test("a file that is damaged anywhere, or of another recipe or set, is made anew")
    func damage() throws {
        try withFolder { folder in
            let (good, _) = whitening(set, folder)
            let path = "\(folder)/zca-\(WhiteningCache.key(of: set)).safetensors"
            let bytes = try #require(contents(path))
            let file = try SafetensorsFile(opening: path)
            let (mean, matrix) = (try file.tensor("mean"), try file.tensor("matrix"))
            func check(_ what: String, _ write: () throws -> Void) throws {
                try write()
                let (again, said) = whitening(set, folder)
                #expect(said.count == 1 && said[0].hasSuffix("; fitting the whitening again"), "\(what): \(said)")
                #expect(same(again, good) && contents(path) == bytes, "\(what)")
            }
            func write(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
            try check("empty") { try write([]) }
            try check("cut") { try write(Array(bytes.dropLast())) }
            for place in [0, 20, bytes.count / 2, bytes.count - 1] {
                try check("byte \(place)") {
                    var changed = bytes
                    changed[place] ^= 0x10
                    try write(changed)
                }
            }
            for (key, value) in [("recipe", "another"), ("data", "another"), ("md5", "another")] {
                try check(key) {
                    try Safetensors.write(
                        [("mean", mean), ("matrix", matrix)], metadata: file.metadata.merging([key: value]) { $1 }, to: path)
                }
            }
            try check("shape") { try Safetensors.write([("mean", mean), ("matrix", mean)], metadata: file.metadata, to: path) }
            try check("no matrix") { try Safetensors.write([("mean", mean)], metadata: file.metadata, to: path) }
        }
    }

    @Test("a folder that cannot be written costs the copy, not the fit")
    func unwritable() throws {
        try withFile("file") { file in
            try Data().write(to: URL(fileURLWithPath: file))
            let (found, said) = whitening(set, "\(file)/below")
            #expect(same(found, Whitening(fittedTo: set)))
            #expect(said.count == 2 && said[1].hasPrefix("the whitening could not be cached: "))
        }
    }
}
