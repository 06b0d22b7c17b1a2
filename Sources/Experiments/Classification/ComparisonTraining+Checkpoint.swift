import AtomicFiles
import Foundation
import Torch
import Training
import WeightNorm

// How a comparison goes on from where it was stopped.

extension ComparisonTraining {
    private static let kind = "classification"

    /// Writes where the training is, in the place of the last checkpoint, which stays if that fails.
    package func save() throws {
        var checkpoint = Checkpoint(kind: Self.kind)
        try checkpoint.add(
            value: RunPlace(
                round: round, step: step, records: records.count, otherRecords: [Self.layersName: layerRecordCount], runs: runs,
                seconds: seconds,
                norms: comparison.normalizations.map(\.rawValue), seeds: comparison.seeds, hasNetworks: !contestants.isEmpty),
            as: "place")
        try checkpoint.add(value: comparison.settings, as: "settings")
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.add(to: &checkpoint, as: "\(index)")
            checkpoint.add(Tensor(contestant.times, shape: [contestant.times.count]), as: "\(index)/times")
        }
        do {
            try folder.synchronizeRecords(inOthers: [Self.layersName])
            try checkpoint.write(to: folder.path(for: RunCheckpoint.name))
        } catch let error as FileError {
            throw Comparison.Failure(description: "\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
    }

    /// The training in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// - Throws: `CheckpointError`, `SafetensorsError` or `FileError` if the checkpoint is damaged, of another run, or does not fit; then nothing was changed.
    package static func resume(_ comparison: Comparison, _ images: ClassificationImages, at path: String) throws -> ComparisonTraining {
        let file = RunCheckpoint.path(in: path)
        guard let checkpoint = try RunCheckpoint.read(in: path, kind: kind) else {
            let folder = try RunFolder.reopen(at: path, keepingRecords: 0, inOthers: [layersName: 0])
            return ComparisonTraining(comparison, images, folder)
        }
        try checkpoint.requireSettings(comparison.settings, in: file)
        let place: RunPlace<Comparison.Run> = try checkpoint.value("place")
        try place.check(
            norms: comparison.normalizations.map(\.rawValue), seeds: comparison.seeds,
            stepsPerRound: images.training.count / comparison.settings.batch * comparison.settings.epochs, in: file)
        // Before the folder is touched: a checkpoint that does not fit must not cost a record.
        let contestants = place.hasNetworks ? contestants(of: comparison, round: place.round, images) : []
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.restore(from: checkpoint, as: "\(index)")
            contestant.times = try checkpoint.times("\(index)/times", ofSteps: place.step)
        }
        let folder = try RunFolder.reopen(
            at: path, keepingRecords: place.records,
            inOthers: comparison.keepsNetworks ? [layersName: place.otherRecords[layersName] ?? 0] : [:])
        let training = ComparisonTraining(comparison, images, folder)
        training.records = try RunFiles.records(at: path)
        for contestant in contestants {
            contestant.history = training.records.filter {
                $0.norm == contestant.trainer.normalization.rawValue && $0.seed == contestant.trainer.seed
            }
        }
        (training.round, training.step, training.contestants, training.runs) = (place.round, place.step, contestants, place.runs)
        (training.layerRecordCount, training.earlierSeconds) = (place.otherRecords[layersName] ?? 0, place.seconds)
        training.savedAt = training.done
        return training
    }
}
