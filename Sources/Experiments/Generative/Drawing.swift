import Foundation
import Report
package import Torch

/// A model that draws its images in steps, and can show them.
package protocol DrawsInSteps: GenerativeModel {
    /// The course of drawing new images.
    func drawnSamples(_ count: Int, random: Generator) -> Drawing
    /// The course of reading given images and drawing them.
    func drawnReconstructions(of images: Tensor, random: Generator) -> Drawing
}

/// The course of drawing several images at once.
package struct Drawing {
    /// The canvases before the first step and after each, `[count, channels, rows, columns]` in [0, 1].
    package let canvases: [Tensor]
    /// Where each step reads and writes; one element per step with attention, else none.
    package let readBoxes: [[AttentionBox]]
    package let writeBoxes: [[AttentionBox]]

    package init(canvases: [Tensor], readBoxes: [[AttentionBox]], writeBoxes: [[AttentionBox]]) {
        self.canvases = canvases
        self.readBoxes = readBoxes
        self.writeBoxes = writeBoxes
    }
}

/// The rectangle between the centres of a grid's outermost filters, in pixels: (0, 0) is the centre of the top left pixel.
package struct AttentionBox: Equatable, Sendable {
    package let top: Double
    package let bottom: Double
    package let left: Double
    package let right: Double

    package init(top: Double, bottom: Double, left: Double, right: Double) {
        (self.top, self.bottom, self.left, self.right) = (top, bottom, left, right)
    }
}

/// A ``Drawing`` as an animated PNG file: every pixel is enlarged, and boxes are lines one picture pixel wide.
enum DrawingAnimation {
    private static let scale = 3
    private static let gap = 4
    /// Grey levels, then the gap's colour and those of the boxes.
    private static let levels = 253
    private static let (gapColour, readColour, writeColour) = (UInt8(253), UInt8(254), UInt8(255))
    private static let palette: [PNG.Colour] =
        PNG.Colour.greys(levels) + [
            PNG.Colour(red: 128, green: 128, blue: 128), PNG.Colour(red: 40, green: 200, blue: 90),
            PNG.Colour(red: 235, green: 70, blue: 60),
        ]

    /// The file; given images, `[count, 1, rows, columns]` in [0, 1], are shown above the canvases, with the reading boxes.
    static func file(_ drawing: Drawing, above given: Tensor? = nil, across: Int) -> Data {
        let shape = drawing.canvases[0].shape
        let (count, rows, columns) = (shape[0], shape[2], shape[3])
        let shown = count + (given == nil ? 0 : count)
        let tiles = Tiles(count: shown, across: across, tileWidth: columns * scale, tileHeight: rows * scale, gap: gap)
        let steps = drawing.canvases.count - 1
        // About five seconds in total, and two to look at the result.
        let pause = max(50, min(5000 / max(1, steps), 500))
        let upper = given.map { $0.contiguous().elements(as: Double.self) } ?? []
        var frames: [PNG.Frame] = []
        for (step, canvas) in drawing.canvases.enumerated() {
            var bare = [UInt8](repeating: gapColour, count: tiles.width * tiles.height)
            let values = upper + canvas.detached().contiguous().elements(as: Double.self)
            for tile in 0..<shown {
                for row in 0..<rows * scale {
                    let start = tiles.place(tile, row: row, column: 0)
                    for column in 0..<columns * scale {
                        let value = values[(tile * rows + row / scale) * columns + column / scale]
                        bare[start + column] = UInt8(Double(GenerativePictures.level(value)) * Double(levels - 1) / 255)
                    }
                }
            }
            var pixels = bare
            if step > 0, step <= drawing.writeBoxes.count {
                for (index, box) in drawing.writeBoxes[step - 1].enumerated() {
                    outline(box, tile: shown - count + index, writeColour, tiles, &pixels)
                }
            }
            if given != nil, step > 0, step <= drawing.readBoxes.count {
                for (index, box) in drawing.readBoxes[step - 1].enumerated() { outline(box, tile: index, readColour, tiles, &pixels) }
            }
            frames.append(PNG.Frame(pixels, milliseconds: step == 0 ? 500 : pause))
            // The result is also shown without boxes.
            if step == steps { frames.append(PNG.Frame(bare, milliseconds: 2000)) }
        }
        return PNG.animation(frames, width: tiles.width, height: tiles.height, palette: palette)
    }

    private static func outline(_ box: AttentionBox, tile: Int, _ colour: UInt8, _ tiles: Tiles, _ pixels: inout [UInt8]) {
        func place(_ value: Double, below end: Int) -> Int {
            let scaled = (value + 0.5) * Double(scale)
            return scaled.isFinite ? Int(max(-1, min(scaled, Double(end))).rounded(.down)) : -1
        }
        let (top, bottom) = (place(box.top, below: tiles.tileHeight), place(box.bottom, below: tiles.tileHeight))
        let (left, right) = (place(box.left, below: tiles.tileWidth), place(box.right, below: tiles.tileWidth))
        func mark(_ row: Int, _ column: Int) {
            guard (0..<tiles.tileHeight).contains(row), (0..<tiles.tileWidth).contains(column) else { return }
            pixels[tiles.place(tile, row: row, column: column)] = colour
        }
        for column in min(left, right)...max(left, right) {
            mark(top, column)
            mark(bottom, column)
        }
        for row in min(top, bottom)...max(top, bottom) {
            mark(row, left)
            mark(row, right)
        }
    }
}
