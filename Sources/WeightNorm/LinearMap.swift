public import Torch

/// A linear map with a weight: the part in which dense layers, convolutions and transposed convolutions differ.
public protocol LinearMap {
    /// The shape of the weight.
    var weightShape: [Int] { get }
    /// Which elements of the weight belong to one output unit.
    var units: OutputUnits { get }
    /// The number of output units.
    var outputs: Int { get }
    /// The axis of the result that holds the units.
    var featureAxis: Int { get }
    /// The weight that a layer starts with, made from independent draws in the weight's shape.
    func initialWeight(_ draws: Tensor) -> Tensor
    /// The map's result, plus the bias `[outputs]` if there is one.
    func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor
    /// The activation of that, if there is one.
    ///
    /// A map whose operator can apply it at once implements this; for others the activation is an operator of its own.
    func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor
}

extension LinearMap {
    /// The draws themselves.
    public func initialWeight(_ draws: Tensor) -> Tensor { draws }

    /// The map's result and the activation of it, one after the other.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor {
        let result = self(input, weight: weight, bias: bias)
        return activation.map(result.activated) ?? result
    }
}

/// y = w·x for x of `[…, inputs]` and w of `[outputs, inputs]`.
public struct DenseMap: LinearMap, Sendable {
    /// Features of the input.
    public let inputs: Int
    /// Features of the result.
    public let outputs: Int

    /// The map between the given numbers of features; traps unless they are positive.
    public init(inputs: Int, outputs: Int) {
        requirePositive(["inputs": [inputs], "outputs": [outputs]], of: "dense layer")
        self.inputs = inputs
        self.outputs = outputs
    }

    /// `[outputs, inputs]`.
    public var weightShape: [Int] { [outputs, inputs] }
    /// The rows.
    public var units: OutputUnits { .axis(0) }
    /// The last.
    public var featureAxis: Int { -1 }

    /// The product.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
        self(input, weight: weight, bias: bias, activation: nil)
    }
    /// The product and the activation of it, in one operator.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor {
        let shape = input.shape
        trap(unless: shape.last == inputs, "dense layer: expected an input […, \(inputs)], found \(shape)")
        return input.linear(weight: weight, bias: bias, activation: activation)
    }
}

/// The cross-correlation of x, `[batch, inputs, …]`, with w, `[outputs, inputs/groups, …]`, in 1, 2 or 3 dimensions.
public struct ConvolutionMap: LinearMap, Sendable {
    /// Channels of the input.
    public let inputs: Int
    /// Channels of the result.
    public let outputs: Int
    /// The kernel's length in every dimension.
    public let kernel: [Int]
    /// Steps between places of the kernel.
    public let stride: [Int]
    /// Elements added on both sides of the input; none in a causal convolution.
    public let padding: [Int]
    /// What they are.
    public let paddingMode: PaddingMode
    /// Whether the input is padded by dilation·(kernel − 1) elements before its first, and by none after its last: result t then depends on no input after t·stride.
    public let isCausal: Bool
    /// Steps between elements of the kernel.
    public let dilation: [Int]
    /// The number of blocks of channels that do not see each other.
    public let groups: Int

    /// A convolution in as many dimensions as the kernel has; traps if a size is not positive, the groups do not divide the channels, or a causal convolution is given a
    /// padding.
    public init(
        inputs: Int, outputs: Int, kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, paddingMode: PaddingMode = .zeros,
        isCausal: Bool = false, dilation: [Int]? = nil, groups: Int = 1
    ) {
        let ones = kernel.map { _ in 1 }
        self.inputs = inputs
        self.outputs = outputs
        self.kernel = kernel
        self.stride = stride ?? ones
        self.padding = padding ?? kernel.map { _ in 0 }
        self.paddingMode = paddingMode
        self.isCausal = isCausal
        self.dilation = dilation ?? ones
        self.groups = groups
        requirePositive(
            ["inputs": [inputs], "outputs": [outputs], "kernel": kernel, "stride": self.stride, "dilation": self.dilation],
            of: "convolution")
        requireLengths(["stride": self.stride, "padding": self.padding, "dilation": self.dilation], kernel, of: "convolution")
        trap(
            unless: !isCausal || self.padding.allSatisfy { $0 == 0 },
            "padding of a causal convolution: expected none, since it follows from the kernel, found \(self.padding)")
        requireGroups(groups, inputs, outputs)
    }

    /// `[outputs, inputs/groups] + kernel`.
    public var weightShape: [Int] { [outputs, inputs / groups] + kernel }
    /// Axis 0.
    public var units: OutputUnits { .axis(0) }
    /// 1: the channels.
    public var featureAxis: Int { 1 }

