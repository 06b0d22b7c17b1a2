import Foundation
import Report
import Torch
import Training
import WeightNorm

// What trainings that can be gone on with have in common: where the checkpoint lies, when one is due, and the place in the course of the run that it holds.

/// The checkpoint of a run's folder.
package enum RunCheckpoint {
    /// Under what name a run's folder has the checkpoint.
    package static let name = "checkpoint.safetensors"

    /// The file in a folder.
    package static func path(in folder: String) -> String { folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)" }

    /// The checkpoint in a folder, of a kind of run; nil if there is none.
    ///
    /// A file that is larger than the memory that is left is refused before it is read: no run could have written it from here.
    static func read(in folder: String, kind: String) throws -> Checkpoint? {
        guard RunFolder.has(name, at: folder) else { return nil }
        return try Checkpoint(RunFolder.tensors(named: name, at: folder, atMost: SystemMemory.available ?? .max), kind: kind)
    }

    /// Words for the checkpoint from which a run can go on, written or read at a step, or what the run counts, if there is one.
    static func lastGood(in folder: String, at step: Int?, unit: String = "step") -> String {
        step.map { "the last good checkpoint is of \(unit) \($0): \(path(in: folder))" } ?? "there is no checkpoint yet"
    }
}

/// A place in the course of a run that trains in rounds, one after the other, beside its networks: a round is a seed or, in deep Q-learning, a norm of a seed.
struct RunPlace<Run: Codable>: Codable {
    /// The present round.
    var round: Int
    /// Steps done in the present round.
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
    /// Whether the networks of the present round are there: between two rounds there are none.
    var hasNetworks: Bool

    /// Throws unless the place is one of a run with these norms, seeds and steps a round; without a number there are as many rounds as seeds.
    func check(norms: [String], seeds: [UInt64], rounds: Int? = nil, stepsPerRound: Int, in file: String) throws(CheckpointError) {
        let runsPerRound = rounds == nil ? norms.count : 1
        let rounds = rounds ?? seeds.count
        let isPlace =
            hasNetworks ? (0..<rounds).contains(round) && (0...stepsPerRound).contains(step) : (0...rounds).contains(round) && step == 0
        guard self.norms == norms, self.seeds == seeds, isPlace else {
            throw CheckpointError(path: file, problem: "expected the norms and seeds of config.json beside it, found others")
        }
        func check(_ name: String, _ isRight: Bool, _ expected: String, _ found: Any) throws(CheckpointError) {
            guard isRight else { throw CheckpointError(path: file, problem: "\(name): expected \(expected), found \(found)") }
        }
        try check("records", records >= 0, "a number from 0 up", records)
        for (name, count) in otherRecords { try check("records in \(Safetensors.quoted(name))", count >= 0, "a number from 0 up", count) }
        try check(
            "seconds", (0...Self.mostSeconds).contains(seconds), "a number from 0 to \(NumberText.general(Self.mostSeconds))", seconds)
        let most = round * runsPerRound
        try check("runs", runs.count <= most, "at most \(most) that are finished", runs.count)
    }

    /// Some three thousand years.
    private static var mostSeconds: Double { 1e11 }
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
    /// The milliseconds of so many steps, or of as many as were measured.
    ///
    /// - Throws: `CheckpointError` if they are none, or more than there were steps.
    func times(_ name: String, ofSteps steps: Int) throws -> [Double] {
        let found = try tensor(name)
        guard found.type == .float64, found.shape.count == 1, found.count <= steps else {
            throw CheckpointError(
                path: name, problem: "expected at most \(steps) numbers of float64, found \(found.type)\(found.shape)")
        }
        return found.elements(as: Double.self)
    }

    /// Throws unless the settings that the checkpoint holds are the run's.
    func requireSettings<Settings: Codable & Equatable>(_ settings: Settings, in file: String) throws {
        let found: Settings = try value("settings")
        guard found == settings else {
            throw CheckpointError(path: file, problem: "expected the settings of config.json beside it, found others")
        }
    }

    /// A tensor that was added, on the device of another one of the same type and shape.
    ///
    /// - Throws: `CheckpointError` if there is none, or it is of another type or shape.
    func tensor(_ name: String, like own: Tensor) throws(CheckpointError) -> Tensor {
        let found = try tensor(name)
        guard found.shape == own.shape, found.type == own.type else {
            throw CheckpointError(path: name, problem: "expected \(own.type)\(own.shape), found \(found.type)\(found.shape)")
        }
        return found.moved(to: own.device)
    }
}

extension InitializationReport {
    /// Adds what was counted.
    func add(to checkpoint: inout Checkpoint, as name: String) throws {
        try checkpoint.add(value: ["units": unitCount, "constant": constantUnitCount], as: name)
    }

    /// - Throws: `CheckpointError` if it does not fit.
    func restore(from checkpoint: Checkpoint, as name: String) throws(CheckpointError) {
        let counts: [String: Int] = try checkpoint.value(name)
        guard let units = counts["units"], let constant = counts["constant"], constant >= 0, constant <= units else {
            throw CheckpointError(path: name, problem: "expected a number of units and of constant ones, found others")
        }
        restore(unitCount: units, constantUnitCount: constant)
    }
}
