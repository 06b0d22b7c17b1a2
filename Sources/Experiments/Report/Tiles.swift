import Torch

/// Pictures of one size laid out in lines, a gap apart.
package struct Tiles {
    package let count: Int
    package let across: Int
    package let tileWidth: Int
    package let tileHeight: Int
    package let gap: Int

    /// Traps unless there is at least one tile of at least one pixel.
    package init(count: Int, across: Int, tileWidth: Int, tileHeight: Int, gap: Int = 1) {
        trap(
            unless: count > 0 && across > 0 && tileWidth > 0 && tileHeight > 0 && gap >= 0,
            "tiles: expected some of at least a pixel, found \(count) of \(tileWidth) × \(tileHeight), \(across) across, \(gap) apart")
        self.count = count
        self.across = min(across, count)
        self.tileWidth = tileWidth
        self.tileHeight = tileHeight
        self.gap = gap
    }

    /// Pixels of the whole.
    package var width: Int { across * (tileWidth + gap) - gap }
    /// Pixels of the whole.
    package var height: Int { (count + across - 1) / across * (tileHeight + gap) - gap }

    /// The left upper pixel of a tile.
    package func origin(_ tile: Int) -> (left: Int, top: Int) {
        (tile % across * (tileWidth + gap), tile / across * (tileHeight + gap))
    }

    /// The place in `[height, width]` of a pixel of a tile.
    package func place(_ tile: Int, row: Int, column: Int) -> Int {
        let (left, top) = origin(tile)
        return (top + row) * width + left + column
    }
}
