import Datasets
import Environments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles

/// The replay memory against one that keeps every stack whole.
@Suite struct ReplayMemoryTests {
    /// Games of noise that end, lose lives and are broken off by chance.
    struct Noise {
        let games: Int
        let size: Int
        var random: Xoshiro256
        var ended: [Bool]
        var number = 0

        init(games: Int, size: Int, seed: UInt64) {
            (self.games, self.size) = (games, size)
            random = Xoshiro256(seed: seed)
            ended = [Bool](repeating: true, count: games)
        }

        mutating func next() -> EnvironmentStep {
            let frames = (0..<games * size).map { _ in UInt8(1 + random.next(below: 255)) }
            var step = EnvironmentStep(beginning: frames, count: games)
            for game in 0..<games {
                step.begins[game] = ended[game]
                ended[game] = false
                guard !step.begins[game] else { continue }
                step.rewards[game] = Double(random.next(below: 9)) - 4
                switch random.next(below: 12) {
                case 0: step.ends[game] = .terminated
                case 1: step.ends[game] = .truncated
                case 2, 3: step.lostLives[game] = true
                default: break
                }
                ended[game] = step.ends[game] != nil
            }
            return step
        }

        mutating func actions() -> [Int] { (0..<games).map { _ in Int(random.next(below: 18)) } }
    }

    /// A transition as a straightforward memory keeps it: all its frames.
    struct Whole: Hashable {
        var state: [UInt8]
        var next: [UInt8]?
        var action: Int
        var reward: Float
        var ends: Bool
    }

    /// What the naive memory of one game keeps: its frames of the present episode, and transitions whose next frame has come or is not needed.
    struct Naive {
        var episode: [[UInt8]] = []
        var stored: [Whole?] = []

        func stack(_ depth: Int, _ size: Int) -> [UInt8] {
            let last = episode.suffix(depth)
            return [UInt8](repeating: 0, count: (depth - last.count) * size) + last.flatMap { $0 }
        }
    }

    /// Plays noise into a memory, and lists what can be drawn from it, game by game.
    static func played(_ memory: ReplayMemory, steps: Int, seed: UInt64) -> [Set<Whole>] {
        let size = memory.rows * memory.columns
        var noise = Noise(games: memory.games, size: size, seed: seed)
        var naive = [Naive](repeating: Naive(), count: memory.games)
        var now = noise.next()
        for game in 0..<memory.games { naive[game].episode = [Array(now.frame(game))] }
        for _ in 0..<steps {
            let actions = noise.actions()
            let next = noise.next()
            memory.append(now, actions: actions, next)
            for game in 0..<memory.games {
                let frame = Array(next.frame(game))
                guard !next.begins[game] else {
                    naive[game].episode = [frame]
                    continue
                }
                let state = naive[game].stack(memory.depth, size)
                let lost = memory.lostLifeEndsEpisode && next.lostLives[game]
                let ends = next.ends[game] == .terminated || lost
                naive[game].episode = lost ? [frame] : naive[game].episode + [frame]
                let reward = Float(next.rewards[game])
                let whole = Whole(
                    state: state, next: ends ? nil : naive[game].stack(memory.depth, size), action: actions[game],
                    reward: memory.clipsRewards ? max(-1, min(1, reward)) : reward, ends: ends)
                naive[game].stored.append(next.ends[game] == .truncated ? nil : whole)
            }
            now = next
        }
        let perGame = memory.capacity / memory.games
        return naive.map { naive in
            var kept = naive.stored.suffix(perGame)
            // The newest frame has not been appended yet.
            if let last = kept.last, last?.ends != true { kept = kept.dropLast() }
            if naive.stored.count >= perGame { kept = kept.dropFirst(memory.depth - 1) }
            return Set(kept.compactMap { $0 })
        }
    }

    static func drawn(_ batch: ReplayBatch, depth: Int) -> [Whole] {
        let count = batch.actions.count
        let (states, nexts) = (batch.states.elements(as: UInt8.self), batch.nextStates.elements(as: UInt8.self))
        let (actions, rewards, ends) = (
            batch.actions.elements(as: Int.self), batch.rewards.elements(as: Float.self), batch.ends.elements(as: Float.self)
        )
        let size = states.count / count
        return (0..<count).map {
            Whole(
                state: Array(states[$0 * size..<($0 + 1) * size]), next: ends[$0] == 1 ? nil : Array(nexts[$0 * size..<($0 + 1) * size]),
                action: actions[$0], reward: rewards[$0], ends: ends[$0] == 1)
        }
    }

