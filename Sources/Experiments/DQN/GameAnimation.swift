package import Foundation
import Report

/// A ``PlayedGame`` as an animated PNG file: what the network sees on the left, the score and the value of every action on the right.
package struct GameAnimation {
    private let game: PlayedGame
    /// Picture pixels per frame pixel.
    private let scale: Int
    private let screenWidth: Int
    /// The scale of the letters in the list of actions: large if there is room.
    private let letters: Int
    private let lineHeight: Int
    private let nameWidth: Int
    /// The values at the ends of a bar.
    private let (lowest, highest): (Float, Float)
    package let width: Int
    package let height: Int

    private static let margin = 12
    private static let (barWidth, valueLetters) = (96, 7)
    /// Where the list of actions begins.
    private static let listTop = 72
    private static let levels = 248
    private static let (background, text, quiet, bar, chosen, random) = (
        UInt8(levels), UInt8(levels + 1), UInt8(levels + 2), UInt8(levels + 3), UInt8(levels + 4), UInt8(levels + 5)
    )
    private static let palette: [PNG.Colour] =
        PNG.Colour.greys(levels) + [
            PNG.Colour(red: 24, green: 26, blue: 32), PNG.Colour(red: 236, green: 238, blue: 242),
            PNG.Colour(red: 140, green: 146, blue: 158),
            PNG.Colour(red: 76, green: 110, blue: 160), PNG.Colour(red: 90, green: 200, blue: 120),
            PNG.Colour(red: 240, green: 160, blue: 60),
        ]

    package init(_ game: PlayedGame) {
        self.game = game
        scale = max(1, 336 / max(game.rows, game.columns))
        screenWidth = game.columns * scale
        letters = game.actions.count <= 9 ? 2 : 1
        lineHeight = PixelFont.lineHeight * letters + 4
        let size = letters
        nameWidth = game.actions.map { PixelFont.width(of: $0, scale: size) }.max() ?? 0
        let values = game.moments.flatMap(\.values).filter(\.isFinite)
        (lowest, highest) = (min(0, values.min() ?? 0), max(0, values.max() ?? 0))
        let panelWidth =
            Self.margin * 4 + nameWidth + Self.barWidth
            + PixelFont.width(of: String(repeating: "0", count: Self.valueLetters), scale: letters)
        let panelHeight = Self.listTop + game.actions.count * lineHeight + 3 * PixelFont.lineHeight + Self.margin
        width = screenWidth + panelWidth
        height = max(game.rows * scale, panelHeight)
    }

    /// The file. An action is held for four of the console's 60 frames per second, and so is its picture; the end is shown for two seconds. `check`
    /// is called before every picture; its error ends the work.
    package func file(check: () throws -> Void) rethrows -> Data {
        let count = game.moments.count + 1
        return try PNG.animation(count, width: width, height: height, palette: Self.palette) { index in
            try check()
            return PNG.Frame(picture(index), milliseconds: index == count - 1 ? 2000 : 67)
        }
    }

    /// The file; see ``file(check:)``.
    package func file() -> Data { file(check: {}) }

    /// The pixels before an action, and after the last, as palette indices.
    package func picture(_ index: Int) -> [UInt8] {
        let moment = index < game.moments.count ? game.moments[index] : nil
        var pixels = [UInt8](repeating: Self.background, count: width * height)
        let frame = moment?.frame ?? game.lastFrame
        let top = (height - game.rows * scale) / 2
        for row in 0..<game.rows * scale {
            let start = (top + row) * width
            for column in 0..<screenWidth {
                let level = frame[row / scale * game.columns + column / scale]
                pixels[start + column] = UInt8(Int(level) * (Self.levels - 1) / 255)
            }
        }
        let left = screenWidth + Self.margin
        write("score", left, Self.margin, Self.quiet, 1, &pixels)
        write(NumberText.general(moment?.score ?? game.score), left, Self.margin + 12, Self.text, 4, &pixels)
        write("action \(index)", left, Self.margin + 44, Self.quiet, 1, &pixels)
        if let moment { list(moment, left, &pixels) } else { end(left, &pixels) }
        return pixels
    }

    private func list(_ moment: PlayedGame.Moment, _ left: Int, _ pixels: inout [UInt8]) {
        let barLeft = left + nameWidth + Self.margin
        let span = max(Double(highest) - Double(lowest), .leastNormalMagnitude)
        func place(_ value: Float) -> Int { Int((Double(value) - Double(lowest)) / span * Double(Self.barWidth)) }
        for (action, name) in game.actions.enumerated() {
            let top = Self.listTop + action * lineHeight
            let isChosen = action == moment.action
            let colour = isChosen ? (moment.isRandom ? Self.random : Self.chosen) : Self.text
            write(name, left, top, colour, letters, &pixels)
            let value = moment.values[action]
            guard value.isFinite else { continue }
            let (from, to) = (min(place(0), place(value)), max(place(0), place(value)))
            for row in top..<top + PixelFont.height * letters {
                for column in from...max(from, to - 1) { pixels[row * width + barLeft + column] = isChosen ? colour : Self.bar }
            }
            write(Self.text(Double(value)), barLeft + Self.barWidth + Self.margin, top, isChosen ? colour : Self.quiet, letters, &pixels)
        }
        let below = Self.listTop + game.actions.count * lineHeight + PixelFont.lineHeight
        write("values of actions, green: taken", left, below, Self.quiet, 1, &pixels)
        if moment.isRandom { write("orange: at random", left, below + PixelFont.lineHeight + 2, Self.random, 1, &pixels) }
    }

    /// A value in at most seven letters.
    private static func text(_ value: Double) -> String {
        let plain = NumberText.fixed(value, decimals: value.magnitude < 100 ? 2 : 0)
        return plain.count <= valueLetters ? plain : String(format: "%.1E", value)
    }

    private func end(_ left: Int, _ pixels: inout [UInt8]) {
        write(game.isOver ? "game over" : "to be continued", left, Self.listTop, Self.text, 2, &pixels)
    }

    private func write(_ line: String, _ left: Int, _ top: Int, _ colour: UInt8, _ scale: Int, _ pixels: inout [UInt8]) {
        for (index, letter) in line.enumerated() {
            let start = left + index * PixelFont.advance * scale
            // Letters that do not fit are cut off.
            guard start + PixelFont.width * scale <= width else { return }
            for (row, bits) in PixelFont.rows(of: letter).enumerated() {
                for column in 0..<PixelFont.width where bits & (1 << UInt8(PixelFont.width - 1 - column)) != 0 {
                    for line in 0..<scale {
                        let place = (top + row * scale + line) * width + start + column * scale
                        for pixel in place..<place + scale { pixels[pixel] = colour }
                    }
                }
            }
        }
    }
}
