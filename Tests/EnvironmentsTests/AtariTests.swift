import Datasets
import Environments
import Foundation
import TestSupport
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The real emulator; one game at a time, since each takes the whole machine.
@Suite(.serialized, .timeLimit(.minutes(5)), .enabled(if: Atari.isInstalled, "needs the Atari emulator: make atari"))
struct AtariTests {
    private func start(_ game: String, count: Int = 2, _ change: (inout Atari.Options) -> Void = { _ in }) throws -> Atari {
        var options = Atari.Options(game: game, count: count)
        change(&options)
        return try Atari(options)
    }

    private func play(_ atari: Atari, seed: UInt64, steps: Int, _ visit: (EnvironmentStep) -> Void = { _ in }) throws {
        visit(try atari.reset(seed: seed))
        var random = Xoshiro256(seed: 3)
        for _ in 0..<steps {
            visit(try atari.step((0..<atari.count).map { _ in Int(random.next(below: UInt64(atari.actions.count))) }))
        }
    }

    @Test("a game's actions, frames and version")
    func description() throws {
        let atari = try start("breakout")
        #expect(atari.actions == ["noop", "fire", "right", "left"])
        #expect(atari.version.hasPrefix("0.12."))
        #expect(atari.rows == 84 && atari.columns == 84)
        let step = try atari.reset(seed: 1)
        #expect(step.frames.count == 2 * 84 * 84 && step.begins == [true, true])
        // The bricks, and much black.
        for game in 0..<2 { #expect(Set(step.frame(game)).count > 5 && step.frame(game).count { $0 == 0 } > 2000) }
        #expect(atari.snapshot() == nil)
    }

    @Test("seed and actions tell everything, from one process to the next")
    func determinism() throws {
        var first: [EnvironmentStep] = []
        let atari = try start("breakout", count: 3)
        try play(atari, seed: 5, steps: 500) { first.append($0) }
        // The games of one seed are not each other's copies.
        #expect(first.contains { $0.frame(0) != $0.frame(1) })
        var again: [EnvironmentStep] = []
        try play(atari, seed: 5, steps: 500) { again.append($0) }
        #expect(first == again, "after another reset")
        again = []
        try play(try start("breakout", count: 3) { $0.threads = 1 }, seed: 5, steps: 500) { again.append($0) }
        #expect(first == again, "in another process, on one thread")
        again = []
        try play(atari, seed: 6, steps: 500) { again.append($0) }
        #expect(first != again)
    }

    @Test("a game of Breakout: five lives, of which the last ends it; the step after that begins the next and ignores its action")
    func lives() throws {
        let atari = try start("breakout", count: 4)
        var lost = [0, 0, 0, 0]
        var ended = [0, 0, 0, 0]
        var previous: EnvironmentStep?
        var begun = 0
        try play(atari, seed: 1, steps: 1500) { step in
            for game in 0..<4 {
                if let previous {
                    #expect(step.begins[game] == (previous.ends[game] != nil))
                    if step.begins[game] {
                        begun += 1
                        #expect(step.rewards[game] == 0 && step.ends[game] == nil && !step.lostLives[game])
                    }
                }
                if step.lostLives[game] { lost[game] += 1 }
                if let end = step.ends[game] {
                    #expect(end == .terminated)
                    #expect(lost[game] == 4, "a game of five lives")
                    (lost[game], ended[game]) = (0, ended[game] + 1)
                }
            }
            previous = step
        }
        #expect(ended.allSatisfy { $0 >= 3 } && begun >= 12)

        // The action after the end does not count.
        var after: [[UInt8]] = []
        for action in 0..<4 {
            var step = try atari.reset(seed: 2)
            var random = Xoshiro256(seed: 3)
            while step.ends[0] == nil { step = try atari.step((0..<4).map { _ in Int(random.next(below: 4)) }) }
            step = try atari.step([action, 0, 0, 0])
            #expect(step.begins[0])
            after.append(Array(step.frame(0)))
        }
        #expect(Set(after).count == 1)
    }

    @Test("rewards are the game's points")
    func rewards() throws {
        var found: Set<Double> = []
        let atari = try start("space_invaders")
        try play(atari, seed: 1, steps: 800) { found.formUnion($0.rewards) }
        #expect(found.contains(5) && found.contains(10) && found.allSatisfy { $0 >= 0 && $0.truncatingRemainder(dividingBy: 5) == 0 })
    }

    @Test("a game without lives: Pong, lost with 21 points, ends once")
    func pong() throws {
        let atari = try start("pong", count: 1)
        _ = try atari.reset(seed: 1)
        var score = 0.0
        var steps = 0
        while true {
            let step = try atari.step([0])
            score += step.rewards[0]
            steps += 1
            #expect(!step.lostLives[0])
            if step.ends[0] != nil { break }
            try #require(steps < 5000)
        }
        #expect(score == -21)
    }

    @Test("a limit breaks a game off, four frames a step; without one it goes on", arguments: [400, nil])
    func limit(frames: Int?) throws {
        let atari = try start("enduro", count: 1) { $0.mostFrames = frames }
        _ = try atari.reset(seed: 1)
        for number in 1...150 {
            let step = try atari.step([0])
            #expect(step.ends == [number == 100 && frames != nil ? .truncated : nil])
            #expect(step.begins == [number == 101 && frames != nil])
        }
    }

    @Test("every game of the paper is there; another is refused in one line")
    func games() throws {
        for game in Atari.paperGames {
            let step = try start(game, count: 1).reset(seed: 0)
            #expect(Set(step.frames).count > 3)
        }
        let error = #expect(throws: EnvironmentError.self) { try start("brakeout") }
        let line = error?.description ?? ""
        #expect(line.contains("expected a game of adventure, air_raid, ") && line.hasSuffix("; found 'brakeout'") && !line.contains("\n"))
    }

    @Test("the emulator's death is an error, and one process more is none the worse")
    func death() throws {
        let (first, second) = (try start("breakout"), try start("breakout"))
        _ = try first.reset(seed: 1)
        _ = try second.reset(seed: 1)
        let process = try #require(first.processIdentifier)
        kill(process, SIGKILL)
        let error = #expect(throws: EnvironmentError.self) { for _ in 0..<3 { _ = try first.step([0, 0]) } }
        #expect(
            error?.description == "Atari breakout: expected the emulator process to keep running, found that it ended with signal 9")
        _ = try second.step([0, 0])
    }

    @Test("no process stays behind when this one is killed in the middle of a step")
    func killedParent() async throws {
        let folder = try makeTemporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
            let atari = try Atari(Atari.Options(game: "seaquest", count: 8))
            _ = try atari.reset(seed: 1)
            for _ in 0..<20 { _ = try atari.step([Int](repeating: 1, count: 8)) }
            try "\(atari.processIdentifier ?? 0)".write(toFile: "\(folder)/found", atomically: true, encoding: .utf8)
            try atari.send([Int](repeating: 1, count: 8))
            kill(getpid(), SIGKILL)
        }
        let process = try #require(Int32(try String(contentsOfFile: "\(folder)/found", encoding: .utf8)))
        #expect(await eventually { !isRunning(process) })
    }
}