    @Test(
        "what is drawn is what a memory of whole stacks holds, and all of it",
        arguments: [(5, true, true), (60, true, true), (90, false, false), (500, true, true), (503, false, true), (1000, true, false)])
    func stacks(steps: Int, lostLifeEndsEpisode: Bool, clipsRewards: Bool) throws {
        let memory = try ReplayMemory(
            capacity: 303, games: 3, rows: 3, columns: 2, lostLifeEndsEpisode: lostLifeEndsEpisode, clipsRewards: clipsRewards,
            available: nil)
        #expect(memory.capacity == 303)
        let expected = Self.played(memory, steps: steps, seed: UInt64(steps))
        let all = expected.reduce(Set()) { $0.union($1) }
        #expect(memory.count <= min(memory.appended, 303) && memory.appended > steps)
        #expect(steps < 500 || memory.count == 303)
        var random = Xoshiro256(seed: 1)
        var found: Set<Whole> = []
        for _ in 0..<40 {
            let batch = memory.sample(100, using: &random)
            #expect(batch.frames.shape == [100, 5, 3, 2] && batch.frames.type == .uint8)
            #expect(batch.states.shape == [100, 4, 3, 2] && batch.nextStates.shape == [100, 4, 3, 2])
            let drawn = Self.drawn(batch, depth: 4)
            #expect(drawn.allSatisfy(all.contains))
            found.formUnion(drawn)
        }
        // Of at most 303 equally likely transitions 4000 draws leave one out with a probability below 0.001; the seed is fixed.
        #expect(found == all)
    }

    @Test("each whole transition is drawn as often as another")
    func uniformity() throws {
        let memory = try ReplayMemory(capacity: 100, games: 2, rows: 3, columns: 2, lostLifeEndsEpisode: true, available: nil)
        let all = Self.played(memory, steps: 300, seed: 4).reduce(Set()) { $0.union($1) }
        var random = Xoshiro256(seed: 5)
        var counts: [Whole: Int] = [:]
        let draws = 40_000
        for whole in Self.drawn(memory.sample(draws, using: &random), depth: 4) { counts[whole, default: 0] += 1 }
        let mean = Double(draws) / Double(all.count)
        let chi = all.reduce(0.0) { $0 + pow(Double(counts[$1] ?? 0) - mean, 2) / mean }
        // χ² of about 80 degrees of freedom: mean 80, deviation 13.
        #expect(chi < Double(all.count) + 5 * (2 * Double(all.count)).squareRoot())
    }

