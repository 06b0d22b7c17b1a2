import AtomicFiles
import Torch
import WeightFiles

/// One run of an experiment: it can stop between two steps, and be resumed from a checkpoint as if it had never stopped.
///
/// It owns the rounds, the turns of the trainees, stopping, checkpoints, records, times and endings; the ``Experiment`` says what is trained, on
/// what, and what is recorded. All trainees make each step on the same input, one after the other, and take turns at going first, so that a slow
/// spell of the machine affects all of them.
public final class Run<E: Experiment> {
    /// What is trained.
    public let experiment: E
    /// Where its files are.
    public let folder: RunFolder
    /// The present round, from 0.
    public private(set) var round = 0
    /// Units done of the present round.
    public private(set) var step = 0
    /// The trainees of the present round; empty between two rounds.
    public private(set) var trainees: [E.Learner] = []
    /// The steps at which trainees of the present round ended early; nil for those that still take steps.
    public private(set) var endedAt: [Int?] = []
    /// Milliseconds of each trainee's steps in the present round.
    public private(set) var times: [[Double]] = []
    /// The results of all finished rounds.
    public private(set) var results: [E.Result] = []
    /// All records so far, as in `metrics.jsonl`.
    public private(set) var records: [E.Record] = []
    /// The units done, over all rounds, at which the last checkpoint was written or read; nil if there is none.
    public private(set) var savedAt: Int?
    /// Text for the progress display, such as the current loss.
    public var note = ""

    private var otherRecordCounts: [String: Int]
    private let sinks: [any RecordSink]
    private var earlierSeconds = 0.0
    private let start = ContinuousClock.now
    /// The number of steps since the device was last waited for, and when they began.
    private var window = (steps: 0, start: ContinuousClock.now)
    private var callbacks = Callbacks()

    /// The callbacks in use while it runs.
    private struct Callbacks {
        var shouldStop: () -> Bool = { false }
        var progress: (RunProgress) throws -> Void = { _ in }
        var recorded: (E.Record) throws -> Void = { _ in }
    }

    /// A run from the beginning, in a folder that was started for it.
    ///
    /// Records also go to the sinks.
    public init(_ experiment: E, in folder: RunFolder, sinks: [any RecordSink] = []) {
        self.experiment = experiment
        self.folder = folder
        self.sinks = [folder] + sinks
        otherRecordCounts = Dictionary(uniqueKeysWithValues: experiment.otherRecordFiles.map { ($0, 0) })
    }

    /// Units over all rounds.
    public var total: Int { experiment.stepsPerRound * experiment.rounds }
    /// Units done over all rounds.
    public var done: Int { round * experiment.stepsPerRound + step }
    /// Whether all rounds are finished.
    public var isFinished: Bool { round == experiment.rounds }
    /// Seconds of work, over all starts.
    public var seconds: Double { earlierSeconds + (ContinuousClock.now - start) / .seconds(1) }
    /// Whether the run was asked to stop; for evaluations, which can take a long time.
    public var shouldStop: Bool { callbacks.shouldStop() }
    /// Describes the checkpoint from which the run can be resumed.
    public var lastGoodCheckpoint: String { RunCheckpoint.lastGood(in: folder.path, at: savedAt, unit: experiment.unit) }

    /// Trains until all rounds are finished, or until `shouldStop` says so between two steps; then the run is saved, if checkpoints are used.
    ///
    /// - Parameters:
    ///   - checkpoints: says after each step whether to save; without, nothing is saved.
    ///   - shouldStop: says before each step whether to stop.
    ///   - progress: reports after every step how far the run is.
    ///   - recorded: gets every record of `metrics.jsonl`.
    /// - Throws: ``RunFailure`` if the run cannot continue, as when a loss is not finite or at a ``RunInterruption``; `FileError` if the folder cannot
    ///   be written; what the experiment throws.
    public func run(
        checkpoints: CheckpointClock? = nil, shouldStop: @escaping () -> Bool = { false },
        progress: @escaping (RunProgress) throws -> Void = { _ in }, recorded: @escaping (E.Record) throws -> Void = { _ in }
    ) throws {
        callbacks = Callbacks(shouldStop: shouldStop, progress: progress, recorded: recorded)
        defer { callbacks = Callbacks() }
        do {
            try runRounds(checkpoints)
        } catch let error as any RunInterruption {
            throw RunFailure("\(error); \(lastGoodCheckpoint)")
        }
    }

    private func runRounds(_ checkpoints: CheckpointClock?) throws {
        while !isFinished {
            guard try runRound(checkpoints) else { break }
            // A finite loss can have a gradient that is not: parameters are checked before results are made from them.
            if !isFinite() { try endDiverged() }
            let found = try experiment.finishRound(of: self)
            guard found.count <= experiment.resultsPerRound else {
                throw RunFailure(
                    "results of a round: expected at most \(experiment.resultsPerRound), found \(found.count); \(lastGoodCheckpoint)")
            }
            results += found
            take([])
            (round, step) = (round + 1, 0)
        }
        if checkpoints != nil, isFinite() { try save() }
    }

