// What is minimized: losses of a batch, and how they are reduced.

/// How the losses of a batch are reduced to one number.
public enum LossReduction: Int, Sendable {
    /// They stay as they are.
    case none = 0
    /// Their mean.
    case mean = 1
    /// Their sum.
    case sum = 2
}

extension Tensor {
    /// −log softmax(x)[label], in nats: x of `[batch, classes]`, labels of `[batch]` (`.int64`).
    ///
    /// Computed and returned in float32 for 16-bit logits.
    public func softmaxCrossEntropy(labels: Tensor, reduction: LossReduction = .mean) -> Tensor {
        operators.negativeLogLikelihood(
            .tensor(converted(to: type.accumulator).logSoftmax(along: 1)), .tensor(labels), .none, .integer(reduction.rawValue),
            .integer(-100))
    }

    /// −y log σ(x) − (1 − y) log(1 − σ(x)), in nats, element by element of logits x and targets y in [0, 1].
    ///
    /// For an infinite logit it is the limit: 0 if the logit agrees with the target, else infinity, with the gradient σ(x) − y.
    public func sigmoidCrossEntropy(targets: Tensor, reduction: LossReduction = .mean) -> Tensor {
        func losses(_ reduction: LossReduction) -> Tensor {
            operators.binaryCrossEntropyWithLogits(.tensor(self), .tensor(targets), .none, .none, .integer(reduction.rawValue))
        }
        // On other devices than the CPU, checking would wait for the device.
        if device.isCPU, withoutGradients({ detached().isFinite().allTrue() }) { return losses(reduction) }
        let (isInfinite, slope) = withoutGradients {
            (detached().magnitude() .== .infinity, detached().sigmoid() - targets.detached())
        }
        // The operator computes ∞ − ∞ there. Where x·slope is chosen, it is infinite and has that slope.
        let limits = losses(.none).replacing(where: isInfinite, with: 0)
            .replacing(where: withoutGradients { isInfinite .& (slope .!= 0) }, with: self * slope)
        return switch reduction {
        case .none: limits
        case .mean: limits.mean()
        case .sum: limits.sum()
        }
    }

    /// ½d² where the difference d from the targets is at most δ in size, δ(|d| − ½δ) beyond.
    public func huberLoss(targets: Tensor, delta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
        requireTargets(targets, of: "Huber loss")
        return operators.huberLoss(.tensor(self), .tensor(targets), .integer(reduction.rawValue), .real(delta))
    }

    /// ½d²/β where the difference d from the targets is below β in size, |d| − ½β beyond: ``huberLoss(targets:delta:reduction:)`` divided by its δ; |d| if β is 0.
    public func smoothL1Loss(targets: Tensor, beta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
        requireTargets(targets, of: "smooth L1 loss")
        return operators.smoothL1Loss(.tensor(self), .tensor(targets), .integer(reduction.rawValue), .real(beta))
    }

    /// d² of the difference d from the targets.
    public func squaredError(targets: Tensor, reduction: LossReduction = .mean) -> Tensor {
        requireTargets(targets, of: "squared error")
        return operators.meanSquaredError(.tensor(self), .tensor(targets), .integer(reduction.rawValue))
    }

    /// |d| of the difference d from the targets: the L1 loss.
    public func absoluteError(targets: Tensor, reduction: LossReduction = .mean) -> Tensor {
        requireTargets(targets, of: "absolute error")
        return operators.meanAbsoluteError(.tensor(self), .tensor(targets), .integer(reduction.rawValue))
    }

    /// Targets of `[batch]` for values of `[batch, 1]` would be broadcast to a matrix, and the loss would be of everything with everything.
    private func requireTargets(_ targets: Tensor, of loss: String) {
        trap(unless: targets.shape == shape, "targets of a \(loss): expected shape \(shape), found \(targets.shape)")
    }
}
