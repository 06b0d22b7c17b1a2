public import Torch

/// Something that normalizes a pre-activation by batch statistics, and has its own bias.
public protocol Normalizer: AnyObject, Layer {
    /// Gives the output the standard deviation that data-dependent initialization requests, whatever the weight's scale; false, the
    /// default, if the weight must be scaled instead.
    func setDeviation(_ deviation: Double) -> Bool
}

extension Normalizer {
    /// False: the weight must be scaled.
    public func setDeviation(_ deviation: Double) -> Bool { false }

    /// The statistics of the whole batch's pre-activation in an initialization in parts, ``initialize(fromParts:random:targetDeviation:forward:)``, of
    /// which the input is one; nil in any other pass, and before they are known.
    ///
    /// A normalizer uses them instead of its input's own, which it uses if they are nil. Call it once per forward pass.
    ///
    /// `feature` is the axis of the features.
    public func statisticsInParts(of input: Tensor, _ feature: Int, _ pass: Pass) -> UnitStatistics? {
        guard let rounds = pass.rounds else { return nil }
        rounds.collect({ UnitMoments(of: input.detached(), featureAxis: feature) }, of: self) { _ in }
        return rounds.statistics(of: self)
    }
}

/// Mean-only batch normalization (the paper, §4): t̃ = t − μ[t] + b.
///
/// In training μ is the mean over the batch and all positions, per feature, and a running average is kept: average ← average + 0.1·(μ −
/// average), from 0. The gradient is ∇t = ∇t̃ − μ[∇t̃]. In inference the running average replaces μ. Initialization leaves b at 0. An empty
/// batch changes nothing and gives an empty result.
public final class MeanOnlyBatchNorm: Normalizer {
    /// b, `[features]`.
    public let bias: Parameter
    /// The average of μ, `[features]`.
    public let runningMean: Buffer
    private let axis: Int

    /// A normalizer of the given axis (negative counts from the last) with b = 0.
    public init(features: Int, axis: Int = 1, type: ElementType = .float32, device: Device = .cpu) {
        bias = Parameter(.zeros([features], type: type, on: device))
        runningMean = Buffer(.zeros([features], type: type.accumulator, on: device))
        self.axis = axis
    }

    /// Normalizes the input, t, whose features lie on the axis; traps if they do not.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { traced { normalized(input, pass, then: nil) } }

    private func normalized(_ input: Tensor, _ pass: Pass, then function: ActivationFunction?) -> Tensor {
        let feature = featureAxis(axis, of: input, "mean-only batch norm", features: bias.value.shape[0])
        let shape = (0..<input.rank).map { $0 == feature ? -1 : 1 }
        let mean: Tensor
        if pass.phase == .inference || input.count == 0 {
            mean = runningMean.value
        } else if let statistics = statisticsInParts(of: input, feature, pass) {
            mean = statistics.mean
        } else if let found = input.meanOnlyBatchNormalized(shift: bias.value, axis: feature, activation: function) {
            if pass.phase == .training { runningMean.average(found.mean) }
            return found.result
        } else {
            mean = input.accumulatedMean(over: (0..<input.rank).filter { $0 != feature })
            if pass.phase == .training { runningMean.average(mean) }
        }
        // b − μ first: one pass over the large tensor. In the input's type, which differs from the bias's in mixed precision.
        return (input + (bias.value - mean).converted(to: input.type).reshaped(shape)).activated(function)
    }
}

extension MeanOnlyBatchNorm: ActivatedLayer {
    /// Normalizes the input and applies the activation, in one operator where there is one.
    public func callAsFunction(_ input: Tensor, _ pass: Pass, activation: Activation) -> Tensor {
        guard let function = activation.known else { return activation(self(input, pass), pass) }
        return traced { normalized(input, pass, then: function) }
    }
}

/// Batch normalization: (t − μ)/√(σ² + ε)·g + b per feature, with ε = 1e-6.
///
/// μ and σ² (of the population) are taken over the batch and all positions in training, and averaged: average ← average + 0.1·(new −
/// average), μ from 0 and σ² from 1. In inference the running averages replace them. Initialization sets g to the target deviation. An
/// empty batch changes nothing and gives an empty result.
///
/// On the CPU results in training are right even where σ² leaves the type's range; the running variance is then at most the type's largest
/// number.
public final class BatchNorm: Normalizer {
    /// g, `[features]`.
    public let gain: Parameter
    /// b, `[features]`.
    public let bias: Parameter
    /// The average of μ, `[features]`.
    public let runningMean: Buffer
    /// The average of σ², `[features]`.
    public let runningVariance: Buffer
    private let axis: Int
    private let epsilon: Double

    /// A normalizer of the given axis, which must be 1 or the last (negative counts from the last), with g = 1 and b = 0.
    public init(features: Int, axis: Int = 1, epsilon: Double = 1e-6, type: ElementType = .float32, device: Device = .cpu) {
        gain = Parameter(.ones([features], type: type, on: device))
        bias = Parameter(.zeros([features], type: type, on: device))
        runningMean = Buffer(.zeros([features], type: type.accumulator, on: device))
        runningVariance = Buffer(.ones([features], type: type.accumulator, on: device))
        self.axis = axis
        self.epsilon = epsilon
    }

    /// g becomes the deviation.
    public func setDeviation(_ deviation: Double) -> Bool {
        gain.assign(.full(gain.value.shape, deviation))
        return true
    }

    /// The normalized tensor, for features on the axis.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { traced { normalized(input, pass, then: nil) } }

