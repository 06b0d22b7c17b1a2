public import Foundation

/// Games of one kind that are played side by side, all of them a step at a time.
///
/// An action is sent and its result received in two calls, so that whoever plays can work while the games go on beside it. A game that has ended begins
/// anew with the next step, whose action is not played: ``EnvironmentStep/begins`` tells.
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

    /// The names of the actions, of which each game takes one a step, by its index.
    var actions: [String] { get }

    /// The rows of a frame, in pixels.
    var rows: Int { get }

    /// The columns of a frame, in pixels.
    var columns: Int { get }

    /// Begins every game anew; what follows depends on the seed and the actions alone, also from one game to the next.
    ///
    /// - Throws: if the games are played elsewhere, and cannot be any longer.
    func reset(seed: UInt64) throws -> EnvironmentStep

    /// Lets every game take a step, without waiting for it.
    ///
    /// Traps if there is not an index of ``actions`` for each game, before the first ``reset(seed:)``, and if a step was sent that was not received.
    ///
    /// - Throws: as ``reset(seed:)``.
    func send(_ actions: [Int]) throws

    /// The result of the step that was sent; waits for it. Traps if none was.
    ///
    /// - Throws: as ``reset(seed:)``.
    func receive() throws -> EnvironmentStep

    /// The games as they are, from which ``restore(_:)`` goes on exactly; nil if they cannot be saved: then a run goes on with new games.
    ///
    /// Traps if a step was sent that was not received.
    func snapshot() throws -> Data?

    /// Goes on where a snapshot of an environment like this one was made; gives what the last step before it gave.
    ///
    /// - Throws: if it is no such snapshot; then the games are as they were.
    func restore(_ snapshot: Data) throws -> EnvironmentStep
}

extension Environment {
    /// Lets every game take a step and waits for it.
    public func step(_ actions: [Int]) throws -> EnvironmentStep {
        try send(actions)
        return try receive()
    }

    /// The bytes of a frame.
    public var frameSize: Int { rows * columns }
}

/// What a step brought about in each of the games that are played side by side.
public struct EnvironmentStep: Codable, Equatable, Sendable {
    /// How a game can have ended.
    public enum End: String, Codable, Sendable {
        /// By its rules.
        case terminated
        /// By a limit on its length, of which the game's rules know nothing: it has a future that is not seen.
        case truncated
    }

    /// The newest frame of each game, one after the other: grey levels, row-major, `[count, rows, columns]`.
    public var frames: [UInt8]
    /// What each game paid, in the game's own points.
    public var rewards: [Double]
    /// How each game ended with this step; nil while it goes on.
    public var ends: [End?]
    /// Whether a life was lost with which the game did not end.
    public var lostLives: [Bool]
    /// Whether the step began the game, in the place of playing an action: its frame is the game's first, it paid nothing, and it is no transition.
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

    /// Whether a game's frame is the first of an episode: of a game or, where a lost life ends an episode, of what follows that.
    public func startsEpisode(_ game: Int, lostLifeEndsEpisode: Bool) -> Bool {
        begins[game] || lostLifeEndsEpisode && lostLives[game]
    }
}
