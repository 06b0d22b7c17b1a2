public import Datasets
import Foundation
public import Torch
import Training

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The latest transitions of an agent in several games, from which random ones are drawn for learning.
///
/// Each frame is stored once. A transition is a place in its game's ring: the frame that was seen, the action, the reward, and whether the episode
/// ended; the stacks of frames for a network are assembled when they are drawn. In them, frames from before the episode's start are zero, as in
/// ``FrameStacks``; what follows the last transition of an episode is meaningless, and its newest frame is zero.
///
/// The frames' memory is reserved at the start, but only taken from the system as it fills: ``byteCount(capacity:rows:columns:)``.
public final class ReplayMemory {
    /// The maximum number of transitions, of all games together.
    public let capacity: Int
    /// The number of games.
    public let games: Int
    /// The number of frames in a stack.
    public let depth: Int
    /// The height of a frame, in pixels.
    public let rows: Int
    /// The width of a frame, in pixels.
    public let columns: Int
    /// Whether a lost life ends an episode, although the game continues.
    public let lostLifeEndsEpisode: Bool
    /// Whether rewards are limited to −1…1.
    public let clipsRewards: Bool

    /// The capacity per game.
    let perGame: Int
    let frameSize: Int
    /// `[games, perGame, rows, columns]`.
    let frames: UnsafeMutableRawBufferPointer
    // `[games, perGame]`
    var actions: [UInt8]
    var rewards: [Float]
    var marks: [Marks]
    /// The slot of each game's next transition in its ring, and the number of transitions in the ring.
    var rings: [Ring]
    /// The number of transitions ever appended.
    public internal(set) var appended = 0

    struct Ring: Codable, Equatable {
        var next = 0
        var count = 0
    }

    /// Facts about a transition.
    struct Marks: OptionSet, BitwiseCopyable {
        let rawValue: UInt8
        /// Its frame is the first of an episode.
        static let starts = Marks(rawValue: 1)
        /// The episode ended with it: nothing of value follows.
        static let ends = Marks(rawValue: 2)
        /// What followed was not seen: the transition cannot be learned from.
        static let breaksOff = Marks(rawValue: 4)
    }

    /// Why a memory cannot be made.
    public struct Failure: Error, CustomStringConvertible, Equatable {
        /// What was expected and found, in one line.
        public let description: String
    }

    /// What the rest of training may need, in bytes.
    static let spare = 512 << 20

    /// An empty memory. Traps unless each game has room for at least one transition and its stack.
    ///
    /// - Parameters:
    ///   - capacity: the maximum number of transitions, rounded down to a multiple of the number of games.
    ///   - games: the number of games played side by side.
    ///   - rows: the height of a frame, in pixels.
    ///   - columns: the width of a frame, in pixels.
    ///   - depth: the number of frames in a stack.
    ///   - lostLifeEndsEpisode: whether a lost life ends an episode, although the game continues.
    ///   - clipsRewards: whether rewards are limited to −1…1.
    /// - Throws: ``Failure`` if it would not fit into the available memory.
    public convenience init(
        capacity: Int = 1_000_000, games: Int, rows: Int = 84, columns: Int = 84, depth: Int = 4, lostLifeEndsEpisode: Bool,
        clipsRewards: Bool = true
    ) throws {
        try self.init(
            capacity: capacity, games: games, rows: rows, columns: columns, depth: depth, lostLifeEndsEpisode: lostLifeEndsEpisode,
            clipsRewards: clipsRewards, available: SystemMemory.available)
    }

