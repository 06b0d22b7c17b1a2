package import Datasets
package import Torch

/// The images of a training run, on its device.
package struct GenerativeImages {
    package let training: ResidentImages
    package let test: ResidentImages
    package let rows: Int
    package let columns: Int

    /// Images as input for a model: the test images are binarised once, and so are the training images unless they are redrawn each time.
    package init(training: ImageSet, test: ImageSet, _ pixels: PixelKind, on device: Device) {
        self.training = ResidentImages(pixels == .fixed ? training.binarised(seed: 0) : training, on: device)
        self.test = ResidentImages(pixels == .levels ? test : test.binarised(seed: 1), on: device)
        (rows, columns) = (training.rows, training.columns)
    }
}

extension ImageSet {
    /// Black or white pixels, white with the grey level as probability; the draws depend only on the seed.
    package func binarised(seed: UInt64) -> ImageSet {
        var random = Xoshiro256(seed: seed)
        let pixels = images.map { level in UInt8(random.next(below: 255) < UInt64(level) ? 255 : 0) }
        return ImageSet(images: pixels, labels: labels, channels: channels, rows: rows, columns: columns)
    }
}
