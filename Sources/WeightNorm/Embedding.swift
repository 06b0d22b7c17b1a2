public import Torch

/// A vector for each of a number of indices: the rows of its weight.
///
/// The weight is plain unless another normalization is asked for; each row then has its own norm and gain. A ``Dense`` layer made with the same ``Weight`` shares it, as the
/// output of a language model often does (Press & Wolf, 2017).
public final class Embedding: Layer {
    /// The vectors, `[count, features]`.
    public internal(set) var weight: Weight

    /// An embedding with the given vectors; traps unless they are a matrix.
    public init(weight: Weight) {
        trap(unless: weight.shape.count == 2, "weight of an embedding: expected shape [count, features], found \(weight.shape)")
        self.weight = weight
    }

    /// Vectors drawn from N(0, deviation²), with PyTorch's deviation of 1 by default.
    public convenience init(
        _ count: Int, features: Int, normalization: Normalization = .plain, deviation: Double = 1, type: ElementType = .float32,
        random: Generator
    ) {
        trap(
            unless: count > 0 && features > 0 && !normalization.hasNormalizer,
            "embedding: expected at least 1 index and 1 feature and a normalization without batch statistics, found \(count), \(features) and \(normalization)"
        )
        self.init(
            weight: normalization.makeWeight(.normal([count, features], type: type, from: random) * deviation, units: .axis(0)))
    }

    /// The vectors of the indices (`.int64` or `.int32`) from 0 to below the count: `[…]` to `[…, features]`.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { traced { weight.value(in: pass).embedding(input) } }
}

extension Embedding: HoldsWeights {
    /// Calls the closure for ``weight``.
    public func changeWeights(_ change: (_ property: String, _ weight: Weight, _ units: OutputUnits) -> Weight) {
        weight = change("weight", weight, .axis(0))
    }
}
