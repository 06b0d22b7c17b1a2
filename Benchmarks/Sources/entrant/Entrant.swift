import ArgumentParser
import Foundation
import Torch
import WeightNorm
import Workloads

/// An entrant of `race.py`: builds a workload, warms up, says that it is ready, and then makes as many steps as it is told.
@main
struct Entrant: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "entrant",
        abstract: "Run a race workload with swift-weightnorm.",
        discussion: """
            Does two steps to warm up, prints one JSON line, then reads lines from standard input: 'run N' does N steps and prints their times in \
            milliseconds. When the input ends, a last line tells the most memory that was used.
            """)

    /// The workloads that there are.
    enum Work: String, CaseIterable, ExpressibleByArgument {
        case cnn
        case vae
        case draw
        case dqn

        var defaultBatch: Int {
            switch self {
            case .cnn: 50
            case .vae, .draw: 100
            case .dqn: 64
            }
        }
    }

    @Argument(help: "The workload: cnn, vae, draw or dqn.")
    var work: Work

    @Option(help: "normal, weight, batch, mean-only-batch or weight+mean-only-batch.")
    var norm = "weight"

    @Option(help: "Images or transitions in the minibatch; without it 50 for cnn, 100 for vae and draw, 64 for dqn.")
    var batch: Int?

    @Option(help: "cpu, cuda or cuda:INDEX.")
    var device = "cpu"

    @Option(help: "Threads on the CPU; without it one for each core.")
    var threads: Int?

    @Flag(inversion: .prefixedNo, help: "Keep freed memory for the next step, as Runtime.keepFreedMemory() does.")
    var keepMemory = true

    @Flag(help: "Compute 3×3 convolutions with fewer multiplications, as Runtime.allowsWinograd allows.")
    var winograd = false

    func run() throws {
        if keepMemory { Runtime.keepFreedMemory() }
        Runtime.allowsWinograd = winograd
        let norms: [Normalization] = [.plain, .weight, .batch, .meanOnlyBatch, .weightAndMeanOnlyBatch]
        guard let normalization = norms.first(where: { $0.rawValue == norm }) else {
            throw ValidationError("--norm: expected one of \(norms.map(\.rawValue).joined(separator: ", ")), found '\(norm)'")
        }
        let batch = batch ?? work.defaultBatch
        guard work == .cnn || [.plain, .weight].contains(normalization) else {
            throw ValidationError("--norm: expected normal or weight for \(work.rawValue), found '\(norm)'")
        }
        guard (1...100_000).contains(batch) else { throw ValidationError("--batch: expected a number from 1 to 100000, found \(batch)") }
        if let threads { try Runtime.setThreadCount(threads) }
        let device = try Device(named: device)
        let step =
            switch work {
            case .cnn: Race.cnn(normalization, batch: batch, device: device).step
            case .vae: Race.vae(normalization, batch: batch, device: device).step
            case .draw: Race.draw(normalization, batch: batch, device: device).step
            case .dqn: Race.dqn(normalization, batch: batch, device: device).step
            }
        for _ in 0..<2 { _ = try finite(step()) }
        let name = "swift-weightnorm\(keepMemory ? "" : "-no-keep-memory")\(winograd ? "-winograd" : "")"
        try print(Ready(ready: name, work: work.rawValue, norm: norm, batch: batch, threads: Runtime.threadCount))
        while let line = readLine() {
            let words = line.split(separator: " ")
            guard words.count == 2, words[0] == "run", let steps = Int(words[1]), steps > 0 else {
                throw ValidationError("expected 'run' and a number of steps, found '\(line)'")
            }
            var times: [Double] = []
            for _ in 0..<steps {
                let start = ContinuousClock.now
                _ = try finite(step())
                times.append((ContinuousClock.now - start) / .milliseconds(1))
            }
            try print(Times(ms: times))
        }
        var usage = rusage()
        #if os(Linux)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            let megabyte = 1024.0
        #else
            getrusage(RUSAGE_SELF, &usage)
            let megabyte = 1024.0 * 1024
        #endif
        try print(Memory(peakRSS: Double(usage.ru_maxrss) / megabyte))
    }

    private func finite(_ loss: Double) throws -> Double {
        guard loss.isFinite else { throw ValidationError("expected a finite loss, found \(loss)") }
        return loss
    }

    private func print(_ value: some Encodable) throws {
        FileHandle.standardOutput.write(try JSONEncoder().encode(value) + Data("\n".utf8))
    }

    private struct Ready: Encodable {
        var ready: String
        var work: String
        var norm: String
        var batch: Int
        var threads: Int
    }

    private struct Times: Encodable {
        var ms: [Double]
    }

    private struct Memory: Encodable {
        var peakRSS: Double
        enum CodingKeys: String, CodingKey {
            case peakRSS = "peak_rss_mb"
        }
    }
}
