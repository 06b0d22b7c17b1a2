// Over windows of a signal, image or volume, `[batch, channels, …]`: padding, pooling, resizing. The number of dimensions is that of the lengths given.

/// What the elements are that padding adds.
public enum PaddingMode: String, Sendable, Hashable, CaseIterable {
    /// 0.
    case zeros
    /// The signal mirrored at its first and last element, which are not repeated: c b | a b c | b a.
    case reflect
    /// The first and last element repeated: a a | a b c | c c.
    case replicate
    /// The signal again, as if it were periodic: b c | a b c | a b.
    case circular
}

extension Tensor {
    /// The tensor with `before` and `after` elements added to its last dimensions, of which there are as many as lengths.
    ///
    /// Negative lengths remove elements, in the mode `.zeros`. The other modes take `[batch, channels, …]` and lengths for the last one, two or three
    /// dimensions; `.reflect` needs lengths below the dimension's own, `.circular` at most that. Traps otherwise.
    public func padded(before: [Int], after: [Int], mode: PaddingMode = .zeros) -> Tensor {
        padded(before, after, mode == .zeros ? "constant" : mode.rawValue, nil)
    }

    /// The same with `number` as the added elements.
    public func padded(before: [Int], after: [Int], with number: Double) -> Tensor { padded(before, after, "constant", number) }

    private func padded(_ before: [Int], _ after: [Int], _ mode: String, _ number: Double?) -> Tensor {
        trap(
            unless: before.count == after.count && before.count <= rank,
            "padding: expected as many lengths before as after, at most \(rank), found \(before) and \(after)")
        if (before + after).allSatisfy({ $0 == 0 }) { return self }
        // libtorch counts from the last dimension.
        return operators.signals.pad(
            .tensor(self), .integers(zip(before, after).reversed().flatMap { [$0, $1] }), .text(mode), .optional(number))
    }

    /// The largest element of each window of the last dimensions; windows do not overlap unless the stride makes them.
    ///
    /// Padding, at most half the kernel, never is the largest. The result has ⌊(length + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1 elements in a
    /// dimension, with `roundingUp` ⌈…⌉, where a window may begin in the signal and end beyond it.
    public func maxPooled(
        _ kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, dilation: [Int]? = nil, roundingUp: Bool = false
    ) -> Tensor {
        windowed(operators.signals.maxPools, "max pooling", kernel)(
            .tensor(self), .integers(kernel), .integers(stride ?? kernel), .integers(padding ?? kernel.map { _ in 0 }),
            .integers(dilation ?? kernel.map { _ in 1 }), .boolean(roundingUp))
    }

    /// The mean of each window of the last dimensions; windows do not overlap unless the stride makes them.
    ///
    /// Padding, at most half the kernel, counts as zeros, or with `countingPadding: false` not at all. The result's lengths are those of
    /// ``maxPooled(_:stride:padding:dilation:roundingUp:)`` with dilation 1.
    public func averagePooled(
        _ kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, countingPadding: Bool = true, roundingUp: Bool = false
    ) -> Tensor {
        let pool = windowed(operators.signals.averagePools, "average pooling", kernel)
        let (kernel, stride, padding) = (
            Operator.Value.integers(kernel), Operator.Value.integers(stride ?? kernel),
            Operator.Value.integers(padding ?? kernel.map { _ in 0 })
        )
        if case .integers(let lengths) = kernel, lengths.count == 1 {
            return pool(.tensor(self), kernel, stride, padding, .boolean(roundingUp), .boolean(countingPadding))
        }
        return pool(.tensor(self), kernel, stride, padding, .boolean(roundingUp), .boolean(countingPadding), .none)
    }

    /// The means of as many windows of the last dimensions as asked for: window i of n covers the elements from ⌊i·length/n⌋ to before ⌈(i + 1)·length/n⌉.
    public func adaptiveAveragePooled(to lengths: [Int]) -> Tensor {
        windowed(operators.signals.adaptiveAveragePools, "adaptive average pooling", lengths)(.tensor(self), .integers(lengths))
    }

    /// The largest elements of the windows of ``adaptiveAveragePooled(to:)``.
    public func adaptiveMaxPooled(to lengths: [Int]) -> Tensor {
        windowed(operators.signals.adaptiveMaxPools, "adaptive max pooling", lengths)
            .results(capacity: 2, .tensor(self), .integers(lengths))[0]
    }

    /// The last dimensions of `[batch, channels, …]` stretched to the given lengths: element i of n is the one at ⌊i·length/n⌋.
    public func resizedNearest(to lengths: [Int]) -> Tensor {
        let scales = [Operator.Value](repeating: .none, count: lengths.count)
        return windowed(operators.signals.nearestResizes, "resizing", lengths)([.tensor(self), .integers(lengths)] + scales)
    }

    /// The last dimensions of `[batch, channels, …]` stretched to the given lengths, with linear interpolation between the elements in each dimension.
    ///
    /// Elements are seen as intervals, so that i lies at (i + ½)·length/n − ½ of the original, and beyond the first and last they are constant; with
    /// `aligningCorners` as points, at i·(length − 1)/(n − 1), so that the first and the last stay.
    public func resizedLinear(to lengths: [Int], aligningCorners: Bool = false) -> Tensor {
        let scales = [Operator.Value](repeating: .none, count: lengths.count)
        return windowed(operators.signals.linearResizes, "resizing", lengths)(
            [.tensor(self), .integers(lengths), .boolean(aligningCorners)] + scales)
    }

    /// Images, `[batch, channels, height, width]`, resized with linear interpolation; where they become smaller, with weighted means over all the pixels that a new one covers.
    public func resizedSmooth(to lengths: [Int]) -> Tensor {
        trap(
            unless: lengths.count == 2 && rank == 4, "smooth resizing: expected images and two lengths, found shape \(shape) and \(lengths)"
        )
        return operators.signals.resizeSmooth2d(.tensor(self), .integers(lengths), .boolean(false), .none, .none)
    }

    /// The operator for as many dimensions as there are lengths; traps unless the tensor has these besides batch and channels.
    private func windowed(_ operators: [Operator], _ name: String, _ lengths: [Int]) -> Operator {
        trap(
            unless: operators.indices.contains(lengths.count - 1) && rank == lengths.count + 2,
            "\(name) over \(lengths.count) dimensions: expected a tensor of \(lengths.count) (1 to 3) dimensions besides batch and channels, "
                + "found shape \(shape)")
        return operators[lengths.count - 1]
    }
}

// MARK: - In two dimensions

extension Tensor {
    /// The largest element of each square window of `[batch, channels, height, width]`.
    public func maxPooled2d(_ size: Int, stride: Int? = nil) -> Tensor {
        maxPooled([size, size], stride: stride.map { [$0, $0] })
    }

    /// The mean of each square window of `[batch, channels, height, width]`.
    public func averagePooled2d(_ size: Int, stride: Int? = nil) -> Tensor {
        averagePooled([size, size], stride: stride.map { [$0, $0] })
    }

    /// Each pixel of `[batch, channels, height, width]` repeated to the given height and width.
    public func resizedNearest2d(height: Int, width: Int) -> Tensor { resizedNearest(to: [height, width]) }
}
