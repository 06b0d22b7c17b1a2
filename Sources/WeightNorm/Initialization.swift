import Torch

// Data-dependent initialization (eqs. 5 and 6), a layer's part of it: the pre-activation gets mean 0 and the target deviation over the batch and all
// positions. The input has gone through the layers before, already initialized; noise and dropout are active in them.

extension Affine {
    /// Sets gain and bias from a batch:
    ///
    /// t = v·x/‖v‖,  g ← c/σ[t],  b ← −μ[t]·c/σ[t], with c the pass's target deviation and σ that of the population.
    ///
    /// It is idempotent: t does not depend on g and b. A unit that does not vary over the batch stays as it was, and is counted in the pass's report.
    func initialize(from input: Tensor, _ pass: Pass) {
        withoutGradients {
            if let batchNorm = normalizer as? BatchNorm {
                // It gives mean 0 and deviation 1 itself, whatever the weight's scale.
                batchNorm.gain.assign(.full([map.outputs], pass.targetDeviation))
                return
            }
            let units = weight.units ?? map.units
            trap(
                unless: units == map.units || units == .whole,
                "data-dependent initialization: expected a weight with a gain per output unit (\(map.units)) or for the whole, found \(units)"
            )
            let featureAxis = units.axis == nil ? nil : map.featureAxis
            // Not derived where it is not needed: for a layer that has its scale already, or whose turn comes later.
            func moments() -> UnitMoments {
                UnitMoments(of: map(input, weight: weight.unscaled(units), bias: nil), featureAxis: featureAxis)
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
        weight.setScale(scale, where: statistics.varies, units)
        if let bias {
            let before = bias.value.detached().converted(to: scale.type)
            bias.assign(before.replacing(where: statistics.varies, with: -statistics.mean * scale))
        }
        pass.report.unitCount += statistics.varies.count
        pass.report.constantUnitCount += statistics.varies.count - Int(statistics.varies.sum().item())
    }
}

/// Mean and deviation of every unit's pre-activation, over the batch and all positions, in float32 at least.
struct UnitStatistics {
    /// μ, `[units]`; `[1]` if the whole is one unit.
    let mean: Tensor
    /// σ of the population, `[units]`.
    let deviation: Tensor
    /// Where σ is more than rounding, `[units]`.
    let varies: Tensor
    /// The population's variance, `[units]`.
    let variance: Tensor
}

/// What can be added up of every unit's pre-activation over parts of a batch: its count, mean and sum of squared deviations, in float32 at least.
struct UnitMoments {
    private let count: Int
    private let mean: Tensor
    private let squares: Tensor
    /// The pre-activation's own.
    private let type: ElementType

    /// The moments of one part, for units along the axis; of the whole as one unit without an axis.
    init(of preactivation: Tensor, featureAxis: Int?) {
        let values = preactivation.converted(to: preactivation.type.accumulator)
        let feature = featureAxis.map { $0 < 0 ? values.rank + $0 : $0 }
        let (variance, mean) = values.varianceAndMean(over: (0..<values.rank).filter { $0 != feature })
        type = preactivation.type
        self.mean = mean.reshaped([-1])
        count = values.count / max(1, mean.count)
        squares = variance.reshaped([-1]) * Double(count)
    }

    private init(count: Int, mean: Tensor, squares: Tensor, type: ElementType) {
        self.count = count
        self.mean = mean
        self.squares = squares
        self.type = type
    }

    /// The moments of two parts together (Chan, Golub & LeVeque, 1979), which does not subtract large sums from each other.
    func merged(with other: UnitMoments) -> UnitMoments {
        // The mean of nothing is not a number.
        guard count > 0 else { return other }
        guard other.count > 0 else { return self }
        let total = count + other.count
        let (share, distance) = (Double(other.count) / Double(total), other.mean - mean)
        return UnitMoments(
            count: total, mean: mean + distance * share, squares: squares + other.squares + distance.squared() * (share * Double(count)),
            type: type)
    }

    /// Mean and deviation.
    var statistics: UnitStatistics {
        let variance = squares / Double(count)
        let deviation = variance.squareRoot()
        // A constant pre-activation has a computed deviation of some units in the last place of its mean: dividing by that would blow it up.
        let rounding = 8 * (type == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne))
        return UnitStatistics(
            mean: mean, deviation: deviation, varies: (deviation .> mean.magnitude() * rounding) .& deviation.isFinite(), variance: variance
        )
    }
}

extension Weight {
    /// The units that the form itself has; nil for a direct weight, which takes its map's.
    public var units: OutputUnits? {
        switch self {
        case .direct: nil
        case .normalized(_, _, let units), .logNormalized(_, _, _, let units), .scaled(_, _, let units): units
        }
    }

    /// The weight to whose units initialization gives a scale: v/‖v‖, except for `scaled`, whose multiplier works on the plain v.
    fileprivate func unscaled(_ units: OutputUnits) -> Tensor {
        switch self {
        case .direct(let weight): units.unit(weight.value)
        case .normalized(let direction, _, _), .logNormalized(let direction, _, _, _): units.unit(direction.value)
        case .scaled(let weight, _, _): weight.value
        }
    }

    /// Makes the weight `scale` times ``unscaled(_:)``, in the units where the condition holds; both are `[units]`.
    fileprivate func setScale(_ scale: Tensor, where condition: Tensor, _ units: OutputUnits) {
        switch self {
        case .direct(let weight):
            let norms = units.norms(of: weight.value)
            let factor = units.shaped(scale, like: norms).converted(to: norms.type) / norms
            let one = factor.zerosLike() + 1
            weight.assign(units.scale(weight.value, by: one.replacing(where: units.shaped(condition, like: norms), with: factor)))
        case .normalized(_, let gain, _):
            let before = gain.value.detached()
            let after = units.shaped(scale, like: before).converted(to: before.type)
            gain.assign(before.replacing(where: units.shaped(condition, like: before), with: after))
        case .logNormalized(_, let logGain, let logFactor, _):
            let before = logGain.value.detached()
            let after = (units.shaped(scale, like: before).logarithm() / logFactor).converted(to: before.type)
            logGain.assign(before.replacing(where: units.shaped(condition, like: before), with: after))
        case .scaled(_, let factor, _):
            let before = factor.value
            let after = units.shaped(scale, like: before).converted(to: before.type)
            factor.assign(before.replacing(where: units.shaped(condition, like: before), with: after))
        }
    }
}
