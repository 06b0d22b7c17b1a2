import Datasets
public import Foundation
import Torch

/// Atari 2600 games, played side by side by the real emulator, ale-py, in a separate process.
///
/// As in Mnih et al. (*Human-level control through deep reinforcement learning*, 2015): an action is held for four frames, each pixel is the brighter
/// of the last two frames', frames are grey and 84×84, the actions are those of the game, and a game begins with up to 29 no-ops (``Options/noOps``).
/// Rewards are the game's own points. By default actions are not repeated at random (no "sticky actions"), and there is no limit on a game's length.
///
/// The emulator's games cannot be saved: a run that resumes from a checkpoint continues with new games. They depend only on seed and actions.
///
/// The emulator is licensed under the GPL; it is installed by `make atari` in a clone of this package, into the cache folder, and only communicates
/// with this process.
public final class Atari: Environment {
    /// What is played, and how.
    public struct Options: Codable, Equatable, Sendable {
        /// ale-py's name of the game, such as `breakout` or `space_invaders`.
        public var game: String
        /// The number of games played side by side.
        public var count: Int
        /// The emulator's threads; 0 for one per game, but no more than the processor has.
        public var threads = 0
        /// A game begins with fewer no-ops than this number, drawn at random from 0 up.
        public var noOps = 30
        /// The probability, at each frame, that the previous action is played instead of the new one.
        public var stickiness = 0.0
        /// Whether a game begins with a press of the fire button, which replaces a no-op.
        public var firesAtStart = false
        /// The number of frames (60 per second, four per step) after which a game is cut off; nil for no limit.
        public var mostFrames: Int?

        /// The given number of games of that name, played as in the paper.
        public init(game: String, count: Int) { (self.game, self.count) = (game, count) }
    }

    /// The games of the paper's figure.
    package static let paperGames = ["breakout", "enduro", "seaquest", "space_invaders"]

    /// The Python interpreter with the emulator.
    public static var python: String { "\(DataFolder.cache)/atari/bin/python" }

    /// Whether the emulator is installed.
    public static var isInstalled: Bool { Gzip.isProgram(python) }

    /// What is played, and how.
    public let options: Options
    /// The game's own actions, such as `noop`, `fire` and `up`.
    public let actions: [String]
    /// The number of games.
    public var count: Int { options.count }
    /// 84.
    public var rows: Int { AtariWorker.rows }
    /// 84.
    public var columns: Int { AtariWorker.columns }
    /// The emulator's version, such as `0.12.1`.
    public let version: String

    private let worker: WorkerProcess
    /// Seconds that a step may take: the emulator needs a hundredth, but the machine may have been asleep, or there may be many games.
    private let patience: Double
    private var last: EnvironmentStep?
    private var lives: [Int32]
    private var isUnderWay = false

    /// Starts the emulator.
    ///
    /// - Throws: ``EnvironmentError`` if it is not installed, knows no such game, or does not start.
    public convenience init(_ options: Options) throws {
        guard Self.isInstalled else {
            throw EnvironmentError(
                environment: "Atari",
                problem:
                    "expected the emulator at \(Self.python), found none: run make atari (Scripts/atari.sh) in a clone of swift-weightnorm")
        }
        try self.init(options, python: Self.python, program: AtariWorker.program, patience: 60)
    }

    /// The same with another program instead of the emulator, for tests, and the number of seconds allowed for a step.
    package init(_ options: Options, python: String, program: String, patience: Double) throws {
        trap(unless: options.count > 0, "Atari: expected at least one game, found \(options.count)")
        (self.options, self.patience) = (options, patience)
        typealias Layout = AtariWorker
        let count = options.count
        // A 32-bit int, to which the emulator adds 1.
        let mostFrames = options.mostFrames ?? 2_000_000_000
        let numbersEnd = Layout.headerSize + 4 * count * Layout.Number.allCases.count
        let arguments: [any CustomStringConvertible] = [
            options.game, Layout.version, count, options.threads, options.noOps, mostFrames, Layout.headerSize, Layout.rows, Layout.columns,
            numbersEnd, Layout.framesOffset(games: count), options.stickiness, options.firesAtStart ? 1 : 0,
        ]
        let name = "Atari \(options.game)"
        // -I: ignore the user's own Python settings and packages.
        worker = try WorkerProcess(
            python, ["-I", "-c", program] + arguments.map(\.description), sharing: Layout.memorySize(games: count), name: name)
        // Python reads its packages from disk, which takes longer than a step.
        try worker.receive(Layout.done, within: patience * 2)
        let header = UnsafeRawBufferPointer(worker.memory)
        let found = header.load(as: Int32.self)
        let actionCount = Int(header.load(fromByteOffset: 4, as: Int32.self))
        guard found == Layout.version, (1...Layout.actionNames.count).contains(actionCount) else {
            throw EnvironmentError(
                environment: name,
                problem: "expected a program of version \(Layout.version) with 1 to 18 actions, found version \(found) with \(actionCount)")
        }
        actions = (0..<actionCount).map { index in
            let number = Int(header.load(fromByteOffset: 8 + 4 * index, as: Int32.self))
            return Layout.actionNames.indices.contains(number) ? Layout.actionNames[number] : "action \(number)"
        }
        version = String(decoding: header[Layout.headerSize - Layout.longestVersion..<Layout.headerSize].prefix { $0 != 0 }, as: UTF8.self)
        lives = [Int32](repeating: 0, count: count)
    }

