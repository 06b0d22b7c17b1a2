import AtomicFiles
import Datasets
import Environments
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

private func settings() -> DQNSettings {
    var settings = DQNSettings()
    (settings.network, settings.depth, settings.discount) = (.dense([16]), 2, 0.9)
    (settings.batch, settings.games, settings.replayCapacity) = (16, 4, 2000)
    settings.setLearningRate(0.005)
    (settings.actionsBeforeLearning, settings.actionsPerUpdate, settings.updatesPerTarget) = (100, 4, 20)
    settings.exploration = DQNSettings.Exploration(first: 1, last: 0.1, actions: 400)
    settings.initializationStates = 50
    (settings.epochs, settings.actionsPerEpoch, settings.evaluationActions) = (3, 200, 100)
    return settings
}

private func experiment(rate: Double? = nil, norms: [Normalization] = [.plain, .weight], seeds: [UInt64] = [3, 4]) -> DQNSetup {
    var settings = settings()
    if let rate { settings.setLearningRate(rate) }
    return DQNSetup(game: "catch", settings, normalizations: norms, seeds: seeds, device: .cpu)
}

/// Catch as the emulator is: its games cannot be saved, and it may end at any time.
private final class Fragile: Environment {
    private let game: Catch
    private var steps = 0
    private let life: Int
    /// The seeds with which its games were begun.
    private(set) var seeds: [UInt64] = []

    init(count: Int, life: Int = .max) {
        game = Catch(count: count)
        self.life = life
    }

    var count: Int { game.count }
    var actions: [String] { game.actions }
    var rows: Int { game.rows }
    var columns: Int { game.columns }

    func reset(seed: UInt64) throws -> EnvironmentStep {
        seeds.append(seed)
        return game.reset(seed: seed)
    }

    func send(_ actions: [Int]) throws { game.send(actions) }

    func receive() throws -> EnvironmentStep {
        steps += 1
        if steps > life { throw EnvironmentError(environment: "Fragile", problem: "expected it to go on, found its end") }
        return game.receive()
    }

    func snapshot() -> Data? { nil }

    func restore(_ snapshot: Data) throws -> EnvironmentStep {
        throw EnvironmentError(environment: "Fragile", problem: "expected no snapshot, found one")
    }
}

private func memory(_ experiment: DQNSetup) throws -> ReplayMemory {
    let settings = experiment.settings
    return try ReplayMemory(
        capacity: settings.replayCapacity, games: settings.games, rows: 10, columns: 5, depth: settings.depth,
        lostLifeEndsEpisode: settings.lostLifeEndsEpisode, clipsRewards: settings.clipsRewards, available: nil)
}

private func fragile(_ experiment: DQNSetup, life: Int = .max) throws -> (resources: DQNResources, games: Fragile) {
    let games = Fragile(count: experiment.settings.games, life: life)
    let resources = DQNResources(
        training: games, evaluation: Fragile(count: experiment.settings.games), memory: try memory(experiment))
    return (resources, games)
}

private func start(_ experiment: DQNSetup, _ resources: DQNResources, at path: String, savesReplay: Bool = true) throws -> DQNTraining {
    DQNTraining(experiment, resources, try RunFolder.start(at: path, config: ["a": 1]), savesReplay: savesReplay)
}

/// Begins a run, stops and saves it after so many actions, and lets go of its folder.
private func stopped(
    _ experiment: DQNSetup, _ resources: DQNResources, at path: String, after actions: Int, savesReplay: Bool = true
) throws -> (done: Int, updates: Int) {
    let training = try start(experiment, resources, at: path, savesReplay: savesReplay)
    try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= actions })
    return (training.done, training.learner?.agent.updates ?? 0)
}

