import Datasets
import Torch
package import Training

// What a deep Q-learning checkpoint holds besides the agent and the games; the replay memory is a separate file.

extension DQNExperiment {
    /// The names of replay memories: a new one is written beside the old, which the last checkpoint needs until the next is there.
    private static let replayNames = ["replay-a.safetensors", "replay-b.safetensors"]

    /// What a checkpoint says about the replay memory's file.
    private struct Replay: Codable {
        var name: String?
        var appended: Int
        /// The cost of the last checkpoint with a memory.
        var cost: CheckpointCost?
    }

    /// What a checkpoint says about the present round.
    private struct RoundState: Codable {
        var epoch: Int
        var stepSeconds: Double
        var bestEpoch: Int?
        var bestScore: DQNScore?
    }

    package func checkpointName(ofTrainee index: Int) -> String { "practice" }

    package func add(to checkpoint: inout Checkpoint, of run: Run<DQNExperiment>) throws {
        let start = ContinuousClock.now
        var replay = Replay(name: nil, appended: 0, cost: checkpointCost)
        var bytes = 0
        // If removal fails, it is tried again after the checkpoint.
        try? removeReplays(in: run.folder)
        if let learner = run.learner, savesReplay {
            let name = Self.replayNames.first { $0 != replayName } ?? Self.replayNames[0]
            replay = Replay(name: name, appended: learner.memory.appended, cost: checkpointCost)
            let path = try run.folder.path(for: name)
            // If the checkpoint then fails, the new memory stays, since a checkpoint that names it may exist. Memories of no checkpoint are removed
            // at the next save.
            try learner.memory.write(to: path)
            bytes = RunCheckpoint.size(of: path)
        }
        replayBeingSaved = (replay.name, bytes, start)
        try checkpoint.add(value: replay, as: "replay")
        guard run.learner != nil else { return }
        if let best { checkpoint.add(best.network, as: "best") }
        try checkpoint.add(
            value: RoundState(epoch: epoch, stepSeconds: stepSeconds, bestEpoch: best?.epoch, bestScore: best?.score), as: "round")
    }

    package func didSave(_ run: Run<DQNExperiment>, bytes: Int) throws {
        guard let saved = replayBeingSaved else { return }
        replayName = saved.name
        do { try removeReplays(in: run.folder) } catch {
            // The next save tries again; at the end there is no next one.
            if run.isFinished { throw error }
        }
        guard saved.name != nil else { return }
        checkpointCost = CheckpointCost(bytes: saved.bytes + bytes, seconds: (ContinuousClock.now - saved.start) / .seconds(1))
    }

    /// Removes the replay memories that the last checkpoint does not name: they are large, and a kill may have left one.
    private func removeReplays(in folder: RunFolder) throws {
        for name in Self.replayNames where name != replayName { try folder.remove(name) }
    }

    // MARK: - Resuming

    package func restoreTrainees(from checkpoint: Checkpoint, round: Int, step: Int) throws -> [DQNLearner] {
        let replay: Replay = try checkpoint.value("replay")
        var seeds = SplitMix64(seed: subject(ofRound: round).seed &+ UInt64(step))
        let learner = try learner(round: round, gamesSeed: seeds.next())
        if !forgetsReplay, let name = try checked(replay).name {
            do {
                try learner.memory.restore(
                    from: "\(path)/\(name)", appended: replay.appended, actions: resources.training.actions.count)
                if replay.appended >= settings.actionsBeforeLearning, learner.memory.drawableCount == 0 {
                    throw RunFailure("\(path)/\(name): expected complete transitions to learn from, found none")
                }
            } catch { throw RunFailure("\(error); --forget-replay resumes without it") }
        }
        try learner.restore(from: checkpoint, as: "practice")
        return [learner]
    }

    private func checked(_ replay: Replay) throws(CheckpointError) -> Replay {
        let file = RunCheckpoint.path(in: path)
        guard replay.name.map(Self.replayNames.contains) ?? true else {
            throw CheckpointError(
                path: file, problem: "expected a replay memory named \(Self.replayNames[0]) or \(Self.replayNames[1]), found another")
        }
        guard replay.appended >= 0, replay.cost.map({ $0.bytes >= 0 && (0...1e11).contains($0.seconds) }) ?? true else {
            throw CheckpointError(path: file, problem: "expected a replay memory's counts from 0 up, found others")
        }
        return replay
    }

    package func restore(from checkpoint: Checkpoint, round: Int, step: Int, trainees: [DQNLearner]) throws {
        let replay = try checked(try checkpoint.value("replay"))
        (replayName, checkpointCost) = (replay.name, replay.cost)
        guard let learner = trainees.first else { return }
        let state: RoundState = try checkpoint.value("round")
        var best: Best?
        if let epoch = state.bestEpoch, let score = state.bestScore {
            let network = network(learner.agent.normalization)
            try checkpoint.restore(network, from: "best")
            best = Best(epoch: epoch, score: score, network: network)
        }
        let actions = learner.actionsTaken
        // A due evaluation may not have been made yet.
        guard (0...settings.epochs).contains(state.epoch), (0...1e11).contains(state.stepSeconds),
            (0...state.epoch).contains(best?.epoch ?? 0), (best == nil) == (state.epoch == 0), min(actions, stepsPerRound) == step,
            actions >= state.epoch * settings.actionsPerEpoch,
            actions <= (state.epoch + 1) * settings.actionsPerEpoch + settings.games
        else {
            throw CheckpointError(
                path: RunCheckpoint.path(in: path),
                problem: "expected as many epochs as its \(step) actions make, found \(state.epoch) and \(actions) actions")
        }
        (epoch, stepSeconds, self.best) = (state.epoch, state.stepSeconds, best)
    }

    package func didResume(_ run: Run<DQNExperiment>) throws {
        // An evaluation after the checkpoint may have written another network, which no record mentions any longer.
        if let learner = run.learner { try writeBest(learner.agent, into: run.folder) }
        try removeReplays(in: run.folder)
        for round in run.round..<rounds where round > run.round || best == nil {
            let (norm, seed) = subject(ofRound: round)
            try run.folder.remove(NetworkFile.name(norm: norm.rawValue, seed: seed))
        }
    }
}
