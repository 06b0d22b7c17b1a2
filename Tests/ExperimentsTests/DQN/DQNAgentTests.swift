import Datasets
import Environments
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

private func settings() -> DQNSettings {
    var settings = DQNSettings()
    (settings.network, settings.depth, settings.discount) = (.dense([64]), 1, 0.9)
    settings.batch = 64
    settings.setLearningRate(0.005)
    (settings.actionsBeforeLearning, settings.actionsPerUpdate, settings.updatesPerTarget) = (1000, 4, 100)
    // Half of the actions stay at random, so that every state is seen often enough for its values to be learned.
    settings.exploration = DQNSettings.Exploration(first: 1, last: 0.5, actions: 6000)
    settings.initializationStates = 200
    return settings
}

private func agent(_ settings: DQNSettings, _ normalization: Normalization, _ game: Catch) -> DQNAgent {
    DQNAgent(
        settings, normalization: normalization, seed: 3, rows: game.rows, columns: game.columns, actions: game.actions.count, device: .cpu)
}

struct DQNAgentTests {
    @Test(
        "on Catch both parameterisations learn the optimal policy and the exactly solved values",
        arguments: [Normalization.plain, .weight])
    func learnsCatch(normalization: Normalization) throws {
        let game = Catch(count: 8, rows: 6, columns: 5)
        let settings = settings()
        let agent = agent(settings, normalization, game)
        let memory = try ReplayMemory(
            capacity: 20_000, games: 8, rows: game.rows, columns: game.columns, depth: settings.depth, lostLifeEndsEpisode: true,
            available: nil)
        let learner = try DQNLearner(agent, game, memory: memory, seed: 5)
        while learner.actionsTaken < 40_000 { try learner.step() }
        #expect(agent.initialization.unitCount == 64 + 3 && agent.updates > 3000)

        let exact = CatchSolution(game, discount: settings.discount)
        let states = exact.states
        let frames = Tensor(states.flatMap { game.frame(of: $0) }, shape: [states.count, 1, game.rows, game.columns])
        let found = agent.values(in: frames).elements(as: Float.self)
        var furthest = 0.0
        for (index, state) in states.enumerated() {
            let expected = exact.values(of: state)
            let values = (0..<3).map { Double(found[3 * index + $0]) }
            for (value, other) in zip(values, expected) { furthest = max(furthest, abs(value - other)) }
            let best = values.indices.max { values[$0] < values[$1] } ?? 0
            // As good as any, where several are.
            #expect(expected[best] == expected.max(), "\(state): \(values), expected \(expected)")
        }
        #expect(furthest < 0.2)
    }

    @Test("the loss is Huber's of r + γ·max Q⁻(s′), summed, without the future where the episode ended")
    func loss() throws {
        let game = Catch(count: 4, rows: 4, columns: 3)
        var settings = settings()
        settings.actionsBeforeLearning = 1_000_000
        let agent = agent(settings, .weight, game)
        let memory = try ReplayMemory(
            capacity: 400, games: 4, rows: game.rows, columns: game.columns, depth: 1, lostLifeEndsEpisode: true,
            available: nil)
        let learner = try DQNLearner(agent, game, memory: memory, seed: 1)
        for _ in 0..<60 { try learner.step() }
        // The target differs from the network, so that the two cannot be confused.
        for parameter in agent.network.parameters { parameter.assign(parameter.snapshot() * 1.5) }
        var draws = Xoshiro256(seed: 2)
        let batch = memory.sample(32, using: &draws)
        let now = agent.network(batch.states, .inference).elements(as: Float.self)
        let later = agent.target(batch.nextStates, .inference).elements(as: Float.self)
        let (rewards, ends) = (batch.rewards.elements(as: Float.self), batch.ends.elements(as: Float.self))
        var expected = 0.0
        for (index, action) in batch.actions.elements(as: Int64.self).enumerated() {
            let future = ends[index] == 1 ? 0 : later[3 * index..<3 * index + 3].max() ?? 0
            let difference = Double(now[3 * index + Int(action)] - (rewards[index] + Float(settings.discount) * future))
            expected += abs(difference) <= 1 ? difference * difference / 2 : abs(difference) - 0.5
        }
        #expect(ends.contains(1) && ends.contains(0))
        #expect(abs(agent.loss(of: batch).item() - expected) < 1e-4 * max(1, expected))
    }

