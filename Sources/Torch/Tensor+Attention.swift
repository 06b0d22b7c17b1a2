// The attention of transformers (Vaswani et al., 2017, §3.2.1).

extension Tensor {
    /// softmax(q·kᵀ·scale + mask)·v for queries, which this tensor is, of `[…, queries, features]`, keys of `[…, keys, features]` and values of
    /// `[…, keys, size]`: `[…, queries, size]`.
    ///
    /// - Parameters:
    ///   - keys: what the queries are compared with.
    ///   - values: what is found where a query and a key agree.
    ///   - mask: what is added to the products, broadcast to `[…, queries, keys]`; or of `.bool`, where true means that the query sees the key. A query that
    ///     sees no key gets 0.
    ///   - isCausal: whether query i sees only keys 0 … i; not together with a mask.
    ///   - scale: by default 1/√features.
    public func scaledDotProductAttention(
        keys: Tensor, values: Tensor, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil
    ) -> Tensor {
        trap(unless: mask == nil || !isCausal, "attention: expected a mask or isCausal, found both")
        return operators.scaledDotProductAttention(
            .tensor(self), .tensor(keys), .tensor(values), .optional(mask), .real(0), .boolean(isCausal), .optional(scale),
            .boolean(false))
    }

    /// The rows of this matrix, `[rows, features]`, at the given indices (`.int64` or `.int32`) of any shape: `[…, features]`.
    public func embedding(_ indices: Tensor) -> Tensor {
        operators.embedding(.tensor(self), .tensor(indices), .integer(-1), .boolean(false), .boolean(false))
    }
}

// MARK: - Normalization within an example

extension Tensor {
    /// (x − μ)/√(σ² + ε)·scale + shift over the last dimensions, of the given lengths, of each example (Ba et al., 2016); scale and shift have these
    /// lengths as their shape.
    public func layerNormalized(over lengths: [Int], scale: Tensor? = nil, shift: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
        operators.layerNorm(
            .tensor(self), .integers(lengths), .optional(scale), .optional(shift), .real(epsilon), .boolean(true))
    }

    /// x/√(mean x² + ε)·scale over the last dimensions, of the given lengths, of each example (Zhang & Sennrich, 2019); the scale has these lengths as its
    /// shape. Without an ε it is the distance from 1 to the next number of the type in which it is computed.
    public func rootMeanSquareNormalized(over lengths: [Int], scale: Tensor? = nil, epsilon: Double? = nil) -> Tensor {
        operators.rootMeanSquareNorm(.tensor(self), .integers(lengths), .optional(scale), .optional(epsilon))
    }

    /// (x − μ)/√(σ² + ε)·scale + shift over the positions and the channels of a group, of each example of `[batch, channels, …]` (Wu & He, 2018); scale and
    /// shift are `[channels]`. With as many groups as channels it is instance normalization (Ulyanov et al., 2016).
    public func groupNormalized(groups: Int, scale: Tensor? = nil, shift: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
        operators.groupNorm(.tensor(self), .integer(groups), .optional(scale), .optional(shift), .real(epsilon), .boolean(true))
    }
}