    /// The same with the given number of available bytes; nil if that is unknown.
    package init(
        capacity: Int = 1_000_000, games: Int, rows: Int = 84, columns: Int = 84, depth: Int = 4, lostLifeEndsEpisode: Bool,
        clipsRewards: Bool = true, available: Int?
    ) throws {
        trap(
            unless: games > 0 && depth > 0 && capacity / games > depth,
            "replay memory: expected more than \(depth) transitions for each of the games, found \(capacity) for \(games)")
        perGame = capacity / games
        frameSize = rows * columns
        (self.capacity, self.games, self.depth, self.rows, self.columns) = (perGame * games, games, depth, rows, columns)
        (self.lostLifeEndsEpisode, self.clipsRewards) = (lostLifeEndsEpisode, clipsRewards)
        let needed = Self.byteCount(capacity: self.capacity, rows: rows, columns: columns)
        func gigabytes(_ bytes: Int) -> String { String(format: "%.2f GB", Double(bytes) / 1e9) }
        if let available, needed + Self.spare > available {
            throw Failure(
                description:
                    "a replay memory of \(self.capacity) transitions: expected \(gigabytes(needed)) of memory and \(gigabytes(Self.spare)) to spare, "
                    + "found \(gigabytes(available)); take fewer transitions")
        }
        // The system provides pages when they are first written to; until then they are zero.
        let size = self.capacity * frameSize
        guard let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), start != MAP_FAILED
        else {
            throw Failure(
                description:
                    "a replay memory of \(self.capacity) transitions: expected \(gigabytes(needed)) of memory, found \(String(cString: strerror(errno)))"
            )
        }
        frames = UnsafeMutableRawBufferPointer(start: start, count: size)
        actions = [UInt8](repeating: 0, count: self.capacity)
        rewards = [Float](repeating: 0, count: self.capacity)
        marks = [Marks](repeating: [], count: self.capacity)
        rings = [Ring](repeating: Ring(), count: games)
    }

    deinit { munmap(frames.baseAddress, frames.count) }

    /// The bytes that a full memory of this capacity takes: a frame and six more per transition.
    public static func byteCount(capacity: Int, rows: Int = 84, columns: Int = 84) -> Int { capacity * (rows * columns + 6) }

    /// The number of stored transitions.
    public var count: Int { rings.reduce(0) { $0 + $1.count } }

    /// The number of transitions that can be drawn now.
    public var drawableCount: Int {
        rings.enumerated().reduce(0) { sum, ring in sum + (0..<ring.element.count).count { canBeDrawn(ring.offset, slot: $0) } }
    }

    /// Adds the result of a step: for each game that did not start with it, the transition from what was seen before. The oldest transitions are
    /// dropped.
    ///
    /// Traps unless the steps have the memory's number of games and frame size.
    public func append(_ seen: EnvironmentStep, actions taken: [Int], _ result: EnvironmentStep) {
        trap(
            unless: seen.count == games && taken.count == games && result.count == games && seen.frames.count == games * frameSize,
            "replay memory: expected steps of \(games) games with frames of \(frameSize) bytes, found \(seen.count) games, \(seen.frames.count) bytes in all"
        )
        for game in 0..<games where !result.begins[game] {
            var mark: Marks = []
            // Nothing is stored from before the first transition.
            if rings[game].count == 0 || seen.startsEpisode(game, lostLifeEndsEpisode: lostLifeEndsEpisode) { mark.insert(.starts) }
            if result.ends[game] == .terminated || lostLifeEndsEpisode && result.lostLives[game] { mark.insert(.ends) }
            if result.ends[game] == .truncated { mark.insert(.breaksOff) }
            let slot = rings[game].next
            let place = game * perGame + slot
            actions[place] = UInt8(taken[game])
            let reward = Float(result.rewards[game])
            rewards[place] = clipsRewards ? min(max(reward, -1), 1) : reward
            marks[place] = mark
            seen.frames.withUnsafeBytes {
                frame(place).copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[game * frameSize..<(game + 1) * frameSize]))
            }
            rings[game] = Ring(next: (slot + 1) % perGame, count: min(rings[game].count + 1, perGame))
            appended += 1
        }
    }

    /// Discards all transitions; memory taken from the system is not returned.
    public func removeAll() {
        rings = [Ring](repeating: Ring(), count: games)
        appended = 0
    }

    /// Notes that the games will not continue from here: what follows the newest transitions will not be seen.
    public func breakOff() {
        for game in 0..<games where rings[game].count > 0 {
            let place = game * perGame + (rings[game].next + perGame - 1) % perGame
            if !marks[place].contains(.ends) { marks[place].insert(.breaksOff) }
        }
    }

    /// Draws transitions, each independently and with equal probability among those whose stacks are complete.
    ///
    /// This excludes a game's newest transition until what follows it has been appended, those after which the game was broken off and, once a ring
    /// is full, the oldest `depth` − 1, whose stacks have been partly overwritten. Traps if none is left.
    public func sample(_ batch: Int, using random: inout Xoshiro256, on device: Device = .cpu) -> ReplayBatch {
        let places = (0..<batch).map { _ in draw(&random) }
        let stackSize = (depth + 1) * frameSize
        let frames = Tensor.filled([batch, depth + 1, rows, columns], type: .uint8, on: device) { bytes in
            for (index, place) in places.enumerated() {
                gather(place, into: UnsafeMutableRawBufferPointer(rebasing: bytes[index * stackSize..<(index + 1) * stackSize]))
            }
        }
        return ReplayBatch(
            frames: frames,
            actions: Tensor(places.map { Int64(actions[$0]) }, on: device),
            rewards: Tensor(places.map { rewards[$0] }, on: device),
            ends: Tensor(places.map { marks[$0].contains(.ends) ? Float(1) : 0 }, on: device),
            depth: depth)
    }

    private func draw(_ random: inout Xoshiro256) -> Int {
        let count = count
        trap(unless: count > 0, "replay memory: expected complete transitions to draw from, found none")
        for _ in 0..<1_000_000 {
            var index = Int(random.next(below: UInt64(count)))
            var game = 0
            while index >= rings[game].count {
                index -= rings[game].count
                game += 1
            }
            if canBeDrawn(game, slot: index) { return game * perGame + index }
        }
        fatalError("replay memory: expected complete transitions to draw from, found \(count) of which none is whole")
    }

    /// Whether the transition in a filled slot has complete stacks.
    func canBeDrawn(_ game: Int, slot: Int) -> Bool {
        let ring = rings[game]
        let marks = marks[game * perGame + slot]
        // Counted from the oldest; until the ring is full, that is slot 0, which starts an episode.
        let age = ring.count < perGame ? slot : (slot + perGame - ring.next) % perGame
        if ring.count == perGame && age < depth - 1 || marks.contains(.breaksOff) { return false }
        return age < ring.count - 1 || marks.contains(.ends)
    }

    /// Assembles the frames of a transition: the stack that was seen, and the newest frame of what followed.
    private func gather(_ place: Int, into target: UnsafeMutableRawBufferPointer) {
        let start = place / perGame * perGame
        func part(_ index: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: target[index * frameSize..<(index + 1) * frameSize])
        }
        var current = place
        var isBeforeStart = false
        for index in (0..<depth).reversed() {
            if isBeforeStart {
                part(index).initializeMemory(as: UInt8.self, repeating: 0)
            } else {
                part(index).copyMemory(from: UnsafeRawBufferPointer(frame(current)))
                isBeforeStart = marks[current].contains(.starts)
                current = current == start ? start + perGame - 1 : current - 1
            }
        }
        if marks[place].contains(.ends) {
            part(depth).initializeMemory(as: UInt8.self, repeating: 0)
        } else {
            part(depth).copyMemory(from: UnsafeRawBufferPointer(frame(place + 1 == start + perGame ? start : place + 1)))
        }
    }

    private func frame(_ place: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: frames[place * frameSize..<(place + 1) * frameSize])
    }
}

/// Transitions that were drawn from a ``ReplayMemory``.
public struct ReplayBatch {
    /// The stacks that were seen and the frame that followed, in one tensor: `.uint8` of `[batch, depth + 1, rows, columns]`, the newest frame last.
    public let frames: Tensor
    /// The actions that were taken, `.int64` of `[batch]`.
    public let actions: Tensor
    /// The rewards, `.float32` of `[batch]`.
    public let rewards: Tensor
    /// 1 where the episode ended, else 0, `.float32` of `[batch]`.
    public let ends: Tensor
    private let depth: Int

    init(frames: Tensor, actions: Tensor, rewards: Tensor, ends: Tensor, depth: Int) {
        (self.frames, self.actions, self.rewards, self.ends, self.depth) = (frames, actions, rewards, ends, depth)
    }

    /// What was seen: `.uint8` of `[batch, depth, rows, columns]`.
    public var states: Tensor { frames.sliced(0..<depth, along: 1) }

    /// What followed, in the same shape; meaningless where the episode ended.
    public var nextStates: Tensor { frames.sliced(1..<depth + 1, along: 1) }
}
