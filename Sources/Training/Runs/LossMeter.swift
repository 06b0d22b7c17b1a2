public import Torch
import WeightNorm

/// The mean loss of steps, summed on the device so that no step waits for it, and the first step at which the loss was not finite.
public final class LossMeter {
    /// Steps counted since the start.
    public private(set) var stepCount = 0
    /// The first step at which the loss was not finite, as far as known: on the CPU at once, elsewhere once ``mean`` is read.
    public private(set) var divergedAt: Int?
    // In the same place for every step, so that the addition can be recorded.
    private let sum: Buffer
    /// Steps since the last reading, up to but excluding the first whose loss is not finite.
    private let finite: Buffer
    /// Steps since the last reading.
    public private(set) var count = 0

    /// A meter of losses on a device, summed in the given type.
    public init(on device: Device, type: ElementType = .float32) {
        sum = Buffer(.zeros([], type: type, on: device))
        finite = Buffer(.zeros([], type: .int64, on: device))
    }

    /// Counts the loss of a step, a tensor of no dimensions. False if it is known not to be finite, and the step should not be taken.
    public func add(_ loss: Tensor) -> Bool {
        accumulate(loss)
        countStep()
        // Checking is free where nothing has to be waited for.
        guard loss.device.isCPU, !loss.item().isFinite else { return true }
        divergedAt = divergedAt ?? stepCount
        return false
    }

    /// The part of ``add(_:)`` that a recorded step repeats; call ``countStep()`` for each step.
    public func accumulate(_ loss: Tensor) {
        withoutGradients {
            sum.assign(sum.value + loss.detached().converted(to: sum.value.type))
            // The sum of the losses is finite exactly as long as all of them are.
            finite.assign(finite.value + sum.value.isFinite().converted(to: .int64))
        }
    }

    /// The part of ``add(_:)`` that is done for every step, recorded or not.
    public func countStep() {
        count += 1
        stepCount += 1
    }

    /// The mean loss of the steps since the last reading, nil if there was none; waits for the device.
    public var mean: Double? {
        guard count > 0 else { return nil }
        let total = sum.value.item()
        if !total.isFinite { divergedAt = divergedAt ?? stepCount - count + Int(finite.value.item()) + 1 }
        return total / Double(count)
    }

    /// Returns ``mean`` and resets it.
    public func read() -> Double? {
        let mean = mean
        for buffer in [sum, finite] { buffer.assign(buffer.value.zerosLike()) }
        count = 0
        return mean
    }

    /// Whether the losses since the last reading and all parameters are finite. A finite loss can have a gradient that is not: the run is then taken
    /// to have diverged at the last step. Waits for the device.
    public func isFinite(_ parameters: [Parameter]) -> Bool {
        _ = mean
        if divergedAt == nil, !withoutGradients({ parameters.allSatisfy { $0.value.isFinite().allTrue() } }) { divergedAt = stepCount }
        return divergedAt == nil
    }
}

// MARK: - Checkpoints

extension LossMeter {
    private struct Counts: Codable {
        var steps: Int
        var count: Int
    }

    /// Adds what was summed and counted.
    public func add(to checkpoint: inout Checkpoint, as name: String) throws {
        add(to: &checkpoint, sum: "\(name)/sum", finite: "\(name)/finite")
        try checkpoint.add(value: Counts(steps: stepCount, count: count), as: "\(name)/counts")
    }

    /// Restores what was summed and counted.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit.
    public func restore(from checkpoint: Checkpoint, as name: String) throws {
        let counts: Counts = try checkpoint.value("\(name)/counts")
        guard (0...WholeNumbers.most).contains(counts.steps), (0...counts.steps).contains(counts.count) else {
            throw CheckpointError(
                path: name, problem: "'counts': expected numbers of steps from 0 up, found \(counts.count) of \(counts.steps)")
        }
        try restore(from: checkpoint, sum: "\(name)/sum", finite: "\(name)/finite", steps: counts.steps, count: counts.count)
    }

    /// The same under names chosen by the caller, who keeps the counts.
    package func add(to checkpoint: inout Checkpoint, sum sumName: String, finite finiteName: String) {
        checkpoint.add(sum.value, as: sumName)
        checkpoint.add(finite.value, as: finiteName)
    }

    package func restore(from checkpoint: Checkpoint, sum sumName: String, finite finiteName: String, steps: Int, count: Int)
        throws(CheckpointError)
    {
        let (newSum, newFinite) = (try checkpoint.tensor(sumName, like: sum.value), try checkpoint.tensor(finiteName, like: finite.value))
        let finiteSteps = newFinite.item()
        guard (0...Double(count)).contains(finiteSteps) else {
            throw CheckpointError(path: finiteName, problem: "expected a number of steps from 0 to \(count), found \(finiteSteps)")
        }
        sum.assign(newSum)
        finite.assign(newFinite)
        (self.count, stepCount) = (count, steps)
    }
}