    /// Whether the present round is done; false if the run is to stop.
    private func runRound(_ checkpoints: CheckpointClock?) throws -> Bool {
        guard try experiment.prepareRound(of: self) else { return false }
        if trainees.isEmpty {
            take(try experiment.makeTrainees(round: round))
            try experiment.initialize(self)
        }
        while true {
            guard try experiment.prepareStep(of: self) else { return false }
            guard step < experiment.stepsPerRound, endedAt.contains(nil) else { return true }
            if shouldStop { return false }
            try makeStep()
            try experiment.didStep(self)
            try endDiverged()
            if let checkpoints, checkpoints.isDue(), isFinite() {
                try save()
                checkpoints.restart()
            }
            try reportProgress()
        }
    }

    private func endDiverged() throws {
        for (index, trainee) in trainees.enumerated() where endedAt[index] == nil {
            guard let step = trainee.divergedAt else { continue }
            try experiment.didDiverge(trainee: index, at: step, of: self)
            endedAt[index] = endedAt[index] ?? step
        }
    }

    private func take(_ trainees: [E.Learner]) {
        self.trainees = trainees
        endedAt = trainees.map { _ in nil }
        times = trainees.map { _ in [] }
        window.steps = 0
    }

    private func makeStep() throws {
        let input = try experiment.input(for: self)
        if window.steps == 0 { window.start = .now }
        window.steps += 1
        var units = 0
        for turn in trainees.indices {
            // They take turns at going first: the first must bring the input into the cache.
            let index = (turn + step) % trainees.count
            guard endedAt[index] == nil else { continue }
            let begin = ContinuousClock.now
            units = max(units, try trainees[index].step(input))
            guard timesEachStep else { continue }
            experiment.device.synchronize()
            times[index].append((ContinuousClock.now - begin) / .milliseconds(1))
        }
        step = min(step + units, experiment.stepsPerRound)
    }

    /// With one trainee, steps may follow each other on a GPU without the host waiting: the time is then taken over several steps. With several
    /// trainees the host waits for each, so that each gets its own time.
    private var timesEachStep: Bool { experiment.timesSteps && (experiment.device.isCPU || trainees.count > 1) }

    /// Records the time of the steps since the device was last waited for; for experiments that have just waited for it, for example to read the mean
    /// loss.
    public func noteTime() {
        if !timesEachStep, experiment.timesSteps, !times.isEmpty, window.steps > 0 {
            times[0].append((ContinuousClock.now - window.start) / .milliseconds(1) / Double(window.steps))
        }
        window.steps = 0
    }

    /// Reports how far the run is; the run does so after every step.
    public func reportProgress() throws { try callbacks.progress(RunProgress(done: done, total: total, note: note)) }

    /// Ends a trainee's steps in this round, for example because its loss is not finite.
    public func end(trainee index: Int, at step: Int) { endedAt[index] = step }

    /// The trainees that still take steps.
    public var activeTrainees: [E.Learner] { zip(trainees, endedAt).compactMap { $1 == nil ? $0 : nil } }

    /// Whether all trainees that still take steps are finite; may wait for the device.
    public func isFinite() -> Bool { activeTrainees.allSatisfy { $0.isFinite() } }

    // MARK: - Records

    /// Adds a record to `metrics.jsonl` and to the other sinks.
    public func record(_ record: E.Record) throws {
        for sink in sinks { try sink.receive(record, in: RunFolder.metricsName) }
        records.append(record)
        try callbacks.recorded(record)
    }

    /// Adds a record to another file of records, one of ``Experiment/otherRecordFiles``.
    public func record(_ record: some Encodable, in file: String) throws {
        guard let count = otherRecordCounts[file] else {
            throw RunFailure(
                "record: expected one of the files \(otherRecordCounts.keys.sorted().joined(separator: ", ")), found '\(file)'")
        }
        for sink in sinks { try sink.receive(record, in: file) }
        otherRecordCounts[file] = count + 1
    }

    // MARK: - Checkpoints

