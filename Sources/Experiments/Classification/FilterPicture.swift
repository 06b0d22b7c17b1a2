package import Foundation
import Report
package import Torch
import Training
import WeightNorm

/// The filters of a network's first convolution as a picture.
package enum FilterPicture {
    /// The file of a norm and seed in a run's folder.
    package static func name(norm: String, seed: UInt64) -> String { "filters-\(norm)-seed\(seed).png" }

    private static let columns = 16

    /// A weight of `[filters, channels, rows, columns]` as a PNG file: 16 filters per line, one pixel apart, in the order of the maps.
    ///
    /// Three channels are shown as colours, the mean of any other number as grey. Each filter has its own scale: mid grey is 0, and its element of
    /// largest magnitude is black or white.
    package static func png(of weight: Tensor) -> Data {
        let shape = weight.shape
        let (count, height, width) = (shape[0], shape[2], shape[3])
        let channels = shape[1] == 3 ? 3 : 1
        let shown = channels == 3 ? weight.detached() : weight.detached().mean(over: [1], keeping: true)
        let values = shown.permuted([0, 2, 3, 1]).contiguous().elements(as: Double.self)
        let tiles = Tiles(count: count, across: columns, tileWidth: width, tileHeight: height)
        var pixels = [UInt8](repeating: 255, count: tiles.width * tiles.height * channels)
        let size = height * width * channels
        for filter in 0..<count {
            let own = values[filter * size..<(filter + 1) * size]
            let largest = own.map(\.magnitude).max() ?? 0
            for (place, value) in own.enumerated() {
                let (row, column, channel) = (place / channels / width, place / channels % width, place % channels)
                let level = largest > 0 && value.isFinite ? (value / largest + 1) * 127.5 : 127.5
                pixels[tiles.place(filter, row: row, column: column) * channels + channel] = UInt8(max(0, min(level.rounded(), 255)))
            }
        }
        return PNG.file(pixels, width: tiles.width, height: tiles.height, channels: channels)
    }

    /// Writes the picture of a trainer's network into the run's folder.
    static func write(_ trainer: ClassificationTrainer, into folder: RunFolder) throws {
        guard let first = trainer.network.namedWeights.first?.value, first.shape.count == 4 else { return }
        let picture = withoutGradients { png(of: first.value) }
        try folder.write(Array(picture), named: name(norm: trainer.normalization.rawValue, seed: trainer.seed))
    }
}