    @Test("the stacks for acting are those that are drawn", arguments: [true, false])
    func actingStacks(lostLifeEndsEpisode: Bool) throws {
        let game = Catch(count: 3, rows: 7, columns: 4)
        let memory = try ReplayMemory(
            capacity: 3000, games: 3, rows: 7, columns: 4, lostLifeEndsEpisode: lostLifeEndsEpisode, available: nil)
        var noise = Noise(games: 3, size: 28, seed: 2)
        var stacks = FrameStacks(game, lostLifeEndsEpisode: lostLifeEndsEpisode)
        var seen: Set<[UInt8]> = []
        var now = noise.next()
        stacks.push(now)
        for _ in 0..<200 {
            let bytes = stacks.tensor().elements(as: UInt8.self)
            let next = noise.next()
            memory.append(now, actions: [0, 1, 2], next)
            for index in 0..<3 where !next.begins[index] { seen.insert(Array(bytes[index * 112..<(index + 1) * 112])) }
            now = next
            stacks.push(now)
        }
        var random = Xoshiro256(seed: 1)
        for whole in Self.drawn(memory.sample(2000, using: &random), depth: 4) { #expect(seen.contains(whole.state)) }

        var other = FrameStacks(game, lostLifeEndsEpisode: lostLifeEndsEpisode)
        try other.restore(stacks.tensor())
        let next = noise.next()
        stacks.push(next)
        other.push(next)
        #expect(stacks.tensor().elements(as: UInt8.self) == other.tensor().elements(as: UInt8.self))
        #expect(throws: TorchError.self) { try other.restore(.zeros([3, 4, 7, 4])) }
    }

    @Test("after games were left where they were, no transition leads from the old into the new")
    func breakOff() throws {
        let memory = try ReplayMemory(capacity: 50, games: 1, rows: 1, columns: 1, lostLifeEndsEpisode: true, available: nil)
        func step(_ pixel: UInt8, begins: Bool = false) -> EnvironmentStep {
            var step = EnvironmentStep(beginning: [pixel], count: 1)
            step.begins = [begins]
            return step
        }
        memory.append(step(1, begins: true), actions: [0], step(2))
        memory.append(step(2), actions: [0], step(3))
        memory.breakOff()
        memory.append(step(11, begins: true), actions: [0], step(12))
        memory.append(step(12), actions: [0], step(13))
        var random = Xoshiro256(seed: 1)
        let frames = memory.sample(200, using: &random).frames.elements(as: UInt8.self)
        let drawn = Set((0..<200).map { Array(frames[$0 * 5..<($0 + 1) * 5]) })
        #expect(drawn == [[0, 0, 0, 1, 2], [0, 0, 0, 11, 12]])
    }

    @Test("a file gives back what was drawn next, whether the ring is full or not", arguments: [20, 400])
    func file(steps: Int) throws {
        func memory(_ capacity: Int = 99, depth: Int = 4) throws -> ReplayMemory {
            try ReplayMemory(capacity: capacity, games: 3, rows: 3, columns: 2, depth: depth, lostLifeEndsEpisode: true, available: nil)
        }
        try withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = "\(folder)/replay.safetensors"
            let original = try memory()
            _ = Self.played(original, steps: steps, seed: 3)
            try original.write(to: path)
            let restored = try memory()
            _ = Self.played(restored, steps: 37, seed: 9)
            try restored.restore(from: path, appended: original.appended)
            #expect(restored.count == original.count && restored.appended == original.appended)
            var (left, right) = (Xoshiro256(seed: 8), Xoshiro256(seed: 8))
            func same() -> Bool {
                Self.drawn(original.sample(200, using: &left), depth: 4) == Self.drawn(restored.sample(200, using: &right), depth: 4)
            }
            #expect(same())
            // They go on alike.
            original.breakOff()
            restored.breakOff()
            _ = Self.played(original, steps: 15, seed: 6)
            _ = Self.played(restored, steps: 15, seed: 6)
            #expect(same())

            func problem(_ body: () throws -> Void) -> String? {
                do { try body() } catch { return "\(error)" }
                return nil
            }
            let before = original.appended
            #expect(problem { try original.restore(from: path, appended: 1) }?.contains("expected it after 1 transitions") == true)
            #expect(problem { try memory(102).restore(from: path) }?.contains("expected 3 × 34 transitions") == true)
            #expect(problem { try memory(depth: 3).restore(from: path) }?.contains("stacks of 3") == true)
            #expect(original.appended == before && same())
            // A byte of a frame, near the end.
            var bytes = try #require(contents(path))
            bytes[bytes.count - 200] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(
                problem { try original.restore(from: path) }?.contains("expected undamaged tensors, found another checksum in '") == true)
            #expect(original.count == 0)
            try Data(bytes.prefix(bytes.count - 100)).write(to: URL(fileURLWithPath: path))
            #expect(problem { try restored.restore(from: path) } != nil)
            try Safetensors.write([("x", Tensor.zeros([1]))], to: path)
            #expect(problem { try restored.restore(from: path) }?.contains("found another safetensors file") == true)
            #expect(restored.count > 0)
        }
    }

    @Test("what does not fit into memory is refused in one line; a million transitions take memory only as they come")
    func size() throws {
        #expect(ReplayMemory.byteCount(capacity: 1_000_000) == 7_062_000_000)
        let error = #expect(throws: ReplayMemory.Failure.self) {
            try ReplayMemory(games: 8, lostLifeEndsEpisode: true, available: 4_000_000_000)
        }
        #expect(
            error?.description
                == "a replay memory of 1000000 transitions: expected 7.06 GB of memory and 0.54 GB to spare, found 4.00 GB; take fewer transitions"
        )
        let memory = try ReplayMemory(capacity: 100_000, games: 8, lostLifeEndsEpisode: true, available: nil)
        #expect(memory.count == 0 && memory.capacity == 100_000)
        #expect(
            SystemMemory.available(meminfo: "MemTotal: 9 kB\nMemAvailable:   3 kB\n", limit: "max\n", used: "5\n", details: nil) == 3072)
        let stat = "anon 7\ninactive_file 40\n"
        #expect(SystemMemory.available(meminfo: "MemAvailable:   3 kB\n", limit: "1000\n", used: "500\n", details: stat) == 540)
        #expect(SystemMemory.available(meminfo: nil, limit: nil, used: nil, details: nil) == nil)
    }
}
