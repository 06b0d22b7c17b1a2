// What networks are made of: products, convolutions, normalizations.

extension Tensor {
    /// The matrix product of the last two dimensions, broadcast over the others.
    public func matrixProduct(_ other: Tensor) -> Tensor { operators.matrixMultiply(.tensor(self), .tensor(other)) }

    /// x·wᵀ + b for x of `[…, inputs]`, w of `[outputs, inputs]`, b of `[outputs]`, and the activation of it.
    public func linear(weight: Tensor, bias: Tensor? = nil, activation: ActivationFunction? = nil) -> Tensor {
        let (kind, slope) = ActivationFunction.arguments(activation)
        return operators.linear(.tensor(self), .tensor(weight), .optional(bias), kind, slope)
    }

    /// Eigenvalues (ascending, `[…, n]`) and eigenvectors (columns of `[…, n, n]`) of symmetric matrices; only the lower triangles are read.
    public func symmetricEigen() -> (values: Tensor, vectors: Tensor) {
        let both = operators.symmetricEigen.results(capacity: 2, .tensor(self), .text("L"))
        return (both[0], both[1])
    }

    /// Eigenvalues (ascending, `[…, n]`) of symmetric matrices; only the lower triangles are read.
    public func symmetricEigenvalues() -> Tensor { operators.symmetricEigenvalues(.tensor(self), .text("L")) }

    /// Cross-correlation of `[batch, channels, …]` with `[outputs, channels/groups, …]` over as many dimensions as the stride has.
    ///
    /// If transposed, the weight is `[channels, outputs/groups, …]`, and the result is the gradient of such a cross-correlation with respect to its
    /// input. The activation of the result, if there is one, takes its place.
    public func convolved(
        with weight: Tensor, bias: Tensor? = nil, stride: [Int], padding: [Int], dilation: [Int], groups: Int = 1,
        transposed: Bool = false, outputPadding: [Int]? = nil, activation: ActivationFunction? = nil
    ) -> Tensor {
        let operators = transposed ? Self.transposedConvolutions : Self.convolutions
        trap(
            unless: operators.indices.contains(stride.count - 1) && rank == stride.count + 2,
            "convolution over \(stride.count) dimensions: expected a tensor of 1 to 3 dimensions besides batch and channels, as many as the "
                + "stride has, found shape \(shape)")
        let `operator` = operators[stride.count - 1]
        if transposed {
            return `operator`(
                .tensor(self), .tensor(weight), .optional(bias), .integers(stride), .integers(padding),
                .integers(outputPadding ?? stride.map { _ in 0 }), .integer(groups), .integers(dilation)
            ).activatedInPlace(activation)
        }
        guard stride.count == 2 else {
            return `operator`(
                .tensor(self), .tensor(weight), .optional(bias), .integers(stride), .integers(padding), .integers(dilation),
                .integer(groups)
            ).activatedInPlace(activation)
        }
        let (kind, slope) = ActivationFunction.arguments(activation)
        return `operator`(
            .tensor(self), .tensor(weight), .optional(bias), .integers(stride), .integers(padding), .integers(dilation), .integer(groups),
            kind, slope)
    }

    private static let convolutions = [operators.convolution1d, operators.convolution2d, operators.convolution3d]
    private static let transposedConvolutions = [
        operators.transposedConvolution1d, operators.transposedConvolution2d, operators.transposedConvolution3d,
    ]

    /// exp x / Σ exp x along a dimension.
    public func softmax(along dimension: Int) -> Tensor { operators.softmax(.tensor(self), .integer(dimension), .none) }
    /// log of ``softmax(along:)``, without overflow.
    public func logSoftmax(along dimension: Int) -> Tensor { operators.logSoftmax(.tensor(self), .integer(dimension), .none) }

    /// (x − μ)/√(σ² + ε)·scale + shift per channel of `[batch, channels, …]`, with the batch's own statistics (σ² is the population's).
    ///
    /// Returns the result with μ and 1/√(σ² + ε), each `[channels]`.
    package func batchNormalized(
        scale: Tensor, shift: Tensor, epsilon: Double
    ) -> (output: Tensor, mean: Tensor, inverseDeviation: Tensor) {
        let three = operators.batchNormWithoutStatistics.results(
            capacity: 3, .tensor(self), .tensor(scale), .tensor(shift), .boolean(true), .real(0), .real(epsilon))
        return (three[0], three[1], three[2])
    }

    /// (x − mean)/√(variance + ε)·scale + shift per channel of `[batch, channels, …]`, with given statistics.
    package func batchNormalized(scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, epsilon: Double) -> Tensor {
        operators.batchNorm(
            .tensor(self), .tensor(scale), .tensor(shift), .tensor(mean), .tensor(variance), .boolean(false), .real(0), .real(epsilon),
            .boolean(true))
    }

    /// Mean-only batch normalization and an activation of it, f(t − μ + shift), and μ, the mean over all axes but that of the features, `[features]`, in one operator that keeps its result
    /// alone. The μ that is returned carries no gradient.
    ///
    /// Nil where there is none: it takes float32 on the CPU, with elements, whose features lie one beside the other without gaps, as in channels last.
    package func meanOnlyBatchNormalized(
        shift: Tensor, axis: Int, activation: ActivationFunction?
    ) -> (result: Tensor, mean: Tensor)? {
        guard
            device.isCPU, type == .float32, shift.device.isCPU, shift.type == .float32, count > 0, shape.indices.contains(axis),
            strides[axis] == 1, isDense
        else { return nil }
        let (kind, slope) = ActivationFunction.arguments(activation)
        let found = operators.meanOnlyBatchNorm.results(capacity: 2, .tensor(self), .tensor(shift), .integer(axis), kind, slope)
        return (found[0], found[1])
    }

    /// Whether the elements fill a piece of memory, each in a place of its own.
    private var isDense: Bool {
        let (shape, strides) = (shape, strides)
        var next = 1
        for axis in shape.indices.filter({ shape[$0] > 1 }).sorted(by: { strides[$0] < strides[$1] }) {
            guard strides[axis] == next else { return false }
            next *= shape[axis]
        }
        return true
    }

    /// g·v/‖v‖ with a norm and a gain for each of `blocks × units` units: the elements are seen as `[blocks, outer, units, inner]`.
    ///
    /// ‖v‖ = 0 is taken as 1. Sums are accumulated in float64.
    package func normalizedWeight(gain: Tensor, blocks: Int, outer: Int, units: Int, inner: Int) -> Tensor {
        operators.normalizeWeight(
            .tensor(self), .tensor(gain), .integer(blocks), .integer(outer), .integer(units), .integer(inner))
    }

    /// libtorch's own g·v/‖v‖, to compare with.
    package static func referenceWeightNorm(direction: Tensor, gain: Tensor, axis: Int) -> Tensor {
        operators.referenceWeightNorm(.tensor(direction), .tensor(gain), .integer(axis))
    }
}
