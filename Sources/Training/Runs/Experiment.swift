public import Torch

/// Something that a ``Run`` trains: a network with its optimizer, its random numbers and its losses.
///
/// ``ModelTrainee`` is one for any module and loss.
public protocol Trainee: AnyObject {
    /// What one step takes, such as a minibatch.
    associatedtype Input

    /// Makes one step.
    ///
    /// - Returns: how far that takes the run, in the experiment's unit: 1 where the unit is a step.
    func step(_ input: Input) throws -> Int

    /// The step at which the loss or a parameter was found not to be finite; nil until then.
    var divergedAt: Int? { get }

    /// Whether all losses and parameters are finite, as a checkpoint requires; may wait for the device.
    func isFinite() -> Bool

    /// Adds everything that the next step depends on.
    func add(to checkpoint: inout Checkpoint, as name: String) throws

    /// Restores what an identical trainee added.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit.
    func restore(from checkpoint: Checkpoint, as name: String) throws
}

/// What a ``Run`` does: which trainees it trains, on what, what is recorded, and how a round ends.
///
/// A run goes through rounds, for example one for each seed. In a round it makes trainees, for example one for each normalization, initializes them,
/// and lets them take their steps in turn until the round's steps are done. An experiment says what happens at each of these points; the run takes
/// care of order, stopping, checkpoints, records, times and resuming. Only what has no default must be written:
///
/// ```swift
/// struct Spirals: Experiment {
///     typealias Record = [String: Double]
///     let kind = "spirals", settings = Settings(), stepsPerRound = 500
///     func makeTrainees(round: Int) -> [ModelTrainee<Sequential, Batch>] { … }
///     func input(for run: Run<Self>) -> Batch { … }
///     func didStep(_ run: Run<Self>) throws { if run.step % 100 == 0 { try run.record(…) } }
///     func finishRound(of run: Run<Self>) -> [Result] { … }
/// }
/// ```
public protocol Experiment {
    /// The experiment's settings; a checkpoint made with other settings is refused.
    associatedtype Settings: Codable & Equatable & Sendable
    /// What is trained.
    associatedtype Learner: Trainee
    /// A line of `metrics.jsonl`.
    associatedtype Record: Codable & Sendable
    /// What is kept of a trainee when its round is finished.
    associatedtype Result: Codable & Sendable

    /// The kind of run in checkpoints, such as "vae"; one of another kind is refused.
    var kind: String { get }
    /// The experiment's settings.
    var settings: Settings { get }
    /// The names of what is trained in each round or, if ``rounds`` says so, one round after the other; a checkpoint with other names is refused.
    var names: [String] { get }
    /// The seeds; a checkpoint with others is refused.
    var seeds: [UInt64] { get }
    /// The number of rounds; by default one for each seed.
    var rounds: Int { get }
    /// The maximum number of results per round; by default one for each name, or one if each name has its own rounds.
    var resultsPerRound: Int { get }
    /// The number of units in a round.
    var stepsPerRound: Int { get }
    /// The unit in which a run counts: "step", unless a trainee says how far a step takes it.
    var unit: String { get }
    /// Where the trainees are; steps are timed up to the moment when it has finished its work.
    var device: Device { get }
    /// Whether step times are kept.
    var timesSteps: Bool { get }
    /// The files of records other than `metrics.jsonl`.
    var otherRecordFiles: [String] { get }

