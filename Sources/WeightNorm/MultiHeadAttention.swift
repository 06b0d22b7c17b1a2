public import Torch

/// Attention in several subspaces at once: Concat(head₁, …)·Wᴼ, headᵢ = Attention(q·Wᵢ^Q, k·Wᵢ^K, v·Wᵢ^V) (Vaswani et al., *Attention Is All You Need*, 2017, §3.2.2).
///
/// Sequences are `[batch, time, features]`. PyTorch's `nn.MultiheadAttention(features, heads, batch_first=True)` has the same parameters.
public final class MultiHeadAttention: Module {
    /// The projections to queries, keys and values, one below the other: a ``Dense`` of features to 3·features.
    public let inProjection: Dense
    /// The projection of what the heads give.
    public let outProjection: Dense
    /// Subspaces, each of features/heads.
    public let heads: Int
    /// The probability with which a weight of attention is set to 0, except in inference.
    public let dropout: Double

    /// Features of input and output.
    public var features: Int { outProjection.map.outputs }

    /// Attention made of the given projections; traps unless their sizes fit and the heads divide the features.
    public init(inProjection: Dense, outProjection: Dense, heads: Int, dropout: Double = 0) {
        let features = outProjection.map.outputs
        trap(
            unless: outProjection.map.inputs == features && inProjection.map.inputs == features && inProjection.map.outputs == 3 * features,
            "projections of attention: expected features to 3·features and features to features, found \(inProjection.map.inputs) to "
                + "\(inProjection.map.outputs) and \(outProjection.map.inputs) to \(features)")
        trap(
            unless: heads > 0 && features.isMultiple(of: heads),
            "heads of attention: expected a divisor of the \(features) features, found \(heads)")
        trap(unless: (0..<1).contains(dropout), "dropout of attention: expected a probability from 0 to below 1, found \(dropout)")
        self.inProjection = inProjection
        self.outProjection = outProjection
        self.heads = heads
        self.dropout = dropout
    }

    /// Attention with drawn projections.
    ///
    /// Traps for normalizations with batch statistics: the projections have no normalizer.
    public convenience init(
        _ features: Int, heads: Int, dropout: Double = 0, normalization: Normalization = .weight, bias: Bool = true,
        type: ElementType = .float32,
        random: Generator
    ) {
        trap(
            unless: !normalization.hasNormalizer,
            "normalization of attention: expected one without batch statistics, found \(normalization)")
        self.init(
            inProjection: Dense(features, to: 3 * features, normalization: normalization, bias: bias, type: type, random: random),
            outProjection: Dense(features, to: features, normalization: normalization, bias: bias, type: type, random: random),
            heads: heads,
            dropout: dropout)
    }

    /// What each query, `[batch, queries, features]`, finds among the keys and values, `[batch, keys, features]`: `[batch, queries, features]`.
    ///
    /// In an initializing pass the projections are set from the batch, those of the keys and values too.
    ///
    /// - Parameters:
    ///   - queries: what looks for something, the result's time.
    ///   - keys: by default the queries themselves.
    ///   - values: by default the keys.
    ///   - mask: what is added to the products of queries and keys, broadcast to `[batch, heads, queries, keys]`; or of `.bool`, where true means that the query sees
    ///     the key (the opposite of what PyTorch's `attn_mask` and `key_padding_mask` mean).
    ///   - isCausal: whether query i sees only keys 0 … i; not together with a mask.
    ///   - pass: what the pass is for.
    public func callAsFunction(
        _ queries: Tensor, keys: Tensor? = nil, values: Tensor? = nil, mask: Tensor? = nil, isCausal: Bool = false, _ pass: Pass
    ) -> Tensor {
        traced {
            let keys = keys ?? queries
            let parts = projected(queries, keys, values ?? keys, pass).map(split)
            let found = attention(parts[0], parts[1], parts[2], mask: mask, isCausal: isCausal, pass)
            return outProjection(found.transposed(1, 2).flattened(from: 2), pass)
        }
    }

    private func projected(_ queries: Tensor, _ keys: Tensor, _ values: Tensor, _ pass: Pass) -> [Tensor] {
        for (name, sequence) in [("queries", queries), ("keys", keys), ("values", values)] {
            let shape = sequence.shape
            trap(
                unless: shape.count == 3 && shape[2] == features && shape[0] == queries.shape[0],
                "\(name) of attention: expected shape [\(queries.shape.first ?? 0), time, \(features)], found \(shape)")
        }
        let lengths = Array(repeating: features, count: 3)
        if keys.isSame(as: queries) && values.isSame(as: queries) { return inProjection(queries, pass).split(lengths, along: 2) }
        // Of another sequence each needs only its part of the projection; initialization sets all of it, from the queries.
        if pass.phase == .initializing { _ = inProjection(queries, pass) }
        let weights = inProjection.weight.value(in: pass).split(lengths, along: 0)
        let biases = inProjection.bias.map { $0.value.split(lengths, along: 0) }
        return [queries, keys, values].enumerated().map { $1.linear(weight: weights[$0], bias: biases?[$0]) }
    }

    /// `[batch, time, features]` to `[batch, heads, time, features/heads]`.
    private func split(_ sequence: Tensor) -> Tensor {
        let shape = sequence.shape
        return sequence.reshaped([shape[0], shape[1], heads, features / heads]).transposed(1, 2)
    }

    private func attention(
        _ queries: Tensor, _ keys: Tensor, _ values: Tensor, mask: Tensor?, isCausal: Bool, _ pass: Pass
    ) -> Tensor {
        guard dropout > 0, pass.random != nil else {
            return queries.scaledDotProductAttention(keys: keys, values: values, mask: mask, isCausal: isCausal)
        }
        // libtorch's operator would draw from a generator of its own.
        trap(unless: mask == nil || !isCausal, "attention: expected a mask or isCausal, found both")
        var products = queries.matrixProduct(keys.transposed()) * (1 / Double(features / heads).squareRoot())
        var seen = mask
        if isCausal {
            let (queries, keys) = (Tensor.range(0..<queries.shape[2]), Tensor.range(0..<keys.shape[2]))
            seen = (keys .<= queries.expandingDimension(1)).moved(to: products.device)
        }
        if let seen { products = seen.type == .bool ? products.replacing(where: .!seen, with: -Double.infinity) : products + seen }
        // A query that sees no key: the softmax would be 0/0.
        let seesNone = withoutGradients { products.detached().maximum(over: [-1], keeping: true) .== -Double.infinity }
        let weights = products.replacing(where: seesNone, with: 0).softmax(along: -1).replacing(where: seesNone, with: 0)
        return Dropout(probability: dropout)(weights, pass).matrixProduct(values)
    }
}
