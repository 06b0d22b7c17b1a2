package import Foundation
import Report
package import Torch
import Training

/// Pictures of what a model draws, read from a run's folder.
package struct GenerativePictures: Sendable {
    package let norm: String
    package let samples: Data
    package let reconstructions: Data
    /// Animations, for models that draw in steps.
    package let drawnSamples: Data?
    package let drawnReconstructions: Data?

    package init(norm: String, samples: Data, reconstructions: Data, drawnSamples: Data? = nil, drawnReconstructions: Data? = nil) {
        self.norm = norm
        self.samples = samples
        self.reconstructions = reconstructions
        self.drawnSamples = drawnSamples
        self.drawnReconstructions = drawnReconstructions
    }

    /// The pictures for a norm and seed in a run's folder; nil unless both still pictures are there.
    ///
    /// - Throws: `FileError` if one is there that cannot be read.
    package init?(of norm: String, seed: UInt64, in folder: String) throws {
        func file(_ name: String) throws -> Data? { try RunFolder.picture(named: name, at: folder) }
        guard let samples = try file(Self.samplesName(norm: norm, seed: seed)),
            let reconstructions = try file(Self.reconstructionsName(norm: norm, seed: seed))
        else { return nil }
        self.init(
            norm: norm, samples: samples, reconstructions: reconstructions,
            drawnSamples: try file(Self.drawnSamplesName(norm: norm, seed: seed)),
            drawnReconstructions: try file(Self.drawnReconstructionsName(norm: norm, seed: seed)))
    }

    package static func samplesName(norm: String, seed: UInt64) -> String { "samples-\(norm)-seed\(seed).png" }
    package static func reconstructionsName(norm: String, seed: UInt64) -> String { "reconstructions-\(norm)-seed\(seed).png" }
    package static func drawnSamplesName(norm: String, seed: UInt64) -> String { "drawn-samples-\(norm)-seed\(seed).png" }
    package static func drawnReconstructionsName(norm: String, seed: UInt64) -> String { "drawn-reconstructions-\(norm)-seed\(seed).png" }

    /// Images of `[count, channels, rows, columns]` in [0, 1] as one picture, with the given number per line, one pixel apart.
    package static func grid(_ images: Tensor, across: Int) -> Data {
        let shape = images.shape
        let (count, channels, rows, columns) = (shape[0], shape[1], shape[2], shape[3])
        let tiles = Tiles(count: count, across: across, tileWidth: columns, tileHeight: rows)
        let values = images.detached().permuted([0, 2, 3, 1]).contiguous().elements(as: Double.self)
        var pixels = [UInt8](repeating: 128, count: tiles.width * tiles.height * channels)
        let size = rows * columns * channels
        for image in 0..<count {
            for row in 0..<rows {
                for column in 0..<columns {
                    let place = tiles.place(image, row: row, column: column) * channels
                    for channel in 0..<channels {
                        pixels[place + channel] = level(values[image * size + (row * columns + column) * channels + channel])
                    }
                }
            }
        }
        return PNG.file(pixels, width: tiles.width, height: tiles.height, channels: channels)
    }

    /// A number of [0, 1] as a byte; black for anything that is not finite.
    static func level(_ value: Double) -> UInt8 { UInt8(max(0, min((value.isFinite ? value : 0) * 255, 255)).rounded()) }

    /// Writes draws of a trainer's model, with the same noise each time, and test images above their reconstructions.
    static func write(_ trainer: GenerativeTrainer<some GenerativeSettings>, _ images: GenerativeImages, into folder: RunFolder) throws {
        let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
        let samples = grid(trainer.samples(60, seed: 0), across: 20)
        try folder.write(Array(samples), named: samplesName(norm: norm, seed: seed))
        let (pixels, given) = testImages(images, count: 20)
        let both = Tensor.concatenated([given, trainer.reconstructions(of: pixels, seed: 0)], along: 0)
        try folder.write(Array(grid(both, across: pixels.shape[0])), named: reconstructionsName(norm: norm, seed: seed))
    }

    /// Writes animations for a model that draws in steps: one of samples, and one of test images with what it reads and writes.
    static func writeDrawings(
        _ trainer: GenerativeTrainer<some GenerativeSettings>, _ images: GenerativeImages, into folder: RunFolder
    ) throws {
        guard let drawn = trainer.drawnSamples(20, seed: 0) else { return }
        let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
        try folder.write(Array(DrawingAnimation.file(drawn, across: 10)), named: drawnSamplesName(norm: norm, seed: seed))
        let (pixels, given) = testImages(images, count: 10)
        if let drawn = trainer.drawnReconstructions(of: pixels, seed: 0) {
            let animation = DrawingAnimation.file(drawn, above: given, across: pixels.shape[0])
            try folder.write(Array(animation), named: drawnReconstructionsName(norm: norm, seed: seed))
        }
    }

    private static func testImages(_ images: GenerativeImages, count: Int) -> (pixels: Tensor, given: Tensor) {
        let pixels = images.test.pixels(.range(0..<min(count, images.test.count), on: images.test.device))
        return (pixels, pixels.converted(to: .float32) * (1 / 255.0))
    }
}
