import Datasets
import Testing
import Torch

struct ResidentImagesTests {
    /// Image i has i in its first pixel, and i mod 10 for its class; the other pixels are as good as random.
    private let set = ImageSet(
        images: (0..<230).map { (place: Int) -> UInt8 in
            place % 10 == 0 ? UInt8(place / 10) : UInt8(truncatingIfNeeded: place * place * 7 + 3)
        },
        labels: (0..<23).map { UInt8($0 % 10) }, rows: 2, columns: 5)

    private func bits(_ tensor: Tensor) -> [UInt32] { tensor.elements(as: Float.self).map(\.bitPattern) }

    @Test("minibatches are those of Batches, scaled to (raw − 127.5)/128")
    func bytes() {
        let images = ResidentImages(set)
        let order = images.order(size: 5, seed: 9, epoch: 2)
        #expect(order.shape == [4, 5] && images.count == 23)
        for (index, batch) in Batches.shuffled(set, size: 5, seed: 9, epoch: 2).enumerated() {
            let (inputs, labels) = images.batch(order.selected(index, along: 0))
            #expect(labels.elements(as: Int.self) == batch.labels.elements(as: Int.self))
            #expect(inputs.shape == [5, 1, 2, 5] && inputs.type == .float32)
            #expect(bits(inputs) == batch.images.elements(as: Float.self).map { (($0 - 127.5) / 128).bitPattern })
        }
        let (inputs, labels) = images.batch(20..<23)
        let last = Batches.inOrder(set, size: 10)[2]
        #expect(bits(inputs) == bits(ResidentImages.scaled(last.images)) && labels.elements(as: Int.self) == [0, 1, 2])
    }

    @Test("whitened images are what the whitening makes of the bytes, by index and by range, the training set's map on all")
    func whitened() {
        let whitening = Whitening(fittedTo: set)
        let expected = whitening(Batches.inOrder(set, size: 23)[0].images)
        let images = ResidentImages(set, whitenedBy: whitening)
        let (inputs, _) = images.batch(0..<23)
        #expect((inputs - expected).magnitude().maximum().item() < 1e-5)
        let (some, labels) = images.batch(Tensor([4, 22, 0]))
        #expect(bits(some) == bits(inputs.selecting(Tensor([4, 22, 0]), along: 0)) && labels.elements(as: Int.self) == [4, 2, 0])

        let other = ImageSet(images: [UInt8](repeating: 200, count: 20), labels: [1, 2], rows: 2, columns: 5)
        let moved = ResidentImages(other, whitenedBy: whitening).batch(0..<2).inputs
        #expect((moved - whitening(Batches.inOrder(other, size: 2)[0].images)).magnitude().maximum().item() < 1e-5)
    }

    @Test("sizes that do not fit trap")
    func traps() async {
        await #expect(processExitsWith: .failure) {
            let images = ResidentImages(ImageSet(images: [0, 1], labels: [0, 1], rows: 1, columns: 1))
            _ = images.order(size: 3, seed: 0, epoch: 0)
        }
        await #expect(processExitsWith: .failure) {
            let images = ResidentImages(ImageSet(images: [0, 1], labels: [0, 1], rows: 1, columns: 1))
            _ = images.batch(1..<3)
        }
    }
}
