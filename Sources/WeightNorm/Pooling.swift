public import Torch

// Layers over windows of a signal, image or volume, `[batch, channels, …]`. The number of dimensions is that of the kernel; a whole number stands for as many equal
// lengths as `dimensions` says.

/// The largest element of each window of `[batch, channels, …]`, in 1, 2 or 3 dimensions.
public struct MaxPooling: Layer {
    /// The window's lengths.
    public let kernel: [Int]
    /// Steps between windows.
    public let stride: [Int]
    /// Places added on both sides of the input, which never are the largest; at most half the kernel.
    public let padding: [Int]

    /// Windows in as many dimensions as the kernel has, which do not overlap unless the stride makes them; traps if a length is not positive.
    public init(kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil) {
        (self.kernel, self.stride, self.padding) = windows(kernel, stride, padding, of: "max pooling")
    }

    /// Windows of equal lengths in all dimensions, by default 2, which do not overlap.
    public init(_ size: Int, dimensions: Int = 2) { self.init(kernel: cube(size, dimensions)) }

    /// `[batch, channels, …]`, each length (length + 2·padding − kernel)/stride + 1, rounded down.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.maxPooled(kernel, stride: stride, padding: padding) }
}

/// The mean of each window of `[batch, channels, …]`, in 1, 2 or 3 dimensions.
public struct AveragePooling: Layer {
    /// The window's lengths.
    public let kernel: [Int]
    /// Steps between windows.
    public let stride: [Int]
    /// Zeros added on both sides of the input; at most half the kernel.
    public let padding: [Int]
    /// Whether these zeros count in the mean.
    public let countsPadding: Bool

    /// Windows in as many dimensions as the kernel has, which do not overlap unless the stride makes them; traps if a length is not positive.
    public init(kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, countsPadding: Bool = true) {
        (self.kernel, self.stride, self.padding) = windows(kernel, stride, padding, of: "average pooling")
        self.countsPadding = countsPadding
    }

    /// Windows of equal lengths in all dimensions, by default 2, which do not overlap.
    public init(_ size: Int, dimensions: Int = 2) { self.init(kernel: cube(size, dimensions)) }

    /// `[batch, channels, …]`, each length (length + 2·padding − kernel)/stride + 1, rounded down.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        input.averagePooled(kernel, stride: stride, padding: padding, countingPadding: countsPadding)
    }
}

/// The means of as many windows of `[batch, channels, …]` as asked for, whatever its lengths (`Tensor.adaptiveAveragePooled(to:)`).
public struct AdaptiveAveragePooling: Layer {
    /// The result's lengths.
    public let lengths: [Int]

    /// Pooling in as many dimensions as lengths are given.
    public init(to lengths: [Int]) { self.lengths = lengths }

    /// `[batch, channels]` + the lengths.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.adaptiveAveragePooled(to: lengths) }
}

/// The largest elements of as many windows of `[batch, channels, …]` as asked for, whatever its lengths.
public struct AdaptiveMaxPooling: Layer {
    /// The result's lengths.
    public let lengths: [Int]

    /// Pooling in as many dimensions as lengths are given.
    public init(to lengths: [Int]) { self.lengths = lengths }

    /// `[batch, channels]` + the lengths.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.adaptiveMaxPooled(to: lengths) }
}

/// The mean over all positions: `[batch, channels, …]` to `[batch, channels]`.
public struct GlobalAverage: Layer {
    /// The mean over all axes after the second.
    public init() {}

    /// `[batch, channels]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.mean(over: Array(2..<input.rank)) }
}

/// `[batch, channels, …]` stretched by a whole factor in every dimension after the second.
public struct Upsampling: Layer {
    /// How the new elements are made.
    public enum Mode: Sendable {
        /// Each is repeated.
        case nearest
        /// Linear interpolation in each dimension; elements are seen as intervals, or with `aligningCorners` as points (`Tensor.resizedLinear(to:aligningCorners:)`).
        case linear(aligningCorners: Bool = false)
    }

    /// How many times as long the result is.
    public let factor: Int
    /// How the new elements are made.
    public let mode: Mode

    /// Stretches by a factor of at least 1.
    public init(by factor: Int, mode: Mode = .nearest) {
        trap(unless: factor > 0, "upsampling: expected a factor of at least 1, found \(factor)")
        (self.factor, self.mode) = (factor, mode)
    }

    /// `[batch, channels, …]`, each length times the factor.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let lengths = input.shape.dropFirst(2).map { $0 * factor }
        return switch mode {
        case .nearest: input.resizedNearest(to: lengths)
        case .linear(let aligningCorners): input.resizedLinear(to: lengths, aligningCorners: aligningCorners)
        }
    }
}

/// `[batch, channels, …]` with elements added to its last dimensions.
public struct Padding: Layer {
    /// Added before each dimension's first element.
    public let before: [Int]
    /// Added after its last.
    public let after: [Int]
    /// What they are.
    public let mode: PaddingMode

    /// Padding of as many of the last dimensions as lengths are given; traps unless there are as many before as after.
    public init(before: [Int], after: [Int], mode: PaddingMode = .zeros) {
        trap(
            unless: before.count == after.count, "padding: expected as many lengths before as after, found \(before) and \(after)")
        (self.before, self.after, self.mode) = (before, after, mode)
    }

    /// `[batch, channels, …]`, longer by what is added.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.padded(before: before, after: after, mode: mode) }
}

/// A kernel's length in each dimension, for one that is given as a whole number.
func cube(_ size: Int, _ dimensions: Int) -> [Int] {
    trap(unless: (1...3).contains(dimensions), "dimensions of a layer: expected 1, 2 or 3, found \(dimensions)")
    return Array(repeating: size, count: dimensions)
}

private func windows(
    _ kernel: [Int], _ stride: [Int]?, _ padding: [Int]?, of layer: String
) -> (kernel: [Int], stride: [Int], padding: [Int]) {
    let found = (kernel: kernel, stride: stride ?? kernel, padding: padding ?? kernel.map { _ in 0 })
    trap(
        unless: (1...3).contains(kernel.count) && found.stride.count == kernel.count && found.padding.count == kernel.count
            && (kernel + found.stride).allSatisfy { $0 > 0 } && zip(found.padding, kernel).allSatisfy { 0...$1 / 2 ~= $0 },
        "windows of \(layer): expected 1 to 3 positive lengths, as many strides, and paddings of at most half the length, found kernel "
            + "\(found.kernel), stride \(found.stride) and padding \(found.padding)")
    return found
}
