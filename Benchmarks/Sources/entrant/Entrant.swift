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
            milliseconds. When the input ends, a last line tells the memory that the process had before the network was made and at its peak.
            """)

    /// The workloads that there are.
    enum Work: String, CaseIterable, ExpressibleByArgument {
        case cnn
        case vae
        case draw
        case dqn
        case lstm
        case gru

        /// Whether it goes through a sequence, whose length can be told.
        var hasSteps: Bool { [.draw, .lstm, .gru].contains(self) }

        /// The published sizes.
        var batch: Int {
            switch self {
            case .cnn: 50
            case .vae, .draw: 100
            case .dqn: 64
            case .lstm, .gru: 32
            }
        }

        var width: Int {
            switch self {
            case .cnn: 96
            case .vae: 16
            case .draw: 256
            case .dqn: 32
            case .lstm, .gru: 512
            }
        }

        /// None without images.
        var side: Int? {
            switch self {
            case .cnn: 32
            case .vae, .draw: 28
            case .dqn: 84
            case .lstm, .gru: nil
            }
        }

        /// Sides that the network can take.
        func takes(side: Int) -> Bool {
            switch self {
            case .cnn: side >= 12
            case .vae: side.isMultiple(of: 4)
            case .draw: side > 1
            case .dqn: side >= 36
            case .lstm, .gru: false
            }
        }
    }

    @Argument(help: "The workload: cnn, vae, draw, dqn, lstm or gru.")
    var work: Work

    @Option(help: "normal, weight, batch, mean-only-batch or weight+mean-only-batch.")
    var norm = "weight"

    @Option(
        help:
            "Images, transitions or sequences in the minibatch; without it 50 for cnn, 100 for vae and draw, 64 for dqn, 32 for lstm and gru."
    )
    var batch: Int?

    @Option(
        help:
            "Maps of the first layers, or units of draw, lstm and gru; without it 96 for cnn, 16 for vae, 256 for draw, 512 for lstm and gru. Always 32 for dqn."
    )
    var width: Int?

    @Option(help: "Rows and columns of an image; without it 32 for cnn, 28 for vae and draw, 84 for dqn.")
    var side: Int?

    @Option(help: "Glimpses of draw, or steps of a sequence of lstm and gru; without it 64.")
    var glimpses: Int?

    @Option(help: "cpu, cuda or cuda:INDEX.")
    var device = "cpu"

    @Option(help: "Threads on the CPU; without it one for each core.")
    var threads: Int?

    @Flag(inversion: .prefixedNo, help: "Keep freed memory for the next step, as Runtime.keepFreedMemory() does.")
    var keepMemory = true

    @Flag(help: "Compute 3×3 convolutions with fewer multiplications, as Runtime.allowsWinograd allows.")
    var winograd = false

    @Flag(help: "Do products and convolutions in bfloat16.")
    var bfloat16 = false

    func run() throws {
        if keepMemory { Runtime.keepFreedMemory() }
        Runtime.allowsWinograd = winograd
        let norms: [Normalization] = [.plain, .weight, .batch, .meanOnlyBatch, .weightAndMeanOnlyBatch]
        guard let normalization = norms.first(where: { $0.rawValue == norm }) else {
            throw ValidationError("--norm: expected one of \(norms.map(\.rawValue).joined(separator: ", ")), found '\(norm)'")
        }
        let (batch, width, side) = (batch ?? work.batch, width ?? work.width, side ?? work.side)
        guard work == .cnn || [.plain, .weight].contains(normalization) else {
            throw ValidationError("--norm: expected normal or weight for \(work.rawValue), found '\(norm)'")
        }
        guard (1...100_000).contains(batch) else { throw ValidationError("--batch: expected a number from 1 to 100000, found \(batch)") }
        guard (1...10_000).contains(width), work != .dqn || width == work.width else {
            throw ValidationError("--width: expected \(work == .dqn ? "32 for dqn" : "a number from 1 to 10000"), found \(width)")
        }
        if let side {
            guard work.side != nil else { throw ValidationError("--side: expected it with images, found \(work.rawValue)") }
            guard (1...1000).contains(side), work.takes(side: side) else {
                throw ValidationError("--side: expected a number up to 1000 that the network of \(work.rawValue) can take, found \(side)")
            }
        }
        guard work.hasSteps || glimpses == nil else {
            throw ValidationError("--glimpses: expected it for draw, lstm or gru, found \(work.rawValue)")
        }
        guard !winograd || ([.cnn, .vae, .dqn].contains(work) && !bfloat16) else {
            throw ValidationError("--winograd: expected convolutions in float32, found \(bfloat16 ? "--bfloat16" : work.rawValue)")
        }
        let glimpses = glimpses ?? 64
        guard (1...10_000).contains(glimpses) else {
            throw ValidationError("--glimpses: expected a number from 1 to 10000, found \(glimpses)")
        }
        if let threads { try Runtime.setThreadCount(threads) }
        let device = try Device(named: device)
        let before = try residentMegabytes()
        let step =
            switch work {
            case .cnn: Race.cnn(normalization, batch: batch, width: width, side: side!, device: device).step(usesBfloat16:)
            case .vae: Race.vae(normalization, batch: batch, width: width, side: side!, device: device).step(usesBfloat16:)
            case .draw:
                Race.draw(normalization, batch: batch, width: width, side: side!, glimpses: glimpses, device: device).step(usesBfloat16:)
            case .dqn: Race.dqn(normalization, batch: batch, side: side!, device: device).step(usesBfloat16:)
            case .lstm: Race.lstm(normalization, batch: batch, width: width, steps: glimpses, device: device).step(usesBfloat16:)
            case .gru: Race.gru(normalization, batch: batch, width: width, steps: glimpses, device: device).step(usesBfloat16:)
            }
        for _ in 0..<2 { _ = try finite(step(bfloat16)) }
        let name = "swift-weightnorm\(keepMemory ? "" : "-no-keep-memory")\(winograd ? "-winograd" : "")\(bfloat16 ? "-bfloat16" : "")"
        try print(
            Ready(
                ready: name, work: work.rawValue, norm: norm, batch: batch, width: width, side: side,
                glimpses: work.hasSteps ? glimpses : nil,
                threads: Runtime.threadCount))
        while let line = readLine() {
            let words = line.split(separator: " ")
            guard words.count == 2, words[0] == "run", let steps = Int(words[1]), steps > 0 else {
                throw ValidationError("expected 'run' and a number of steps, found '\(line)'")
            }
            var times: [Double] = []
            for _ in 0..<steps {
                let start = ContinuousClock.now
                _ = try finite(step(bfloat16))
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
        try print(Memory(before: before, peakRSS: Double(usage.ru_maxrss) / megabyte))
    }

    /// The memory that the process has now; elsewhere than on Linux its peak so far.
    private func residentMegabytes() throws -> Double {
        #if os(Linux)
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return Double(fields[1])! * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576
        #else
            var usage = rusage()
            getrusage(RUSAGE_SELF, &usage)
            return Double(usage.ru_maxrss) / 1_048_576
        #endif
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
        var width: Int
        var side: Int?
        var glimpses: Int?
        var threads: Int
    }

    private struct Times: Encodable {
        var ms: [Double]
    }

    private struct Memory: Encodable {
        var before: Double
        var peakRSS: Double
        enum CodingKeys: String, CodingKey {
            case before = "before_mb"
            case peakRSS = "peak_rss_mb"
        }
    }
}
