public import Foundation

/// Games of one kind, played side by side, one step of all at a time.
///
/// Sending actions and receiving their result are separate calls, so that the player can work while the games run. A game that has ended restarts
/// with the next step, whose action is not played: see ``EnvironmentStep/begins``.
///
/// ```swift
/// var now = try environment.reset(seed: 1)
/// while true {
///     try environment.send(actions(now))
///     learn()
///     now = try environment.receive()
/// }
/// ```
public protocol Environment: AnyObject {
    /// The number of games.
    var count: Int { get }

    /// The names of the actions; each game takes one per step, by its index.
    var actions: [String] { get }

    /// The rows of a frame, in pixels.
    var rows: Int { get }

    /// The columns of a frame, in pixels.
    var columns: Int { get }

    /// Restarts every game; what follows depends only on the seed and the actions, even across games.
    ///
    /// - Throws: if the games are played by another process that can no longer play them.
    func reset(seed: UInt64) throws -> EnvironmentStep

    /// Starts a step of every game, without waiting for it.
    ///
    /// Traps unless there is an index of ``actions`` for each game, before the first ``reset(seed:)``, and if a step that was sent has not been
    /// received.
    ///
    /// - Throws: as ``reset(seed:)``.
    func send(_ actions: [Int]) throws

    /// The result of the step that was sent; waits for it. Traps if none was.
    ///
    /// - Throws: as ``reset(seed:)``.
    func receive() throws -> EnvironmentStep

    /// The present state of the games, from which ``restore(_:)`` resumes exactly; nil if they cannot be saved: a run then resumes with new games.
    ///
    /// Traps if a step that was sent has not been received.
    func snapshot() throws -> Data?

    /// Resumes from a snapshot of an identical environment; returns what the last step before it returned.
    ///
    /// - Throws: if it is not such a snapshot; the games are then unchanged.
    func restore(_ snapshot: Data) throws -> EnvironmentStep
}

extension Environment {
    /// Makes a step of every game and waits for it.
    public func step(_ actions: [Int]) throws -> EnvironmentStep {
        try send(actions)
        return try receive()
    }

    /// The bytes of a frame.
    public var frameSize: Int { rows * columns }
}

/// The result of a step in each of the games played side by side.
public struct EnvironmentStep: Codable, Equatable, Sendable {
    /// How a game ended.
    public enum End: String, Codable, Sendable {
        /// By its rules.
        case terminated
        /// By a limit on its length that is not part of its rules: it has a future that is not seen.
        case truncated
    }

    /// The newest frame of each game, one after the other: grey levels, row-major, `[count, rows, columns]`.
    public var frames: [UInt8]
    /// The reward of each game, in the game's own points.
    public var rewards: [Double]
    /// How each game ended with this step; nil if it continues.
    public var ends: [End?]
    /// Whether a life was lost without ending the game.
    public var lostLives: [Bool]
    /// Whether the step started a game instead of playing an action: its frame is the game's first, it paid nothing, and it is not a transition.
    public var begins: [Bool]

    /// The first frames of all games.
    public init(beginning frames: [UInt8], count: Int) {
        self.frames = frames
        rewards = [Double](repeating: 0, count: count)
        ends = [End?](repeating: nil, count: count)
        lostLives = [Bool](repeating: false, count: count)
        begins = [Bool](repeating: true, count: count)
    }

    /// The number of games.
    public var count: Int { begins.count }

    /// The bytes of a game's frame.
    public func frame(_ game: Int) -> ArraySlice<UInt8> {
        let size = frames.count / count
        return frames[game * size..<(game + 1) * size]
    }

    /// Whether a game's frame is the first of an episode: of a game or, if a lost life ends an episode, of what follows that.
    public func startsEpisode(_ game: Int, lostLifeEndsEpisode: Bool) -> Bool {
        begins[game] || lostLifeEndsEpisode && lostLives[game]
    }
}