@Suite(.serialized)
struct DQNTrainingTests {
    @Test("a replay memory that cannot be removed does not stop the run, but is not left behind in silence")
    func irremovable() throws {
        let experiment = experiment(norms: [.weight], seeds: [3])
        try withFolder { path in
            let training = try start(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: false)
            let left = "\(path)/replay-a.safetensors"
            // unlink refuses a folder whoever the user is.
            try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: false)
            let error = #expect(throws: FileError.self) { try training.run(checkpoints: CheckpointClock(every: 0)) }
            #expect(error.map { "\($0)" }?.hasPrefix("cannot remove \(left): ") == true)
            #expect(training.isFinished && training.results.count == 1)
        }
    }

    @Test("a run on games that can be saved, which is stopped and killed, ends as one that is not: the same numbers and networks")
    func resumes() throws {
        let experiment = experiment()
        try withFolder { path in
            let whole = try start(experiment, DQNResources(for: experiment, available: nil), at: path + "/whole")
            try whole.run()
            var holder: DQNTraining? = try start(experiment, DQNResources(for: experiment, available: nil), at: path + "/stopped")
            #expect(whole.total == 2400)
            // Before anything, before learning, while it learns, between an epoch and its evaluation, between two rounds, in the last one.
            for place in [0, 60, 330, 400, 601, 1300, 2200] {
                if [330, 1300].contains(place) {
                    // Killed: what came after the last checkpoint is lost, an evaluation included.
                    var last = 0
                    #expect(throws: Killed.self) {
                        try holder?.run(
                            checkpoints: CheckpointClock(every: 0),
                            progress: {
                                last = $0.done
                                if last > place { throw Killed() }
                            })
                    }
                    holder = nil
                    holder = try .resume(
                        experiment, DQNResources(for: experiment, available: nil), at: path + "/stopped", savesReplay: true)
                    #expect(throws: Killed.self) {
                        try holder?.run(
                            checkpoints: CheckpointClock(every: 1e9), progress: { if $0.done > place + 210 { throw Killed() } })
                    }
                    #expect(holder?.done ?? 0 > last)
                } else {
                    try holder?.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { holder?.done ?? 0 >= place })
                    #expect((place..<place + 4).contains(holder?.done ?? 0))
                }
                holder = nil
                holder = try .resume(experiment, DQNResources(for: experiment, available: nil), at: path + "/stopped", savesReplay: true)
                // One memory beside the checkpoint, at most.
                let memories = try FileManager.default.contentsOfDirectory(atPath: path + "/stopped").filter { $0.hasPrefix("replay-") }
                #expect(memories.count == (place == 0 ? 0 : 1))
            }
            try holder?.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(holder?.records == whole.records && whole.records.count == 1 + 2 * 2 * 3)
            func deterministic(_ run: DQNRun) -> DQNRun {
                var run = run
                run.actionsPerSecond = 0
                return run
            }
            #expect(holder?.results.map(deterministic) == whole.results.map(deterministic) && whole.results.count == 4)
            let (expected, found) = (try files(at: path + "/whole"), try files(at: path + "/stopped"))
            #expect(expected.count == 2 + 4 && found == expected)
            #expect(!exists(path + "/stopped/replay-a.safetensors") && !exists(path + "/stopped/replay-b.safetensors"))
        }
    }

    @Test("the best is the highest of a run's evaluations, and its network is the one that is kept")
    func best() throws {
        let experiment = experiment(norms: [.weight], seeds: [5])
        try withFolder { path in
            let training = try start(experiment, DQNResources(for: experiment, available: nil), at: path)
            try training.run()
            let scores = training.records.filter { $0.norm == "weight" }.map(\.score.mean)
            let run = try #require(training.results.first)
            #expect(scores.count == 3 && run.best.mean == scores.max() && scores[run.bestEpoch - 1] == run.best.mean)
            #expect(run.last == training.records.last?.score && run.updates == training.records.last?.updates)
            // One update for four actions, of those after the first 100.
            #expect(abs(run.updates - (run.actions - 100) / 4) <= 2)
            let file = try SafetensorsFile(opening: path + "/network-weight-seed5.safetensors")
            #expect(file.metadata["epoch"] == "\(run.bestEpoch)" && file.metadata["score"] == "\(run.best.mean)")
            #expect(training.randomScore?.games ?? 0 >= 100 / 9 && training.randomScore?.meanValue == nil)
        }
    }

    @Test("games that cannot be saved begin anew, and nothing is learned of what followed their last transitions")
    func newGames() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            let first = try fragile(experiment)
            let before = try stopped(experiment, first.resources, at: path, after: 300)
            let second = try fragile(experiment)
            let again = try DQNTraining.resume(experiment, second.resources, at: path, savesReplay: true)
            #expect(second.games.seeds.count == 1 && second.games.seeds != first.games.seeds)
            let memory = second.resources.memory
            #expect(memory.appended == first.resources.memory.appended && again.done == before.done)
            #expect(again.learner?.agent.updates == before.updates && before.updates > 0)
            // The step after the last would tell what followed the newest transitions, were the games still the same.
            let learner = try #require(again.learner)
            let drawable = memory.drawableCount
            try learner.step()
            #expect(memory.drawableCount == drawable && memory.count > drawable)
            try learner.step()
            #expect(memory.drawableCount == drawable + 4)
            try again.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(again.isFinished && again.records.map(\.epoch) == [0, 1, 2, 3])
            #expect(again.results.first?.actions ?? 0 >= 600)
        }
    }

    @Test("without a replay memory a run that goes on plays until it has seen enough, and learns on with what it knew")
    func withoutReplay() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            let (_, updates) = try stopped(
                experiment, DQNResources(for: experiment, available: nil), at: path, after: 300, savesReplay: false)
            #expect(!exists(path + "/replay-a.safetensors") && !exists(path + "/replay-b.safetensors"))
            let again = try DQNTraining.resume(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: true)
            let learner = try #require(again.learner)
            #expect(learner.memory.appended == 0 && learner.agent.updates == updates && learner.exploration < 1)
            let exploration = learner.exploration
            try again.run(shouldStop: { learner.memory.appended >= 96 })
            #expect(learner.exploration < exploration)
            #expect(learner.agent.updates == updates)
            try again.run(shouldStop: { learner.memory.appended >= 160 })
            #expect(learner.agent.updates > updates)
            try again.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(again.isFinished)
        }
    }

    @Test("games that end their program stop the run, which goes on from its last checkpoint")
    func fails() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            var training: DQNTraining? = try start(experiment, fragile(experiment, life: 70).resources, at: path)
            let error = #expect(throws: RunFailure.self) { try training?.run(checkpoints: CheckpointClock(every: 0)) }
            let saved = try #require(training?.savedAt)
            #expect(error?.description.contains("found its end; the last good checkpoint is from action \(saved)") == true)
            training = nil
            let again = try DQNTraining.resume(experiment, fragile(experiment).resources, at: path, savesReplay: true)
            #expect(again.done == saved && again.done > 200)
            try again.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(again.isFinished && again.records.map(\.epoch) == [0, 1, 2, 3])
        }
    }

    @Test("a replay memory that is damaged, of another moment or not there is refused, and the folder stays as it was")
    func wrongReplay() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            var training: DQNTraining? = try start(experiment, DQNResources(for: experiment, available: nil), at: path)
            try training?.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training?.done ?? 0 >= 100 })
            let file = try #require(["replay-a", "replay-b"].map { "\(path)/\($0).safetensors" }.first(where: exists))
            let early = try Data(contentsOf: URL(fileURLWithPath: file))
            try training?.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training?.done ?? 0 >= 300 })
            let done = try #require(training?.done)
            training = nil
            let later = try #require(["replay-a", "replay-b"].map { "\(path)/\($0).safetensors" }.first(where: exists))
            #expect(later != file && !exists(file))
            let right = try Data(contentsOf: URL(fileURLWithPath: later))
            var damaged = right
            damaged[damaged.count - 100] ^= 1
            let before = try files(at: path)
            for (wrong, expected) in [(early, "as the checkpoint"), (damaged, "another checksum"), (nil, "No such file")] {
                if let wrong { try wrong.write(to: URL(fileURLWithPath: later)) } else { try FileManager.default.removeItem(atPath: later) }
                #expect {
                    _ = try DQNTraining.resume(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: true)
                } throws: {
                    "\($0)".contains(expected) && "\($0)".contains("replay-") && "\($0)".contains("--forget-replay resumes without it")
                }
            }
            #expect(try files(at: path) == before && before.count == 3)
            // Without it there is a way on.
            let again = try DQNTraining.resume(
                experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: true, forgetsReplay: true)
            #expect(again.done == done && again.learner?.memory.count == 0)
        }
    }

    @Test("before learning has begun, going on without a replay memory begins again to take actions at random")
    func beforeLearning() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            _ = try stopped(experiment, DQNResources(for: experiment, available: nil), at: path, after: 80, savesReplay: false)
            let again = try DQNTraining.resume(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: false)
            let learner = try #require(again.learner)
            try again.run(shouldStop: { learner.memory.appended >= 96 })
            #expect(learner.actionsTaken >= 170 && learner.exploration == 1 && learner.agent.updates == 0)
            try again.run(shouldStop: { learner.memory.appended >= 200 })
            #expect(learner.exploration == experiment.settings.exploration.probability(after: learner.memory.appended - 100))
        }
    }

    @Test("what a kill has left of the time after the last checkpoint goes when the run goes on")
    func leftovers() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            _ = try stopped(experiment, DQNResources(for: experiment, available: nil), at: path, after: 100)
            let names = ["replay-a", "replay-b"].map { "\(path)/\($0).safetensors" }
            let kept = try #require(names.first(where: exists))
            let other = try #require(names.first { !exists($0) })
            let network = "\(path)/network-weight-seed7.safetensors"
            for file in [other, network] { try FileManager.default.copyItem(atPath: kept, toPath: file) }
            let again = try DQNTraining.resume(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: false)
            #expect(exists(kept) && !exists(other) && !exists(network) && again.learner?.memory.appended == 100)
            // Saved without a memory: the one before is of no checkpoint any longer.
            try again.save()
            #expect(!exists(kept))
        }
    }

    @Test("checkpoints of other settings, norms or seeds are refused")
    func wrongCheckpoint() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            _ = try stopped(experiment, DQNResources(for: experiment, available: nil), at: path, after: 300)
            for (other, expected) in [
                (self.other(rate: 0.1, norms: [.weight], seeds: [7]), "expected the settings of this run"),
                (self.other(norms: [.plain], seeds: [7]), "expected the names and seeds"),
                (self.other(norms: [.weight], seeds: [8]), "expected the names and seeds"),
            ] {
                #expect {
                    _ = try DQNTraining.resume(other, DQNResources(for: other, available: nil), at: path, savesReplay: true)
                } throws: {
                    "\($0)".contains(expected)
                }
            }
        }
    }

    private func other(rate: Double? = nil, norms: [Normalization], seeds: [UInt64]) -> DQNSetup {
        experiment(rate: rate, norms: norms, seeds: seeds)
    }

    @Test("a loss that is not finite stops the run and names update, norms and checkpoint")
    func notFinite() throws {
        try withFolder { path in
            let experiment = experiment()
            let training = try start(experiment, DQNResources(for: experiment, available: nil), at: path)
            try training.run(shouldStop: { training.done >= 200 })
            let agent = try #require(training.learner?.agent)
            for parameter in agent.network.parameters { parameter.assign(parameter.snapshot() * 1e38) }
            #expect { try training.run(checkpoints: CheckpointClock(every: 1e9)) } throws: {
                let message = "\($0)"
                return message.contains(#/norm normal, seed 3: the loss, a parameter or a value is not finite at update \d/#)
                    && message.contains("values.weight") && message.contains("there is no checkpoint yet")
            }
        }
    }

    @Test("settings that no agent can have are refused by name, and so are norms with batch statistics")
    func checks() throws {
        let changes: [(String, (inout DQNSettings) -> Void)] = [
            ("depth", { $0.depth = 0 }), ("games", { $0.games = 0 }), ("batch", { $0.batch = 0 }),
            ("replayCapacity", { $0.replayCapacity = 11 }), ("actionsBeforeLearning", { $0.actionsBeforeLearning = 2001 }),
            ("actionsPerUpdate", { $0.actionsPerUpdate = 0 }), ("updatesPerTarget", { $0.updatesPerTarget = 0 }),
            ("initializationStates", { $0.initializationStates = 1 }), ("epochs", { $0.epochs = 0 }),
            ("actionsPerEpoch", { $0.actionsPerEpoch = 3 }), ("epochs × actionsPerEpoch", { ($0.epochs, $0.actionsPerEpoch) = (1, 100) }),
            ("evaluationActions", { $0.evaluationActions = 3 }),
            ("exploration.first", { $0.exploration.first = 1.1 }), ("exploration.last", { $0.exploration.last = .nan }),
            ("evaluationExploration", { $0.evaluationExploration = -0.1 }), ("stickiness", { $0.stickiness = 2 }),
            ("discount", { $0.discount = 1 }), ("beta1", { $0.beta1 = 1 }), ("epsilon", { $0.epsilon = 0 }),
            ("learningRates", { $0.learningRates = [:] }), ("initialValueDeviation", { $0.initialValueDeviation = 0 }),
            ("features of a layer", { $0.network = .dense([0]) }),
        ]
        for (name, change) in changes {
            var settings = settings()
            change(&settings)
            #expect { try settings.checkNumbers(norms: DQNSettings.norms) } throws: { "\($0)".hasPrefix("settings: \(name): expected ") }
        }
        #expect(throws: Never.self) { try settings().checkNumbers(norms: DQNSettings.norms) }
        for preset in DQNSettings.Preset.allCases {
            let settings = try #require(DQNSettings.preset(preset, forGame: "breakout"))
            #expect(throws: Never.self) {
                try settings.checkNumbers(norms: DQNSettings.norms)
                try settings.checkNetwork(rows: 84, columns: 84, actions: 18)
            }
            #expect { try settings.checkNetwork(rows: 84, columns: 20, actions: 4) } throws: { "\($0)".hasSuffix("found 84 × 20") }
        }
        let small = try #require(DQNSettings.preset(.quick, forGame: "catch"))
        #expect(throws: Never.self) {
            try small.checkNumbers(norms: DQNSettings.norms)
            try small.checkNetwork(rows: 10, columns: 5, actions: 3)
        }
        var large = small
        large.network = .dense([100_000, 100_000])
        #expect { try large.checkNetwork(rows: 10, columns: 5, actions: 3) } throws: { "\($0)".contains("at most 400 million weights") }
        #expect(DQNSettings.preset(.paper, forGame: "catch") == nil)
        #expect { try experiment(norms: [.batch]).check() } throws: { "\($0)".contains("found 'batch'") }
    }

    @Test("the paper preset has the paper's values")
    func paper() throws {
        let settings = try #require(DQNSettings.preset(.paper, forGame: "breakout"))
        #expect(settings.batch == 64 && settings.discount == 0.99 && settings.depth == 4 && settings.beta1 == 0.5)
        #expect(settings.learningRate(.weight) == 3e-4 && settings.learningRate(.plain) == 1e-4)
        #expect(settings.replayCapacity == 1_000_000 && settings.actionsBeforeLearning == 50_000 && settings.actionsPerUpdate == 4)
        #expect(settings.updatesPerTarget == 10_000 && settings.exploration == .init(first: 1, last: 0.1, actions: 1_000_000))
        #expect(settings.epochs == 200 && settings.actionsPerEpoch == 250_000 && settings.evaluationActions == 125_000)
        #expect(settings.evaluationExploration == 0.05 && settings.lostLifeEndsEpisode && settings.clipsRewards && settings.stickiness == 0)
        #expect(settings.initialValueDeviation == 1)
    }

    @Test("a network plays, the same game for the same seed, and the animation shows what was seen, done and scored")
    func plays() throws {
        let experiment = experiment(norms: [.weight], seeds: [7])
        try withFolder { path in
            let resources = try DQNResources(for: experiment, available: nil)
            let configuration = DQNSetup.Configuration(experiment, resources, preset: "quick", savesReplay: true)
            let training = DQNTraining(experiment, resources, try RunFolder.start(at: path, config: configuration), savesReplay: true)
            #expect { _ = try DQNPlayer(at: path) } throws: { "\($0)".contains("after the first epoch") }
            try training.run()
            let player = try DQNPlayer(at: path, norm: .weight, seed: 7)
            let game = try player.play(exploration: 0.5, seed: 3, most: 100)
            #expect(game.isOver && game.moments.count == 9 && game.score.magnitude == 1)
            #expect(game.moments.contains(where: \.isRandom) && game.moments.contains { !$0.isRandom })
            for moment in game.moments where !moment.isRandom { #expect(moment.values[moment.action] == moment.values.max()) }
            let again = try player.play(exploration: 0.5, seed: 3, most: 100)
            #expect(again.moments.map(\.frame) == game.moments.map(\.frame) && again.moments.map(\.values) == game.moments.map(\.values))
            let cut = try player.play(exploration: 0, seed: 3, most: 4)
            #expect(!cut.isOver && cut.moments.count == 4 && cut.moments.allSatisfy { !$0.isRandom })

            let animation = GameAnimation(game)
            let picture = animation.picture(2)
            #expect(picture.count == animation.width * animation.height)
            // The screen: 10 rows of 5, 33 pixels each, white for the ball and the paddle.
            for row in 0..<10 {
                for column in 0..<5 {
                    let level = picture[(row * 33 + 16) * animation.width + column * 33 + 16]
                    #expect(level == (game.moments[2].frame[row * 5 + column] == 0 ? 0 : 247))
                }
            }
            // The colour of what was taken, and of the other actions' bars.
            let colours = Set(picture)
            #expect(colours.contains(game.moments[2].isRandom ? 253 : 252) && !colours.contains(game.moments[2].isRandom ? 252 : 253))
            let file = animation.file()
            #expect(file.ranges(of: Data("fcTL".utf8)).count == 10)

            // No end but a break, values that are none, and more points than a thousand.
            var strange = PlayedGame(rows: 84, columns: 84, actions: (0..<18).map { "down-right-\($0)" })
            for score in [0.0, 12_340, 1e9] {
                strange.moments.append(
                    PlayedGame.Moment(
                        frame: [UInt8](repeating: 9, count: 84 * 84),
                        values: (0..<18).map { [.nan, -.infinity, 3e38, -3e38, 1234.5, 0][$0 % 6] }, action: 2, isRandom: false,
                        score: score))
            }
            strange.lastFrame = strange.moments[0].frame
            let large = GameAnimation(strange)
            #expect(large.height >= 336 && large.picture(1) != large.picture(0) && large.picture(3) != large.picture(2))
            #expect(large.file().count > 1000)
            #expect(throws: Killed.self) { _ = try large.file(check: { throw Killed() }) }

            #expect { _ = try DQNPlayer(at: path, norm: .plain) } throws: {
                "\($0)".contains("expected one of the run's, weight, found 'normal'")
            }
            #expect { _ = try DQNPlayer(at: path, seed: 1) } throws: { "\($0)".contains("expected one of the run's, 7, found 1") }
            #expect { _ = try DQNPlayer(at: path + "/none") } throws: { "\($0)".contains("expected the folder of a run") }
        }
    }

    @Test(
        "a run of which the emulator was killed goes on from its checkpoint, and its network plays",
        .enabled(if: Atari.isInstalled, "needs the Atari emulator: make atari"), .timeLimit(.minutes(5)))
    func emulator() throws {
        var settings = try #require(DQNSettings.preset(.quick, forGame: "breakout"))
        settings.network = .dense([8])
        (settings.games, settings.replayCapacity, settings.actionsBeforeLearning, settings.batch) = (2, 1000, 60, 8)
        (settings.initializationStates, settings.epochs, settings.actionsPerEpoch, settings.evaluationActions) = (20, 2, 80, 20)
        let experiment = DQNSetup(game: "breakout", settings, normalizations: [.weight], seeds: [1], device: .cpu)
        try withFolder { path in
            let resources = try DQNResources(for: experiment, available: nil)
            let process = try #require((resources.training as? Atari)?.processIdentifier)
            let configuration = DQNSetup.Configuration(experiment, resources, preset: "quick", savesReplay: true)
            var training: DQNTraining? = DQNTraining(
                experiment, resources, try RunFolder.start(at: path, config: configuration), savesReplay: true)
            let failure = try #require(throws: RunFailure.self) {
                try training?.run(checkpoints: CheckpointClock(every: 0), progress: { if $0.done >= 120 { kill(process, SIGKILL) } })
            }
            #expect(failure.description.contains("expected the emulator process to keep running"))
            #expect(failure.description.contains("the last good checkpoint is from action 1") && failure.divergedAt == nil)
            let saved = try #require(training?.savedAt)
            #expect(saved >= 120 && training?.learner?.agent.updates ?? 0 > 5)
            training = nil
            let again = try DQNTraining.resume(experiment, DQNResources(for: experiment, available: nil), at: path, savesReplay: true)
            #expect(again.done == saved)
            try again.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(again.isFinished && again.records.map(\.epoch) == [0, 1, 2])
            let game = try DQNPlayer(at: path).play(seed: 2, most: 12)
            #expect(game.moments.count == 12 && game.moments[3].values.count == 4 && Set(game.moments[3].frame).count > 5)
            #expect(GameAnimation(game).height == 336)
        }
    }

    @Test(
        "the report has every norm's scores, play at random and the paper's values",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"), arguments: ["space_invaders", "breakout", "pong"])
    func report(game: String) async throws {
        var settings = DQNSettings()
        (settings.epochs, settings.actionsPerEpoch) = (20, 50_000)
        let experiment = DQNSetup(game: game, settings, normalizations: [.plain, .weight], seeds: [1, 2], device: .cpu)
        func score(_ mean: Double) -> DQNScore {
            var evaluation = DQNScore(
                try! DQNEvaluation(in: Catch(count: 2), depth: 1, actions: 10, seed: 1) { _ in ([0, 0], [0.5, 0.5]) })
            evaluation.mean = mean
            return evaluation
        }
        var records: [DQNRecord] = []
        var runs: [DQNRun] = []
        for seed in experiment.seeds {
            for norm in ["normal", "weight"] {
                records += (1...20).map { epoch in
                    DQNRecord(
                        norm: norm, seed: seed, epoch: epoch, actions: epoch * 50_000, updates: epoch * 10_000, exploration: 0.1,
                        score: score(Double(epoch * 10) + Double(seed)), trainingScore: Double(epoch), trainingGames: 3,
                        loss: 1 / Double(epoch))
                }
                runs.append(
                    DQNRun(
                        norm: norm, seed: seed, actions: 1, updates: 1, parameters: 3, constantUnits: 0, best: score(200 + Double(seed)),
                        bestEpoch: 20, last: score(150), actionsPerSecond: 100))
            }
        }
        let configuration = DQNSetup.Configuration(
            experiment,
            DQNResources(
                training: Catch(count: 8), evaluation: Catch(count: 8),
                memory: try ReplayMemory(capacity: 100, games: 8, rows: 10, columns: 5, lostLifeEndsEpisode: true, available: nil)),
            preset: "quick", savesReplay: true)
        let summary = DQNSetup.Summary(
            configuration, experiment, random: score(1.5), runs: runs, seconds: 60, checkpoint: CheckpointCost(bytes: 1, seconds: 1))
        let report = DQNReport(summary, records: records)
        #expect(report.text.contains("201.50 ± 0.71") && report.text.contains("Play at random: 1.50"))
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(report.page.html().utf8).write(to: file)
        let seen = try await BrowserCheck.inspect(file, scheme: .dark)
        #expect(seen.errors.isEmpty && seen.requests.isEmpty)
        var expected: Set = ["normal", "weight", "play at random"]
        if game != "pong" { expected.formUnion(["normal, the paper’s best", "weight, the paper’s best", PaperScores.mnih]) }
        if game == "space_invaders" { expected.formUnion(["normal, the paper", "weight, the paper"]) }
        #expect(Set(seen.curves.map(\.series)) == expected)
        #expect(seen.curves.allSatisfy { $0.length > 0 && $0.isInside })
    }
}
