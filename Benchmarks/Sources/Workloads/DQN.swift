public import Torch
import Training
public import WeightNorm

/// A step of deep Q-learning with the network of Mnih et al. (2015), as the race has it.
///
/// Frames `[batch, 4, 84, 84]` of bytes, divided by 255; convolution 8×8 stride 4, 32; convolution 4×4 stride 2, 64; convolution 3×3, 64; dense 512; dense to 6
/// action values; ReLU after all but the last. Loss: Huber with δ = 1, summed, of the value of the action taken against r + 0.99·max Q′, with Q′ of a
/// target network on the next frames.
public final class DQN: Workload {
    /// What was seen and done.
    public struct Transitions {
        /// Bytes, `[batch, 4, 84, 84]`.
        public var frames: Tensor
        /// Bytes, `[batch, 4, 84, 84]`.
        public var nextFrames: Tensor
        /// Actions from 0 to 5, `[batch]`.
        public var actions: Tensor
        /// r, `[batch]`.
        public var rewards: Tensor

        /// Transitions of parts.
        public init(frames: Tensor, nextFrames: Tensor, actions: Tensor, rewards: Tensor) {
            self.frames = frames
            self.nextFrames = nextFrames
            self.actions = actions
            self.rewards = rewards
        }
    }

    /// The network that is trained.
    public let online: Sequential
    /// The network that the aims come from.
    public let target: Sequential
    private let optimizer: Adamax
    private let transitions: Transitions
    private let type: ElementType
    private let random: Generator
    private static let actions = 6

    /// The networks, transitions and the optimizer, all drawn from one seed.
    public init(normalization: Normalization, batch: Int, layout: CNN.Layout, type: ElementType = .float32, device: Device = .cpu) {
        let random = Generator(seed: 0, device: device)
        func network() -> Sequential {
            func convolution(_ inputs: Int, _ outputs: Int, _ kernel: Int, _ stride: Int) -> Convolution {
                Convolution(inputs, to: outputs, kernel: kernel, stride: stride, normalization: normalization, type: type, random: random)
            }
            func dense(_ inputs: Int, _ outputs: Int) -> Dense {
                Dense(inputs, to: outputs, normalization: normalization, type: type, random: random)
            }
            return Sequential(
                convolution(4, 32, 8, 4), Activation.relu, convolution(32, 64, 4, 2), Activation.relu, convolution(64, 64, 3, 1),
                Activation.relu, Flatten(), dense(64 * 7 * 7, 512), Activation.relu, dense(512, Self.actions))
        }
        func frames() -> Tensor {
            let drawn = Tensor.integers(in: 0..<256, [batch, 4, 84, 84], type: .uint8, from: random)
            return layout == .channelsLast ? drawn.channelsLast() : drawn
        }
        (online, target) = (network(), network())
        optimizer = Adamax(online.parameters, beta1: 0.5)
        transitions = Transitions(
            frames: frames(), nextFrames: frames(), actions: .integers(in: 0..<Self.actions, [batch], from: random),
            rewards: .normal([batch], type: type, from: random))
        self.type = type
        self.random = random
    }

    /// The summed loss of transitions.
    public func loss(_ transitions: Transitions) -> Tensor {
        let pass = Pass.training(random)
        func scaled(_ frames: Tensor) -> Tensor { frames.converted(to: type) * (1 / 255) }
        let aims = withoutGradients {
            transitions.rewards + target(scaled(transitions.nextFrames), pass).maximum(over: [1]) * 0.99
        }
        let values = online(scaled(transitions.frames), pass)
            .gathered(transitions.actions.expandingDimension(1), along: 1).removingDimension(1)
        return values.huberLoss(targets: aims, reduction: .sum)
    }

    /// A step of Adamax.
    public func step() -> Double {
        let loss = loss(transitions)
        optimizer.minimize(loss, learningRate: 3e-4)
        return loss.item()
    }
}
