import ArgumentParser
import Environments
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// `weightnorm train dqn`: the paper's §5.4.
struct TrainDQN: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dqn",
        abstract: "Train a deep Q-learning agent on Atari games (the paper's §5.4, Figure 5 and its table).",
        discussion: """
            Plays a game, learns from what it has seen, and after every epoch plays whole games and records their mean score. The Atari games are played by a real \
            emulator, ale-py, which 'make atari' installs; the game 'catch' needs none. Several norms or seeds are trained one after the other. Writes a \
            folder with report.html (open it in a browser), summary.json, metrics.jsonl, the network of each norm's best evaluation, config.json, and checkpoint.safetensors with \
            the replay memory beside it, from which --resume continues: bit for bit with 'catch' (on the CPU, with the same number of threads), with new games in the \
            emulator, whose games cannot be saved. SIGINT (Ctrl-C) and SIGTERM finish the current step and save. To see a game as an animation, use weightnorm play.
            """)

    @Option(
        help: ArgumentHelp(
            "An Atari game by ale-py's name, such as \(Atari.paperGames.joined(separator: ", ")); or catch. (default: breakout)",
            valueName: "name"))
    var game: String?

    @Option(
        help: ArgumentHelp(
            """
            quick, for two CPU cores (learning rate 5e-4, with catch 5e-3); or paper: 200 epochs of 250,000 actions, a replay memory of 1,000,000 transitions, learning rate \
            3e-4 with weight normalization and 1e-4 without. (default: quick)
            """,
            valueName: "name"), transform: { try choice($0, option: "preset", outOf: DQNSettings.Preset.allCases) })
    var preset: DQNSettings.Preset?

    @Option(help: ArgumentHelp("Actions per epoch, over all games; each action is held for four frames.", valueName: "number"))
    var actionsPerEpoch: Int?

    @Option(
        help: ArgumentHelp(
            "Actions, over all games, after which an evaluation starts no new game; those under way are played to the end.",
            valueName: "number"))
    var evaluationActions: Int?

    @Option(help: ArgumentHelp("Transitions in the replay memory; in an Atari game each takes 7062 bytes.", valueName: "number"))
    var replay: Int?

    @Option(help: ArgumentHelp("Games played side by side.", valueName: "number"))
    var games: Int?

    @Option(
        help: ArgumentHelp(
            "Probability with which an Atari game, at each frame, repeats the previous action instead of taking the new one. (default: 0)",
            valueName: "probability"))
    var stickiness: Double?

    @Flag(
        inversion: .prefixedNo,
        help: """
            Save the replay memory with every checkpoint; it takes as many bytes on disk as in memory, and twice that while it is being written. A run resumed without it \
            first plays until it has seen as much as learning needs. (default: --save-replay)
            """)
    var saveReplay: Bool?

    @Flag(help: "With --resume: continue without the replay memory that the checkpoint names, for instance because it is damaged or lost.")
    var forgetReplay = false

    @OptionGroup var rate: LearningRateOption<TrainDQN>
    @OptionGroup(title: "Run options") var options: RunOptions<TrainDQN>

    func run() throws {
        guard options.resume || !forgetReplay else { throw ValidationError("--forget-replay: expected it with --resume, found it without") }
        let stored: DQNSetup.Configuration? = try options.stored(command: DQNSetup.command)
        let game = (game ?? stored?.game ?? "breakout").lowercased().replacingOccurrences(of: "-", with: "_")
        let name = preset?.rawValue ?? stored?.preset ?? DQNSettings.Preset.quick.rawValue
        guard var settings = stored?.settings ?? DQNSettings.preset(preset ?? .quick, forGame: game) else {
            throw ValidationError("--preset: expected \(DQNSettings.Preset.quick.rawValue) with the game \(game), found '\(name)'")
        }
        try apply(to: &settings, game: game)
        let experiment = DQNSetup(
            game: game, settings, normalizations: try options.norms(stored: stored?.normalizations),
            seeds: options.seeds(stored: stored?.seeds), device: try options.device(continuing: stored))
        try experiment.check()
        if let stored {
            // Before an emulator and memory are asked for that the run does not need.
            var asked = stored
            (asked.norms, asked.seeds, asked.preset) = (experiment.normalizations.map(\.rawValue), experiment.seeds, name)
            (asked.settings, asked.game) = (settings, game)
            try requireSame(asked, as: stored)
        }
        // Before the folder is made: a run that cannot start must not cost the results of an earlier run.
        let resources = try DQNResources(for: experiment)
        try settings.checkNetwork(
            rows: resources.training.rows, columns: resources.training.columns, actions: resources.training.actions.count)
        let configuration = DQNSetup.Configuration(
            experiment, resources, preset: name, savesReplay: saveReplay ?? stored?.savesReplay ?? true)
        try options.perform(experiment.plan(configuration, resources, forgetsReplay: forgetReplay), continuing: stored)
    }

    private func apply(to settings: inout DQNSettings, game: String) throws {
        let most = DQNSettings.Limits.most
        try options.apply(to: &settings.epochs, &settings.batch)
        try Command.apply(games, in: DQNSettings.Limits.games, option: "games", to: &settings.games)
        try Command.apply(actionsPerEpoch, in: 1...most, option: "actions-per-epoch", to: &settings.actionsPerEpoch)
        try Command.apply(evaluationActions, in: 1...most, option: "evaluation-actions", to: &settings.evaluationActions)
        try Command.apply(replay, in: settings.actionsBeforeLearning...most, option: "replay", to: &settings.replayCapacity)
        if let learningRate = try rate.checked() { settings.setLearningRate(learningRate) }
        guard stickiness == nil || !Games.isCatch(game) else {
            throw ValidationError("--stickiness: expected it with an Atari game alone, found catch")
        }
        try Command.apply(stickiness, in: .dropout, option: "stickiness", to: &settings.stickiness)
        // Each of these covers all games.
        let (needed, limits) = (
            settings.depth + 1,
            [
                ("actions-per-epoch", settings.actionsPerEpoch), ("evaluation-actions", settings.evaluationActions),
                ("half of the actions before learning", settings.actionsBeforeLearning / 2),
            ]
        )
        for (what, limit) in limits + [("replay / \(needed)", settings.replayCapacity / needed)] where settings.games > limit {
            throw ValidationError("--games: expected at most \(limit) (\(what)), found \(settings.games)")
        }
    }
}

extension TrainDQN: RunDefaults {
    static var allowedNorms: [Normalization] { DQNSettings.norms }
    static let epoch = "each followed by an evaluation"
    static let checkpointInterval = 600.0
    static let folder = "runs/dqn"
}
