package import Torch
package import WeightNorm

/// Sums over the gradients of single examples, from which their covariance within each output unit is computed.
///
/// In float64. Only a few gradients are held at a time; the sums are `[units, d, d]` for units of d elements.
package struct GradientMoments {
    /// The units that are analysed, by their index in ``OutputUnits/rows(of:)``.
    package let chosen: [Int]
    private let units: OutputUnits
    private let indices: Tensor
    private var sum: Tensor
    private var products: Tensor
    private var count = 0
    private var waiting: [Tensor] = []
    private static let most = 64

    /// Empty sums for a weight with the given units, at most `most` of which are analysed, evenly spaced.
    package init(weight: Tensor, units: OutputUnits, most: Int) {
        let shape = withoutGradients { units.rows(of: weight).shape }
        self.units = units
        let kept = min(most, shape[0])
        chosen = (0..<kept).map { $0 * shape[0] / kept }
        indices = Tensor(chosen.map { Int64($0) }, on: weight.device)
        sum = .zeros([kept, shape[1]], type: .float64, on: weight.device)
        products = .zeros([kept, shape[1], shape[1]], type: .float64, on: weight.device)
    }

    /// The chosen units of a tensor of the weight's shape, `[units, d]` in float64.
    package func rows(of tensor: Tensor) -> Tensor {
        withoutGradients { units.rows(of: tensor.detached()).selecting(indices, along: 0).converted(to: .float64) }
    }

    /// Adds the gradient of one example's loss.
    package mutating func add(_ gradient: Tensor) {
        waiting.append(rows(of: gradient))
        if waiting.count == Self.most { flush() }
    }

    private mutating func flush() {
        guard !waiting.isEmpty else { return }
        withoutGradients {
            let all = Tensor.stacked(waiting)  // [examples, units, d]
            sum = sum + all.sum(over: [0])
            products = products + all.permuted([1, 2, 0]).matrixProduct(all.permuted([1, 0, 2]))
        }
        count += waiting.count
        waiting = []
    }

    /// The covariance (of the population) of each unit's gradients, `[units, d, d]`.
    package mutating func covariance() -> Tensor {
        flush()
        return withoutGradients {
            let mean = sum / Double(count)
            return products / Double(count) - mean.expandingDimension(2) * mean.expandingDimension(1)
        }
    }
}
