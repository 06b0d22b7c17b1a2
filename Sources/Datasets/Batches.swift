import Dispatch
public import Torch

/// The images of a minibatch and their classes.
public struct Batch: Sendable {
    /// Pixels from 0 to 255, `.uint8`, `[count, channels, rows, columns]`.
    public let images: Tensor
    /// Classes, `.int64`, `[count]`.
    public let labels: Tensor
    /// The number of images.
    public let count: Int
}

/// The minibatches of one epoch over a set of images; the next one is prepared while the current one is in use.
public struct Batches: Sequence, Sendable {
    private let set: ImageSet
    private let order: [Int32]
    private let size: Int
    private let device: Device

    /// The images in an order that depends only on seed and epoch, in minibatches of the given size; leftover images at the end are dropped, so all
    /// minibatches are equal in size. Traps unless the size is from 1 to the number of images.
    public static func shuffled(_ set: ImageSet, size: Int, seed: UInt64, epoch: Int, on device: Device = .cpu) -> Batches {
        trap(
            unless: size >= 1 && size <= set.count,
            "minibatches: expected a size from 1 to the \(set.count) images, found \(size)")
        let order = permutation(count: set.count, seed: seed, epoch: epoch)
        return Batches(set: set, order: Array(order.prefix(set.count / size * size)), size: size, device: device)
    }

    /// All images in their own order; the last minibatch may be smaller.
    public static func inOrder(_ set: ImageSet, size: Int, on device: Device = .cpu) -> Batches {
        Batches(set: set, order: Array(0..<Int32(set.count)), size: size, device: device)
    }

    private init(set: ImageSet, order: [Int32], size: Int, device: Device) {
        trap(unless: size > 0, "minibatches: expected a size of at least 1, found \(size)")
        self.set = set
        self.order = order
        self.size = size
        self.device = device
    }

    /// The number of minibatches.
    public var count: Int { (order.count + size - 1) / size }

    /// The minibatch at an index, made when asked for.
    public subscript(index: Int) -> Batch {
        trap(unless: (0..<count).contains(index), "minibatches: expected an index below \(count), found \(index)")
        let indices = order[index * size..<Swift.min((index + 1) * size, order.count)]
        let features = set.features
        var images: [UInt8] = []
        images.reserveCapacity(indices.count * features)
        for image in indices { images += set.images[Int(image) * features..<(Int(image) + 1) * features] }
        let labels = indices.map { Int64(set.labels[Int($0)]) }
        return Batch(
            images: Tensor(images, shape: [indices.count, set.channels, set.rows, set.columns], on: device),
            labels: Tensor(labels, on: device),
            count: indices.count)
    }

    /// From the first minibatch to the last.
    public func makeIterator() -> Iterator { Iterator(self) }

    /// Returns minibatches while a worker thread makes the next.
    public final class Iterator: IteratorProtocol {
        private let batches: Batches
        private let queue = DispatchQueue(label: "swift-weightnorm.batches")
        private var following = 0
        private var pending: Pending?

        // Unchecked: `batch` is written before `done` is signalled, and read after waiting for it.
        private final class Pending: @unchecked Sendable {
            let done = DispatchSemaphore(value: 0)
            var batch: Batch?
        }

        fileprivate init(_ batches: Batches) {
            self.batches = batches
            prepare()
        }

        private func prepare() {
            guard following < batches.count else { return pending = nil }
            let (job, index, batches) = (Pending(), following, batches)
            following += 1
            pending = job
            queue.async {
                job.batch = batches[index]
                job.done.signal()
            }
        }

        /// The next minibatch, or nil after the last.
        public func next() -> Batch? {
            guard let ready = pending else { return nil }
            ready.done.wait()
            prepare()
            return ready.batch
        }
    }
}
