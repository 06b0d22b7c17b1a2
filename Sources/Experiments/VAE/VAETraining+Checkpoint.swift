import Foundation
import Torch
import Training

extension VAETraining {
    private static let kind = "vae"

    /// A place in the course of the training, beside its models.
    private struct Place: Codable {
        var round: Int
        var step: Int
        var records: Int
        var runs: [VAEExperiment.Run]
        var seconds: Double
        var norms: [String]
        var seeds: [UInt64]
        var hasNetworks: Bool
    }

    /// Writes where the training is, in the place of the last checkpoint, which stays if that fails.
    package func save() throws {
        var checkpoint = Checkpoint(kind: Self.kind)
        try checkpoint.add(
            value: Place(
                round: round, step: step, records: records.count, runs: runs, seconds: seconds,
                norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds, hasNetworks: !contestants.isEmpty),
            as: "place")
        try checkpoint.add(value: experiment.settings, as: "settings")
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.add(to: &checkpoint, as: "\(index)")
            checkpoint.add(Tensor(contestant.times, shape: [contestant.times.count]), as: "\(index)/times")
        }
        do {
            try folder.synchronizeRecords()
            try checkpoint.write(to: folder.path(for: ComparisonTraining.checkpointName))
        } catch let error as FileError {
            throw VAEExperiment.Failure(description: "\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
    }

    /// The training in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// - Throws: as ``ComparisonTraining/resume(_:_:at:)``.
    package static func resume(_ experiment: VAEExperiment, _ images: VAEImages, at path: String) throws -> VAETraining {
        let file = ComparisonTraining.checkpointPath(path)
        guard access(file, F_OK) == 0 else {
            return VAETraining(experiment, images, try RunFolder.reopen(at: path, keepingRecords: 0))
        }
        let checkpoint = try Checkpoint(reading: file, kind: kind)
        let settings: VAESettings = try checkpoint.value("settings")
        guard settings == experiment.settings else {
            throw CheckpointError(path: file, problem: "expected the settings of config.json beside it, found others")
        }
        let place: Place = try checkpoint.value("place")
        let steps = images.training.count / experiment.settings.batch * experiment.settings.epochs
        let isPlace =
            place.hasNetworks
            ? place.seeds.indices.contains(place.round) && (0...steps).contains(place.step)
            : (0...place.seeds.count).contains(place.round) && place.step == 0
        guard place.norms == experiment.normalizations.map(\.rawValue), place.seeds == experiment.seeds, isPlace else {
            throw CheckpointError(path: file, problem: "expected the norms and seeds of config.json beside it, found others")
        }
        // Before the folder is touched: a checkpoint that does not fit must not cost a record.
        let contestants = place.hasNetworks ? contestants(of: experiment, round: place.round, images) : []
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.restore(from: checkpoint, as: "\(index)")
            contestant.times = try checkpoint.tensor("\(index)/times").elements(as: Double.self)
        }
        let training = VAETraining(experiment, images, try RunFolder.reopen(at: path, keepingRecords: place.records))
        training.records = try RunFolder.records(at: path)
        (training.round, training.step, training.contestants, training.runs) = (place.round, place.step, contestants, place.runs)
        training.earlierSeconds = place.seconds
        training.savedAt = training.done
        return training
    }
}