    private func normalized(_ input: Tensor, _ pass: Pass, then function: ActivationFunction?) -> Tensor {
        let feature = featureAxis(axis, of: input, "batch norm", features: bias.value.shape[0])
        guard feature != 1 else { return normalizedAlongOne(input, pass, then: function) }
        // The operator requires the features on axis 1.
        trap(
            unless:
                feature == input.rank - 1, "batch norm: expected the features on axis 1 or the last, found \(feature) of \(input.rank)")
        let shape = input.shape
        return normalizedAlongOne(input.reshaped([-1, shape[feature]]), pass, then: function).reshaped(shape)
    }

    private func normalizedAlongOne(_ input: Tensor, _ pass: Pass, then function: ActivationFunction?) -> Tensor {
        if pass.phase == .inference || input.count == 0 {
            return normalized(input, mean: runningMean.value, variance: runningVariance.value).activated(function)
        }
        if let statistics = statisticsInParts(of: input, 1, pass) {
            let type = input.type.accumulator
            return normalized(
                input, mean: statistics.mean.converted(to: type), variance: statistics.deviation.squared().converted(to: type)
            ).activated(function)
        }
        let (output, mean, inverseDeviation) = input.batchNormalized(scale: gain.value, shift: bias.value, epsilon: epsilon)
        guard isOrdinary(inverseDeviation) else { return normalizedInFloat64(input, pass).activated(function) }
        if pass.phase == .training {
            runningMean.average(mean)
            withoutGradients { runningVariance.average(inverseDeviation.power(-2) - epsilon) }
        }
        // Nobody else has the output, and the operator's gradient does not need it.
        return output.activatedInPlace(function)
    }

    /// With given statistics, in the accumulator type: the operator requires one type for all arguments.
    private func normalized(_ input: Tensor, mean: Tensor, variance: Tensor) -> Tensor {
        let type = mean.type
        return input.converted(to: type).batchNormalized(
            scale: gain.value.converted(to: type), shift: bias.value.converted(to: type), mean: mean, variance: variance, epsilon: epsilon
        ).converted(to: input.type)
    }

    /// Whether the operator's squares were far from the ends of their type's range. Only checked on the CPU: elsewhere it would wait for
    /// the device.
    private func isOrdinary(_ inverseDeviation: Tensor) -> Bool {
        guard inverseDeviation.device.isCPU else { return true }
        let bound = inverseDeviation.type == .float64 ? 0x1p500 : 0x1p60
        return withoutGradients { ((inverseDeviation .> 1 / bound) .& (inverseDeviation .< bound)).allTrue() }
    }

    /// The same in float64, kept within its range by scaling with a power of two that brings the larger of max |t| and √ε near 1.
    private func normalizedInFloat64(_ input: Tensor, _ pass: Pass) -> Tensor {
        let reduced = (0..<input.rank).filter { $0 != 1 }
        func spread(_ tensor: Tensor) -> Tensor { tensor.converted(to: .float64).reshaped((0..<input.rank).map { $0 == 1 ? -1 : 1 }) }
        let values = input.converted(to: .float64)
        let root = epsilon.squareRoot()
        var scale = values.rangeScale(over: reduced)
        if root > 0 { scale = scale.clamped(to: 1 / root) }
        let scaled = values * scale
        let mean = scaled.mean(over: reduced, keeping: true)
        let centred = scaled - mean
        let variance = centred.squared().mean(over: reduced, keeping: true)
        if pass.phase == .training {
            withoutGradients {
                let back = scale.reshaped([-1])
                runningMean.average(mean.reshaped([-1]) / back)
                // Infinite where even float64 cannot hold it; its largest number will do.
                runningVariance.average((variance.reshaped([-1]) / back / back).clamped(to: .greatestFiniteMagnitude))
            }
        }
        // For a constant feature so large that ε vanishes beside it, this is what 0 is divided by.
        let divisor = (variance + (scale * root).squared()).clamped(from: ElementType.float64.leastNormalMagnitude).squareRoot()
        return (centred / divisor * spread(gain.value) + spread(bias.value)).converted(to: input.type)
    }
}

extension BatchNorm: ActivatedLayer {
    /// The activation of the normalized tensor.
    public func callAsFunction(_ input: Tensor, _ pass: Pass, activation: Activation) -> Tensor {
        guard let function = activation.known else { return activation(self(input, pass), pass) }
        return traced { normalized(input, pass, then: function) }
    }
}

/// The axis, counted from the first; traps unless there are so many features on it.
private func featureAxis(_ axis: Int, of input: Tensor, _ layer: String, features: Int) -> Int {
    let shape = input.shape
    let found = axis < 0 ? shape.count + axis : axis
    trap(
        unless: shape.indices.contains(found) && shape[found] == features,
        "\(layer): expected \(features) features on axis \(axis), found shape \(shape)")
    return found
}

extension Buffer {
    /// value ← value + 0.1·(new − value), which converges more closely to a constant input than 0.9·value + 0.1·new does; at most the
    /// largest number of the type.
    fileprivate func average(_ new: Tensor) {
        withoutGradients {
            let new = new.detached()
            guard new.type == .float64, value.type != .float64 else {
                return assign(value.adding(new.converted(to: value.type) - value, times: 0.1))
            }
            let (before, most) = (value.converted(to: .float64), value.type.greatestFiniteMagnitude)
            assign(before.adding(new - before, times: 0.1).clamped(from: -most, to: most).converted(to: value.type))
        }
    }
}
