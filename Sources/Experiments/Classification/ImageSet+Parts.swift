package import Datasets

extension ImageSet {
    /// Some of the images, in an order that depends only on the seed; all of them, in their own order, if there are no more.
    package func sample(_ count: Int, seed: UInt64) -> ImageSet {
        guard count < self.count else { return self }
        return subset(permutation(count: self.count, seed: seed, epoch: 0).prefix(count))
    }

    /// Splits off images that are held out to measure the error while hyperparameters are chosen; which ones depends only on the seed.
    ///
    /// Both parts are in an order that depends on the seed. There must be more images than are held out.
    package func holdingOut(_ count: Int, seed: UInt64 = 0) -> (training: ImageSet, heldOut: ImageSet) {
        let order = permutation(count: self.count, seed: seed, epoch: 0)
        return (subset(order.dropFirst(count)), subset(order.prefix(count)))
    }

    private func subset(_ chosen: ArraySlice<Int32>) -> ImageSet {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(chosen.count * features)
        for index in chosen { pixels += images[Int(index) * features..<(Int(index) + 1) * features] }
        return ImageSet(
            images: pixels, labels: chosen.map { labels[Int($0)] }, channels: channels, rows: rows, columns: columns,
            classNames: classNames)
    }
}
