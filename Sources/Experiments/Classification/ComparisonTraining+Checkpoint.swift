import Foundation
import Torch
import Training
import WeightNorm

// How a comparison goes on from where it was stopped.

extension ComparisonTraining {
    /// Under what name a run's folder has the checkpoint.
    package static let checkpointName = "checkpoint.safetensors"
    private static let kind = "classification"

    /// A place in the course of a comparison, beside its networks.
    private struct Place: Codable {
        var round: Int
        var step: Int
        /// Lines in `metrics.jsonl` and `layers.jsonl`.
        var records: Int
        var layerRecords: Int
        var runs: [Comparison.Run]
        var seconds: Double
        var norms: [String]
        var seeds: [UInt64]
        /// Whether the networks of the present seed are there: between two seeds there are none.
        var hasNetworks: Bool
    }

    static func checkpointPath(_ folder: String) -> String {
        folder.hasSuffix("/") ? folder + checkpointName : "\(folder)/\(checkpointName)"
    }

    /// Writes where the training is, in the place of the last checkpoint, which stays if that fails.
    package func save() throws {
        var checkpoint = Checkpoint(kind: Self.kind)
        try checkpoint.add(
            value: Place(
                round: round, step: step, records: records.count, layerRecords: layerRecordCount, runs: runs, seconds: seconds,
                norms: comparison.normalizations.map(\.rawValue), seeds: comparison.seeds, hasNetworks: !contestants.isEmpty),
            as: "place")
        try checkpoint.add(value: comparison.settings, as: "settings")
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.add(to: &checkpoint, as: "\(index)")
            checkpoint.add(Tensor(contestant.times, shape: [contestant.times.count]), as: "\(index)/times")
        }
        do {
            try folder.synchronizeRecords(inOthers: [Self.layersName])
            try checkpoint.write(to: folder.path(for: Self.checkpointName))
        } catch let error as FileError {
            throw Comparison.Failure(description: "\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
    }

    /// The training in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// - Throws: `CheckpointError`, `SafetensorsError` or `FileError` if the checkpoint is damaged, of another run, or does not fit; then nothing was changed.
    package static func resume(_ comparison: Comparison, _ images: ClassificationImages, at path: String) throws -> ComparisonTraining {
        let file = checkpointPath(path)
        guard access(file, F_OK) == 0 else {
            let folder = try RunFolder.reopen(at: path, keepingRecords: 0, inOthers: [layersName: 0])
            return ComparisonTraining(comparison, images, folder)
        }
        let checkpoint = try Checkpoint(reading: file, kind: kind)
        let settings: ClassificationSettings = try checkpoint.value("settings")
        guard settings == comparison.settings else {
            throw CheckpointError(path: file, problem: "expected the settings of config.json beside it, found others")
        }
        let place: Place = try checkpoint.value("place")
        let norms = comparison.normalizations.map(\.rawValue)
        let steps = images.training.count / comparison.settings.batch * comparison.settings.epochs
        let isPlace =
            place.hasNetworks
            ? place.seeds.indices.contains(place.round) && (0...steps).contains(place.step)
            : (0...place.seeds.count).contains(place.round) && place.step == 0
        guard place.norms == norms, place.seeds == comparison.seeds, isPlace else {
            throw CheckpointError(path: file, problem: "expected the norms and seeds of config.json beside it, found others")
        }
        // Before the folder is touched: a checkpoint that does not fit must not cost a record.
        let contestants = place.hasNetworks ? contestants(of: comparison, round: place.round, images) : []
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.restore(from: checkpoint, as: "\(index)")
            contestant.times = try checkpoint.tensor("\(index)/times").elements(as: Double.self)
        }
        let folder = try RunFolder.reopen(
            at: path, keepingRecords: place.records, inOthers: comparison.keepsNetworks ? [layersName: place.layerRecords] : [:])
        let training = ComparisonTraining(comparison, images, folder)
        training.records = try RunFolder.records(at: path)
        for contestant in contestants {
            contestant.history = training.records.filter {
                $0.norm == contestant.trainer.normalization.rawValue && $0.seed == contestant.trainer.seed
            }
        }
        (training.round, training.step, training.contestants, training.runs) = (place.round, place.step, contestants, place.runs)
        (training.layerRecordCount, training.earlierSeconds) = (place.layerRecords, place.seconds)
        training.savedAt = training.done
        return training
    }
}
