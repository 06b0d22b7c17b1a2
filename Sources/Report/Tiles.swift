/// Pictures of equal size laid out in rows, with gaps between them.
public struct Tiles {
    /// The number of pictures.
    public let count: Int
    /// The number of pictures side by side.
    public let across: Int
    /// Pixels of a picture.
    public let tileWidth: Int
    /// Pixels of a picture.
    public let tileHeight: Int
    /// Pixels between two pictures.
    public let gap: Int

    /// The given number of pictures, at most `across` of them side by side.
    ///
    /// Traps unless there is at least one tile of at least one pixel.
    public init(count: Int, across: Int, tileWidth: Int, tileHeight: Int, gap: Int = 1) {
        guard count > 0, across > 0, tileWidth > 0, tileHeight > 0, gap >= 0 else {
            fatalError(
                "tiles: expected some of at least a pixel, found \(count) of \(tileWidth) × \(tileHeight), \(across) across, \(gap) apart")
        }
        self.count = count
        self.across = min(across, count)
        self.tileWidth = tileWidth
        self.tileHeight = tileHeight
        self.gap = gap
    }

    /// Pixels of the whole.
    public var width: Int { across * (tileWidth + gap) - gap }
    /// Pixels of the whole.
    public var height: Int { (count + across - 1) / across * (tileHeight + gap) - gap }

    /// The top left pixel of a tile.
    public func origin(_ tile: Int) -> (left: Int, top: Int) {
        (tile % across * (tileWidth + gap), tile / across * (tileHeight + gap))
    }

    /// The index in `[height, width]` of a pixel in a tile.
    public func place(_ tile: Int, row: Int, column: Int) -> Int {
        let (left, top) = origin(tile)
        return (top + row) * width + left + column
    }
}
