import AtomicFiles
import Foundation
import Torch
import Training

extension GenerativeTraining {
    /// The command's last word, such as "vae".
    private static var kind: String { Settings.command.split(separator: " ").last.map(String.init) ?? Settings.command }

    /// Writes where the training is, in the place of the last checkpoint, which stays if that fails.
    package func save() throws {
        var checkpoint = Checkpoint(kind: Self.kind)
        try checkpoint.add(
            value: RunPlace(
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
            try checkpoint.write(to: folder.path(for: RunCheckpoint.name))
        } catch let error as FileError {
            throw RunFailure("\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
    }

    /// The training in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// - Throws: as ``ComparisonTraining/resume(_:_:at:)``.
    package static func resume(_ experiment: Experiment, _ images: GenerativeImages, at path: String) throws -> GenerativeTraining {
        let file = RunCheckpoint.path(in: path)
        guard let checkpoint = try RunCheckpoint.read(in: path, kind: kind) else {
            return GenerativeTraining(experiment, images, try RunFolder.reopen(at: path, keepingRecords: 0))
        }
        try checkpoint.requireSettings(experiment.settings, in: file)
        let place: RunPlace<GenerativeRun> = try checkpoint.value("place")
        try place.check(
            norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds,
            stepsPerRound: images.training.count / experiment.settings.batch * experiment.settings.epochs, in: file)
        // Before the folder is touched: a checkpoint that does not fit must not cost a record.
        let contestants = place.hasNetworks ? contestants(of: experiment, round: place.round, images) : []
        for (index, contestant) in contestants.enumerated() {
            try contestant.trainer.restore(from: checkpoint, as: "\(index)")
            contestant.times = try checkpoint.times("\(index)/times", ofSteps: place.step)
        }
        let training = GenerativeTraining(experiment, images, try RunFolder.reopen(at: path, keepingRecords: place.records))
        training.records = try RunFiles.records(at: path)
        (training.round, training.step, training.contestants, training.runs) = (place.round, place.step, contestants, place.runs)
        training.earlierSeconds = place.seconds
        training.savedAt = training.done
        return training
    }
}
