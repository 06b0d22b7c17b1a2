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
    /// Actions taken; steps in which a game only started do not count.
    package private(set) var actionsTaken = 0
    private let environment: any Environment
    private var stacks: FrameStacks
    private var now: EnvironmentStep
    private var owedUpdates = 0.0
    private var seconds = 0.0
    /// The action at which ε starts to fall; nil before the network is initialized.
    private var explorationStart: Int?
    /// The score of every game so far.
    private var running: [Double]

    /// Starts the games. Learning starts once the memory has seen ``DQNSettings/actionsBeforeLearning`` transitions, with data-dependent
    /// initialization on states from it.
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

    /// The present probability of a random action.
    package var exploration: Double {
        guard let start = explorationStart ?? (learns ? learningStart : nil) else { return 1 }
        return agent.settings.exploration.probability(after: actionsTaken - start)
    }

    /// Whether the memory has what learning needs; if not, as after resuming with an empty one, the agent only plays.
    private var learns: Bool { memory.appended >= agent.settings.actionsBeforeLearning }

    /// The action at which the memory first had enough for learning.
    private var learningStart: Int { actionsTaken - (memory.appended - agent.settings.actionsBeforeLearning) }

    /// One step of all games, with the updates that are due made while the games run; returns the number of actions.
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

    /// Returns ``scores`` and clears them.
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
        /// The games, if they can be saved.
        var games: Data?
    }

    /// Adds the agent, the games if they can be saved, and the progress; the memory has its own file.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        try agent.add(to: &checkpoint, as: "\(name)/agent")
        checkpoint.add(stacks.tensor(), as: "\(name)/stacks")
        let state = State(
            actionsTaken: actionsTaken, owedUpdates: owedUpdates, explorationStart: explorationStart, scores: scores, running: running,
            games: try environment.snapshot())
        try checkpoint.add(value: state, as: "\(name)/state")
    }

    /// Resumes from an added learner with the same settings, norm and seed, whose memory has been restored or is empty.
    ///
    /// If the games cannot be saved, this learner keeps those with which it started; what followed the newest transitions in the memory will never be
    /// known.
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
