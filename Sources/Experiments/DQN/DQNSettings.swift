import Environments
package import Torch
package import Training
package import WeightNorm

/// Every hyperparameter of deep Q-learning, in one place.
///
/// The initial values are those of Mnih et al., *Human-level control through deep reinforcement learning* (2015), except for what the paper changed
/// (its §5.4): Adamax with momentum 0.5, minibatches of 64.
package struct DQNSettings: Codable, Equatable, Sendable {
    /// How states are mapped to values.
    package enum Network: Codable, Equatable, Sendable {
        /// The network of Mnih et al. for stacks of 84 × 84 frames: three convolutions and a dense layer of 512.
        case convolutional
        /// Dense layers with these numbers of features, for small frames.
        case dense([Int])
    }

    package var network = Network.convolutional
    /// Frames in a state.
    package var depth = 4
    /// γ.
    package var discount = 0.99
    package var batch = 64
    /// Adamax's learning rate, by norm: the paper found 3e-4 best with weight normalization and 1e-4 without.
    package var learningRates = Self.norms.learningRates(plain: 1e-4, normalized: 3e-4)
    package var beta1 = 0.5
    package var beta2 = 0.999
    package var epsilon = 1e-8
    /// Random actions before any learning.
    package var actionsBeforeLearning = 50_000
    /// Actions, over all games, for each update.
    package var actionsPerUpdate = 4
    /// The number of updates after which the network is copied to the target network.
    package var updatesPerTarget = 10_000
    /// ε falls linearly from the first to the last value over the given number of actions.
    package var exploration = Exploration(first: 1, last: 0.1, actions: 1_000_000)
    /// The number of states used for data-dependent initialization.
    package var initializationStates = 500
    /// The deviation over those states that the initialization gives to the values of each action; all other pre-activations get 1, as in the paper's §3.
    package var initialValueDeviation = 1.0

    // -- Games ---------------------------------------------------------------------------------------------------------------------------
    /// The number of games played side by side.
    package var games = 8
    /// The maximum number of transitions in memory.
    package var replayCapacity = 1_000_000
    /// Whether a lost life ends a training episode, although the game continues.
    package var lostLifeEndsEpisode = true
    /// Whether rewards in training are limited to −1…1; scores never are.
    package var clipsRewards = true
    /// The probability, at each frame, that an Atari game plays the previous action instead of the new one.
    package var stickiness = 0.0

    // -- The run -------------------------------------------------------------------------------------------------------------------------
    package var epochs = 200
    /// Actions of an epoch, over all games.
    package var actionsPerEpoch = 250_000
    /// The number of actions, over all games, within which an evaluation starts games; there is one evaluation after every epoch.
    package var evaluationActions = 125_000
    /// The probability of a random action in an evaluation.
    package var evaluationExploration = 0.05

    /// The probability of a random action.
    package struct Exploration: Codable, Equatable, Sendable {
        package var first: Double
        package var last: Double
        package var actions: Int

        package init(first: Double, last: Double, actions: Int) {
            (self.first, self.last, self.actions) = (first, last, actions)
        }

        /// ε after the given number of actions.
        package func probability(after done: Int) -> Double {
            done >= actions ? last : first + (last - first) * Double(done) / Double(actions)
        }
    }

    package init() {}

    /// Norms that such a network can have: those without batch statistics. "Batch normalization did not work" here (the paper, §5.4).
    package static let norms = Normalization.allWithoutNormalizer

    /// The learning rate of a norm.
    package func learningRate(_ normalization: Normalization) -> Double { learningRates[normalization.rawValue] ?? .nan }

    /// The same learning rate for all norms.
    package mutating func setLearningRate(_ rate: Double) { learningRates = learningRates.mapValues { _ in rate } }

    /// A network with drawn weights, for states of `[batch, depth, rows, columns]`.
    func makeNetwork(rows: Int, columns: Int, actions: Int, normalization: Normalization, random: Generator) -> QNetwork {
        QNetwork(self, rows: rows, columns: columns, actions: actions, normalization: normalization, random: random)
    }
}

extension DQNSettings {
    /// The bounds of the numbers that options can change.
    package enum Limits {
        package static let games = 1...1024
        /// Of transitions and actions.
        package static let most = 1_000_000_000
    }

