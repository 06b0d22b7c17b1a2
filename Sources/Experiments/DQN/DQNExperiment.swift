import Datasets
import Environments
import Report
package import Torch
package import Training
import WeightFiles
import WeightNorm

/// A deep Q-learning run.
package typealias DQNTraining = Run<DQNExperiment>

/// Deep Q-learning with its games and its memory: each round is one norm and one seed, with the whole replay memory; the unit is an action.
package final class DQNExperiment: Experiment, LimitsWholeNumbers {
    /// The best network of the present round.
    struct Best {
        let epoch: Int
        let score: DQNScore
        let network: QNetwork
    }

    package typealias Record = DQNRecord

    package let experiment: DQNSetup
    let resources: DQNResources
    let savesReplay: Bool
    let forgetsReplay: Bool
    /// The folder of a resumed run, which contains its replay memory; empty for a run from the beginning.
    let path: String
    /// Epochs of the present round whose evaluation is done.
    var epoch = 0
    var best: Best?
    /// Seconds of the present round's steps.
    var stepSeconds = 0.0
    /// The file that the last checkpoint names, if any.
    var replayName: String?
    /// The replay memory of the checkpoint being written.
    var replayBeingSaved: (name: String?, bytes: Int, start: ContinuousClock.Instant)?
    /// The cost of the last checkpoint with a replay memory.
    var checkpointCost: CheckpointCost?
    /// The action in the epoch at which the display text was last updated.
    private var noted = 0
    private let notes: Milestones

    /// The experiment, which must have been checked. A resumed run takes its replay memory from its folder at `path`, unless the checkpoint names
    /// none or it is to be forgotten: then the agent plays with what it has learned until it has seen enough to learn again.
    ///
    /// Games that cannot be saved, such as the emulator's, restart with a seed derived from the run's seed and progress.
    package init(
        _ experiment: DQNSetup, _ resources: DQNResources, savesReplay: Bool, resuming path: String? = nil, forgetsReplay: Bool = false
    ) {
        (self.experiment, self.resources, self.savesReplay) = (experiment, resources, savesReplay)
        (self.path, self.forgetsReplay) = (path ?? "", forgetsReplay)
        notes = Milestones(steps: experiment.settings.actionsPerEpoch, parts: 50)
    }

    package let kind = "dqn"
    package let unit = "action"
    package let timesSteps = false
    package var settings: DQNSettings { experiment.settings }
    package var names: [String] { experiment.normalizations.map(\.rawValue) }
    package var seeds: [UInt64] { experiment.seeds }
    package var rounds: Int { names.count * seeds.count }
    package var stepsPerRound: Int { settings.epochs * settings.actionsPerEpoch }
    package var device: Device { experiment.device }

    /// The norm and the seed of a round.
    func subject(ofRound round: Int) -> (norm: Normalization, seed: UInt64) {
        let count = experiment.normalizations.count
        return (experiment.normalizations[round % count], seeds[round / count])
    }

    /// The score of random play comes first; it needs no network.
    package func prepareRound(of run: Run<DQNExperiment>) throws -> Bool {
        guard run.randomScore == nil else { return true }
        let seed = experiment.seeds[0]
        var draws = Xoshiro256(seed: seed)
        let actions = resources.evaluation.actions.count
        let evaluation = try DQNEvaluation(
            in: resources.evaluation, depth: settings.depth, actions: settings.evaluationActions, seed: evaluationSeed(seed, epoch: 0),
            shouldStop: { run.shouldStop }
        ) { states in ((0..<states.shape[0]).map { _ in Int(draws.next(below: UInt64(actions))) }, nil) }
        if run.shouldStop { return false }
        try run.record(
            DQNRecord(
                norm: DQNRecord.random, seed: seed, epoch: 0, actions: 0, updates: 0, exploration: 1, score: DQNScore(evaluation),
                trainingScore: nil, trainingGames: 0, loss: nil))
        return true
    }

    package func makeTrainees(round: Int) throws -> [DQNLearner] {
        (epoch, best, stepSeconds) = (0, nil, 0)
        return [try learner(round: round)]
    }

    /// A learner at the beginning of a round.
    func learner(round: Int, gamesSeed: UInt64? = nil) throws -> DQNLearner {
        let (norm, seed) = subject(ofRound: round)
        let games = resources.training
        let agent = DQNAgent(
            settings, normalization: norm, seed: seed, rows: games.rows, columns: games.columns, actions: games.actions.count,
            device: device)
        resources.memory.removeAll()
        return try DQNLearner(agent, games, memory: resources.memory, seed: gamesSeed ?? seed)
    }

    /// Each epoch is followed by an evaluation; an interrupted one is repeated.
    package func prepareStep(of run: Run<DQNExperiment>) throws -> Bool {
        guard let learner = run.learner else { return true }
        while epoch < settings.epochs, learner.actionsTaken >= (epoch + 1) * settings.actionsPerEpoch {
            let note = run.note
            run.note = "evaluation"
            try run.reportProgress()
            run.note = note
            guard try evaluate(learner, run) else { return false }
            noted = 0
        }
        return true
    }

    package func input(for run: Run<DQNExperiment>) {}

    package func didStep(_ run: Run<DQNExperiment>) throws {
        guard let learner = run.learner else { return }
        stepSeconds += learner.readSeconds()
        let place = learner.actionsTaken - epoch * settings.actionsPerEpoch
        if (noted..<max(noted, place)).contains(where: { notes.contains($0 + 1) }) { run.note = note(learner) }
        noted = place
    }

    private func note(_ learner: DQNLearner) -> String {
        var parts = ["\(learner.agent.normalization.rawValue)", "ε \(NumberText.fixed(learner.exploration, decimals: 2))"]
        if let loss = learner.agent.losses.mean { parts.append("loss \(NumberText.fixed(loss, decimals: 2))") }
        return parts.joined(separator: ", ")
    }

    // MARK: - Evaluations

    /// Seeds of evaluations: different games from training, the same for every norm with the same seed.
    private func evaluationSeed(_ seed: UInt64, epoch: Int) -> UInt64 {
        var seeds = SplitMix64(seed: seed &+ 0x6576_616C)
        for _ in 0..<epoch { _ = seeds.next() }
        return seeds.next()
    }

    /// False if it was stopped.
    private func evaluate(_ learner: DQNLearner, _ run: Run<DQNExperiment>) throws -> Bool {
        let agent = learner.agent
        guard agent.isFinite() else { throw divergence(learner, run) }
        let evaluation = try DQNEvaluation(
            of: agent, in: resources.evaluation, actions: settings.evaluationActions, exploration: settings.evaluationExploration,
            seed: evaluationSeed(agent.seed, epoch: epoch + 1), shouldStop: { run.shouldStop })
        if run.shouldStop { return false }
        let score = DQNScore(evaluation)
        guard score.meanValue?.isFinite != false else { throw divergence(learner, run) }
        epoch += 1
        let scores = learner.readScores()
        try run.record(
            DQNRecord(
                norm: agent.normalization.rawValue, seed: agent.seed, epoch: epoch, actions: learner.actionsTaken, updates: agent.updates,
                exploration: learner.exploration, score: score,
                trainingScore: scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count), trainingGames: scores.count,
                loss: agent.losses.read()))
        if score.mean > best?.score.mean ?? -.infinity {
            let network = best?.network ?? network(agent.normalization)
            network.copyValues(from: agent.network)
            best = Best(epoch: epoch, score: score, network: network)
            try writeBest(agent, into: run.folder)
        }
        return true
    }

    /// A network to copy values into.
    func network(_ normalization: Normalization) -> QNetwork {
        let games = resources.training
        return settings.makeNetwork(
            rows: games.rows, columns: games.columns, actions: games.actions.count, normalization: normalization,
            random: Generator(seed: 0, device: device))
    }

    /// Writes the network of the best evaluation.
    func writeBest(_ agent: DQNAgent, into folder: RunFolder) throws {
        guard let best else { return }
        let (norm, seed) = (agent.normalization.rawValue, agent.seed)
        try best.network.write(
            to: folder.path(for: NetworkFile.name(norm: norm, seed: seed)), layout: .native,
            metadata: [
                "norm": norm, "seed": "\(seed)", "epoch": "\(best.epoch)", "score": "\(best.score.mean)", "game": experiment.game,
            ])
    }

    // MARK: - Ends

    package func didDiverge(trainee index: Int, at step: Int, of run: Run<DQNExperiment>) throws {
        throw divergence(run.trainees[index], run)
    }

    private func divergence(_ learner: DQNLearner, _ run: Run<DQNExperiment>) -> RunFailure {
        let agent = learner.agent
        let update = agent.losses.divergedAt ?? agent.updates
        return RunFailure.divergence(
            norm: agent.normalization, seed: agent.seed, "the loss, a parameter or a value is not finite at update \(update)", at: update,
            weights: WeightObserver(agent.network).read(learningRate: 1), lastGood: run.lastGoodCheckpoint)
    }

    package func finishRound(of run: Run<DQNExperiment>) -> [DQNRun] {
        guard let learner = run.learner, let best else { return [] }
        let agent = learner.agent
        let (norm, seed) = (agent.normalization.rawValue, agent.seed)
        guard let last = run.records.last(where: { $0.norm == norm && $0.seed == seed }) else { return [] }
        return [
            DQNRun(
                norm: norm, seed: seed, actions: learner.actionsTaken, updates: agent.updates, parameters: agent.parameterCount,
                constantUnits: agent.initialization.constantUnitCount, best: best.score, bestEpoch: best.epoch, last: last.score,
                actionsPerSecond: Double(learner.actionsTaken) / max(stepSeconds, 1e-9))
        ]
    }
}

extension Run where E == DQNExperiment {
    /// The learner; nil between two rounds.
    package var learner: DQNLearner? { trainees.first }
    /// The score of random play; nil before it is measured.
    package var randomScore: DQNScore? { records.first { $0.norm == DQNRecord.random }?.score }
    /// The cost of the last checkpoint with a replay memory.
    package var checkpointCost: CheckpointCost? { experiment.checkpointCost }
}
