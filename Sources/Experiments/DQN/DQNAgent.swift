package import Datasets
package import Environments
package import Torch
package import Training
package import WeightNorm

/// Deep Q-learning (Mnih et al., 2015): a network that is trained to satisfy Q(s, a) = r + γ·max over a′ of Q⁻(s′, a′), where Q⁻ is a copy of the
/// network from some updates ago.
package final class DQNAgent {
    package let settings: DQNSettings
    package let normalization: Normalization
    package let seed: UInt64
    package let network: QNetwork
    /// Q⁻: with weight normalization it holds the network's earlier v, g and b.
    package let target: QNetwork
    /// What data-dependent initialization found.
    package let initialization = InitializationReport()
    /// Of the updates.
    package let losses: LossMeter
    /// Updates done.
    package var updates: Int { losses.stepCount }
    private let actions: Int
    private let optimizer: Adamax
    private let random: Generator
    /// The random numbers for exploration and for draws from the replay memory.
    private var draws: Xoshiro256

    /// An agent with drawn weights; all draws depend only on the seed.
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
        losses = LossMeter(on: device)
        target.copyValues(from: network)
    }

    private var device: Device { random.device }

    /// Data-dependent initialization on seen states, `.uint8` of `[count, depth, rows, columns]`.
    package func initialize(_ states: Tensor) {
        network.initialize(
            on: states.moved(to: device), valueDeviation: settings.initialValueDeviation, random: random, report: initialization)
        target.copyValues(from: network)
    }

    /// The value of each action in states, `[count, actions]`.
    package func values(in states: Tensor) -> Tensor { withoutGradients { network(states.moved(to: device), .inference) } }

    /// An action for each state: random with the given probability, else the one with the highest value.
    package func act(in states: Tensor, exploration: Double) -> [Int] {
        // The network is evaluated only if one of its actions can be chosen.
        act(given: exploration < 1 ? values(in: states) : nil, count: states.shape[0], exploration: exploration, using: &draws)
    }

    /// The same with given state values, for play outside training, with its own random draws: an evaluation must not change training's draws.
    /// Without values every action is random.
    package func act(given values: Tensor?, count: Int, exploration: Double, using draws: inout Xoshiro256) -> [Int] {
        let best = values?.indexOfMaximum(along: 1).elements(as: Int64.self)
        return (0..<count).map { index in
            Self.choose(best.map { Int($0[index]) }, of: actions, exploration: exploration, using: &draws).action
        }
    }

    /// The best action, or with the given probability a random one; always random if the best is unknown.
    static func choose(_ best: Int?, of actions: Int, exploration: Double, using draws: inout Xoshiro256) -> (action: Int, isRandom: Bool) {
        if let best, Double.random(in: 0..<1, using: &draws) >= exploration { return (best, false) }
        return (Int(draws.next(below: UInt64(actions))), true)
    }

    /// The loss of transitions.
    package func loss(of batch: ReplayBatch) -> Tensor {
        network.loss(
            states: batch.states, actions: batch.actions, rewards: batch.rewards, nextStates: batch.nextStates, ends: batch.ends,
            discount: settings.discount, target: target, .training(random))
    }

    /// One update on a minibatch drawn from the memory; ``losses`` counts it. On the CPU nothing is changed if the loss is not finite.
    package func learn(from memory: ReplayMemory) {
        let loss = loss(of: memory.sample(settings.batch, using: &draws, on: device))
        guard losses.add(loss) else { return }
        optimizer.minimize(loss, learningRate: settings.learningRate(normalization))
        if updates.isMultiple(of: settings.updatesPerTarget) { target.copyValues(from: network) }
    }

    /// The number of trained parameters.
    package var parameterCount: Int { optimizer.parameters.reduce(0) { $0 + $1.value.count } }

    /// Whether the losses since the last reading and every parameter are finite; if not, ``losses`` knows since which update. Waits for the device.
    package func isFinite() -> Bool { losses.isFinite(optimizer.parameters) }
}

// MARK: - Going on later

extension DQNAgent {
    /// Adds everything on which the next action and the next update depend, except the memory and the games.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(network, as: "\(name)/network")
        checkpoint.add(target, as: "\(name)/target")
        checkpoint.add(optimizer, as: "\(name)/optimizer")
        checkpoint.add(random, as: "\(name)/random")
        try checkpoint.add(value: draws, as: "\(name)/draws")
        try losses.add(to: &checkpoint, as: "\(name)/losses")
        try initialization.add(to: &checkpoint, as: "\(name)/initialization")
    }

    /// Resumes from an added agent with the same settings, norm and seed.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        try checkpoint.restore(network, from: "\(name)/network")
        try checkpoint.restore(target, from: "\(name)/target")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        draws = try checkpoint.value("\(name)/draws")
        try losses.restore(from: checkpoint, as: "\(name)/losses")
        try initialization.restore(from: checkpoint, as: "\(name)/initialization")
    }
}
