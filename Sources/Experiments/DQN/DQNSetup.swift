package import Environments
import Report
package import Torch
package import Training
package import WeightNorm

/// The setup of a deep Q-learning run.
package struct DQNSetup {
    /// The subcommand of `weightnorm` that starts such a run.
    package static let command = "train dqn"

    /// The name that ``Games`` takes.
    package let game: String
    package let settings: DQNSettings
    package let normalizations: [Normalization]
    package let seeds: [UInt64]
    package let device: Device

    package init(game: String, _ settings: DQNSettings, normalizations: [Normalization], seeds: [UInt64], device: Device) {
        self.game = game
        self.settings = settings
        self.normalizations = normalizations
        self.seeds = seeds
        self.device = device
    }

    /// Throws if the settings are invalid; call it before they are used.
    package func check() throws(RunFailure) {
        for norm in normalizations where !DQNSettings.norms.contains(norm) {
            let all = DQNSettings.norms.map(\.rawValue).joined(separator: ", ")
            throw RunFailure("norm: expected norms out of \(all), found '\(norm.rawValue)'")
        }
        guard !normalizations.isEmpty, !seeds.isEmpty else { throw RunFailure("expected norms and seeds, found none") }
        try settings.checkNumbers(norms: normalizations)
    }

    /// What a run started with, as in `config.json`.
    package typealias Configuration = RunConfiguration<DQNSettings, DQNDetails>
    /// The complete result, as in `summary.json`.
    package typealias Summary = RunSummary<DQNSettings, DQNRun, DQNOutcome>

    /// The run with these games and this memory. With `forgetsReplay` a resumed run starts with an empty memory.
    package func plan(
        _ configuration: Configuration, _ resources: DQNResources, forgetsReplay: Bool
    ) -> RunPlan<DQNExperiment, DQNDetails> {
        let memory = resources.memory
        let bytes = NumberText.bytes(ReplayMemory.byteCount(capacity: memory.capacity, rows: memory.rows, columns: memory.columns))
        let (game, actions) = ("\(configuration.game), \(configuration.player)", configuration.actions.joined(separator: ", "))
        let saving = configuration.savesReplay ? "what is filled of it is written with every checkpoint" : "not part of checkpoints"
        return RunPlan(
            configuration,
            introduction: [
                "\(game), \(memory.games) games side by side; actions: \(actions)",
                "Replay memory: \(memory.capacity) transitions, \(bytes) when full; \(saving)",
            ],
            line: DQNReport.line
        ) { path in
            DQNExperiment(
                self, resources, savesReplay: configuration.savesReplay, resuming: path, forgetsReplay: forgetsReplay)
        } outcome: { run in
            let summary = Summary(
                configuration, self, random: run.randomScore, runs: run.results, seconds: run.seconds, checkpoint: run.checkpointCost)
            return (summary, DQNReport(summary, records: run.records))
        }
    }
}

/// What only a run of deep Q-learning has in its `config.json`.
package struct DQNDetails: RunDetails {
    package var game: String
    /// What plays it.
    package var player: String
    package var actions: [String]
    package var rows: Int
    package var columns: Int
    /// Whether checkpoints include the replay memory.
    package var savesReplay: Bool

    package var identity: [(what: String, value: String?)] { [("game", game), ("emulator", player)] }

    package static func check(_ configuration: DQNSetup.Configuration) throws(RunFailure) {
        let (details, settings) = (configuration.details, configuration.settings)
        try configuration.checkCommon(norms: DQNSettings.norms)
        for (name, value) in [("rows", details.rows), ("columns", details.columns), ("number of actions", details.actions.count)] {
            try SettingsCheck.whole(name, value, in: 1...1024)
        }
        try settings.checkNumbers(norms: configuration.normalizations)
        try settings.checkNetwork(rows: details.rows, columns: details.columns, actions: details.actions.count)
    }
}

extension RunConfiguration<DQNSettings, DQNDetails> {
    package init(_ experiment: DQNSetup, _ resources: DQNResources, preset: String, savesReplay: Bool) {
        let games = resources.training
        self.init(
            command: DQNSetup.command, norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds,
            device: experiment.device, preset: preset, settings: experiment.settings,
            details: DQNDetails(
                game: experiment.game, player: Games.description(games), actions: games.actions, rows: games.rows,
                columns: games.columns, savesReplay: savesReplay))
    }
}

/// What only a run of deep Q-learning has in its `summary.json`.
package struct DQNOutcome: Codable, Equatable, Sendable {
    package var game: String
    package var player: String
    /// The score of random play.
    package var random: DQNScore?
    /// The cost of the last checkpoint with a replay memory.
    package var checkpoint: CheckpointCost?
}

extension RunSummary<DQNSettings, DQNRun, DQNOutcome> {
    package init(
        _ configuration: DQNSetup.Configuration, _ experiment: DQNSetup, random: DQNScore?, runs: [DQNRun], seconds: Double,
        checkpoint: CheckpointCost?
    ) {
        self.init(
            device: experiment.device, settings: experiment.settings, runs: runs, seconds: seconds,
            details: DQNOutcome(game: configuration.game, player: configuration.player, random: random, checkpoint: checkpoint))
    }
}

