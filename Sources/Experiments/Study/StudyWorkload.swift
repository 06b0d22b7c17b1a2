import Foundation
package import Training

/// What a cell of a study trains: a run of its own, on the common course of runs.
package protocol StudyWorkload {
    /// How much there is to do, in the unit in which the run counts.
    var total: Int { get }

    /// Trains in the folder until the run is finished, from wherever it stopped before.
    ///
    /// - Returns: what was found; nil if the run was asked to stop.
    func run(_ course: StudyCourse) throws -> StudyMeasurements?
}

/// How one cell is run: in which folder, when it must stop, and who is told how far it is.
package struct StudyCourse {
    package let path: String
    package let shouldStop: () -> Bool
    /// Gets the units done and a note.
    package let progress: (Int, String) throws -> Void
    /// Gets what was found while the run's folder is still locked: another process may be waiting for it.
    package let keep: (StudyMeasurements) throws -> Void

    package init(
        path: String, shouldStop: @escaping () -> Bool, progress: @escaping (Int, String) throws -> Void,
        keep: @escaping (StudyMeasurements) throws -> Void
    ) {
        (self.path, self.shouldStop, self.progress, self.keep) = (path, shouldStop, progress, keep)
    }

    /// Starts or resumes the run of a plan in the cell's folder, and measures it when it is finished. A run that diverges is measured too: it counts.
    ///
    /// - Parameters:
    ///   - plan: the run.
    ///   - interval: seconds of work between two checkpoints.
    ///   - measure: what is kept of it.
    package func perform<E: Experiment, Details>(
        _ plan: RunPlan<E, Details>, savingEvery interval: Double = 60, measure: (Run<E>) throws -> StudyMeasurements
    ) throws -> StudyMeasurements? {
        let run = try start(plan)
        do {
            try run.run(checkpoints: CheckpointClock(every: interval), shouldStop: shouldStop, progress: { try progress($0.done, $0.note) })
        } catch let failure as RunFailure where failure.divergedAt != nil {
            var found = try measure(run)
            (found.divergedAt, found.seconds) = (failure.divergedAt, run.seconds)
            try withExtendedLifetime(run) { try keep(found) }
            return found
        }
        guard run.isFinished else { return nil }
        _ = try plan.finish(run)
        var found = try measure(run)
        found.seconds = run.seconds
        try withExtendedLifetime(run) { try keep(found) }
        return found
    }

    private func start<E: Experiment, Details>(_ plan: RunPlan<E, Details>) throws -> Run<E> {
        guard RunFolder.has("config.json", at: path) else { return try plan.start(at: path) }
        _ = try RunHeader(at: path, of: [plan.configuration.command])
        let stored: RunConfiguration<E.Settings, Details> = try .read(at: path)
        if let (what, before, now) = try plan.configuration.difference(from: stored) {
            throw RunFailure("\(path): expected a run whose \(what) is \(now), found one with \(before)")
        }
        return try plan.resume(at: path)
    }
}
