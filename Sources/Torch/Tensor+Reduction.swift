// Sums, means and their like, over given dimensions (all by default; none if the list is empty, which libtorch would take to mean all). A negative
// dimension counts from the last; `keeping` keeps reduced dimensions in the shape with length 1.

extension Tensor {
    /// The sum.
    public func sum(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        if isNone(dimensions) { return self }
        return operators.sum(.tensor(self), list(dimensions), .boolean(keeping), .none)
    }

    /// The mean.
    public func mean(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        if isNone(dimensions) { return self }
        return operators.mean(.tensor(self), list(dimensions), .boolean(keeping), .none)
    }

    /// The mean over the given dimensions, in the accumulator type: float32 for 16-bit elements.
    ///
    /// On the CPU it is correct even if the sum leaves the type's range.
    package func accumulatedMean(over dimensions: [Int]) -> Tensor {
        if dimensions.isEmpty { return converted(to: type.accumulator) }
        let mean = operators.mean(.tensor(self), list(dimensions), .boolean(false), .optional(type.accumulator))
        guard device.isCPU, count > 0, !mean.isFinite().allTrue() else { return mean }
        let scale = converted(to: type.accumulator).rangeScale(over: dimensions)
        return (self * scale).mean(over: dimensions) / scale.reshaped(mean.shape)
    }

    /// The variance. The correction is subtracted from the number of elements in the divisor: 0 gives the population's variance, which the paper uses
    /// throughout.
    public func variance(over dimensions: [Int]? = nil, correction: Int = 0, keeping: Bool = false) -> Tensor {
        if isNone(dimensions) { return self - self }
        return operators.variance(.tensor(self), list(dimensions), .integer(correction), .boolean(keeping))
    }

    /// The standard deviation, of the population unless corrected; correct even if the variance leaves the type's range.
    public func standardDeviation(over dimensions: [Int]? = nil, correction: Int = 0, keeping: Bool = false) -> Tensor {
        let over = dimensions ?? Array(0..<rank)
        if over.isEmpty { return (self - self).magnitude() }
        let values = converted(to: type.accumulator)
        let scale = values.rangeScale(over: over)
        let deviation = (values * scale).variance(over: over, correction: correction, keeping: keeping).squareRoot()
        return (deviation / (keeping ? scale : scale.reshaped(deviation.shape))).converted(to: type)
    }

    /// Variance and mean in one pass.
    public func varianceAndMean(
        over dimensions: [Int]? = nil, correction: Int = 0, keeping: Bool = false
    ) -> (variance: Tensor, mean: Tensor) {
        if isNone(dimensions) { return (self - self, self) }
        let both = operators.varianceAndMean.results(
            capacity: 2, .tensor(self), list(dimensions), .integer(correction), .boolean(keeping))
        return (both[0], both[1])
    }

    /// The largest element.
    public func maximum(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        if isNone(dimensions) { return self }
        return operators.largest(.tensor(self), .integers(dimensions ?? []), .boolean(keeping))
    }

    /// The smallest element.
    public func minimum(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        if isNone(dimensions) { return self }
        return operators.smallest(.tensor(self), .integers(dimensions ?? []), .boolean(keeping))
    }

    /// The index of the largest element along a dimension, `.int64`; any of them if several are equal.
    public func indexOfMaximum(along dimension: Int, keeping: Bool = false) -> Tensor {
        operators.indexOfLargest(.tensor(self), .integer(dimension), .boolean(keeping))
    }

    /// The Euclidean norm, in float32 for 16-bit elements, otherwise in the elements' own type; correct even if squares leave that type's range.
    public func norm(over dimensions: [Int]? = nil, keeping: Bool = false) -> Tensor {
        wideNorm(over: dimensions, keeping: keeping).converted(to: type.accumulator)
    }

    /// x/‖x‖ along a dimension, where the norm is taken as at least ε: 0 stays 0. Correct even if squares leave the type's range.
    public func normalized(along dimension: Int = -1, epsilon: Double = 1e-12) -> Tensor {
        let values = converted(to: type.accumulator)
        return (values / values.norm(over: [dimension], keeping: true).clamped(from: epsilon)).converted(to: type)
    }

    /// log Σ exp x, without overflow.
    public func logSumExp(over dimensions: [Int], keeping: Bool = false) -> Tensor {
        if dimensions.isEmpty { return self }
        return operators.logSumExp(.tensor(self), .integers(dimensions), .boolean(keeping))
    }

    /// The sums of the first 1, 2, … elements along a dimension.
    public func cumulativeSum(along dimension: Int) -> Tensor {
        operators.cumulativeSum(.tensor(self), .integer(dimension), .none)
    }

    /// The products of the first 1, 2, … elements along a dimension.
    public func cumulativeProduct(along dimension: Int) -> Tensor {
        operators.cumulativeProduct(.tensor(self), .integer(dimension), .none)
    }

    private func isNone(_ dimensions: [Int]?) -> Bool { dimensions?.isEmpty ?? false }

    private func list(_ dimensions: [Int]?) -> Operator.Value { dimensions.map { .integers($0) } ?? .none }
}
