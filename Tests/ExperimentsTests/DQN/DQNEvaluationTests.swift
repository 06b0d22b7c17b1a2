import Datasets
import Environments
import Experiments
import Foundation
import Testing
import Torch
import WeightNorm

/// Games of given lengths, in which every action pays a point and the frame tells how many were taken.
private final class Scripted: Environment {
    let lengths: [[Int]]
    let actions = ["one", "other"]
    let (rows, columns) = (1, 1)
    private var places: [(game: Int, taken: Int)] = []
    private var last = EnvironmentStep(beginning: [], count: 0)

    init(_ lengths: [[Int]]) { self.lengths = lengths }

    var count: Int { lengths.count }

    func reset(seed: UInt64) -> EnvironmentStep {
        places = lengths.map { _ in (0, 0) }
        last = EnvironmentStep(beginning: [UInt8](repeating: 0, count: count), count: count)
        return last
    }

    func send(_ actions: [Int]) {
        for slot in 0..<count {
            if last.ends[slot] != nil {
                places[slot] = (places[slot].game + 1, 0)
                (last.begins[slot], last.ends[slot], last.rewards[slot]) = (true, nil, 0)
            } else {
                places[slot].taken += 1
                let length = lengths[slot][min(places[slot].game, lengths[slot].count - 1)]
                (last.begins[slot], last.rewards[slot]) = (false, 1)
                last.ends[slot] = places[slot].taken == length ? .terminated : nil
            }
            last.frames[slot] = UInt8(clamping: places[slot].taken)
        }
    }

    func receive() -> EnvironmentStep { last }
    func snapshot() -> Data? { nil }
    func restore(_ snapshot: Data) -> EnvironmentStep { last }
}

struct DQNEvaluationTests {
    @Test("every game that was begun within the number of actions counts, played to its end, and no other")
    func wholeGames() throws {
        // The first place's games begin after 0, 6 and 13 actions, of which the last is too late.
        let evaluation = try DQNEvaluation(in: Scripted([[3], [50]]), depth: 1, actions: 10, seed: 0) { states in
            ([0, 1], states.elements(as: Float.self))
        }
        #expect(evaluation.scores == [3, 3, 50] && evaluation.actions == 56 && evaluation.unfinished == 0)
        #expect(evaluation.score == 56.0 / 3 && abs((evaluation.deviation ?? 0) - 27.135) < 0.001)
        // Before the actions of a game of n the frame is 0, 1, …, n − 1.
        #expect(abs((evaluation.meanValue ?? 0) - (3 + 3 + 49 * 25) / 56.0) < 1e-9)
    }

    @Test("games that all end at once are begun again until the actions are taken")
    func atOnce() throws {
        let evaluation = try DQNEvaluation(in: Scripted([[4], [4], [4]]), depth: 1, actions: 100, seed: 0) { _ in ([0, 0, 0], nil) }
        #expect(evaluation.scores == [Double](repeating: 4, count: 27) && evaluation.meanValue == nil)
    }

    @Test("a game that does not end counts as it is when there is no more patience with it")
    func patience() throws {
        let evaluation = try DQNEvaluation(in: Scripted([[5], [1_000_000]]), depth: 1, actions: 20, seed: 0) { _ in ([0, 0], nil) }
        #expect(evaluation.unfinished == 1 && evaluation.scores == [5, 5, Double(DQNEvaluation.longestGame)])
        let longer = try DQNEvaluation(in: Scripted([[1_000_000]]), depth: 1, actions: 60_000, seed: 0) { _ in ([0], nil) }
        #expect(longer.unfinished == 1 && longer.scores == [60_000])
    }

    @Test("it is a function of its seed, and the agent's training draws nothing else for it")
    func apart() throws {
        var settings = try #require(DQNSettings.preset(.quick, forGame: "catch"))
        settings.games = 4
        func agent() -> DQNAgent {
            DQNAgent(settings, normalization: .weight, seed: 1, rows: 10, columns: 5, actions: 3, device: .cpu)
        }
        let (one, other) = (agent(), agent())
        func evaluate() throws -> DQNEvaluation {
            try DQNEvaluation(of: one, in: Catch(count: 4), actions: 200, exploration: 0.3, seed: 5)
        }
        let first = try evaluate()
        #expect(try evaluate() == first && first.scores.count >= 200 / 9 && first.meanValue != nil)
        let states = Tensor([UInt8](repeating: 3, count: 200), shape: [4, 1, 10, 5])
        for _ in 0..<10 { #expect(one.act(in: states, exploration: 0.5) == other.act(in: states, exploration: 0.5)) }
    }

    @Test("play at random on Catch scores as the exact chance says")
    func random() throws {
        var draws = Xoshiro256(seed: 3)
        let evaluation = try DQNEvaluation(in: Catch(count: 50), depth: 1, actions: 40_000, seed: 1) { _ in
            ((0..<50).map { _ in Int(draws.next(below: 3)) }, nil)
        }
        // The paddle's walk of nine steps, from the middle of five columns; the ball's column is any with equal probability, so a fifth is caught.
        let deviation = 2 * (0.2 * 0.8 / Double(evaluation.scores.count)).squareRoot()
        #expect(abs(evaluation.score - (0.2 * 1 - 0.8)) < 4 * deviation)
    }
}
