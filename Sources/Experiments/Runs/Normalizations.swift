import WeightNorm

extension Normalization {
    /// Those of ``allCases`` that need no statistics of a minibatch.
    static let allWithoutNormalizer = allCases.filter { !$0.hasNormalizer }
}

extension [Normalization] {
    /// Learning rates by norm: one for those with a normalized direction or with a normalizer of pre-activations, one for the others.
    func learningRates(plain: Double, normalized: Double) -> [String: Double] {
        Dictionary(
            uniqueKeysWithValues: map { ($0.rawValue, $0.form.normalizesDirection || $0.hasNormalizer ? normalized : plain) })
    }
}
