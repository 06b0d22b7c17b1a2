import Datasets
package import Environments
import Report
package import Torch

/// How well somebody plays: the scores of whole games, in the game's own points.
///
/// Games are begun until so many actions were taken, over all games that are played side by side, and each of them is played to its end: otherwise long
/// games, often the better ones, would be counted more seldom. A game that does not end within ``longestGame`` actions, or that number if it is larger, counts
/// as it is then.
package struct DQNEvaluation: Equatable, Sendable {
    /// Of every game that was begun within the number of actions, in the order of their ends.
    package private(set) var scores: [Double] = []
    /// Actions of those games.
    package private(set) var actions = 0
    /// How many of the scores are those of games that had not ended when there was no more patience with them.
    package private(set) var unfinished = 0
    /// Nearly an hour at fifteen actions a second: there are games that an agent can stand still in for ever.
    package static let longestGame = 50_000
    private var valueSum = 0.0
    private var valueCount = 0

    /// The mean score.
    package var score: Double { scores.reduce(0, +) / Double(scores.count) }

    /// The standard deviation of the scores over games, with n − 1; nil for one game.
    package var deviation: Double? { scores.count > 1 ? Statistics.standardDeviation(scores) : nil }

    /// The mean over states of the value that the player gave them; nil if it gave none.
    package var meanValue: Double? { valueCount > 0 ? valueSum / Double(valueCount) : nil }

    /// Lets somebody play who says, given the stacks of frames `[games, depth, rows, columns]`, what to do in each game and, if known, of what value its state is.
    ///
    /// - Parameters:
    ///   - shouldStop: is asked before every step; if it says so, what was played so far is of no use.
    /// - Throws: what the environment throws.
    package init(
        in environment: any Environment, depth: Int, actions budget: Int, seed: UInt64, shouldStop: () -> Bool = { false },
        play: (_ states: Tensor) -> (actions: [Int], values: [Float]?)
    ) throws {
        // A lost life goes on with the game, so that the stack may look back beyond it.
        var stacks = FrameStacks(environment, depth: depth, lostLifeEndsEpisode: false)
        stacks.push(try environment.reset(seed: seed))
        var running = [(score: Double, actions: Int)?](repeating: (0, 0), count: environment.count)
        let most = max(budget, Self.longestGame)
        // All games may have ended at once, with new ones still to be begun.
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

    /// Lets an agent play, with the given probability of an action at random. It does not change, and its training draws nothing else for it.
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
