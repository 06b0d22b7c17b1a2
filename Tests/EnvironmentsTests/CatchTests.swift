import Datasets
import Environments
import Foundation
import Testing

/// The game Catch, and its exact solution.
@Suite struct CatchTests {
    @Test("a game goes as its rules say, and begins anew with the step after its end")
    func rules() throws {
        let game = Catch(count: 1, rows: 4, columns: 3)
        var step = game.reset(seed: 3)
        #expect(step.begins == [true] && step.rewards == [0] && step.ends == [nil])
        let start = try #require(game.states.first)
        #expect(start.ballRow == 0 && start.paddleColumn == 1)
        // To the left wall, and on against it.
        for row in 1...3 {
            step = try game.step([0])
            #expect(game.states == [Catch.State(ballRow: row, ballColumn: start.ballColumn, paddleColumn: 0)])
            #expect(step.begins == [false])
            #expect(step.ends == [row == 3 ? .terminated : nil])
        }
        #expect(step.rewards == [start.ballColumn == 0 ? 1 : -1])
        var frame = [UInt8](repeating: 0, count: 12)
        (frame[9 + start.ballColumn], frame[9]) = (255, 255)
        #expect(step.frames == frame)
        // The action, to the right, is not played.
        step = try game.step([2])
        #expect(step.begins == [true] && step.rewards == [0] && step.ends == [nil])
        #expect(game.states[0].ballRow == 0 && game.states[0].paddleColumn == 1)
    }

    @Test("the seed and the actions tell everything; a snapshot goes on exactly")
    func determinism() throws {
        func play(_ game: Catch, _ actions: inout Xoshiro256, steps: Int) throws -> [EnvironmentStep] {
            try (0..<steps).map { _ in try game.step((0..<game.count).map { _ in Int(actions.next(below: 3)) }) }
        }
        var actions = Xoshiro256(seed: 1)
        let (first, second, other) = (Catch(count: 5), Catch(count: 5), Catch(count: 5))
        #expect(first.reset(seed: 7) == second.reset(seed: 7))
        _ = other.reset(seed: 8)
        var same = actions
        let steps = try play(first, &actions, steps: 100)
        #expect(try play(second, &same, steps: 100) == steps)
        var again = Xoshiro256(seed: 1)
        #expect(try play(other, &again, steps: 100) != steps)

        let snapshot = try #require(try first.snapshot())
        #expect(try other.restore(snapshot) == steps.last)
        same = actions
        #expect(try play(first, &actions, steps: 100) == play(other, &same, steps: 100))
        #expect(throws: EnvironmentError.self) { try Catch(count: 4).restore(snapshot) }
        #expect(throws: EnvironmentError.self) { try Catch(count: 5, rows: 9).restore(snapshot) }
        #expect(throws: EnvironmentError.self) { try first.restore(Data("{}".utf8)) }
        // Its balls are below a lower grid, its paddles beside a narrower one.
        let low = Catch(count: 5)
        _ = low.reset(seed: 7)
        for _ in 0..<9 { _ = try low.step([2, 2, 2, 2, 2]) }
        let end = try #require(try low.snapshot())
        #expect(throws: EnvironmentError.self) { try Catch(count: 5, rows: 9).restore(end) }
        #expect(throws: EnvironmentError.self) { try Catch(count: 5, columns: 3).restore(end) }
        #expect(try Catch(count: 5).restore(end).ends == [.terminated, .terminated, .terminated, .terminated, .terminated])
    }

    @Test("the solution satisfies Bellman's equation, and its values are those of a search through all games")
    func solution() {
        let game = Catch(count: 1, rows: 6, columns: 5)
        let solution = CatchSolution(game, discount: 0.9)
        // All continuations of a state, one after the other: no table, no order.
        func best(_ state: Catch.State) -> Double {
            game.reward(in: state) ?? 0.9 * (0..<3).map { best(game.next(state, action: $0)) }.max()!
        }
        #expect(solution.states.count > 50)
        for state in solution.states {
            for action in 0..<3 {
                let next = game.next(state, action: action)
                #expect(abs(solution.values(of: state)[action] - best(next)) < 1e-12)
            }
        }
        // The ball can always be reached from the start: five steps, paid for with the last.
        for column in 0..<5 {
            let value = solution.values(of: Catch.State(ballRow: 0, ballColumn: column, paddleColumn: 2)).max()
            #expect(abs((value ?? 0) - 0.6561) < 1e-12)
        }
        // Too far away in the last step but one.
        let lost = Catch.State(ballRow: 3, ballColumn: 0, paddleColumn: 4)
        #expect(solution.values(of: lost).allSatisfy { abs($0 + 0.9) < 1e-12 })
    }

    @Test("whoever follows the solution catches every ball; whoever goes against it none that could be missed")
    func optimalPlay() throws {
        let game = Catch(count: 8)
        let solution = CatchSolution(game, discount: 0.99)
        for sign in [1.0, -1.0] {
            var step = game.reset(seed: 1)
            var scores: [Double] = []
            for _ in 0..<200 {
                let actions = zip(game.states, step.ends).map { state, end -> Int in
                    guard end == nil else { return 0 }
                    let values = solution.values(of: state).map { $0 * sign }
                    return values.indices.max { values[$0] < values[$1] } ?? 0
                }
                step = try game.step(actions)
                for index in 0..<game.count where step.ends[index] != nil { scores.append(step.rewards[index]) }
            }
            #expect(scores.count > 100 && scores.allSatisfy { $0 == sign })
        }
    }
}
