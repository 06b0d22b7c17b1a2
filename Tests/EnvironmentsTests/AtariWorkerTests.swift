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

/// Programs in the emulator's place that do what an emulator should not. They need python3 alone.
@Suite(.timeLimit(.minutes(2))) struct AtariWorkerTests {
    static let python: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/python3" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// A program that plays a game of two actions, with `step` in the place of each step.
    static func program(step: String, header: String = "1, 2, 0, 1") -> String {
        """
        \(AtariWorker.lifeline)
        import mmap, struct, time
        memory = mmap.mmap(MEMORY, 0)
        struct.pack_into("<4i", memory, 0, \(header))
        os.write(CHANNEL, b"d")
        steps = 0
        while command := os.read(CHANNEL, 1):
            steps += command == b"s"
            if command == b"s":
                \(step)
            os.write(CHANNEL, b"d")
        """
    }

    static func start(_ program: String, patience: Double = 20) throws -> Atari {
        try Atari(
            Atari.Options(game: "fake", count: 2), python: try #require(python, "needs python3 in PATH"), program: program,
            patience: patience)
    }

    /// The error with which a program ends in its first steps.
    static func failure(_ program: String, patience: Double = 20) throws -> EnvironmentError? {
        var atari: Atari?
        do {
            atari = try start(program, patience: patience)
            _ = try atari?.reset(seed: 1)
            for _ in 0..<5 { _ = try atari?.step([0, 1]) }
        } catch let error as EnvironmentError {
            if let atari {
                #expect(atari.processIdentifier == nil, "the program is ended")
                // It stays ended, for the same reason.
                #expect(throws: error) { try atari.reset(seed: 1) }
            }
            return error
        }
        return nil
    }

    @Test("a program that behaves is played with")
    func good() throws {
        #expect(try Self.failure(Self.program(step: "pass")) == nil)
        let atari = try Self.start(Self.program(step: "memory[-1] = steps"))
        #expect(atari.actions == ["noop", "fire"])
        #expect(try atari.reset(seed: 1).frames.count == 2 * 84 * 84)
        #expect(try atari.step([0, 1]).frames.last == 1)
        #expect(try atari.step([0, 1]).frames.last == 2)
    }

    @Test("one that does not start is named, with its last words")
    func noStart() throws {
        let error = try #require(try Self.failure("import no_such_module"))
        #expect(
            error.description
                == "Atari fake: expected the emulator process to keep running, found that it ended with exit status 1; its last words: "
                + "ModuleNotFoundError: No module named 'no_such_module'")
        #expect(error.lastWords.contains("Traceback"))
        #expect(throws: EnvironmentError(environment: "Atari fake", problem: "cannot start /no/python: No such file or directory")) {
            try Atari(Atari.Options(game: "fake", count: 1), python: "/no/python", program: "", patience: 1)
        }
        let other = try #require(try Self.failure(Self.program(step: "pass", header: "7, 2, 0, 1")))
        #expect(other.problem == "expected a program of version 1 with 1 to 18 actions, found version 7 with 2")
        #expect(try Self.failure(Self.program(step: "pass", header: "1, 19, 0, 1"))?.problem.contains("found version 1 with 19") == true)
    }

    @Test("one that ends on the way is named, with how and its last words")
    func death() throws {
        let left = try #require(try Self.failure(Self.program(step: "if steps == 3: sys.exit('enough\\nof this')")))
        #expect(left.problem == "expected the emulator process to keep running, found that it ended with exit status 1")
        #expect(left.description.hasSuffix("; its last words: of this"))
        let killed = try #require(try Self.failure(Self.program(step: "if steps == 2: os.kill(os.getpid(), signal.SIGKILL)")))
        #expect(killed.problem == "expected the emulator process to keep running, found that it ended with signal 9")
        #expect(!killed.description.contains("last words"))
        let closed = try #require(try Self.failure(Self.program(step: "os.close(CHANNEL); time.sleep(100)")))
        #expect(closed.problem == "expected the program that plays it to answer, found its channel closed")
    }

    @Test("one that hangs is ended, also in a loop that lets nothing in")
    func hang() throws {
        for step in ["print('one moment', flush=True); time.sleep(100)", "print('one moment', flush=True)\n        while True: pass"] {
            let error = try #require(try Self.failure(Self.program(step: step), patience: 10))
            #expect(error.description == "Atari fake: expected an answer within 10 s, found none; its last words: one moment")
        }
    }

    @Test("one that talks nonsense is ended; one that talks much is not waited for, and the end of it is kept")
    func nonsense() throws {
        let nonsense = try #require(try Self.failure(Self.program(step: "os.write(CHANNEL, b'?')")))
        #expect(nonsense.problem == "expected the answer 100, found 63")
        let loud = "os.write(2, b'x' * 300000 + b'\\n'); print(steps, file=sys.stderr); steps < 3 or sys.exit(4)"
        let error = try #require(try Self.failure(Self.program(step: loud)))
        #expect(error.problem.hasSuffix("exit status 4") && error.lastWords.hasSuffix("x\n3\n") && error.lastWords.utf8.count == 8192)
    }

    @Test("a program that was left alone ends with the last reference to it")
    func release() throws {
        var atari: Atari? = try Self.start(Self.program(step: "pass"))
        let process = try #require(atari?.processIdentifier)
        #expect(isRunning(process))
        atari = nil
        #expect(!isRunning(process))
        atari = try Self.start(Self.program(step: "pass"))
        let other = try #require(atari?.processIdentifier)
        atari?.end()
        #expect(!isRunning(other) && atari?.processIdentifier == nil)
        #expect(throws: EnvironmentError.self) { try atari?.reset(seed: 1) }
    }

    @Test("no process stays behind when this one is killed, even of a program that hangs")
    func killedParent() async throws {
        let folder = try makeTemporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
            let (idle, busy) = (
                try AtariWorkerTests.start(AtariWorkerTests.program(step: "pass")),
                try AtariWorkerTests.start(AtariWorkerTests.program(step: "while True: pass"))
            )
            _ = try busy.reset(seed: 1)
            try busy.send([0, 0])
            try "\(idle.processIdentifier ?? 0) \(busy.processIdentifier ?? 0)".write(
                toFile: "\(folder)/found", atomically: true, encoding: .utf8)
            kill(getpid(), SIGKILL)
        }
        let text = try String(contentsOfFile: "\(folder)/found", encoding: .utf8)
        let numbers = text.split(separator: " ").compactMap { Int32($0) }
        #expect(numbers.count == 2 && numbers[0] > 0 && numbers[1] > 0)
        for process in numbers.prefix(2) {
            #expect(await eventually { !isRunning(process) }, "process \(process) is still there")
        }
    }
}

/// Whether a process is there and has not ended; one that nobody has asked for its exit status has.
func isRunning(_ process: Int32) -> Bool {
    guard let bytes = contents("/proc/\(process)/stat") else { return false }
    // The name, in parentheses, may hold anything.
    let text = String(decoding: bytes, as: UTF8.self)
    return text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first.map { !"ZX".contains($0) } ?? false
}

/// Whether a condition holds within ten seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<100 {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(100))
    }
    return condition()
}
