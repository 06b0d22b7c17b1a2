import Datasets
public import Foundation
import Torch

/// A ball falls down a grid, one row per step, and a paddle in the lowest row must be under it when it arrives: the game Catch of Mnih et al.
/// (*Recurrent Models of Visual Attention*, 2014), as bsuite plays it.
///
/// The ball starts in the top row, in any column with equal probability; the paddle starts in the middle. The action moves the paddle by one column
/// or leaves it, and then the ball falls. In the lowest row the game ends and pays 1 if the ball was caught, else −1. It is small enough to be solved
/// exactly: ``CatchSolution``.
public final class Catch: Environment {
    /// The state of one game.
    public struct State: Codable, Hashable, Sendable {
        /// The ball's row, counted from the top.
        public var ballRow: Int
        /// The ball's column, counted from the left.
        public var ballColumn: Int
        /// The paddle's column, counted from the left.
        public var paddleColumn: Int

        /// A state of a game.
        public init(ballRow: Int, ballColumn: Int, paddleColumn: Int) {
            (self.ballRow, self.ballColumn, self.paddleColumn) = (ballRow, ballColumn, paddleColumn)
        }
    }

    /// The number of games.
    public let count: Int
    /// Of the grid.
    public let rows: Int
    /// Of the grid.
    public let columns: Int
    /// The paddle's moves.
    public let actions = ["left", "stay", "right"]

    /// Everything that changes, as stored in a snapshot.
    private struct Games: Codable {
        var states: [State]
        var random: Xoshiro256
        var last: EnvironmentStep
    }

    private var games: Games?
    private var isUnderWay = false

    /// Games on a grid. Traps if there is no game, or the grid has fewer than two rows or one column.
    public init(count: Int, rows: Int = 10, columns: Int = 5) {
        trap(
            unless: count > 0 && rows > 1 && columns > 0,
            "Catch: expected a game on at least 2 × 1 places, found \(count) on \(rows) × \(columns)")
        (self.count, self.rows, self.columns) = (count, rows, columns)
    }

    /// The games' states, for tests and analysis; empty before the first reset.
    public var states: [State] { games?.states ?? [] }

    /// Restarts every game; see ``Environment/reset(seed:)``.
    public func reset(seed: UInt64) -> EnvironmentStep {
        var random = Xoshiro256(seed: seed)
        let states = (0..<count).map { _ in start(&random) }
        let step = EnvironmentStep(beginning: states.flatMap(frame), count: count)
        games = Games(states: states, random: random, last: step)
        isUnderWay = false
        return step
    }

    /// Starts a step of every game; see ``Environment/send(_:)``.
    public func send(_ actions: [Int]) {
        trap(unless: !isUnderWay, "Catch: expected a step to be received before the next is sent")
        trap(
            unless: actions.count == count && actions.allSatisfy(self.actions.indices.contains),
            "Catch: expected \(count) actions from 0 to \(self.actions.count - 1), found \(actions)")
        guard var games else { fatalError("Catch: expected a reset before the first step") }
        for game in 0..<count {
            games.last.begins[game] = games.last.ends[game] != nil
            if games.last.begins[game] {
                games.states[game] = start(&games.random)
                (games.last.rewards[game], games.last.ends[game]) = (0, nil)
            } else {
                games.states[game] = next(games.states[game], action: actions[game])
                let reward = reward(in: games.states[game])
                (games.last.rewards[game], games.last.ends[game]) = (reward ?? 0, reward == nil ? nil : .terminated)
            }
        }
        games.last.frames = games.states.flatMap(frame)
        self.games = games
        isUnderWay = true
    }

    /// The result of the step that was sent; see ``Environment/receive()``.
    public func receive() -> EnvironmentStep {
        trap(unless: isUnderWay, "Catch: expected a step to be sent before one is received")
        isUnderWay = false
        guard let games else { fatalError("Catch: expected a reset before the first step") }
        return games.last
    }

    /// All games as JSON; see ``Environment/snapshot()``.
    public func snapshot() throws -> Data? {
        trap(unless: !isUnderWay, "Catch: expected the step that was sent to be received before a snapshot")
        return try JSONEncoder().encode(games)
    }

