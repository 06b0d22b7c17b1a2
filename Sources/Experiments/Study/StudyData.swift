import Datasets
import Foundation
import Torch
import Training

/// The images of a study's cells, each read once.
package final class StudyData {
    private var sets: [String: ImageSet] = [:]
    private var inputs: [String: ClassificationImages] = [:]
    /// The last parts that were asked for: they are copies, and a cell asks several times.
    private var lastParts: (key: String, parts: (training: ImageSet, test: ImageSet))?

    package init() {}

    /// A part of a data set; "drawn" is a small one made here, for grids that only show that a study works.
    func images(_ data: String, _ split: ImageSet.Split) throws -> ImageSet {
        let key = "\(data) \(split)"
        if let known = sets[key] { return known }
        let found =
            switch data {
            case Self.drawn: Self.drawnImages(channels: 1, split)
            case Self.drawnInColour: Self.drawnImages(channels: 3, split)
            default: try DataFolder.images(data, split)
            }
        sets[key] = found
        return found
    }

    /// Training images and those on which the error is measured: the test images, or held-out training images.
    func parts(of data: String, images count: Int?, heldOut: Int?) throws -> (training: ImageSet, test: ImageSet) {
        let key = "\(data) \(count ?? 0) \(heldOut ?? 0)"
        if let lastParts, lastParts.key == key { return lastParts.parts }
        let all = try images(data, .training)
        var (training, test) = (all, all)
        if let heldOut {
            let parts = all.holdingOut(heldOut)
            (training, test) = (parts.training, parts.heldOut)
        } else {
            test = try images(data, .test)
        }
        if let count { training = training.sample(count, seed: 0) }
        lastParts = (key, (training, test))
        return (training, test)
    }

    /// The images as a classification takes them, made once for equal keys.
    func inputs(_ key: String, make: () -> ClassificationImages) -> ClassificationImages {
        if let known = inputs[key] { return known }
        // One at a time: a whitened data set takes hundreds of megabytes.
        inputs = [:]
        let made = make()
        inputs[key] = made
        return made
    }

    static let drawn = "drawn"
    static let drawnInColour = "drawn-in-colour"

    /// Twelve pixels square, of ten classes: a bright bar whose place and direction are the class, on noise.
    private static func drawnImages(channels: Int, _ split: ImageSet.Split) -> ImageSet {
        let side = 12
        let count = split == .training ? 240 : 60
        var random = Xoshiro256(seed: split == .training ? 1 : 2)
        var pixels: [UInt8] = []
        var labels: [UInt8] = []
        for _ in 0..<count {
            let label = UInt8(random.next(below: 10))
            labels.append(label)
            for _ in 0..<channels {
                for place in 0..<side * side {
                    let (row, column) = (place / side, place % side)
                    let isInBar = label < 5 ? row / 2 == label : column / 2 == Int(label) - 5
                    pixels.append(UInt8(random.next(below: 100)) + (isInBar ? 150 : 0))
                }
            }
        }
        return ImageSet(images: pixels, labels: labels, channels: channels, rows: side, columns: side)
    }
}
