// Shape, selection, conversion. A negative dimension counts from the last.

extension Tensor {
    /// The same elements in another shape; at most one length may be −1 and is then inferred.
    public func reshaped(_ shape: [Int]) -> Tensor { operators.reshape(.tensor(self), .integers(shape)) }

    /// The dimensions in another order.
    public func permuted(_ dimensions: [Int]) -> Tensor { operators.permute(.tensor(self), .integers(dimensions)) }

    /// Swaps two dimensions.
    public func transposed(_ first: Int = -2, _ second: Int = -1) -> Tensor {
        operators.transpose(.tensor(self), .integer(first), .integer(second))
    }

    /// Inserts a dimension of length 1.
    public func expandingDimension(_ dimension: Int) -> Tensor { operators.unsqueeze(.tensor(self), .integer(dimension)) }

    /// Removes a dimension of length 1.
    public func removingDimension(_ dimension: Int) -> Tensor { operators.squeeze(.tensor(self), .integer(dimension)) }

    /// Dimensions of length 1 repeated to the given lengths, without copying.
    public func expanded(_ shape: [Int]) -> Tensor { operators.expand(.tensor(self), .integers(shape), .boolean(false)) }

    /// Merges all dimensions from the given one on.
    public func flattened(from dimension: Int = 0) -> Tensor {
        operators.flatten(.tensor(self), .integer(dimension), .integer(-1))
    }

    /// The part at one index of a dimension, which is removed.
    public func selected(_ index: Int, along dimension: Int) -> Tensor {
        operators.select(.tensor(self), .integer(dimension), .integer(index))
    }

    /// The part in a range of a dimension, which is kept; every `step`th element.
    public func sliced(_ range: Range<Int>, along dimension: Int, step: Int = 1) -> Tensor {
        operators.slice(.tensor(self), .integer(dimension), .integer(range.lowerBound), .integer(range.upperBound), .integer(step))
    }

    /// Tensors joined along an existing dimension.
    public static func concatenated(_ tensors: [Tensor], along dimension: Int = 0) -> Tensor {
        operators.concatenate(.tensors(tensors), .integer(dimension))
    }

    /// Tensors of one shape joined along a new dimension.
    public static func stacked(_ tensors: [Tensor], along dimension: Int = 0) -> Tensor {
        operators.stack(.tensors(tensors), .integer(dimension))
    }

    /// Parts of the given lengths along a dimension.
    public func split(_ lengths: [Int], along dimension: Int) -> [Tensor] {
        operators.split.results(capacity: lengths.count, .tensor(self), .integers(lengths), .integer(dimension))
    }

    /// The elements in reverse order along the given dimensions.
    public func flipped(along dimensions: [Int]) -> Tensor { operators.flip(.tensor(self), .integers(dimensions)) }

    /// The same elements, laid out row-major without gaps.
    public func contiguous() -> Tensor { operators.contiguous(.tensor(self), .integer(0)) }

    /// The same elements of `[batch, channels, height, width]`, laid out with the channels innermost.
    ///
    /// Operators and their gradients keep the layout of their input: a network whose images have this layout uses it throughout, with the same
    /// results up to rounding. Weights stay as they are. On the CPU convolutions then need not convert to their own layout and are faster.
    ///
    /// An image of one channel is in both layouts at once; the result of its convolution on the CPU has this one.
    public func channelsLast() -> Tensor { operators.contiguous(.tensor(self), .integer(2)) }

    /// A copy with storage of its own.
    public func copied() -> Tensor { operators.clone(.tensor(self), .none) }

    /// The same numbers, not recorded for gradients.
    public func detached() -> Tensor { operators.detach(.tensor(self)) }

    /// The elements in another type; the tensor itself if it already has that type.
    public func converted(to type: ElementType) -> Tensor {
        type == self.type
            ? self : operators.convert(.tensor(self), .optional(type), .none, .none, .none, .boolean(false), .none)
    }

    /// The elements on another device; the tensor itself if it is already there.
    public func moved(to device: Device) -> Tensor {
        device == self.device
            ? self : operators.convert(.tensor(self), .none, .none, .device(device), .none, .boolean(false), .none)
    }
}
