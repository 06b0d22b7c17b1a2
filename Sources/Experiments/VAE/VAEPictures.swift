package import Foundation
package import Torch
import Training

/// What a model draws, as pictures of a run.
package enum VAEPictures {
    package static func samplesName(norm: String, seed: UInt64) -> String { "samples-\(norm)-seed\(seed).png" }
    package static func reconstructionsName(norm: String, seed: UInt64) -> String { "reconstructions-\(norm)-seed\(seed).png" }

    /// Images of `[count, channels, rows, columns]` in [0, 1] as one picture, so many a line, one pixel apart.
    package static func grid(_ images: Tensor, across: Int) -> Data {
        let shape = images.shape
        let (count, channels, rows, columns) = (shape[0], shape[1], shape[2], shape[3])
        let across = min(across, count)
        let down = (count + across - 1) / across
        let (width, height) = (across * (columns + 1) - 1, down * (rows + 1) - 1)
        let values = images.detached().permuted([0, 2, 3, 1]).contiguous().elements(as: Double.self)
        var pixels = [UInt8](repeating: 128, count: width * height * channels)
        let size = rows * columns * channels
        for image in 0..<count {
            let (left, top) = (image % across * (columns + 1), image / across * (rows + 1))
            for row in 0..<rows {
                for column in 0..<columns {
                    for channel in 0..<channels {
                        let value = values[image * size + (row * columns + column) * channels + channel]
                        pixels[((top + row) * width + left + column) * channels + channel] = UInt8(
                            max(0, min((value.isFinite ? value : 0) * 255, 255)).rounded())
                    }
                }
            }
        }
        return PNG.file(pixels, width: width, height: height, channels: channels)
    }

    /// Draws of a trainer's model, the same noise each time, and test images above what the model makes of them.
    static func write(_ trainer: VAETrainer, _ images: VAEImages, into folder: RunFolder) throws {
        let (norm, seed) = (trainer.normalization.rawValue, trainer.seed)
        let samples = grid(trainer.samples(60, seed: 0), across: 20)
        try folder.write(Array(samples), named: samplesName(norm: norm, seed: seed))
        let count = min(20, images.test.count)
        let pixels = images.test.pixels(.range(0..<count, on: images.test.device))
        let given = pixels.converted(to: .float32) * (1 / 255.0)
        let both = Tensor.concatenated([given, trainer.reconstructions(of: pixels, seed: 0)], along: 0)
        try folder.write(Array(grid(both, across: count)), named: reconstructionsName(norm: norm, seed: seed))
    }
}