    /// The number of the emulator's process, for tests; nil after its end.
    package var processIdentifier: Int32? { worker.identifier }

    /// Ends the emulator, as releasing the last reference does.
    public func end() { worker.end() }

    /// Restarts every game; see ``Environment/reset(seed:)``.
    ///
    /// - Throws: ``EnvironmentError`` if the emulator has ended, or does not answer within a minute.
    public func reset(seed: UInt64) throws -> EnvironmentStep {
        if isUnderWay { _ = try receive() }
        var seeds = SplitMix64(seed: seed)
        // The emulator's seeds are ints; it treats negative ones as no seed.
        let numbers = numbers(.seed)
        for game in 0..<count { numbers[game] = Int32(truncatingIfNeeded: seeds.next() >> 33) }
        try worker.send(AtariWorker.reset)
        try worker.receive(AtariWorker.done, within: patience)
        let step = EnvironmentStep(beginning: frames(), count: count)
        lives = Array(self.numbers(.lives))
        last = step
        return step
    }

    /// Starts a step of every game; see ``Environment/send(_:)``.
    ///
    /// - Throws: as ``reset(seed:)``.
    public func send(_ actions: [Int]) throws {
        trap(unless: last != nil, "Atari: expected a reset before the first step")
        trap(unless: !isUnderWay, "Atari: expected a step to be received before the next is sent")
        trap(
            unless: actions.count == count && actions.allSatisfy(self.actions.indices.contains),
            "Atari: expected \(count) actions from 0 to \(self.actions.count - 1), found \(actions)")
        let numbers = numbers(.action)
        for game in 0..<count { numbers[game] = Int32(actions[game]) }
        try worker.send(AtariWorker.step)
        isUnderWay = true
    }

    /// The result of the step that was sent; see ``Environment/receive()``.
    ///
    /// - Throws: as ``reset(seed:)``.
    public func receive() throws -> EnvironmentStep {
        guard isUnderWay, let before = last else { fatalError("Atari: expected a step to be sent before one is received") }
        isUnderWay = false
        try worker.receive(AtariWorker.done, within: patience)
        var step = EnvironmentStep(beginning: frames(), count: count)
        let (rewards, lives, terminated, truncated) = (numbers(.reward), numbers(.lives), numbers(.terminated), numbers(.truncated))
        for game in 0..<count {
            // The emulator restarts a game in the step after its end, whose action it ignores.
            step.begins[game] = before.ends[game] != nil
            guard !step.begins[game] else { continue }
            step.rewards[game] = Double(rewards[game])
            step.ends[game] = terminated[game] != 0 ? .terminated : truncated[game] != 0 ? .truncated : nil
            step.lostLives[game] = lives[game] < self.lives[game] && step.ends[game] == nil
        }
        self.lives = Array(lives)
        last = step
        return step
    }

    /// Nil: the emulator's games cannot be saved.
    public func snapshot() -> Data? { nil }

    /// Always an error: there is no snapshot of such games.
    ///
    /// - Throws: ``EnvironmentError``.
    public func restore(_ snapshot: Data) throws -> EnvironmentStep {
        throw EnvironmentError(
            environment: "Atari \(options.game)", problem: "expected no snapshot, since this emulator's games cannot be saved, found one")
    }

    private func numbers(_ kind: AtariWorker.Number) -> UnsafeMutableBufferPointer<Int32> {
        let start = AtariWorker.headerSize + 4 * count * kind.rawValue
        return UnsafeMutableRawBufferPointer(rebasing: worker.memory[start..<start + 4 * count]).assumingMemoryBound(to: Int32.self)
    }

    private func frames() -> [UInt8] { Array(worker.memory[AtariWorker.framesOffset(games: count)...]) }
}
