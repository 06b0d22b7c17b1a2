public import Torch

// One layer's part in data-dependent initialization (eqs. 5 and 6): the pre-activation gets mean 0 and the target deviation over the batch
// and all positions. The input comes from the preceding layers, already initialized, with noise and dropout active.

extension Affine {
    /// Sets gain and bias from a batch:
    ///
    /// t = v·x/‖v‖,  g ← c/σ[t],  b ← −μ[t]·c/σ[t], where c is the pass's target deviation and σ the population's.
    ///
    /// It is idempotent: t does not depend on g and b. A unit that does not vary over the batch is left as it was, as is one whose g its
    /// type cannot hold; both are counted in the pass's report.
    func initialize(from input: Tensor, _ pass: Pass) {
        withoutGradients {
            if let normalizer, normalizer.setDeviation(pass.targetDeviation) { return }
            let units = weight.units ?? map.units
            trap(
                unless: units == map.units || units == .whole,
                "data-dependent initialization: expected a weight with a gain per output unit (\(map.units)) or for the whole, found \(units)"
            )
            let featureAxis = units == .whole ? nil : map.featureAxis
            // Only derived when needed: not for a layer that already has its scale, or whose turn comes later.
            func moments() -> UnitMoments {
                UnitMoments(of: map(input, weight: weight.form.unscaled(in: units), bias: nil), featureAxis: featureAxis)
            }
            if let rounds = pass.rounds {
                rounds.collect(moments, of: self) { self.apply($0, units, pass) }
            } else {
                apply(moments().statistics, units, pass)
            }
        }
    }

    private func apply(_ statistics: UnitStatistics, _ units: OutputUnits, _ pass: Pass) {
        let scale = pass.targetDeviation / statistics.deviation
        // A gain that the weight's type cannot hold would make the whole network infinite, or the unit 0 forever.
        let inType = scale.converted(to: weight.vector.type)
        let sets = statistics.varies .& inType.isFinite() .& (inType .> 0)
        let found = weight.form.setScale(scale, where: sets, in: units)
        if let bias {
            let before = bias.value.detached().converted(to: scale.type)
            bias.assign(before.replacing(where: sets, with: -statistics.mean * found))
        }
        pass.report.unitCount += sets.count
        pass.report.constantUnitCount += sets.count - Int(sets.sum().item())
    }
}

/// Mean and deviation of every unit's pre-activation, over the batch and all positions, in float64.
public struct UnitStatistics {
    /// μ, `[units]`; `[1]` if the whole is one unit.
    public let mean: Tensor
    /// σ of the population, `[units]`.
    public let deviation: Tensor
    /// Where σ is more than rounding error, `[units]`.
    public let varies: Tensor
}

/// The statistics of each unit's pre-activation that can be merged over parts of a batch: count, mean and deviation.
///
/// In float64, and never squared: float32 can hold the deviation of numbers around 1e-25, but not its square.
struct UnitMoments {
    private let count: Int
    private let mean: Tensor
    private let deviation: Tensor
    /// The pre-activation's own.
    private let type: ElementType

    /// The moments of one part, for units along the axis; without an axis, for the whole as one unit.
    init(of preactivation: Tensor, featureAxis: Int?) {
        let values = preactivation.converted(to: preactivation.type.accumulator)
        let feature = featureAxis.map { $0 < 0 ? values.rank + $0 : $0 }
        let reduced = (0..<values.rank).filter { $0 != feature }
        type = preactivation.type
        let units = feature.map { values.shape[$0] } ?? 1
        guard values.count > 0 else {
            mean = .full([units], .nan, type: .float64, on: values.device)
            deviation = mean
            count = 0
            return
        }
        let scale = values.rangeScale(over: reduced)
        let (variance, scaledMean) = (values * scale).varianceAndMean(over: reduced)
        let back = scale.reshaped([-1]).converted(to: .float64)
        mean = scaledMean.reshaped([-1]).converted(to: .float64) / back
        deviation = variance.reshaped([-1]).converted(to: .float64).squareRoot() / back
        count = values.count / units
    }

    private init(count: Int, mean: Tensor, deviation: Tensor, type: ElementType) {
        self.count = count
        self.mean = mean
        self.deviation = deviation
        self.type = type
    }

    /// The moments of two parts together (Chan, Golub & LeVeque, 1979), without subtracting large sums from each other.
    func merged(with other: UnitMoments) -> UnitMoments {
        // The mean of an empty part is NaN.
        guard count > 0 else { return other }
        guard other.count > 0 else { return self }
        let total = count + other.count
        let (ours, theirs) = (Double(count) / Double(total), Double(other.count) / Double(total))
        let distance = other.mean - mean
        let parts = [deviation * ours.squareRoot(), other.deviation * theirs.squareRoot(), distance * (ours * theirs).squareRoot()]
        return UnitMoments(
            count: total, mean: mean + distance * theirs, deviation: Tensor.stacked(parts).wideNorm(over: [0]), type: type)
    }

    /// Mean and deviation.
    var statistics: UnitStatistics {
        // The computed deviation of a constant pre-activation is a few units in the last place of its mean: dividing by that would blow it
        // up.
        let rounding = 8 * (type == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne))
        return UnitStatistics(
            mean: mean, deviation: deviation, varies: (deviation .> mean.magnitude() * rounding) .& deviation.isFinite())
    }
}