    /// Resumes from a snapshot; see ``Environment/restore(_:)``.
    ///
    /// - Throws: ``EnvironmentError`` if it is not a snapshot of the same number of games on the same grid.
    public func restore(_ snapshot: Data) throws -> EnvironmentStep {
        guard let found = try? JSONDecoder().decode(Games.self, from: snapshot) else {
            throw EnvironmentError(environment: "Catch", problem: "expected a snapshot of it, found something else")
        }
        let last = found.last
        let counts = [found.states.count, last.begins.count, last.rewards.count, last.ends.count, last.lostLives.count]
        let isOnGrid = zip(found.states, last.ends).allSatisfy { state, end in
            (0..<rows).contains(state.ballRow) && (0..<columns).contains(state.ballColumn) && (0..<columns).contains(state.paddleColumn)
                && (state.ballRow == rows - 1) == (end != nil)
        }
        // Frames can only be made from states on the grid.
        guard counts.allSatisfy({ $0 == count }), isOnGrid, last.frames == found.states.flatMap(frame) else {
            throw EnvironmentError(
                environment: "Catch", problem: "expected a snapshot of \(count) games on \(rows) × \(columns) places, found another")
        }
        games = found
        isUnderWay = false
        return found.last
    }

    // MARK: Rules

    private func start(_ random: inout Xoshiro256) -> State {
        State(ballRow: 0, ballColumn: Int(random.next(below: UInt64(columns))), paddleColumn: columns / 2)
    }

    /// The state that follows one in which the ball is still falling.
    public func next(_ state: State, action: Int) -> State {
        State(
            ballRow: state.ballRow + 1, ballColumn: state.ballColumn,
            paddleColumn: min(max(state.paddleColumn + action - 1, 0), columns - 1))
    }

    /// The reward on reaching a state that ends the game; nil while the ball is falling.
    public func reward(in state: State) -> Double? {
        guard state.ballRow == rows - 1 else { return nil }
        return state.ballColumn == state.paddleColumn ? 1 : -1
    }

    /// The state as a frame: ball and paddle 255, everything else 0, `[rows, columns]`.
    public func frame(of state: State) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: rows * columns)
        frame[state.ballRow * columns + state.ballColumn] = 255
        frame[(rows - 1) * columns + state.paddleColumn] = 255
        return frame
    }
}

/// The exact values of the game ``Catch``.
public struct CatchSolution {
    private let game: Catch
    private let discount: Double
    /// `[ballRow, ballColumn, paddleColumn, action]`.
    private var table: [Double]

    /// Solves the game by backward induction: Q(s, a) = r, or γ·max over a′ of Q(s′, a′) while the ball is falling.
    public init(_ game: Catch, discount: Double) {
        self.game = game
        self.discount = discount
        table = [Double](repeating: 0, count: (game.rows - 1) * game.columns * game.columns * game.actions.count)
        for ballRow in (0..<game.rows - 1).reversed() {
            for ballColumn in 0..<game.columns {
                for paddleColumn in 0..<game.columns {
                    let state = Catch.State(ballRow: ballRow, ballColumn: ballColumn, paddleColumn: paddleColumn)
                    for action in game.actions.indices {
                        let next = game.next(state, action: action)
                        table[place(state) + action] = game.reward(in: next) ?? discount * (values(of: next).max() ?? 0)
                    }
                }
            }
        }
    }

    private func place(_ state: Catch.State) -> Int {
        ((state.ballRow * game.columns + state.ballColumn) * game.columns + state.paddleColumn) * game.actions.count
    }

    /// The value of each action in a state in which the ball is still falling, if all later actions are optimal.
    public func values(of state: Catch.State) -> [Double] { Array(table[place(state)..<place(state) + game.actions.count]) }

    /// The states, reachable from a start, in which the ball is still falling.
    public var states: [Catch.State] {
        var found = Set((0..<game.columns).map { Catch.State(ballRow: 0, ballColumn: $0, paddleColumn: game.columns / 2) })
        var layer = found
        while !layer.isEmpty {
            layer = Set(
                layer.flatMap { state in game.actions.indices.map { game.next(state, action: $0) } }.filter { game.reward(in: $0) == nil })
            found.formUnion(layer)
        }
        return found.sorted { ($0.ballRow, $0.ballColumn, $0.paddleColumn) < ($1.ballRow, $1.ballColumn, $1.paddleColumn) }
    }
}
