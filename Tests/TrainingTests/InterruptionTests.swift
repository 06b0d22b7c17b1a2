import Foundation
import Testing
import Training

struct InterruptionTests {
    @Test("the first signal is noted, with the exit code that it stands for", arguments: [SIGINT, SIGTERM])
    func noted(number: Int32) async {
        // The number is captured as a constant of the child: exit tests take no other values.
        if number == SIGINT {
            await #expect(processExitsWith: .exitCode(130)) { try loop(SIGINT, times: 1) }
        } else {
            await #expect(processExitsWith: .exitCode(143)) { try loop(SIGTERM, times: 1) }
        }
    }

    @Test("a second signal ends the process at once")
    func twice() async {
        await #expect(processExitsWith: .signal(SIGINT)) { try loop(SIGINT, times: 2) }
    }

    @Test("a signal that the process was started to ignore stays ignored")
    func ignored() async {
        await #expect(processExitsWith: .exitCode(0)) {
            signal(SIGINT, SIG_IGN)
            let watch = Interruption()
            for _ in 0..<2 {
                kill(getpid(), SIGINT)
                usleep(50_000)
            }
            exit(watch.received == nil ? 0 : 1)
        }
    }

    @Test("without a signal there is none; when the watch is over, signals do what they did")
    func over() async {
        await #expect(processExitsWith: .signal(SIGTERM)) {
            var watch: Interruption? = Interruption()
            guard watch?.received == nil, watch?.exitCode == nil else { exit(1) }
            watch = nil
            kill(getpid(), SIGTERM)
            usleep(5_000_000)
        }
    }
}

/// A training loop that gets signals after its first step, and ends as one that saves does.
private func loop(_ number: Int32, times: Int) throws {
    let watch = Interruption()
    for _ in 0..<times {
        kill(getpid(), number)
        usleep(100_000)
    }
    for _ in 0..<500 {
        if let code = watch.exitCode { exit(code) }
        usleep(10_000)
    }
    exit(1)
}
