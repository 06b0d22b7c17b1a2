import AtomicFiles
import Foundation
public import Torch
public import WeightNorm

/// The checkpoint of a run's folder.
package enum RunCheckpoint {
    /// The checkpoint's file name in a run's folder.
    package static let name = "checkpoint.safetensors"

    /// The file in a folder.
    package static func path(in folder: String) -> String { AtomicFile.join(folder, name) }

    /// The checkpoint in a folder, of a kind of run; nil if there is none.
    ///
    /// A file larger than the available memory is refused before it is read: no run on this machine could have written it.
    static func read(in folder: String, kind: String, limitingWholeNumbers: Bool) throws -> Checkpoint? {
        guard RunFolder.has(name, at: folder) else { return nil }
        let file = try RunFolder.tensors(named: name, at: folder, atMost: SystemMemory.available ?? .max)
        return try Checkpoint(file, kind: kind, limitingWholeNumbers: limitingWholeNumbers)
    }

    /// The size of a file in bytes; 0 if there is none.
    package static func size(of path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }

    /// Describes the checkpoint from which a run can be resumed, if there is one, and the step (or other unit) at which it was written or read.
    package static func lastGood(in folder: String, at step: Int?, unit: String = "step") -> String {
        step.map { "the last good checkpoint is from \(unit) \($0): \(path(in: folder))" } ?? "there is no checkpoint yet"
    }
}

extension Checkpoint {
    /// The milliseconds of the given number of steps, or of those that were measured.
    ///
    /// - Throws: `CheckpointError` if they are invalid, or more than there were steps.
    func times(_ name: String, ofSteps steps: Int) throws -> [Double] {
        let found = try tensor(name)
        guard found.type == .float64, found.shape.count == 1, found.count <= steps else {
            throw CheckpointError(
                path: name, problem: "expected at most \(steps) numbers of float64, found \(found.type)\(found.shape)")
        }
        return found.elements(as: Double.self)
    }

    /// Throws unless the checkpoint's settings are the run's.
    func requireSettings<Settings: Codable & Equatable>(_ settings: Settings, in file: String) throws {
        let found: Settings = try valueNotFinite("settings")
        guard found == settings else {
            throw CheckpointError(path: file, problem: "expected the settings of this run, found others")
        }
    }

    /// A tensor that was added, on the device of another one of the same type and shape.
    ///
    /// - Throws: `CheckpointError` if there is none, or it is of another type or shape.
    public func tensor(_ name: String, like own: Tensor) throws(CheckpointError) -> Tensor {
        let found = try tensor(name)
        guard found.shape == own.shape, found.type == own.type else {
            throw CheckpointError(path: name, problem: "expected \(own.type)\(own.shape), found \(found.type)\(found.shape)")
        }
        return found.moved(to: own.device)
    }
}

extension InitializationReport {
    /// Adds what was counted.
    public func add(to checkpoint: inout Checkpoint, as name: String) throws {
        try checkpoint.add(value: ["units": unitCount, "constant": constantUnitCount], as: name)
    }

    /// Restores what was counted.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit.
    public func restore(from checkpoint: Checkpoint, as name: String) throws(CheckpointError) {
        let counts: [String: Int] = try checkpoint.value(name)
        guard let units = counts["units"], let constant = counts["constant"], constant >= 0, constant <= units, units <= WholeNumbers.most
        else {
            throw CheckpointError(path: name, problem: "expected a number of units and of constant ones, found others")
        }
        restore(unitCount: units, constantUnitCount: constant)
    }
}
