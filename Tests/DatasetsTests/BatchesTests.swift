import Datasets
import Testing
import Torch

struct BatchesTests {
    /// Image i has i in every pixel, and i mod 10 for its class.
    private let set = ImageSet(
        images: (0..<23).flatMap { [UInt8](repeating: UInt8($0), count: 6) }, labels: (0..<23).map { UInt8($0 % 10) }, rows: 2, columns: 3)

    private func identities(_ batches: Batches) -> [[Int]] {
        batches.map { batch in
            let images = batch.images.flattened(from: 1)
            #expect(batch.images.shape == [batch.count, 1, 2, 3] && batch.images.type == .uint8 && batch.labels.type == .int64)
            let first = images.selected(0, along: 1).elements(as: Int.self)
            #expect((images .== images.sliced(0..<1, along: 1)).allTrue(), "an image's pixels stay together")
            #expect(batch.labels.elements(as: Int.self) == first.map { $0 % 10 }, "labels stay with their images")
            return first
        }
    }

    @Test("every image comes once an epoch, in equal minibatches, the rest is dropped")
    func shuffled() {
        let batches = Batches.shuffled(set, size: 5, seed: 1, epoch: 0)
        let found = identities(batches)
        #expect(batches.count == 4 && found.map(\.count) == [5, 5, 5, 5])
        #expect(Set(found.joined()).count == 20)
    }

    @Test("the order depends on seed and epoch, and on nothing else")
    func order() {
        func order(_ seed: UInt64, _ epoch: Int) -> [Int] { identities(.shuffled(set, size: 4, seed: seed, epoch: epoch)).flatMap { $0 } }
        #expect(order(1, 0) == order(1, 0))
        #expect(order(1, 0) != order(1, 1))
        #expect(order(1, 0) != order(2, 0))
    }

    @Test("in order, nothing is dropped")
    func inOrder() {
        let batches = Batches.inOrder(set, size: 10)
        #expect(identities(batches).flatMap { $0 } == Array(0..<23))
        #expect(batches.map(\.count) == [10, 10, 3])
    }

    @Test("a minibatch larger than the data, or of none, is a mistake that is told (tabnet #537)")
    func tooLarge() async {
        await #expect(processExitsWith: .failure) {
            let set = ImageSet(images: [1, 2, 3], labels: [0, 1, 2], channels: 1, rows: 1, columns: 1)
            _ = Batches.shuffled(set, size: 4, seed: 1, epoch: 0)
        }
        await #expect(processExitsWith: .failure) {
            let set = ImageSet(images: [1, 2, 3], labels: [0, 1, 2], channels: 1, rows: 1, columns: 1)
            _ = Batches.shuffled(set, size: 0, seed: 1, epoch: 0)
        }
        #expect(Array(Batches.shuffled(set, size: 23, seed: 1, epoch: 0)).map(\.count) == [23])
    }

    @Test("an iterator may be left before its end")
    func leftEarly() {
        for _ in 0..<50 {
            var iterator = Batches.shuffled(set, size: 2, seed: 3, epoch: 0).makeIterator() as Batches.Iterator?
            _ = iterator?.next()
            iterator = nil
        }
    }

    @Test("an image's channels stay with it and in their order")
    func colour() {
        // In image i, channel c is 10·i + c.
        let images = (0..<4).flatMap { image in (0..<3).flatMap { [UInt8](repeating: UInt8(10 * image + $0), count: 2) } }
        let colour = ImageSet(images: images, labels: [0, 1, 2, 3], channels: 3, rows: 1, columns: 2)
        for batch in Batches.shuffled(colour, size: 2, seed: 1, epoch: 0) {
            #expect(batch.images.shape == [2, 3, 1, 2])
            let expected = batch.labels.elements(as: Int.self).flatMap { label in (0..<3).flatMap { [10 * label + $0, 10 * label + $0] } }
            #expect(batch.images.elements(as: Int.self) == expected)
        }
    }
}
