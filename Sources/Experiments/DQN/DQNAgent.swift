package import Datasets
package import Torch
package import Training
package import WeightNorm

/// Deep Q-learning (Mnih et al., 2015): a network that is trained to satisfy Q(s, a) = r + γ·max over a′ of Q⁻(s′, a′), where Q⁻ is the network as it was some updates ago.
package final class DQNAgent {
    package let settings: DQNSettings
    package let normalization: Normalization
    package let seed: UInt64
    package let network: QNetwork
    /// Q⁻: with weight normalization it holds v, g and b as the network had them.
    package let target: QNetwork
    /// What data-dependent initialization found.
    package let initialization = InitializationReport()
    /// Updates done.
    package private(set) var updates = 0
    private let actions: Int
    private let optimizer: Adamax
    private let random: Generator
    /// For exploration and for the draws from the replay memory.
    private var draws: Xoshiro256

    /// An agent with drawn weights; all draws depend on the seed alone.
    package init(
        _ settings: DQNSettings, normalization: Normalization, seed: UInt64, rows: Int, columns: Int, actions: Int, device: Device
    ) {
        self.settings = settings
        self.normalization = normalization
        self.seed = seed
        self.actions = actions
        random = Generator(seed: seed, device: device)
        network = settings.makeNetwork(rows: rows, columns: columns, actions: actions, normalization: normalization, random: random)
        target = settings.makeNetwork(
            rows: rows, columns: columns, actions: actions, normalization: normalization, random: Generator(seed: seed, device: device))
        optimizer = Adamax(
            network.parameters, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon, correctsBias: false)
        draws = Xoshiro256(seed: seed)
        target.copyValues(from: network)
    }

    private var device: Device { random.device }

    /// Data-dependent initialization on states that were seen, `.uint8` of `[count, depth, rows, columns]`.
    package func initialize(_ states: Tensor) {
        withoutGradients { _ = network(states.moved(to: device), .initializing(random, report: initialization)) }
        target.copyValues(from: network)
    }

    /// The value of each action in states, `[count, actions]`.
    package func values(in states: Tensor) -> Tensor { withoutGradients { network(states.moved(to: device), .inference) } }

    /// An action for each state: with the given probability any, else the one of the highest value.
    package func act(in states: Tensor, exploration: Double) -> [Int] { act(in: states, exploration: exploration, using: &draws) }

    /// The same for somebody who plays beside the training, with draws of their own: an evaluation must not change what the training draws.
    package func act(in states: Tensor, exploration: Double, using draws: inout Xoshiro256) -> [Int] {
        let count = states.shape[0]
        let isRandom = (0..<count).map { _ in Double.random(in: 0..<1, using: &draws) < exploration }
        // The network is asked only if one of its actions is to be taken.
        var chosen =
            isRandom.allSatisfy(\.self)
            ? [Int](repeating: 0, count: count) : values(in: states).indexOfMaximum(along: 1).elements(as: Int64.self).map { Int($0) }
        for index in 0..<count where isRandom[index] { chosen[index] = Int(draws.next(below: UInt64(actions))) }
        return chosen
    }

    /// The loss of transitions: Huber's with δ = 1, summed over the minibatch (C).
    package func loss(of batch: ReplayBatch) -> Tensor {
        let expected = withoutGradients {
            let future = target(batch.nextStates, .inference).maximum(over: [1])
            return batch.rewards + (1 - batch.ends) * future * settings.discount
        }
        let found = network(batch.states, .training(random)).gathered(batch.actions.expandingDimension(1), along: 1).selected(0, along: 1)
        return found.huberLoss(targets: expected, reduction: .sum)
    }

    /// One update on a minibatch drawn from the memory. Returns the loss, which stays on the device.
    @discardableResult
    package func learn(from memory: ReplayMemory) -> Tensor {
        let loss = loss(of: memory.sample(settings.batch, using: &draws, on: device))
        optimizer.minimize(loss, rate: settings.learningRate)
        updates += 1
        if updates.isMultiple(of: settings.updatesPerTarget) { target.copyValues(from: network) }
        return loss.detached()
    }
}

// MARK: - Going on later

extension DQNAgent {
    /// Adds everything on which the next action and the next update depend, but for the memory and the games.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(network, as: "\(name)/network")
        checkpoint.add(target, as: "\(name)/target")
        checkpoint.add(optimizer, as: "\(name)/optimizer")
        checkpoint.add(random, as: "\(name)/random")
        try checkpoint.add(value: draws, as: "\(name)/draws")
        try checkpoint.add(value: updates, as: "\(name)/updates")
    }

    /// Goes on from an agent of the same settings, norm and seed that was added.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        try checkpoint.restore(network, from: "\(name)/network")
        try checkpoint.restore(target, from: "\(name)/target")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        draws = try checkpoint.value("\(name)/draws")
        let found: Int = try checkpoint.value("\(name)/updates")
        guard found >= 0 else { throw CheckpointError(path: name, problem: "'updates': expected a number from 0 up, found \(found)") }
        updates = found
    }
}

/// Games that an agent plays and learns from: acting and learning overlap.
package final class DQNPractice {
    package let agent: DQNAgent
    package let memory: ReplayMemory
    private let environment: any Environment
    private var stacks: FrameStacks
    private var now: EnvironmentStep
    private var owedUpdates = 0.0
    private var isInitialized = false
    /// Steps in which a game only began are no actions: these are the others.
    package private(set) var actionsTaken = 0

    /// Begins the games. States for data-dependent initialization are taken from the memory once it holds what learning needs.
    package init(_ agent: DQNAgent, _ environment: any Environment, memory: ReplayMemory, seed: UInt64) throws {
        self.agent = agent
        self.memory = memory
        self.environment = environment
        stacks = Self.stacks(environment, depth: agent.settings.depth)
        now = try environment.reset(seed: seed)
        stacks.push(now)
    }

    private static func stacks(_ environment: some Environment, depth: Int) -> FrameStacks {
        FrameStacks(environment, depth: depth, lostLifeEndsEpisode: true)
    }

    /// The probability of an action at random, now.
    package var exploration: Double {
        let settings = agent.settings
        return actionsTaken < settings.actionsBeforeLearning
            ? 1 : settings.exploration.probability(after: actionsTaken - settings.actionsBeforeLearning)
    }

    /// One step of all games, and the updates that are due, while the games go on. Returns the last update's loss.
    @discardableResult
    package func step() throws -> Tensor? {
        let settings = agent.settings
        let actions = agent.act(in: stacks.tensor(), exploration: exploration)
        try environment.send(actions)
        var loss: Tensor?
        if actionsTaken >= settings.actionsBeforeLearning {
            if !isInitialized {
                var draws = Xoshiro256(seed: agent.seed)
                agent.initialize(memory.sample(settings.initializationStates, using: &draws).states)
                isInitialized = true
            }
            while owedUpdates >= 1 {
                loss = agent.learn(from: memory)
                owedUpdates -= 1
            }
        }
        let next = try environment.receive()
        memory.append(now, actions: actions, next)
        let played = next.begins.count { !$0 }
        if actionsTaken >= settings.actionsBeforeLearning { owedUpdates += Double(played) / Double(settings.actionsPerUpdate) }
        actionsTaken += played
        now = next
        stacks.push(now)
        return loss
    }
}
