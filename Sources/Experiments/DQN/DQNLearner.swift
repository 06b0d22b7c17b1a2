import Datasets
package import Environments
import Foundation
import Torch
package import Training

/// Games that an agent plays and learns from: acting and learning overlap.
package final class DQNLearner: Trainee {
    package let agent: DQNAgent
    package let memory: ReplayMemory
    /// Scores of the games that ended since ``readScores()``, in the games' own points.
    package private(set) var scores: [Double] = []
    /// Actions taken: steps in which a game only began are none.
    package private(set) var actionsTaken = 0
    private let environment: any Environment
    private var stacks: FrameStacks
    private var now: EnvironmentStep
    private var owedUpdates = 0.0
    private var seconds = 0.0
    /// The action from which ε falls; nil before the network is initialized.
    private var explorationStart: Int?
    /// What every game has paid so far.
    private var running: [Double]

    /// Begins the games. Learning begins once the memory has seen ``DQNSettings/actionsBeforeLearning`` transitions, with data-dependent initialization on states out
    /// of it.
    package init(_ agent: DQNAgent, _ environment: any Environment, memory: ReplayMemory, seed: UInt64) throws {
        self.agent = agent
        self.memory = memory
        self.environment = environment
        stacks = FrameStacks(
            environment, depth: agent.settings.depth, lostLifeEndsEpisode: agent.settings.lostLifeEndsEpisode)
        now = try environment.reset(seed: seed)
        stacks.push(now)
        running = [Double](repeating: 0, count: environment.count)
    }

    /// The probability of an action at random, now.
    package var exploration: Double {
        guard let start = explorationStart ?? (learns ? learningStart : nil) else { return 1 }
        return agent.settings.exploration.probability(after: actionsTaken - start)
    }

    /// Whether the memory has what learning needs: without, as after going on with an empty one, the agent only plays.
    private var learns: Bool { memory.appended >= agent.settings.actionsBeforeLearning }

    /// The action at which the memory had just what learning needs.
    private var learningStart: Int { actionsTaken - (memory.appended - agent.settings.actionsBeforeLearning) }

    /// One step of all games, and the updates that are due, while the games go on; gives the number of actions.
    @discardableResult
    package func step(_ input: Void = ()) throws -> Int {
        let start = ContinuousClock.now
        defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
        let settings = agent.settings
        let actions = agent.act(in: stacks.tensor(), exploration: exploration)
        try environment.send(actions)
        if learns {
            if explorationStart == nil {
                var draws = Xoshiro256(seed: agent.seed)
                agent.initialize(memory.sample(settings.initializationStates, using: &draws).states)
                explorationStart = learningStart
            }
            while owedUpdates >= 1 {
                agent.learn(from: memory)
                owedUpdates -= 1
            }
        }
        let next = try environment.receive()
        memory.append(now, actions: actions, next)
        var played = 0
        for game in 0..<next.count where !next.begins[game] {
            played += 1
            running[game] += next.rewards[game]
            guard next.ends[game] != nil else { continue }
            scores.append(running[game])
            running[game] = 0
        }
        if learns { owedUpdates += Double(played) / Double(settings.actionsPerUpdate) }
        actionsTaken += played
        now = next
        stacks.push(now)
        return played
    }

    /// The seconds of the steps since the last reading.
    package func readSeconds() -> Double {
        defer { seconds = 0 }
        return seconds
    }

    /// The update at which the loss was found not to be finite.
    package var divergedAt: Int? { agent.losses.divergedAt }

    package func isFinite() -> Bool { agent.isFinite() }

    /// ``scores``, which begin anew.
    package func readScores() -> [Double] {
        defer { scores = [] }
        return scores
    }
}

// MARK: - Checkpoints

extension DQNLearner {
    private struct State: Codable {
        var actionsTaken: Int
        var owedUpdates: Double
        var explorationStart: Int?
        var scores: [Double]
        var running: [Double]
        /// The games, where they can be saved.
        var games: Data?
    }

    /// Adds the agent, the games if they can be saved, and how far all is; the memory has a file of its own.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        try agent.add(to: &checkpoint, as: "\(name)/agent")
        checkpoint.add(stacks.tensor(), as: "\(name)/stacks")
        let state = State(
            actionsTaken: actionsTaken, owedUpdates: owedUpdates, explorationStart: explorationStart, scores: scores, running: running,
            games: try environment.snapshot())
        try checkpoint.add(value: state, as: "\(name)/state")
    }

    /// Goes on from a learner of the same settings, norm and seed that was added, whose memory has been restored or is empty.
    ///
    /// Games that cannot be saved stay those with which this learner began; what followed the newest transitions in the memory will never be known.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        func failure(_ problem: String) -> CheckpointError { CheckpointError(path: name, problem: problem) }
        try agent.restore(from: checkpoint, as: "\(name)/agent")
        let state: State = try checkpoint.value("\(name)/state")
        guard state.actionsTaken >= memory.appended, (0..<Double(1 + environment.count)).contains(state.owedUpdates),
            state.explorationStart.map((0...state.actionsTaken).contains) ?? true, state.running.count == environment.count,
            state.running.allSatisfy(\.isFinite), state.scores.allSatisfy(\.isFinite), state.scores.count <= state.actionsTaken
        else { throw failure("'state': expected counts that a run of \(environment.count) games can have, found others") }
        (actionsTaken, owedUpdates, explorationStart) = (state.actionsTaken, state.owedUpdates, state.explorationStart)
        scores = state.scores
        guard let games = state.games else {
            memory.breakOff()
            return
        }
        running = state.running
        now = try environment.restore(games)
        try stacks.restore(try checkpoint.tensor("\(name)/stacks"))
    }
}