    /// Writes a checkpoint of the run in place of the last one, which is kept if that fails.
    ///
    /// - Throws: ``RunFailure``, which names the last good checkpoint.
    public func save() throws {
        let bytes: Int
        do {
            var checkpoint = Checkpoint(kind: experiment.kind)
            let place = RunPosition(
                round: round, step: step, records: records.count, otherRecords: otherRecordCounts, runs: results, seconds: seconds,
                norms: experiment.names, seeds: experiment.seeds, hasNetworks: !trainees.isEmpty,
                endedAt: endedAt.contains { $0 != nil } ? endedAt : nil)
            try checkpoint.add(valueNotFinite: place, as: "place")
            try checkpoint.add(valueNotFinite: experiment.settings, as: "settings")
            for (index, trainee) in trainees.enumerated() {
                let name = experiment.checkpointName(ofTrainee: index)
                try trainee.add(to: &checkpoint, as: name)
                if experiment.timesSteps { checkpoint.add(Tensor(times[index], shape: [times[index].count]), as: "\(name)/times") }
            }
            try experiment.add(to: &checkpoint, of: self)
            for sink in sinks { try sink.synchronize([RunFolder.metricsName] + otherRecordCounts.keys) }
            let path = try folder.path(for: RunCheckpoint.name)
            try checkpoint.write(to: path)
            bytes = RunCheckpoint.size(of: path)
        } catch {
            throw RunFailure("\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
        try experiment.didSave(self, bytes: bytes)
    }

    /// The run in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// - Throws: ``CheckpointError``, `SafetensorsError` or `FileError` if the checkpoint is damaged, of another run, or does not fit, or if another
    ///   run is in progress in the folder; nothing is changed then.
    public static func resume(_ experiment: E, at path: String, sinks: [any RecordSink] = []) throws -> Run {
        let file = RunCheckpoint.path(in: path)
        let limitsWholeNumbers = E.self is any LimitsWholeNumbers.Type
        guard let checkpoint = try RunCheckpoint.read(in: path, kind: experiment.kind, limitingWholeNumbers: limitsWholeNumbers) else {
            let others = Dictionary(uniqueKeysWithValues: experiment.otherRecordFiles.map { ($0, 0) })
            let run = Run(experiment, in: try RunFolder.reopen(at: path, keepingRecords: 0, inOthers: others), sinks: sinks)
            try run.resumeSinks()
            try experiment.didResume(run)
            return run
        }
        try checkpoint.requireSettings(experiment.settings, in: file)
        let place: RunPosition<E.Result> = try checkpoint.valueNotFinite("place")
        try place.check(
            norms: experiment.names, seeds: experiment.seeds, rounds: experiment.rounds, resultsPerRound: experiment.resultsPerRound,
            stepsPerRound: experiment.stepsPerRound, in: file)
        // Before the folder is touched: a checkpoint that does not fit must not cost any records.
        let trainees =
            try place.hasNetworks ? experiment.restoreTrainees(from: checkpoint, round: place.round, step: place.step) : []
        let times =
            try !experiment.timesSteps
            ? []
            : trainees.indices.map {
                try checkpoint.times("\(experiment.checkpointName(ofTrainee: $0))/times", ofSteps: place.step)
            }
        let endedAt = place.endedAt ?? trainees.map { _ in nil }
        guard endedAt.count == trainees.count else {
            throw CheckpointError(
                path: file, problem: "endedAt: expected as many as the \(trainees.count) trainees, found \(endedAt.count)")
        }
        try experiment.restore(from: checkpoint, round: place.round, step: place.step, trainees: trainees)
        let others = Dictionary(uniqueKeysWithValues: experiment.otherRecordFiles.map { ($0, place.otherRecords[$0] ?? 0) })
        let folder = try RunFolder.reopen(at: path, keepingRecords: place.records, inOthers: others)
        let run = Run(experiment, in: folder, sinks: sinks)
        run.take(trainees)
        run.endedAt = endedAt
        if experiment.timesSteps { run.times = times }
        run.records = try RunFolder.records(at: path)
        if limitsWholeNumbers { _ = try WholeNumbers.checked(run.records, of: AtomicFile.join(path, RunFolder.metricsName)) }
        (run.round, run.step, run.results) = (place.round, place.step, place.runs)
        (run.otherRecordCounts, run.earlierSeconds, run.savedAt) = (others, place.seconds, run.done)
        try run.resumeSinks()
        try experiment.didResume(run)
        return run
    }

    /// Tells the sinks how many records of each file the run still has.
    private func resumeSinks() throws {
        let counts = otherRecordCounts.merging([RunFolder.metricsName: records.count]) { $1 }
        for sink in sinks { try sink.resume(keeping: counts) }
    }
}

/// An experiment in whose files a whole number beyond ±10¹⁵ is a mistake: it is refused when a run is resumed, before anything is counted on with it.
package protocol LimitsWholeNumbers {}

/// How far a run is.
public struct RunProgress: Sendable {
    /// Units done, over all rounds.
    public let done: Int
    /// Units to be done, over all rounds.
    public let total: Int
    /// A note, such as the current loss.
    public let note: String

    /// The progress of a run.
    public init(done: Int, total: Int, note: String) { (self.done, self.total, self.note) = (done, total, note) }
}
