// Results that are representable although an intermediate step is not: a norm whose squares leave the type's range, a product with an exponential
// that does.
//
// Scaling by a power of two is exact, so the results are the same, bit for bit, wherever nothing leaves the range.

extension Tensor {
    /// 2⁻ᵉ, where 2ᵉ is the power of two above the largest magnitude over the given dimensions, which are kept with length 1. Elements times this are
    /// in [−1, 1], except the type's largest, which are in [−4, 4] so that the inverse is in the type's range too.
    ///
    /// 1 if all elements are 0 or any is not finite, and at most half of the type's range, which suffices for its smallest number. Not recorded for
    /// gradients: it is constant where it does not jump.
    package func rangeScale(over dimensions: [Int]) -> Tensor {
        withoutGradients {
            let values = detached()
            // An empty tensor has no largest element.
            guard count > 0 else { return values.sum(over: dimensions, keeping: true).zerosLike() + 1 }
            let largest = Tensor.maximum(
                values.maximum(over: dimensions, keeping: true), -values.minimum(over: dimensions, keeping: true))
            let ordinary = largest.replacing(where: .!(largest.isFinite() .& (largest .> 0)), with: 1)
            let mantissa = operators.mantissaAndExponent.results(capacity: 2, .tensor(ordinary))[0]
            let bounds = type == .float64 ? (0x1p-1022, 0x1p1023) : (0x1p-126, 0x1p127)
            return (mantissa / ordinary).clamped(from: bounds.0, to: bounds.1)
        }
    }

    /// The Euclidean norm in float64, correct whenever it is in float64's range; 0 over a dimension of length 0.
    ///
    /// The squares of float32 and 16-bit elements are in that range; those of float64 elements are scaled into it.
    package func wideNorm(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        let dimensions = dimensions ?? Array(0..<rank)
        if dimensions.isEmpty { return converted(to: .float64).magnitude() }
        guard type == .float64 else { return euclideanNorm(over: dimensions, keeping: keeping, in: .float64) }
        let scale = rangeScale(over: dimensions)
        let norm = (self * scale).euclideanNorm(over: dimensions, keeping: keeping, in: nil)
        return norm / (keeping ? scale : scale.reshaped(norm.shape))
    }

    private func euclideanNorm(over dimensions: [Int], keeping: Bool, in type: ElementType?) -> Tensor {
        operators.vectorNorm(.tensor(self), .integer(2), .integers(dimensions), .boolean(keeping), .optional(type))
    }

    /// x·eᵃ: 0 where x is 0, and infinite only where the product leaves the type's range, even if eᵃ alone does so (for a up to twice what the range
    /// holds).
    package func timesExponential(of exponent: Tensor) -> Tensor {
        let root = (exponent * 0.5).boundedExponential()
        return self * root * root
    }

    /// eˣ, but at most e to ``ElementType/largestExponent``: a factor that never gives 0·∞.
    package func boundedExponential() -> Tensor { clamped(to: type.largestExponent).exp() }
}

extension ElementType {
    /// A whole number whose exponential is in the type's range, and whose negative's exponential is a normal number.
    package var largestExponent: Double {
        switch self {
        case .float64: 708
        case .float16: 9
        default: 87
        }
    }

    /// The largest finite number of a floating-point type.
    package var greatestFiniteMagnitude: Double {
        switch self {
        case .float64: Double.greatestFiniteMagnitude
        case .float16: 65504
        case .bfloat16: 0x1.FEp127
        default: Double(Float.greatestFiniteMagnitude)
        }
    }

    /// The smallest normal number of a floating-point type.
    package var leastNormalMagnitude: Double {
        switch self {
        case .float64: Double.leastNormalMagnitude
        case .float16: 0x1p-14
        default: Double(Float.leastNormalMagnitude)
        }
    }
}
