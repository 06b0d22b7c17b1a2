public import Torch

/// What a forward pass is for; it is passed explicitly through every layer.
///
/// Data-dependent initialization *is* a forward pass, as in the paper's code; dropout, noise and running means read the pass too. There is no hidden switch
/// between training and evaluation that could be left in the wrong place.
public struct Pass {
    /// What layers do in the pass.
    public enum Phase: Sendable {
        /// Each layer sets its gain and bias from the batch, then computes its output (eqs. 5 and 6); noise and dropout are active.
        case initializing
        /// Noise and dropout are active, batch statistics are used and averaged.
        case training
        /// No noise; running averages replace batch statistics.
        case inference
    }

    /// What layers do in the pass.
    public let phase: Phase
    /// The standard deviation that initialization gives to pre-activations; the paper's is 1.
    public let targetDeviation: Double
    /// What initialization found; empty in other phases.
    public let report: InitializationReport
    /// Where the batch stands in a larger minibatch, along its first axis; nil if it is the whole.
    public let place: BatchPlace?
    private let generator: Generator?
    /// What initialization in parts keeps between its passes; nil if the batch is whole.
    let rounds: InitializationRounds?

    init(
        phase: Phase, targetDeviation: Double = 1, report: InitializationReport = InitializationReport(), generator: Generator?,
        place: BatchPlace? = nil, rounds: InitializationRounds? = nil
    ) {
        self.phase = phase
        self.targetDeviation = targetDeviation
        self.report = report
        self.generator = generator
        self.place = place
        self.rounds = rounds
    }

    /// A pass that initializes from its batch; for one that is too large for memory see ``initialize(fromParts:random:targetDeviation:forward:)``.
    public static func initializing(
        _ random: Generator, targetDeviation: Double = 1, report: InitializationReport = InitializationReport()
    ) -> Pass {
        Pass(phase: .initializing, targetDeviation: targetDeviation, report: report, generator: random)
    }

    /// A pass of training, with noise and dropout drawn from the generator.
    ///
    /// The batch may be a part of a minibatch that several processes share: with generators in the same state and each part's place in the whole, every
    /// example gets the noise that it would get in one process.
    public static func training(_ random: Generator, at place: BatchPlace? = nil) -> Pass {
        Pass(phase: .training, generator: random, place: place)
    }

    /// A pass that only computes.
    public static var inference: Pass { Pass(phase: .inference, generator: nil) }

    /// The source of noise and dropout; nil in inference, which draws none.
    public var random: Generator? { generator }
}

/// What a pass of data-dependent initialization found.
public final class InitializationReport {
    /// Output units over all layers.
    public internal(set) var unitCount = 0
    /// Output units whose pre-activation did not vary over the batch, or so little or so much that the gain's type cannot hold its inverse: they were left
    /// as they were.
    public internal(set) var constantUnitCount = 0

    /// A report of nothing.
    public init() {}

    /// Restores what was found earlier, in a run that resumes.
    package func restore(unitCount: Int, constantUnitCount: Int) {
        (self.unitCount, self.constantUnitCount) = (unitCount, constantUnitCount)
    }
}