    /// Settings that a run can be started with by name.
    package enum Preset: String, CaseIterable, Sendable {
        /// Less than an hour on two CPU cores: enough to see that it learns.
        case quick
        /// The paper's: 200 epochs, 50 million actions.
        case paper
    }

    /// The settings of a preset; ``Catch``, which is very small, has its own for `quick` and none for `paper`.
    package static func preset(_ preset: Preset, forGame game: String) -> DQNSettings? {
        var settings = DQNSettings()
        switch (preset, Games.isCatch(game)) {
        case (.paper, false): break
        case (.paper, true): return nil
        case (.quick, false):
            settings.setLearningRate(5e-4)
            (settings.batch, settings.actionsBeforeLearning, settings.updatesPerTarget) = (32, 5000, 250)
            // In a run this short, initial values as large as those to be learned would hardly be unlearned.
            settings.initialValueDeviation = 0.1
            settings.exploration = Exploration(first: 1, last: 0.1, actions: 50_000)
            settings.replayCapacity = 200_000
            (settings.epochs, settings.actionsPerEpoch, settings.evaluationActions) = (8, 20_000, 10_000)
        case (.quick, true):
            (settings.network, settings.depth, settings.discount) = (.dense([64]), 1, 0.9)
            settings.setLearningRate(0.005)
            (settings.actionsBeforeLearning, settings.updatesPerTarget) = (1000, 100)
            settings.exploration = Exploration(first: 1, last: 0.2, actions: 6000)
            (settings.initializationStates, settings.replayCapacity) = (200, 20_000)
            (settings.epochs, settings.actionsPerEpoch, settings.evaluationActions) = (8, 5000, 2000)
        }
        return settings
    }

    /// Throws unless an agent can be made and trained with these numbers: settings may come from a file.
    package func checkNumbers(norms: [Normalization]) throws(RunFailure) {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(RunFailure) {
            try SettingsCheck.whole(name, value, in: range)
        }
        if case .dense(let sizes) = network {
            try check("layers", sizes.count, 0...100)
            for size in sizes { try check("features of a layer", size, 1...100_000) }
        }
        try check("depth", depth, 1...64)
        try check("games", games, Limits.games)
        try check("batch", batch, SettingsLimits.batch)
        try check("replayCapacity", replayCapacity, (depth + 1) * games...Limits.most)
        // Each game's newest transition cannot be learned from.
        try check("actionsBeforeLearning", actionsBeforeLearning, 2 * games...replayCapacity)
        try check("actionsPerUpdate", actionsPerUpdate, 1...1_000_000)
        try check("updatesPerTarget", updatesPerTarget, 1...1_000_000_000)
        try check("initializationStates", initializationStates, 2...100_000)
        try check("epochs", epochs, SettingsLimits.epochs)
        try check("actionsPerEpoch", actionsPerEpoch, games...Limits.most)
        guard epochs * actionsPerEpoch > actionsBeforeLearning else {
            throw RunFailure(
                "settings: epochs × actionsPerEpoch: expected more than the \(actionsBeforeLearning) actions before learning, "
                    + "found \(epochs * actionsPerEpoch)")
        }
        try check("evaluationActions", evaluationActions, games...Limits.most)
        try check("exploration.actions", exploration.actions, 0...1_000_000_000_000)
        for (name, value) in [
            ("exploration.first", exploration.first), ("exploration.last", exploration.last),
            ("evaluationExploration", evaluationExploration),
        ] { try SettingsCheck.number(name, value, in: .probability) }
        for (name, value) in [("discount", discount), ("beta1", beta1), ("beta2", beta2), ("stickiness", stickiness)] {
            try SettingsCheck.number(name, value, in: .decay)
        }
        try SettingsCheck.number("initialValueDeviation", initialValueDeviation, in: .deviation)
        try SettingsCheck.number("epsilon", epsilon, in: .epsilon)
        try SettingsCheck.rates(learningRates, of: norms)
    }
}

extension DQNSettings {
    /// The kernels and strides of the convolutions, and their numbers of maps.
    static let convolutions = [(maps: 32, kernel: 8, stride: 4), (maps: 64, kernel: 4, stride: 2), (maps: 64, kernel: 3, stride: 1)]
    /// The number of features of the dense layer after the convolutions.
    static let convolutionalFeatures = 512

