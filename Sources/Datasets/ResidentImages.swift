public import Torch

/// A whole set of images on a device, in the form that a network takes: minibatches are selected there by index.
///
/// During training only the order of each epoch is copied to the device. Whitened images take four bytes for each byte of the set (737 MB for all of
/// CIFAR-10): on two cores, whitening a minibatch at each use would cost as much as a narrow network's step.
public struct ResidentImages: Sendable {
    /// Bytes as they are in the set (`.uint8`), or whitened (`.float32`), `[count, channels, rows, columns]`.
    private let pixels: Tensor
    /// Classes, `.int64`, `[count]`.
    private let labels: Tensor
    /// The number of images.
    public let count: Int
    /// Where they are.
    public var device: Device { pixels.device }

    /// The set's bytes, which become (raw − 127.5)/128 when they are selected.
    public init(_ set: ImageSet, on device: Device = .cpu) {
        pixels = Tensor(set.images, shape: [set.count, set.channels, set.rows, set.columns], on: device)
        labels = Tensor(set.labels.map { Int64($0) }, on: device)
        count = set.count
    }

    /// The set, whitened. Traps if the images' size differs from that of the images to which the whitening was fitted.
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

    /// The pixels at the given indices as they are on the device, bytes (`.uint8`) or whitened: `[batch, channels, rows, columns]`.
    public func pixels(_ indices: Tensor) -> Tensor { pixels.selecting(indices, along: 0) }

    /// The images of a range of the set's own order.
    public func batch(_ range: Range<Int>) -> (inputs: Tensor, labels: Tensor) {
        trap(unless: range.lowerBound >= 0 && range.upperBound <= count, "images: expected a range within \(count), found \(range)")
        let picked = pixels.sliced(range, along: 0)
        return (picked.type == .uint8 ? Self.scaled(picked) : picked, labels.sliced(range, along: 0))
    }

    /// The order of an epoch, which depends only on seed and epoch, as minibatches of the given size: `.int64` of `[minibatches, size]` on the
    /// device.
    ///
    /// Leftover images at the end are dropped. It is the order of ``Batches/shuffled(_:size:seed:epoch:on:)``.
    public func order(size: Int, seed: UInt64, epoch: Int) -> Tensor {
        trap(unless: (1...max(1, count)).contains(size), "minibatches: expected a size from 1 to \(count), found \(size)")
        let order = permutation(count: count, seed: seed, epoch: epoch).prefix(count / size * size).map { Int64($0) }
        return Tensor(order, shape: [count / size, size], on: device)
    }

    /// Bytes as input for a network: (raw − 127.5)/128, float32.
    public static func scaled(_ images: Tensor) -> Tensor { (images.converted(to: .float32) - 127.5) * (1 / 128.0) }
}
