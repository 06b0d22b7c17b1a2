import Datasets
package import Environments
import Report
package import Torch

/// How well a player plays: the scores of complete games, in the game's own points.
///
/// Games are started until the given number of actions has been taken, over all games played side by side, and each is played to its end: otherwise
/// long games, often the better ones, would be underrepresented. A game that does not end within ``longestGame`` actions, or that given number if it
/// is larger, counts with its score at that point.
package struct DQNEvaluation: Equatable, Sendable {
    /// The scores of all games started within the number of actions, in the order in which they ended.
    package private(set) var scores: [Double] = []
    /// Actions of those games.
    package private(set) var actions = 0
    /// The number of scores of games that were cut off before they ended.
    package private(set) var unfinished = 0
    /// Nearly an hour at fifteen actions per second: in some games an agent can stand still forever.
    package static let longestGame = 50_000
    private var valueSum = 0.0
    private var valueCount = 0

    /// The mean score.
    package var score: Double { scores.reduce(0, +) / Double(scores.count) }

    /// The standard deviation of the scores over games, with n − 1; nil for one game.
    package var deviation: Double? { scores.count > 1 ? Statistics.standardDeviation(scores) : nil }

    /// The mean value that the player gave to states; nil if it gave none.
    package var meanValue: Double? { valueCount > 0 ? valueSum / Double(valueCount) : nil }

    /// Evaluates a player that, given stacks of frames `[games, depth, rows, columns]`, chooses an action in each game and, if known, gives the value
    /// of its state.
    ///
    /// - Parameters:
    ///   - shouldStop: called before every step; if it returns true, the evaluation stops and its results are of no use.
    /// - Throws: what the environment throws.
    package init(
        in environment: any Environment, depth: Int, actions budget: Int, seed: UInt64, shouldStop: () -> Bool = { false },
        play: (_ states: Tensor) -> (actions: [Int], values: [Float]?)
    ) throws {
        // The game continues after a lost life, so the stack may look back beyond it.
        var stacks = FrameStacks(environment, depth: depth, lostLifeEndsEpisode: false)
        stacks.push(try environment.reset(seed: seed))
        var running = [(score: Double, actions: Int)?](repeating: (0, 0), count: environment.count)
        let most = max(budget, Self.longestGame)
        // All games may have ended at once, with new ones still to be started.
        while actions < budget || running.contains(where: { $0 != nil }), !shouldStop() {
            let (chosen, values) = play(stacks.tensor())
            let next = try environment.step(chosen)
            stacks.push(next)
            for game in running.indices {
                if next.begins[game] {
                    if actions < budget { running[game] = (0, 0) }
                    continue
                }
                guard let before = running[game] else { continue }
                if let values {
                    valueSum += Double(values[game])
                    valueCount += 1
                }
                actions += 1
                let now = (score: before.score + next.rewards[game], actions: before.actions + 1)
                let isOver = next.ends[game] != nil
                running[game] = isOver || now.actions == most ? nil : now
                if running[game] == nil {
                    scores.append(now.score)
                    if !isOver { unfinished += 1 }
                }
            }
        }
    }

    /// Evaluates an agent with the given probability of random actions. The agent and its training draws are not affected.
    package init(
        of agent: DQNAgent, in environment: any Environment, actions budget: Int, exploration: Double, seed: UInt64,
        shouldStop: () -> Bool = { false }
    ) throws {
        var draws = Xoshiro256(seed: seed)
        try self.init(in: environment, depth: agent.settings.depth, actions: budget, seed: seed, shouldStop: shouldStop) { states in
            let values = agent.values(in: states)
            let actions = agent.act(given: values, count: states.shape[0], exploration: exploration, using: &draws)
            return (actions, values.maximum(over: [1]).elements(as: Float.self))
        }
    }
}
