package import Torch
package import Training
import WeightNorm

/// The mean loss of steps, summed on the device, so that none waits for it; and the first step at which the loss was not finite.
package final class LossMeter {
    /// Steps counted since the start.
    package private(set) var stepCount = 0
    /// The first step at which the loss was not finite, as far as it is known: on the CPU at once, elsewhere once ``mean`` is asked for.
    package private(set) var divergedAt: Int?
    private var sum: Tensor
    /// Steps since the last reading up to the first whose loss is not finite, without it.
    private var finite: Tensor
    /// Steps since the last reading.
    private var count = 0

    package init(on device: Device) {
        sum = .zeros([], on: device)
        finite = .zeros([], type: .int64, on: device)
    }

    /// Counts the loss of a step, a tensor of no dimensions. False if it is known not to be finite, and the step should not be taken.
    package func add(_ loss: Tensor) -> Bool {
        withoutGradients {
            sum = sum + loss.detached()
            // The sum of losses is finite just as long as all of them are.
            finite = finite + sum.isFinite().converted(to: .int64)
        }
        count += 1
        stepCount += 1
        guard loss.device.isCPU, !loss.item().isFinite else { return true }
        divergedAt = divergedAt ?? stepCount
        return false
    }

    /// The mean loss of the steps since the last reading, nil if there was none; waits for the device.
    package var mean: Double? {
        guard count > 0 else { return nil }
        let sum = sum.item()
        if !sum.isFinite { divergedAt = divergedAt ?? stepCount - count + Int(finite.item()) + 1 }
        return sum / Double(count)
    }

    /// ``mean``, which begins anew.
    package func read() -> Double? {
        let mean = mean
        (sum, finite, count) = (sum.zerosLike(), finite.zerosLike(), 0)
        return mean
    }

    /// Whether the losses since the last reading and all parameters are finite. A finite loss can have a gradient that is not: then the last step is taken for the one
    /// at which the run diverged. Waits for the device.
    package func isFinite(_ parameters: [Parameter]) -> Bool {
        _ = mean
        if divergedAt == nil, !withoutGradients({ parameters.allSatisfy { $0.value.isFinite().allTrue() } }) { divergedAt = stepCount }
        return divergedAt == nil
    }
}

// MARK: - Going on later

extension LossMeter {
    private struct Counts: Codable {
        var steps: Int
        var count: Int
    }

    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(sum, as: "\(name)/sum")
        checkpoint.add(finite, as: "\(name)/finite")
        try checkpoint.add(value: Counts(steps: stepCount, count: count), as: "\(name)/counts")
    }

    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        let (sum, finite) = (try checkpoint.tensor("\(name)/sum", like: sum), try checkpoint.tensor("\(name)/finite", like: finite))
        let counts: Counts = try checkpoint.value("\(name)/counts")
        guard counts.steps >= 0, (0...counts.steps).contains(counts.count) else {
            throw CheckpointError(
                path: name, problem: "'counts': expected numbers of steps from 0 up, found \(counts.count) of \(counts.steps)")
        }
        let finiteSteps = finite.item()
        guard (0...Double(counts.count)).contains(finiteSteps) else {
            throw CheckpointError(
                path: name, problem: "'finite': expected a number of steps from 0 to \(counts.count), found \(finiteSteps)")
        }
        (self.sum, self.finite, count, stepCount) = (sum, finite, counts.count, counts.steps)
    }
}
