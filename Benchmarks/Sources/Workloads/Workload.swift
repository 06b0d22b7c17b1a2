package import Experiments
package import Torch
import Training
package import WeightNorm

/// One optimizer step on one minibatch of synthetic inputs, which are drawn once; the random numbers that the step needs are drawn afresh in every step.
///
/// The networks are those of the experiments, with settings that the peers in PyTorch and JAX have too.
package struct Workload<Model> {
    /// What is trained.
    package let model: Model
    private let loss: (Model) -> Tensor
    private let optimizer: any Optimizer
    private let learningRate: Double
    private let device: Device

    fileprivate init(_ model: Model, _ optimizer: any Optimizer, learningRate: Double, on device: Device, loss: @escaping (Model) -> Tensor)
    {
        (self.model, self.optimizer, self.learningRate, self.device, self.loss) = (model, optimizer, learningRate, device, loss)
    }

    /// One step; gives the loss, for which it waits until the step is done. With bfloat16, products and convolutions are done in it, as in PyTorch's autocast.
    package func step(usesBfloat16: Bool = false) -> Double {
        let loss = withAutocast(usesBfloat16 ? .bfloat16 : .float32, on: device) { self.loss(model) }
        optimizer.minimize(loss, learningRate: learningRate)
        return loss.item()
    }
}

/// The workloads.
package enum Race {
    /// The paper's CIFAR-10 network: nine convolutions, Adam, softmax cross-entropy. Images of `[batch, 3, side, side]`; the first three convolutions have `width`
    /// maps, the others twice as many.
    package static func cnn(
        _ normalization: Normalization, batch: Int, width: Int = 96, side: Int = 32, type: ElementType = .float32, device: Device = .cpu
    ) -> Workload<ClassificationNetwork> {
        let random = Generator(seed: 0, device: device)
        var settings = ClassificationSettings()
        (settings.firstMaps, settings.secondMaps) = (width, 2 * width)
        // The batch norms stand behind convolutions alone, as in the peers.
        let network = ClassificationNetwork(
            settings, channels: 3, normalization: normalization,
            outputNormalization: [.weight, .weightAndMeanOnlyBatch].contains(normalization) ? .weight : .plain, type: type, random: random)
        let images = Tensor.normal([batch, 3, side, side], type: type, from: random).channelsLast()
        let labels = Tensor.integers(in: 0..<10, [batch], from: random)
        return Workload(network, Adam(network.parameters), learningRate: 1e-3, on: device) { network in
            network(images, .training(random)).softmaxCrossEntropy(labels: labels)
        }
    }

    /// The paper's variational autoencoder of binary images, without a flow: Adamax. Images of `[batch, 1, side, side]`, the side divisible by 4; the first residual
    /// blocks have `width` maps, the others twice as many.
    package static func vae(
        _ normalization: Normalization, batch: Int, width: Int = 16, side: Int = 28, type: ElementType = .float32, device: Device = .cpu
    ) -> Workload<ConvolutionalVAE> {
        let random = Generator(seed: 0, device: device)
        var settings = VAESettings()
        (settings.flowSteps, settings.maps) = (0, [width, 2 * width, 2 * width])
        let model = ConvolutionalVAE(settings, rows: side, columns: side, normalization: normalization, type: type, random: random)
        let images = Tensor.bernoulli([batch, 1, side, side], probability: 0.2, type: type, from: random).channelsLast()
        return Workload(model, Adamax(model.parameters), learningRate: 2e-3, on: device) { model in
            model.terms(of: images, .training(random), random: random).loss
        }
    }

    /// DRAW with attention, of binary images of `[batch, 1, side, side]`, without peepholes, with `width` units in each LSTM: Adam.
    package static func draw(
        _ normalization: Normalization, batch: Int, width: Int = 256, side: Int = 28, glimpses: Int = 64, type: ElementType = .float32,
        device: Device = .cpu
    ) -> Workload<DRAW> {
        let random = Generator(seed: 0, device: device)
        var settings = DRAWSettings()
        (settings.glimpses, settings.deviation, settings.hidden) = (glimpses, 0.05, width)
        let model = DRAW(
            settings, rows: side, columns: side, normalization: normalization, peepholes: false, trainableStart: false, type: type,
            random: random)
        let images = Tensor.bernoulli([batch, 1, side, side], probability: 0.2, type: type, from: random)
        return Workload(model, Adam(model.parameters, beta1: 0.5), learningRate: 1e-3, on: device) { model in
            model.terms(of: images, .training(random), random: random).loss
        }
    }

    /// A step of deep Q-learning with the network of Mnih et al. (2015), for six actions, on frames of `[batch, 4, side, side]`: Adamax.
    package static func dqn(
        _ normalization: Normalization, batch: Int, side: Int = 84, type: ElementType = .float32, device: Device = .cpu
    ) -> Workload<QNetwork> {
        let random = Generator(seed: 0, device: device)
        func network() -> QNetwork {
            QNetwork(DQNSettings(), rows: side, columns: side, actions: 6, normalization: normalization, type: type, random: random)
        }
        func frames() -> Tensor { .integers(in: 0..<256, [batch, 4, side, side], type: .uint8, from: random).channelsLast() }
        let target = network()
        let (states, nextStates) = (frames(), frames())
        let actions = Tensor.integers(in: 0..<6, [batch], from: random)
        let rewards = Tensor.normal([batch], type: type, from: random)
        let ends = rewards.zerosLike()
        let online = network()
        return Workload(online, Adamax(online.parameters, beta1: 0.5), learningRate: 3e-4, on: device) { online in
            online.loss(
                states: states, actions: actions, rewards: rewards, nextStates: nextStates, ends: ends, discount: 0.99, target: target,
                .training(random))
        }
    }

    /// A whole sequence through an LSTM, whose outputs are to be given numbers: mean square, Adam. Sequences of `[steps, batch, width/2]`, outputs of `[steps, batch, width]`.
    package static func lstm(
        _ normalization: Normalization, batch: Int, width: Int = 512, steps: Int = 64, type: ElementType = .float32, device: Device = .cpu
    ) -> Workload<LSTM> {
        let random = Generator(seed: 0, device: device)
        let layer = LSTM(inputs(of: width), hidden: width, normalization: normalization, type: type, random: random)
        return sequence(layer, batch: batch, width: width, steps: steps, type: type, random: random) { $0($1, $2).outputs }
    }

    /// The same through a GRU.
    package static func gru(
        _ normalization: Normalization, batch: Int, width: Int = 512, steps: Int = 64, type: ElementType = .float32, device: Device = .cpu
    ) -> Workload<GRU> {
        let random = Generator(seed: 0, device: device)
        let layer = GRU(inputs(of: width), hidden: width, normalization: normalization, type: type, random: random)
        return sequence(layer, batch: batch, width: width, steps: steps, type: type, random: random) { $0($1, $2).outputs }
    }

    private static func inputs(of width: Int) -> Int { max(1, width / 2) }

    private static func sequence<Layer: Module>(
        _ layer: Layer, batch: Int, width: Int, steps: Int, type: ElementType, random: Generator,
        outputs: @escaping (Layer, Tensor, Pass) -> Tensor
    ) -> Workload<Layer> {
        let sequence = Tensor.normal([steps, batch, inputs(of: width)], type: type, from: random)
        let aims = Tensor.normal([steps, batch, width], type: type, from: random)
        return Workload(layer, Adam(layer.parameters), learningRate: 1e-3, on: random.device) { layer in
            (outputs(layer, sequence, .training(random)) - aims).squared().mean()
        }
    }
}
