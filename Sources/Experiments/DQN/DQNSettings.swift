package import Torch
package import WeightNorm

/// Every hyperparameter of deep Q-learning, in one place.
///
/// The initial values are those of Mnih et al., *Human-level control through deep reinforcement learning* (2015), but for what the paper changed (its §5.4):
/// Adamax with momentum 0.5, minibatches of 64.
package struct DQNSettings: Codable, Equatable, Sendable {
    /// How states are mapped to values.
    package enum Network: Codable, Equatable, Sendable {
        /// The network of Mnih et al. for stacks of 84 × 84 frames: three convolutions and a dense layer of 512.
        case convolutional
        /// Dense layers of so many features, for small frames.
        case dense([Int])
    }

    package var network = Network.convolutional
    /// Frames in a state.
    package var depth = 4
    /// γ.
    package var discount = 0.99
    package var batch = 64
    /// Adamax's learning rate: the paper found 3e-4 best with weight normalization and 1e-4 without.
    package var learningRate = 3e-4
    package var beta1 = 0.5
    package var beta2 = 0.999
    package var epsilon = 1e-8
    /// Actions that are taken at random before any learning.
    package var actionsBeforeLearning = 50_000
    /// Actions, over all games, for each update.
    package var actionsPerUpdate = 4
    /// Updates after which the target network is made like the network.
    package var updatesPerTarget = 10_000
    /// ε falls from the first to the second, in a line, over so many actions.
    package var exploration = Exploration(first: 1, last: 0.1, actions: 1_000_000)
    /// States on which data-dependent initialization is done.
    package var initializationStates = 500

    /// The probability of an action at random.
    package struct Exploration: Codable, Equatable, Sendable {
        package var first: Double
        package var last: Double
        package var actions: Int

        package init(first: Double, last: Double, actions: Int) {
            (self.first, self.last, self.actions) = (first, last, actions)
        }

        /// ε after so many actions.
        package func probability(after done: Int) -> Double {
            done >= actions ? last : first + (last - first) * Double(done) / Double(actions)
        }
    }

    package init() {}

    /// A network with drawn weights, of states of `[batch, depth, rows, columns]`.
    func makeNetwork(rows: Int, columns: Int, actions: Int, normalization: Normalization, random: Generator) -> QNetwork {
        QNetwork(self, rows: rows, columns: columns, actions: actions, normalization: normalization, random: random)
    }
}

/// Q: from states to the value of each action.
package struct QNetwork: Module {
    private let layers: Sequential

    package init(
        _ settings: DQNSettings, rows: Int, columns: Int, actions: Int, normalization: Normalization, random: Generator
    ) {
        func dense(_ inputs: Int, _ outputs: Int) -> Dense { Dense(inputs, to: outputs, normalization: normalization, random: random) }
        var layers: [any Layer] = []
        var features: Int
        switch settings.network {
        case .convolutional:
            var (height, width, maps) = (rows, columns, settings.depth)
            for (outputs, kernel, stride) in [(32, 8, 4), (64, 4, 2), (64, 3, 1)] {
                layers += [
                    Convolution(maps, to: outputs, kernel: kernel, stride: stride, normalization: normalization, random: random),
                    Activation.relu,
                ]
                (height, width, maps) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1, outputs)
            }
            features = maps * height * width
            layers += [Flatten(), dense(features, 512), Activation.relu]
            features = 512
        case .dense(let sizes):
            features = settings.depth * rows * columns
            layers.append(Flatten())
            for size in sizes {
                layers += [dense(features, size), Activation.relu]
                features = size
            }
        }
        self.layers = Sequential(layers + [dense(features, actions)])
    }

    /// The value of each action, `[batch, actions]`, in states of bytes, `[batch, depth, rows, columns]`.
    package func callAsFunction(_ states: Tensor, _ pass: Pass) -> Tensor {
        let scaled = states.converted(to: .float32) * (1 / 255.0)
        // Pixel after pixel on the CPU, where convolutions are faster so.
        return layers(scaled.device.isCPU ? scaled.channelsLast() : scaled, pass)
    }
}
