import Foundation
import Report
import Torch
import Training

/// One run of a study's grid.
package struct StudyCell: Codable, Hashable, Sendable {
    package var part: String
    package var stratum: String
    package var arm: String
    /// The learning rate; nil if the part has none.
    package var rate: Double?
    package var seed: UInt64

    package init(part: String, stratum: String, arm: String, rate: Double?, seed: UInt64) {
        (self.part, self.stratum, self.arm, self.rate, self.seed) = (part, stratum, arm, rate, seed)
    }

    /// The name of the cell's folder.
    package var name: String {
        let words = [part, stratum, arm, rate.map { "rate\(NumberText.general($0))" } ?? "", "seed\(seed)"]
        return words.filter { !$0.isEmpty }.joined(separator: "-").replacing(" ", with: "_")
    }

    /// The cell in words.
    package var description: String {
        let words = [part, stratum, arm, rate.map { "rate \(NumberText.general($0))" } ?? "", "seed \(seed)"]
        return words.filter { !$0.isEmpty }.joined(separator: ", ")
    }
}

/// What was found in a cell.
package struct StudyMeasurements: Codable, Equatable, Sendable {
    /// By the name of the measure; what is not finite is left out.
    package var values: [String: Double] = [:] {
        didSet { values = values.filter { $0.value.isFinite } }
    }
    /// Pairs of x and y, by the name of the curve.
    package var curves: [String: [[Double]]] = [:]
    /// The step at which a loss or a parameter was not finite; nil if none was.
    package var divergedAt: Int?
    /// Seconds of work.
    package var seconds = 0.0

    package init() {}

    package init(_ values: [String: Double], curves: [String: [[Double]]] = [:], divergedAt: Int? = nil) {
        self.values = values.filter { $0.value.isFinite }
        self.divergedAt = divergedAt
        // Six digits are more than a figure shows, and a third of the file.
        self.curves = curves.mapValues { $0.filter { $0.allSatisfy(\.isFinite) }.map { $0.map(Self.rounded) } }
    }

    private static func rounded(_ value: Double) -> Double {
        return Double(String(format: "%.6g", value)) ?? value
    }
}

/// The machine on which a cell was run.
package struct StudyMachine: Codable, Hashable, Sendable {
    package var processor: String
    package var cores: Int
    package var threads: Int
    /// The vector instructions that libtorch used.
    package var instructions: String
    package var libtorch: String
    package var device: String

    package static var current: StudyMachine {
        StudyMachine(
            processor: processorName, cores: ProcessInfo.processInfo.activeProcessorCount, threads: Runtime.threadCount,
            instructions: Runtime.processorCapability, libtorch: Runtime.libtorchVersion, device: "cpu")
    }

    /// The processor's name as the system has it.
    private static var processorName: String {
        let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
        func field(_ name: String) -> String? {
            lines.first { $0.hasPrefix(name) }.flatMap { $0.split(separator: ":").last }.map { $0.trimmingCharacters(in: .whitespaces) }
        }
        guard let name = field("model name") else { return "unknown" }
        // Virtual machines often hide the model in the name.
        return field("cpu family").flatMap { family in field("model\t").map { "\(name), family \(family), model \($0)" } } ?? name
    }
}

/// A finished cell, as in its folder's `cell.json`.
package struct StudyCellRecord: Codable, Equatable, Sendable {
    package var cell: StudyCell
    package var measurements: StudyMeasurements
    /// The day it was finished, such as 2026-01-31.
    package var day: String
    package var machine: StudyMachine
    /// The state of the sources that it was made from: ``BuildCommit/current``.
    package var commit: String
    /// Whether the run was stopped and went on from a checkpoint; a game then goes on differently from one that was not.
    package var wasResumed: Bool

    package init(_ cell: StudyCell, _ measurements: StudyMeasurements, wasResumed: Bool = false) {
        (self.cell, self.measurements, self.wasResumed) = (cell, measurements, wasResumed)
        day = Self.today
        (machine, commit) = (.current, BuildCommit.current)
    }

    private static var today: String {
        let parts = Calendar(identifier: .gregorian).dateComponents(in: .gmt, from: Date())
        return String(format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
    }

    /// The value of a measure: for a run that diverged, or whose value was not finite, what counts instead; nil if there is none.
    package func value(_ measure: StudyPlan.Measure) -> Double? {
        guard measurements.divergedAt == nil, let value = measurements.values[measure.name], value.isFinite else { return measure.diverged }
        return value
    }
}