/// The games and the memory of a run, made before its folder is touched, since the emulator may be missing or the memory may not fit.
package struct DQNResources {
    package let training: any Environment
    /// Separate from the training games, which must not be disturbed.
    package let evaluation: any Environment
    package let memory: ReplayMemory

    /// Existing games and memory.
    package init(training: any Environment, evaluation: any Environment, memory: ReplayMemory) {
        (self.training, self.evaluation, self.memory) = (training, evaluation, memory)
    }

    /// Starts the games and allocates the memory.
    ///
    /// - Throws: ``EnvironmentError`` if there is no such game or emulator; ``ReplayMemory/Failure`` if the memory does not fit.
    package init(for experiment: DQNSetup, available: Int? = SystemMemory.available) throws {
        let settings = experiment.settings
        // If the CPU also does the learning, few emulator threads are enough: the emulator is an order of magnitude faster.
        let threads = experiment.device.isCPU ? max(1, Runtime.threadCount / 4) : 0
        training = try Games.environment(experiment.game, count: settings.games, threads: threads, stickiness: settings.stickiness)
        evaluation = try Games.environment(experiment.game, count: settings.games, stickiness: settings.stickiness)
        memory = try ReplayMemory(
            capacity: settings.replayCapacity, games: settings.games, rows: training.rows, columns: training.columns, depth: settings.depth,
            lostLifeEndsEpisode: settings.lostLifeEndsEpisode, clipsRewards: settings.clipsRewards, available: available)
    }
}

/// The result of an evaluation, without the individual games.
package struct DQNScore: Codable, Equatable, Sendable {
    /// The mean score of a game.
    package var mean: Double
    /// The standard deviation over games; nil for one game.
    package var deviation: Double?
    package var highest: Double
    package var games: Int
    /// The number of games counted before they had ended.
    package var unfinished: Int
    /// The number of actions taken.
    package var actions: Int
    /// The mean over states of the highest value that the agent gave to an action; nil for random play.
    package var meanValue: Double?

    package init(_ evaluation: DQNEvaluation) {
        (mean, deviation, highest) = (evaluation.score, evaluation.deviation, evaluation.scores.max() ?? .nan)
        (games, unfinished, actions) = (evaluation.scores.count, evaluation.unfinished, evaluation.actions)
        meanValue = evaluation.meanValue
    }
}

/// An epoch of a run, as in `metrics.jsonl`.
package struct DQNRecord: Codable, Equatable, Sendable {
    /// The norm; ``random`` for random play, before the first epoch.
    package var norm: String
    package var seed: UInt64
    package var epoch: Int
    /// Actions taken in training, over all games.
    package var actions: Int
    package var updates: Int
    /// ε, at the end of the epoch.
    package var exploration: Double
    /// The evaluation after the epoch.
    package var score: DQNScore
    /// The mean score of the games that ended in the epoch's training, including random actions; nil if none did.
    package var trainingScore: Double?
    package var trainingGames: Int
    /// The mean loss of the epoch's updates; nil if there was none.
    package var loss: Double?

    /// Used in place of a norm.
    package static let random = "random"

    package init(
        norm: String, seed: UInt64, epoch: Int, actions: Int, updates: Int, exploration: Double, score: DQNScore, trainingScore: Double?,
        trainingGames: Int, loss: Double?
    ) {
        (self.norm, self.seed, self.epoch, self.actions, self.updates) = (norm, seed, epoch, actions, updates)
        (self.exploration, self.score, self.trainingScore) = (exploration, score, trainingScore)
        (self.trainingGames, self.loss) = (trainingGames, loss)
    }
}

/// A finished run, as in `summary.json`.
package struct DQNRun: Codable, Equatable, Sendable, SeededRun {
    package var norm: String
    package var seed: UInt64
    package var actions: Int
    package var updates: Int
    package var parameters: Int
    package var constantUnits: Int
    /// The evaluation with the highest mean score, which is the paper's measure, and its epoch.
    package var best: DQNScore
    package var bestEpoch: Int
    /// The evaluation after the last epoch.
    package var last: DQNScore
    /// Training speed, without evaluations and checkpoints.
    package var actionsPerSecond: Double

    package init(
        norm: String, seed: UInt64, actions: Int, updates: Int, parameters: Int, constantUnits: Int, best: DQNScore, bestEpoch: Int,
        last: DQNScore, actionsPerSecond: Double
    ) {
        (self.norm, self.seed, self.actions, self.updates, self.parameters) = (norm, seed, actions, updates, parameters)
        (self.constantUnits, self.best, self.bestEpoch, self.last) = (constantUnits, best, bestEpoch, last)
        self.actionsPerSecond = actionsPerSecond
    }
}

/// The cost of a checkpoint, including its replay memory.
package struct CheckpointCost: Codable, Equatable, Sendable {
    package var bytes: Int
    package var seconds: Double

    package init(bytes: Int, seconds: Double) { (self.bytes, self.seconds) = (bytes, seconds) }
}
