import Datasets
import Foundation
import Torch
import Training

extension DQNTraining {
    private static let kind = "dqn"

    /// The names of replay memories: a new one is written beside the old, which the last checkpoint needs until the next is there.
    private static let replayNames = ["replay-a.safetensors", "replay-b.safetensors"]

    /// What a checkpoint says of the replay memory's file.
    private struct Replay: Codable {
        var name: String?
        var appended: Int
        /// What the last checkpoint with a memory took.
        var cost: CheckpointCost?
    }

    /// What a checkpoint says of the present round.
    private struct RoundState: Codable {
        var epoch: Int
        var stepSeconds: Double
        var bestEpoch: Int?
        var bestScore: DQNScore?
    }

    /// Writes where the run is, in the place of the last checkpoint, which stays if that fails; the replay memory, if it is to be saved, as a file of its own.
    ///
    /// - Throws: ``RunFailure``, with the last good checkpoint.
    package func save() throws {
        let clock = ContinuousClock()
        let start = clock.now
        var replay = Replay(name: nil, appended: 0, cost: checkpointCost)
        var bytes = 0
        do {
            // What cannot be removed is tried again after the checkpoint.
            try? removeReplays()
            if let practice, savesReplay {
                let name = Self.replayNames.first { $0 != replayName } ?? Self.replayNames[0]
                replay = Replay(name: name, appended: practice.memory.appended, cost: checkpointCost)
                let path = try folder.path(for: name)
                try practice.memory.write(to: path)
                bytes = Self.size(of: path)
            }
            let checkpoint = try checkpoint(replay)
            try folder.synchronizeRecords()
            let path = try folder.path(for: RunCheckpoint.name)
            try checkpoint.write(to: path)
            bytes += Self.size(of: path)
        } catch {
            // The new memory stays: the checkpoint may be there that names it. What is of no checkpoint goes with the next save.
            throw RunFailure("\(error); \(lastGoodCheckpoint)")
        }
        savedAt = done
        replayName = replay.name
        do { try removeReplays() } catch {
            // The next save tries again; at the end there is none.
            if isFinished { throw error }
        }
        if replay.name != nil { checkpointCost = CheckpointCost(bytes: bytes, seconds: (clock.now - start) / .seconds(1)) }
    }

    /// Removes the replay memories that the last checkpoint does not name: they are large, and a kill may have left one.
    private func removeReplays() throws {
        for name in Self.replayNames where name != replayName { try folder.remove(name) }
    }

    private static func size(of path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }

    private func checkpoint(_ replay: Replay) throws -> Checkpoint {
        var checkpoint = Checkpoint(kind: Self.kind)
        try checkpoint.add(
            value: RunPlace(
                round: round, step: practice == nil ? 0 : done - round * Self.actionsPerRound(experiment.settings), records: records.count,
                runs: runs, seconds: seconds, norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds,
                hasNetworks: practice != nil),
            as: "place")
        try checkpoint.add(value: experiment.settings, as: "settings")
        try checkpoint.add(value: replay, as: "replay")
        if let practice {
            try practice.add(to: &checkpoint, as: "practice")
            if let best { checkpoint.add(best.network, as: "best") }
            try checkpoint.add(
                value: RoundState(epoch: epoch, stepSeconds: stepSeconds, bestEpoch: best?.epoch, bestScore: best?.score), as: "round")
        }
        return checkpoint
    }

