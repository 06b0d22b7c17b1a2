public import Torch

/// A set of images that lies on a device as a whole, in the form in which a network takes it: minibatches are picked there by index.
///
/// Nothing has to be carried to the device in the course of a training but the order of a pass. Whitened images take four bytes for every one of the
/// set (737 MB for all of CIFAR-10): whitening a minibatch each time it is used would cost two cores as much as a narrow network's step.
public struct ResidentImages: Sendable {
    /// Bytes as they are in the set (`.uint8`), or whitened (`.float32`), `[count, channels, rows, columns]`.
    private let pixels: Tensor
    /// Classes, `.int64`, `[count]`.
    private let labels: Tensor
    /// The number of images.
    public let count: Int
    /// Where they lie.
    public var device: Device { pixels.device }

    /// The set's bytes, which become (raw − 127.5)/128 when they are picked.
    public init(_ set: ImageSet, on device: Device = .cpu) {
        pixels = Tensor(set.images, shape: [set.count, set.channels, set.rows, set.columns], on: device)
        labels = Tensor(set.labels.map { Int64($0) }, on: device)
        count = set.count
    }

    /// The set, whitened. Traps if an image has another number of bytes than those that the whitening was fitted to.
    public init(_ set: ImageSet, whitenedBy whitening: Whitening, on device: Device = .cpu) {
        let whitening = whitening.moved(to: device)
        // In parts, so that the intermediate results stay small.
        pixels = withoutGradients {
            .concatenated(Batches.inOrder(set, size: 1000, on: device).map { whitening($0.images) }, along: 0)
        }
        labels = Tensor(set.labels.map { Int64($0) }, on: device)
        count = set.count
    }

    /// The images and classes at the given indices, `.int64` of `[batch]` on the same device: inputs of `[batch, channels, rows, columns]` in float32 and
    /// classes of `[batch]`.
    public func batch(_ indices: Tensor) -> (inputs: Tensor, labels: Tensor) {
        let picked = pixels.selecting(indices, along: 0)
        return (picked.type == .uint8 ? Self.scaled(picked) : picked, labels.selecting(indices, along: 0))
    }

    /// The pixels at the given indices as they lie on the device, bytes (`.uint8`) or whitened: `[batch, channels, rows, columns]`.
    public func pixels(_ indices: Tensor) -> Tensor { pixels.selecting(indices, along: 0) }

    /// The images of a range of the set's own order.
    public func batch(_ range: Range<Int>) -> (inputs: Tensor, labels: Tensor) {
        trap(unless: range.lowerBound >= 0 && range.upperBound <= count, "images: expected a range within \(count), found \(range)")
        let picked = pixels.sliced(range, along: 0)
        return (picked.type == .uint8 ? Self.scaled(picked) : picked, labels.sliced(range, along: 0))
    }

    /// The order of an epoch, which depends on seed and epoch alone, as minibatches of the given size: `.int64` of `[minibatches, size]` on the device.
    ///
    /// What is left over at the end is dropped. It is the order of ``Batches/shuffled(_:size:seed:epoch:on:)``.
    public func order(size: Int, seed: UInt64, epoch: Int) -> Tensor {
        trap(unless: (1...max(1, count)).contains(size), "minibatches: expected a size from 1 to \(count), found \(size)")
        let order = permutation(count: count, seed: seed, epoch: epoch).prefix(count / size * size).map { Int64($0) }
        return Tensor(order, shape: [count / size, size], on: device)
    }

    /// Bytes as a network takes them: (raw − 127.5)/128, float32.
    public static func scaled(_ images: Tensor) -> Tensor { (images.converted(to: .float32) - 127.5) * (1 / 128.0) }
}