    /// The cross-correlation.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
        self(input, weight: weight, bias: bias, activation: nil)
    }
    /// The cross-correlation and the activation of it, in one operator.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor {
        requireInput(input, inputs, kernel, of: "convolution")
        guard isCausal || paddingMode != .zeros else {
            return input.convolved(
                with: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups, activation: activation)
        }
        let before = isCausal ? zip(kernel, dilation).map { ($0 - 1) * $1 } : padding
        return input.padded(before: before, after: padding, mode: paddingMode).convolved(
            with: weight, bias: bias, stride: stride, padding: kernel.map { _ in 0 }, dilation: dilation, groups: groups,
            activation: activation)
    }
}

/// The transpose of a ``ConvolutionMap``: x of `[batch, inputs, …]`, w of `[inputs, outputs/groups, …]`, in 1, 2 or 3 dimensions.
public struct TransposedConvolutionMap: LinearMap, Sendable {
    /// Channels of the input.
    public let inputs: Int
    /// Channels of the result.
    public let outputs: Int
    /// The kernel's length in every dimension.
    public let kernel: [Int]
    /// Steps between places of the kernel in the result.
    public let stride: [Int]
    /// Elements cut from both sides of the result.
    public let padding: [Int]
    /// Elements added to one side of the result, below the stride.
    public let outputPadding: [Int]
    /// Steps between elements of the kernel.
    public let dilation: [Int]
    /// The number of blocks of channels that do not see each other.
    public let groups: Int

    /// A transposed convolution in as many dimensions as the kernel has; traps if a size is not positive or the groups do not divide the channels.
    public init(
        inputs: Int, outputs: Int, kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, outputPadding: [Int]? = nil,
        dilation: [Int]? = nil, groups: Int = 1
    ) {
        let ones = kernel.map { _ in 1 }
        let zeros = kernel.map { _ in 0 }
        self.inputs = inputs
        self.outputs = outputs
        self.kernel = kernel
        self.stride = stride ?? ones
        self.padding = padding ?? zeros
        self.outputPadding = outputPadding ?? zeros
        self.dilation = dilation ?? ones
        self.groups = groups
        requirePositive(
            ["inputs": [inputs], "outputs": [outputs], "kernel": kernel, "stride": self.stride, "dilation": self.dilation],
            of: "transposed convolution")
        requireLengths(
            ["stride": self.stride, "padding": self.padding, "outputPadding": self.outputPadding, "dilation": self.dilation], kernel,
            of: "transposed convolution")
        requireGroups(groups, inputs, outputs)
    }

    /// `[inputs, outputs/groups] + kernel`.
    public var weightShape: [Int] { [inputs, outputs / groups] + kernel }
    /// Axis 1, separately for each group: an output unit sums only over its group's inputs.
    public var units: OutputUnits { .axis(1, blocks: groups) }
    /// 1: the channels.
    public var featureAxis: Int { 1 }

    /// The transposed cross-correlation.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
        self(input, weight: weight, bias: bias, activation: nil)
    }
    /// The transposed cross-correlation and the activation of it, written over it.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor {
        requireInput(input, inputs, kernel, of: "transposed convolution")
        return input.convolved(
            with: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups, transposed: true,
            outputPadding: outputPadding, activation: activation)
    }
}

private func requirePositive(_ sizes: KeyValuePairs<String, [Int]>, of layer: String) {
    for (name, values) in sizes {
        trap(unless: !values.isEmpty && values.allSatisfy { $0 > 0 }, "\(name) of a \(layer): expected at least 1, found \(values)")
    }
}

private func requireLengths(_ lengths: KeyValuePairs<String, [Int]>, _ kernel: [Int], of layer: String) {
    trap(unless: kernel.count <= 3, "kernel of a \(layer): expected 1 to 3 lengths, found \(kernel)")
    for (name, values) in lengths {
        trap(
            unless: values.count == kernel.count && values.allSatisfy { $0 >= 0 },
            "\(name) of a \(layer): expected as many numbers from 0 up as the kernel \(kernel) has, found \(values)")
    }
}

private func requireInput(_ input: Tensor, _ inputs: Int, _ kernel: [Int], of layer: String) {
    let shape = input.shape
    guard shape.count != kernel.count + 2 || shape[1] != inputs else { return }
    let places = ["[batch, \(inputs), length]", "[batch, \(inputs), height, width]", "[batch, \(inputs), depth, height, width]"]
    fail("\(layer) with the kernel \(kernel): expected an input \(places[kernel.count - 1]), found \(shape)")
}

private func requireGroups(_ groups: Int, _ inputs: Int, _ outputs: Int) {
    trap(
        unless:
            groups > 0 && inputs.isMultiple(of: groups) && outputs.isMultiple(of: groups),
        "groups of a convolution: expected a divisor of \(inputs) inputs and \(outputs) outputs, found \(groups)")
}