    /// The run in a folder, from its last checkpoint; from the beginning if there is none yet. Records made after the checkpoint are cut off.
    ///
    /// Games that cannot be saved, as the emulator's, begin anew, with a seed that follows from the run's and from how far it is. Without a replay memory, because the
    /// checkpoint has none or because it is to be forgotten, the agent plays until it has seen as much as learning needs, with what it has learned so far.
    ///
    /// - Throws: `CheckpointError` if the checkpoint does not fit, ``RunFailure`` if its replay memory does not; `FileError` if the folder is no run's, or another run is
    ///   going on in it. Then nothing in the folder was changed.
    package static func resume(
        _ experiment: DQNExperiment, _ resources: DQNResources, at path: String, savesReplay: Bool, forgetsReplay: Bool = false
    ) throws -> DQNTraining {
        let file = RunCheckpoint.path(in: path)
        guard let checkpoint = try RunCheckpoint.read(in: path, kind: kind) else {
            let folder = try RunFolder.reopen(at: path, keepingRecords: 0)
            let training = DQNTraining(experiment, resources, folder, savesReplay: savesReplay)
            try training.removeWhatNoCheckpointKnows()
            return training
        }
        try checkpoint.requireSettings(experiment.settings, in: file)
        let place: RunPlace<DQNRun> = try checkpoint.value("place")
        try place.check(
            norms: experiment.normalizations.map(\.rawValue), seeds: experiment.seeds, rounds: rounds(of: experiment).count,
            stepsPerRound: actionsPerRound(experiment.settings), in: file)
        let replay: Replay = try checkpoint.value("replay")
        guard replay.name.map(replayNames.contains) ?? true else {
            throw CheckpointError(
                path: file, problem: "expected a replay memory named \(replayNames[0]) or \(replayNames[1]), found another")
        }
        guard replay.appended >= 0, replay.cost.map({ $0.bytes >= 0 && (0...1e11).contains($0.seconds) }) ?? true else {
            throw CheckpointError(path: file, problem: "expected a replay memory's counts from 0 up, found others")
        }
        // Before the folder is touched: a checkpoint that does not fit must not cost a record.
        var restored: (practice: DQNPractice, state: RoundState, best: Best?)?
        if place.hasNetworks {
            let (norm, seed) = rounds(of: experiment)[place.round]
            var seeds = SplitMix64(seed: seed &+ UInt64(place.step))
            let practice = try practice(of: experiment, resources, round: place.round, gamesSeed: seeds.next())
            if !forgetsReplay, let name = replay.name {
                do {
                    try practice.memory.restore(
                        from: "\(path)/\(name)", appended: replay.appended, actions: resources.training.actions.count)
                    if replay.appended >= experiment.settings.actionsBeforeLearning, practice.memory.drawableCount == 0 {
                        throw RunFailure("\(path)/\(name): expected transitions to learn from, found none that is whole")
                    }
                } catch { throw RunFailure("\(error); --forget-replay goes on without it") }
            }
            try practice.restore(from: checkpoint, as: "practice")
            let state: RoundState = try checkpoint.value("round")
            var best: Best?
            if let epoch = state.bestEpoch, let score = state.bestScore {
                let network = network(of: experiment, resources, norm)
                try checkpoint.restore(network, from: "best")
                best = Best(epoch: epoch, score: score, network: network)
            }
            let (settings, actions) = (experiment.settings, practice.actionsTaken)
            // An evaluation that is due may still be to be done.
            guard (0...settings.epochs).contains(state.epoch), (0...1e11).contains(state.stepSeconds),
                (0...state.epoch).contains(best?.epoch ?? 0), (best == nil) == (state.epoch == 0),
                min(actions, actionsPerRound(settings)) == place.step, actions >= state.epoch * settings.actionsPerEpoch,
                actions <= (state.epoch + 1) * settings.actionsPerEpoch + settings.games
            else {
                throw CheckpointError(
                    path: file,
                    problem: "expected as many epochs as its \(place.step) actions make, found \(state.epoch) and \(actions) actions")
            }
            restored = (practice, state, best)
        }
        let training = DQNTraining(
            experiment, resources, try RunFolder.reopen(at: path, keepingRecords: place.records), savesReplay: savesReplay)
        training.records = try RunFiles.records(at: path)
        (training.round, training.runs) = (place.round, place.runs)
        training.earlierSeconds = place.seconds
        (training.replayName, training.checkpointCost) = (replay.name, replay.cost)
        if let (practice, state, best) = restored {
            (training.practice, training.epoch, training.stepSeconds, training.best) = (practice, state.epoch, state.stepSeconds, best)
            // An evaluation after the checkpoint may have written another, which is of no record any longer.
            try training.writeBest(practice.agent)
        }
        try training.removeWhatNoCheckpointKnows()
        training.savedAt = training.done
        return training
    }

    /// Removes what a kill has left of the time after the last checkpoint: networks of which there is no record, replay memories.
    private func removeWhatNoCheckpointKnows() throws {
        try removeReplays()
        for (index, (norm, seed)) in Self.rounds(of: experiment).enumerated() where index > round || index == round && best == nil {
            try folder.remove(NetworkFile.name(norm: norm.rawValue, seed: seed))
        }
    }
}
