import Datasets
import Report
import Torch
package import Training
import WeightNorm

/// Deep Q-learning in the course of a run: one norm of one seed after the other, each with the whole replay memory. It can stop between two steps and go on from
/// a checkpoint.
package final class DQNTraining {
    /// What is told of a run while it goes on.
    package struct Progress {
        /// Actions done and to do, of the whole run.
        package let done: Int
        package let total: Int
        package let note: String
    }

    /// The best network of the present round.
    struct Best {
        let epoch: Int
        let score: DQNScore
        let network: QNetwork
    }

    package let experiment: DQNExperiment
    package let folder: RunFolder
    let resources: DQNResources
    let savesReplay: Bool
    /// The norm and the seed of each round.
    private let rounds: [(norm: Normalization, seed: UInt64)]
    package internal(set) var round = 0
    package internal(set) var practice: DQNPractice?
    /// Epochs of the present round whose evaluation is done.
    var epoch = 0
    var best: Best?
    /// Seconds of the present round's steps.
    var stepSeconds = 0.0
    package internal(set) var runs: [DQNRun] = []
    package internal(set) var records: [DQNRecord] = []
    var earlierSeconds = 0.0
    package internal(set) var savedAt: Int?
    /// The file that the last checkpoint names, if it does.
    var replayName: String?
    /// What the last checkpoint with a replay memory took.
    package internal(set) var checkpointCost: CheckpointCost?
    private let start = ContinuousClock.now

    /// A run from the beginning, whose experiment must have been checked.
    package init(_ experiment: DQNExperiment, _ resources: DQNResources, _ folder: RunFolder, savesReplay: Bool) {
        self.experiment = experiment
        self.resources = resources
        self.folder = folder
        self.savesReplay = savesReplay
        rounds = Self.rounds(of: experiment)
    }

    static func rounds(of experiment: DQNExperiment) -> [(norm: Normalization, seed: UInt64)] {
        experiment.seeds.flatMap { seed in experiment.normalizations.map { ($0, seed) } }
    }

    private var settings: DQNSettings { experiment.settings }
    static func actionsPerRound(_ settings: DQNSettings) -> Int { settings.epochs * settings.actionsPerEpoch }
    private var perRound: Int { Self.actionsPerRound(settings) }
    package var total: Int { perRound * rounds.count }
    /// The last step of a round may take a few actions more than were to be taken.
    package var done: Int { round * perRound + min(practice?.actionsTaken ?? 0, perRound) }
    package var isFinished: Bool { round == rounds.count }
    package var seconds: Double { earlierSeconds + (ContinuousClock.now - start) / .seconds(1) }
    /// The score of play at random; nil before it was measured.
    package var randomScore: DQNScore? { records.first { $0.norm == DQNRecord.random }?.score }

    /// Trains until all is done, or until `shouldStop` says so between two steps; then the run is saved if it is at all.
    ///
    /// - Parameters:
    ///   - checkpoints: says when to save; without, nothing is saved.
    ///   - progress: is told how far the run is, after every step.
    ///   - evaluated: is told of every evaluation.
    /// - Throws: ``RunFailure`` if it diverged; ``EnvironmentError`` if the games cannot be played any longer. Then it can go on from its last checkpoint.
    package func run(
        checkpoints: CheckpointClock? = nil, shouldStop: () -> Bool = { false }, progress: (Progress) throws -> Void = { _ in },
        evaluated: (DQNRecord) throws -> Void = { _ in }
    ) throws {
        while !isFinished {
            if randomScore == nil {
                guard try measureRandom(shouldStop, evaluated) else { break }
            }
            let practice = try practice ?? begin()
            try runRound(practice, checkpoints, shouldStop, progress, evaluated)
            if epoch < settings.epochs { break }
            try finishRound(practice)
        }
        if checkpoints != nil, practice?.agent.isFinite() != false { try save() }
    }

    /// A practice at the beginning of a round.
    static func practice(of experiment: DQNExperiment, _ resources: DQNResources, round: Int, gamesSeed: UInt64? = nil) throws
        -> DQNPractice
    {
        let (norm, seed) = rounds(of: experiment)[round]
        let games = resources.training
        let agent = DQNAgent(
            experiment.settings, normalization: norm, seed: seed, rows: games.rows, columns: games.columns, actions: games.actions.count,
            device: experiment.device)
        resources.memory.removeAll()
        return try DQNPractice(agent, games, memory: resources.memory, seed: gamesSeed ?? seed)
    }

    private func begin() throws -> DQNPractice {
        let practice = try Self.practice(of: experiment, resources, round: round)
        self.practice = practice
        (epoch, best, stepSeconds) = (0, nil, 0)
        return practice
    }

    private func runRound(
        _ practice: DQNPractice, _ checkpoints: CheckpointClock?, _ shouldStop: () -> Bool, _ progress: (Progress) throws -> Void,
        _ evaluated: (DQNRecord) throws -> Void
    ) throws {
        let notes = Milestones(steps: settings.actionsPerEpoch, parts: 50)
        var (note, noted) = ("", 0)
        let clock = ContinuousClock()
        while epoch < settings.epochs {
            let end = (epoch + 1) * settings.actionsPerEpoch
            while practice.actionsTaken < end {
                if shouldStop() { return }
                stepSeconds += try clock.measure { try practice.step() } / .seconds(1)
                if practice.agent.losses.divergedAt != nil { throw divergence(practice) }
                let place = practice.actionsTaken - epoch * settings.actionsPerEpoch
                if (noted..<place).contains(where: { notes.contains($0 + 1) }) { note = self.note(practice) }
                noted = place
                if let checkpoints, checkpoints.isDue(), practice.agent.isFinite() {
                    try save()
                    checkpoints.restart()
                }
                try progress(Progress(done: done, total: total, note: note))
            }
            noted = 0
            try progress(Progress(done: done, total: total, note: "evaluation"))
            guard try evaluate(practice, shouldStop, evaluated) else { return }
        }
    }

    private func note(_ practice: DQNPractice) -> String {
        var parts = ["\(practice.agent.normalization.rawValue)", "ε \(NumberText.fixed(practice.exploration, decimals: 2))"]
        if let loss = practice.agent.losses.mean { parts.append("loss \(NumberText.fixed(loss, decimals: 2))") }
        return parts.joined(separator: ", ")
    }

    // MARK: - Evaluations

    /// Seeds of evaluations: other games than the training's, the same for every norm of a seed.
    private func evaluationSeed(_ seed: UInt64, epoch: Int) -> UInt64 {
        var seeds = SplitMix64(seed: seed &+ 0x6576_616C)
        for _ in 0..<epoch { _ = seeds.next() }
        return seeds.next()
    }

    /// The score of play at random, for which no network is asked. False if it was stopped.
    private func measureRandom(_ shouldStop: () -> Bool, _ evaluated: (DQNRecord) throws -> Void) throws -> Bool {
        let seed = experiment.seeds[0]
        var draws = Xoshiro256(seed: seed)
        let actions = resources.evaluation.actions.count
        let evaluation = try DQNEvaluation(
            in: resources.evaluation, depth: settings.depth, actions: settings.evaluationActions, seed: evaluationSeed(seed, epoch: 0),
            shouldStop: shouldStop
        ) { states in ((0..<states.shape[0]).map { _ in Int(draws.next(below: UInt64(actions))) }, nil) }
        if shouldStop() { return false }
        try add(
            DQNRecord(
                norm: DQNRecord.random, seed: seed, epoch: 0, actions: 0, updates: 0, exploration: 1, score: DQNScore(evaluation),
                trainingScore: nil, trainingGames: 0, loss: nil), evaluated)
        return true
    }

    /// Evaluates after an epoch. False if it was stopped; it will be done anew.
    private func evaluate(_ practice: DQNPractice, _ shouldStop: () -> Bool, _ evaluated: (DQNRecord) throws -> Void) throws -> Bool {
        let agent = practice.agent
        guard agent.isFinite() else { throw divergence(practice) }
        let evaluation = try DQNEvaluation(
            of: agent, in: resources.evaluation, actions: settings.evaluationActions, exploration: settings.evaluationExploration,
            seed: evaluationSeed(agent.seed, epoch: epoch + 1), shouldStop: shouldStop)
        if shouldStop() { return false }
        let score = DQNScore(evaluation)
        guard score.meanValue?.isFinite != false else { throw divergence(practice) }
        epoch += 1
        let scores = practice.readScores()
        try add(
            DQNRecord(
                norm: agent.normalization.rawValue, seed: agent.seed, epoch: epoch, actions: practice.actionsTaken, updates: agent.updates,
                exploration: practice.exploration, score: score,
                trainingScore: scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count), trainingGames: scores.count,
                loss: agent.losses.read()), evaluated)
        if score.mean > best?.score.mean ?? -.infinity {
            let network = best?.network ?? Self.network(of: experiment, resources, agent.normalization)
            network.copyValues(from: agent.network)
            best = Best(epoch: epoch, score: score, network: network)
            try writeBest(agent)
        }
        return true
    }

    /// A network to copy values into.
    static func network(of experiment: DQNExperiment, _ resources: DQNResources, _ normalization: Normalization) -> QNetwork {
        let games = resources.training
        return experiment.settings.makeNetwork(
            rows: games.rows, columns: games.columns, actions: games.actions.count, normalization: normalization,
            random: Generator(seed: 0, device: experiment.device))
    }

    /// Writes the network of the best evaluation.
    func writeBest(_ agent: DQNAgent) throws {
        guard let best else { return }
        let (norm, seed) = (agent.normalization.rawValue, agent.seed)
        try best.network.write(
            to: folder.path(for: NetworkFile.name(norm: norm, seed: seed)), layout: .native,
            metadata: [
                "norm": norm, "seed": "\(seed)", "epoch": "\(best.epoch)", "score": "\(best.score.mean)", "game": experiment.game,
            ])
    }

    private func add(_ record: DQNRecord, _ evaluated: (DQNRecord) throws -> Void) throws {
        try folder.record(record)
        records.append(record)
        try evaluated(record)
    }

    // MARK: - Ends

    private func divergence(_ practice: DQNPractice) -> RunFailure {
        let agent = practice.agent
        return RunFailure(
            RunFailure.divergence(
                norm: agent.normalization, seed: agent.seed,
                "the loss, a parameter or a value is not finite at update \(agent.losses.divergedAt ?? agent.updates)",
                weights: WeightObserver(agent.network).read(rate: 1).map { ($0.path, $0.gain.mean) }, lastGood: lastGoodCheckpoint))
    }

    package var lastGoodCheckpoint: String { RunCheckpoint.lastGood(in: folder.path, at: savedAt, unit: "action") }

    private func finishRound(_ practice: DQNPractice) throws {
        let agent = practice.agent
        let (norm, seed) = (agent.normalization.rawValue, agent.seed)
        if let best, let last = records.last(where: { $0.norm == norm && $0.seed == seed }) {
            runs.append(
                DQNRun(
                    norm: norm, seed: seed, actions: practice.actionsTaken, updates: agent.updates, parameters: agent.parameterCount,
                    constantUnits: agent.initialization.constantUnitCount, best: best.score, bestEpoch: best.epoch, last: last.score,
                    actionsPerSecond: Double(practice.actionsTaken) / max(stepSeconds, 1e-9)))
        }
        self.practice = nil
        (best, epoch) = (nil, 0)
        round += 1
    }
}
