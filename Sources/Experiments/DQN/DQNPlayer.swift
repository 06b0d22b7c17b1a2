import AtomicFiles
import Datasets
import Environments
import Foundation
import Torch
import Training
import WeightFiles
package import WeightNorm

/// A network in a run's folder that plays.
package struct DQNPlayer {
    private let configuration: DQNSetup.Configuration
    private let network: QNetwork
    /// The norm and the seed of the network.
    package let norm: String
    package let seed: UInt64
    /// The network itself.
    package var module: any Module { network }
    /// The game, under the name that ``Games`` takes.
    package var game: String { configuration.game }

    /// The network of a norm and seed, as it was at its best evaluation; by default the run's first ones.
    ///
    /// - Throws: ``RunFailure`` if the folder is not such a run's or has no such network yet; what loading the file throws.
    package init(at path: String, norm: Normalization? = nil, seed: UInt64? = nil) throws {
        _ = try RunHeader(at: path, of: [DQNSetup.command])
        configuration = try DQNSetup.Configuration.read(at: path)
        let choice = try RunChoice(norm: norm, seed: seed, norms: configuration.norms, seeds: configuration.seeds, at: path)
        (self.norm, self.seed) = (choice.norm.rawValue, choice.seed)
        network = configuration.settings.makeNetwork(
            rows: configuration.rows, columns: configuration.columns, actions: configuration.actions.count, normalization: choice.norm,
            random: Generator(seed: 0))
        let file = NetworkFile.name(norm: self.norm, seed: self.seed)
        guard RunFolder.has(file, at: path) else {
            throw RunFailure(
                "\(path)/\(file): expected the network of the run's best evaluation so far, found none; it is written after the first epoch"
            )
        }
        try network.load(from: RunFolder.tensors(named: file, at: path))
    }

    /// Plays a game to its end, to the given number of actions, or until `shouldStop` says so.
    ///
    /// - Parameters:
    ///   - exploration: the probability of a random action; by default that of the run's evaluations.
    ///   - seed: determines the game and the random actions.
    /// - Throws: ``EnvironmentError`` if the game cannot be played.
    package func play(
        exploration: Double? = nil, seed: UInt64, most: Int, shouldStop: () -> Bool = { false }
    ) throws -> PlayedGame {
        let settings = configuration.settings
        let environment = try Games.environment(game, count: 1, threads: 1, stickiness: settings.stickiness)
        guard environment.actions == configuration.actions, environment.rows == configuration.rows,
            environment.columns == configuration.columns
        else {
            throw EnvironmentError(
                environment: game, problem: "expected the run's actions and frames, found others in \(Games.description(environment))")
        }
        let exploration = exploration ?? settings.evaluationExploration
        var draws = Xoshiro256(seed: seed)
        var stacks = FrameStacks(environment, depth: settings.depth, lostLifeEndsEpisode: false)
        var step = try environment.reset(seed: seed)
        var played = PlayedGame(rows: environment.rows, columns: environment.columns, actions: environment.actions)
        while !played.isOver, played.moments.count < most, !shouldStop() {
            stacks.push(step)
            let values = withoutGradients { network(stacks.tensor(), .inference) }.elements(as: Float.self)
            let (action, isRandom) = DQNAgent.choose(
                values.indices.max { values[$0] < values[$1] }, of: environment.actions.count, exploration: exploration, using: &draws)
            played.moments.append(
                PlayedGame.Moment(frame: step.frames, values: values, action: action, isRandom: isRandom, score: played.score))
            step = try environment.step([action])
            played.score += step.rewards[0]
            played.isOver = step.ends[0] != nil
        }
        played.lastFrame = step.frames
        return played
    }
}

/// A game that was played, action by action.
package struct PlayedGame {
    /// What was seen and done.
    package struct Moment {
        /// Grey levels, `[rows, columns]`.
        package var frame: [UInt8]
        /// The network's value for each action.
        package var values: [Float]
        package var action: Int
        package var isRandom: Bool
        /// The score before the action.
        package var score: Double

        package init(frame: [UInt8], values: [Float], action: Int, isRandom: Bool, score: Double) {
            (self.frame, self.values, self.action, self.isRandom, self.score) = (frame, values, action, isRandom, score)
        }
    }

    package let rows: Int
    package let columns: Int
    /// The actions' names.
    package let actions: [String]
    package var moments: [Moment] = []
    /// What was seen after the last action.
    package var lastFrame: [UInt8] = []
    package var score = 0.0
    /// Whether it was played to its end.
    package var isOver = false

    package init(rows: Int, columns: Int, actions: [String]) { (self.rows, self.columns, self.actions) = (rows, columns, actions) }
}
