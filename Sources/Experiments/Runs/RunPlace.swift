import Foundation
import Training

// What trainings that can be gone on with have in common: where the checkpoint lies, when one is due, and the place in the course of the run that it holds.

/// The checkpoint of a run's folder.
package enum RunCheckpoint {
    /// Under what name a run's folder has the checkpoint.
    package static let name = "checkpoint.safetensors"

    /// The file in a folder.
    package static func path(in folder: String) -> String { folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)" }

    /// Words for the checkpoint from which a run can go on, written or read at a step if there is one.
    static func lastGood(in folder: String, at step: Int?) -> String {
        step.map { "the last good checkpoint is of step \($0): \(path(in: folder))" } ?? "there is no checkpoint yet"
    }
}

/// A place in the course of a run that trains with one seed after the other, beside its networks.
struct RunPlace<Run: Codable>: Codable {
    /// The place of the present seed among the run's.
    var round: Int
    /// Steps done with the present seed.
    var step: Int
    /// Lines in `metrics.jsonl`.
    var records: Int
    /// Lines in other files of records.
    var otherRecords: [String: Int] = [:]
    /// What is finished.
    var runs: [Run]
    /// Seconds of work so far.
    var seconds: Double
    var norms: [String]
    var seeds: [UInt64]
    /// Whether the networks of the present seed are there: between two seeds there are none.
    var hasNetworks: Bool

    /// Throws unless the place is one of a run with these norms, seeds and steps a seed.
    func check(norms: [String], seeds: [UInt64], stepsPerRound: Int, in file: String) throws(CheckpointError) {
        let isPlace =
            hasNetworks
            ? seeds.indices.contains(round) && (0...stepsPerRound).contains(step) : (0...seeds.count).contains(round) && step == 0
        guard self.norms == norms, self.seeds == seeds, isPlace else {
            throw CheckpointError(path: file, problem: "expected the norms and seeds of config.json beside it, found others")
        }
    }
}

/// Says after how many seconds of work the next checkpoint is to be written.
package final class CheckpointClock {
    private let interval: Double
    private let now: () -> Double
    private var last: Double

    /// A clock that is due `interval` seconds after its start and after each ``restart()``; with 0 always. `now` gives seconds from any fixed point.
    package init(every interval: Double, now: (() -> Double)? = nil) {
        self.interval = interval
        let origin = ContinuousClock.now
        self.now = now ?? { (ContinuousClock.now - origin) / .seconds(1) }
        last = self.now()
    }

    package func isDue() -> Bool { now() - last >= interval }

    package func restart() { last = now() }
}

extension Checkpoint {
    /// Throws unless the settings that the checkpoint holds are the run's.
    func requireSettings<Settings: Codable & Equatable>(_ settings: Settings, in file: String) throws {
        let found: Settings = try value("settings")
        guard found == settings else {
            throw CheckpointError(path: file, problem: "expected the settings of config.json beside it, found others")
        }
    }
}