    @Test(
        "the network of Mnih et al. is initialized in every unit and gives a value for each action",
        arguments: [Normalization.plain, .weight])
    func convolutional(normalization: Normalization) {
        // The smallest frames that its convolutions take: 36, 8, 3, 1.
        let network = QNetwork(
            DQNSettings(), rows: 36, columns: 36, actions: 3, normalization: normalization, random: Generator(seed: 1))
        let states = Tensor((0..<20 * 4 * 36 * 36).map { UInt8(truncatingIfNeeded: $0 &* $0 / 7) }, shape: [20, 4, 36, 36])
        let report = InitializationReport()
        network.initialize(on: states, valueDeviation: 0.1, random: Generator(seed: 2), report: report)
        #expect(report.unitCount == 32 + 64 + 64 + 512 + 3)
        let values = withoutGradients { network(states, .inference) }
        #expect(values.shape == [20, 3])
        let numbers = values.elements(as: Double.self)
        for action in 0..<3 {
            let column = stride(from: action, to: 60, by: 3).map { numbers[$0] }
            let mean = column.reduce(0, +) / 20
            let deviation = (column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20).squareRoot()
            #expect(abs(mean) < 1e-4 && abs(deviation - 0.1) < 1e-3)
        }
    }

    @Test("the target network holds v, g and b of some updates ago, and shares nothing")
    func target() throws {
        let game = Catch(count: 4, rows: 4, columns: 3)
        var settings = settings()
        (settings.actionsBeforeLearning, settings.actionsPerUpdate, settings.updatesPerTarget) = (64, 4, 5)
        let agent = agent(settings, .weight, game)
        let memory = try ReplayMemory(
            capacity: 400, games: 4, rows: game.rows, columns: game.columns, depth: 1, lostLifeEndsEpisode: true,
            available: nil)
        let learner = try DQNLearner(agent, game, memory: memory, seed: 1)
        func differ() -> Bool {
            zip(agent.network.parameters, agent.target.parameters).contains { ($0.value - $1.value).norm().item() > 0 }
        }
        while agent.updates < 4 { try learner.step() }
        #expect(differ())
        while agent.updates < 5 { try learner.step() }
        #expect(!differ())
        let names = agent.target.namedParameters.map(\.path)
        #expect(names.contains { $0.hasSuffix("direction") } && names.contains { $0.hasSuffix("gain") })
    }

    @Test("ε falls in a line, and an action at random is any with equal probability")
    func exploration() {
        let exploration = DQNSettings.Exploration(first: 1, last: 0.1, actions: 100)
        #expect(exploration.probability(after: 0) == 1 && exploration.probability(after: 1000) == 0.1)
        #expect(abs(exploration.probability(after: 50) - 0.55) < 1e-12)
        let game = Catch(count: 1, rows: 4, columns: 3)
        let agent = agent(settings(), .weight, game)
        let states = Tensor([UInt8](repeating: 9, count: 12_000 * 12), shape: [12_000, 1, 4, 3])
        let best = agent.act(in: states, exploration: 0)
        #expect(Set(best).count == 1)
        let mixed = agent.act(in: states, exploration: 0.3)
        // Of the actions at random, a third are the best one.
        let share = Double(mixed.count { $0 != best[0] }) / 12_000
        #expect(abs(share - 0.2) < 0.015)
    }

    @Test("an agent that is saved goes on as one that is not")
    func checkpoint() throws {
        let game = Catch(count: 4, rows: 4, columns: 3)
        var settings = settings()
        settings.actionsBeforeLearning = 64
        let memory = try ReplayMemory(
            capacity: 400, games: 4, rows: game.rows, columns: game.columns, depth: 1, lostLifeEndsEpisode: true,
            available: nil)
        let first = agent(settings, .weight, game)
        let learner = try DQNLearner(first, game, memory: memory, seed: 1)
        for _ in 0..<60 { try learner.step() }
        var checkpoint = Checkpoint(kind: "dqn")
        try first.add(to: &checkpoint, as: "agent")
        try withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try checkpoint.write(to: folder + "/checkpoint.safetensors")
            let second = agent(settings, .weight, game)
            try second.restore(from: Checkpoint(reading: folder + "/checkpoint.safetensors", kind: "dqn"), as: "agent")
            for _ in 0..<150 {
                first.learn(from: memory)
                second.learn(from: memory)
            }
            #expect(first.updates == second.updates && first.losses.mean == second.losses.mean && first.losses.mean?.isFinite == true)
            for (one, other) in zip(
                first.network.parameters + first.target.parameters, second.network.parameters + second.target.parameters)
            {
                #expect((one.value - other.value).norm().item() == 0)
            }
        }
    }
}