    /// Throws unless there can be such a network for frames of this size; the settings' numbers must have been checked.
    package func checkNetwork(rows: Int, columns: Int, actions: Int) throws(RunFailure) {
        var parameters = 0.0
        var features: Double
        var sizes: [Int]
        switch network {
        case .convolutional:
            var (height, width, maps) = (rows, columns, depth)
            for (outputs, kernel, stride) in Self.convolutions {
                guard height >= kernel, width >= kernel else {
                    throw RunFailure("network: expected frames large enough for its convolutions, found \(rows) × \(columns)")
                }
                parameters += Double(maps * kernel * kernel * outputs)
                (height, width, maps) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1, outputs)
            }
            (features, sizes) = (Double(maps * height * width), [Self.convolutionalFeatures])
        case .dense(let list):
            (features, sizes) = (Double(depth * rows * columns), list)
        }
        sizes.append(actions)
        for size in sizes {
            parameters += features * Double(size)
            features = Double(size)
        }
        try SettingsCheck.size(weights: parameters)
    }
}

/// Q: from states to the value of each action.
package struct QNetwork: Module {
    private let layers: Sequential
    private let values: Dense
    private let type: ElementType

    package init(
        _ settings: DQNSettings, rows: Int, columns: Int, actions: Int, normalization: Normalization, type: ElementType = .float32,
        random: Generator
    ) {
        func dense(_ inputs: Int, _ outputs: Int) -> Dense {
            Dense(inputs, to: outputs, normalization: normalization, type: type, random: random)
        }
        var layers: [any Layer] = []
        var features: Int
        switch settings.network {
        case .convolutional:
            var (height, width, maps) = (rows, columns, settings.depth)
            for (outputs, kernel, stride) in DQNSettings.convolutions {
                layers += [
                    Convolution(
                        maps, to: outputs, kernel: kernel, stride: stride, normalization: normalization, type: type, random: random),
                    Activation.relu,
                ]
                (height, width, maps) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1, outputs)
            }
            features = maps * height * width
            layers += [Flatten(), dense(features, DQNSettings.convolutionalFeatures), Activation.relu]
            features = DQNSettings.convolutionalFeatures
        case .dense(let sizes):
            features = settings.depth * rows * columns
            layers.append(Flatten())
            for size in sizes {
                layers += [dense(features, size), Activation.relu]
                features = size
            }
        }
        self.layers = Sequential(layers)
        values = dense(features, actions)
        self.type = type
    }

    /// The value of each action, `[batch, actions]`, in byte states, `[batch, depth, rows, columns]`.
    package func callAsFunction(_ states: Tensor, _ pass: Pass) -> Tensor { values(features(of: states, pass), pass) }

    /// Huber's loss with δ = 1, summed over the minibatch (C), of the values of the actions taken against r + γ·max over a′ of Q⁻(s′, a′), which is r where an
    /// episode ended.
    ///
    /// States are bytes, `[batch, depth, rows, columns]`; actions, rewards and ends, 1 or 0, are `[batch]`.
    package func loss(
        states: Tensor, actions: Tensor, rewards: Tensor, nextStates: Tensor, ends: Tensor, discount: Double, target: QNetwork, _ pass: Pass
    ) -> Tensor {
        let expected = withoutGradients {
            let future = target(nextStates, .inference).maximum(over: [1])
            return rewards + (1 - ends) * future * discount
        }
        let found = self(states, pass).gathered(actions.expandingDimension(1), along: 1).selected(0, along: 1)
        return found.huberLoss(targets: expected, reduction: .sum)
    }

    /// Data-dependent initialization on states; the values get the given deviation, everything before them 1.
    package func initialize(on states: Tensor, valueDeviation: Double, random: Generator, report: InitializationReport) {
        withoutGradients {
            let features = features(of: states, .initializing(random, report: report))
            _ = values(features, .initializing(random, targetDeviation: valueDeviation, report: report))
        }
    }

    private func features(of states: Tensor, _ pass: Pass) -> Tensor {
        let scaled = states.converted(to: type) * (1 / 255.0)
        // Channels last on the CPU, where convolutions are faster that way.
        return layers(scaled.device.isCPU ? scaled.channelsLast() : scaled, pass)
    }
}
