public import Torch

/// Data-dependent initialization (eqs. 5 and 6) from a batch that is too large for memory and so is given in parts: the statistics are
/// those of the whole batch.
///
/// A layer's statistics need the preceding layers to be initialized, so the parts go through the network once for every layer, in order:
/// `initialize(fromParts: parts, random: random) { part, pass in _ = network(part, pass) }`. The random numbers are the same in each round,
/// so that all layers see the same batch. Batch normalization and mean-only batch normalization also use the whole batch's statistics.
///
/// A layer that the network applies several times uses the statistics of all its inputs together; in a single pass over a whole batch it is
/// set again each time, and the last input decides.
///
/// The parts, which may differ in size, are read once per round: pass a lazy collection to load them again each time. Traps if there are no
/// parts. Gradients are not recorded.
@discardableResult
public func initialize<Parts: Collection, Failure: Error>(
    fromParts parts: Parts, random: Generator, targetDeviation: Double = 1,
    forward: (Parts.Element, Pass) throws(Failure) -> Void
) throws(Failure) -> InitializationReport {
    trap(unless: !parts.isEmpty, "initialization in parts: expected at least one part, found none")
    let (report, rounds, start) = (InitializationReport(), InitializationRounds(), random.state)
    let pass = Pass(phase: .initializing, targetDeviation: targetDeviation, report: report, generator: random, rounds: rounds)
    repeat {
        random.rewind(to: start)
        for part in parts {
            try withoutGradients { () throws(Failure) in try forward(part, pass) }
        }
    } while rounds.finishRound()
    return report
}

extension Layer {
    /// Data-dependent initialization from a batch given in parts; see ``initialize(fromParts:random:targetDeviation:forward:)``.
    @discardableResult
    public func initialize(fromParts parts: some Collection<Tensor>, random: Generator, targetDeviation: Double = 1) -> InitializationReport
    {
        WeightNorm.initialize(fromParts: parts, random: random, targetDeviation: targetDeviation) { part, pass in _ = self(part, pass) }
    }
}

/// Whose turn it is in an initialization in parts, and what has been found so far.
///
/// In each round one layer, the first unfinished one, adds up the moments of the parts; the layers before it are finished, and those after
/// it wait.
final class InitializationRounds {
    private var finished: [ObjectIdentifier: UnitStatistics] = [:]
    private var current: (layer: ObjectIdentifier, moments: UnitMoments, apply: (UnitStatistics) -> Void)?
    private var someoneWaits = false

    /// The statistics of a layer over all parts, once its round is over.
    func statistics(of layer: AnyObject) -> UnitStatistics? { finished[ObjectIdentifier(layer)] }

    /// Adds a part's moments if it is the layer's turn. The closure gets the statistics of all parts, once, at the end of the round.
    func collect(_ moments: () -> UnitMoments, of layer: AnyObject, apply: @escaping (UnitStatistics) -> Void) {
        let identity = ObjectIdentifier(layer)
        guard finished[identity] == nil else { return }
        if let current, current.layer != identity {
            someoneWaits = true
            return
        }
        let found = moments()
        current = (identity, current.map { $0.moments.merged(with: found) } ?? found, apply)
    }

    /// Ends a round; true if another is needed.
    func finishRound() -> Bool {
        guard let (layer, moments, apply) = current else { return false }
        let statistics = moments.statistics
        withoutGradients { apply(statistics) }
        finished[layer] = statistics
        current = nil
        defer { someoneWaits = false }
        return someoneWaits
    }
}

extension Generator {
    /// Goes back to a state that this generator had.
    fileprivate func rewind(to state: [UInt8]) {
        do {
            try restore(state)
        } catch {
            fatalError("generator: expected to take back a state of its own, found \(error)")
        }
    }
}