    /// Called before a round's trainees are made or restored; return false to stop the run here, for example if ``Run/shouldStop`` is true.
    func prepareRound(of run: Run<Self>) throws -> Bool
    /// New trainees for a round.
    func makeTrainees(round: Int) throws -> [Learner]
    /// Called once the trainees of a round have been made, for example for data-dependent initialization.
    func initialize(_ run: Run<Self>) throws
    /// Called before each step and at the end of a round, for work that must come first, such as an evaluation that a stop may have postponed; return
    /// false to stop the run here.
    func prepareStep(of run: Run<Self>) throws -> Bool
    /// What the next step takes, the same for all trainees.
    func input(for run: Run<Self>) throws -> Learner.Input
    /// Called after each step of all trainees: the place for records, evaluations and ``Run/note``.
    func didStep(_ run: Run<Self>) throws
    /// Called when an active trainee is found not to be finite; it takes no more steps. By default the run ends with an error.
    func didDiverge(trainee index: Int, at step: Int, of run: Run<Self>) throws
    /// The results of a round whose steps are done, ``resultsPerRound`` at most.
    func finishRound(of run: Run<Self>) throws -> [Result]

    /// The name of a trainee's part of the checkpoint.
    func checkpointName(ofTrainee index: Int) -> String
    /// Restores a round's trainees from a checkpoint made at a step of that round; by default makes new ones and restores what each added.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit.
    func restoreTrainees(from checkpoint: Checkpoint, round: Int, step: Int) throws -> [Learner]
    /// Adds what the experiment itself remembers to a checkpoint; also the place to write what lies beside it.
    func add(to checkpoint: inout Checkpoint, of run: Run<Self>) throws
    /// Restores what ``add(to:of:)`` added.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit.
    func restore(from checkpoint: Checkpoint, round: Int, step: Int, trainees: [Learner]) throws
    /// Called when a checkpoint of the given size was written.
    func didSave(_ run: Run<Self>, bytes: Int) throws
    /// Called when a run was resumed, from a checkpoint or, if there was none, from its beginning.
    func didResume(_ run: Run<Self>) throws
}

extension Experiment {
    /// Only the kind.
    public var names: [String] { [kind] }
    /// Only 0.
    public var seeds: [UInt64] { [0] }
    /// One for each seed.
    public var rounds: Int { seeds.count }
    /// One for each name, or one if each name has its own rounds.
    public var resultsPerRound: Int { names.count * seeds.count / max(1, rounds) }
    /// "step".
    public var unit: String { "step" }
    /// The CPU.
    public var device: Device { .cpu }
    /// Yes.
    public var timesSteps: Bool { true }
    /// None.
    public var otherRecordFiles: [String] { [] }

    /// Continues at once.
    public func prepareRound(of run: Run<Self>) throws -> Bool { true }
    /// Leaves the trainees as they were made.
    public func initialize(_ run: Run<Self>) throws {}
    /// Continues at once.
    public func prepareStep(of run: Run<Self>) throws -> Bool { true }
    /// Does nothing.
    public func didStep(_ run: Run<Self>) throws {}
    /// Ends the run with a ``RunFailure`` that names the trainee and the last good checkpoint.
    public func didDiverge(trainee index: Int, at step: Int, of run: Run<Self>) throws {
        let name = names.indices.contains(index) ? names[index] : "trainee \(index)"
        throw RunFailure(
            "\(name): the loss or a parameter is not finite at step \(step); \(run.lastGoodCheckpoint)", divergedAt: step)
    }

    /// The index.
    public func checkpointName(ofTrainee index: Int) -> String { "\(index)" }

    /// Makes new trainees and restores what each added.
    public func restoreTrainees(from checkpoint: Checkpoint, round: Int, step: Int) throws -> [Learner] {
        let trainees = try makeTrainees(round: round)
        for (index, trainee) in trainees.enumerated() { try trainee.restore(from: checkpoint, as: checkpointName(ofTrainee: index)) }
        return trainees
    }

    /// Adds nothing.
    public func add(to checkpoint: inout Checkpoint, of run: Run<Self>) throws {}
    /// Restores nothing.
    public func restore(from checkpoint: Checkpoint, round: Int, step: Int, trainees: [Learner]) throws {}
    /// Does nothing.
    public func didSave(_ run: Run<Self>, bytes: Int) throws {}
    /// Does nothing.
    public func didResume(_ run: Run<Self>) throws {}
}
