package import Datasets
package import Torch
import Training
package import WeightNorm

/// One network in training: a norm, a seed, an optimizer, and how it goes.
package final class ClassificationTrainer {
    package let settings: ClassificationSettings
    package let normalization: Normalization
    package let seed: UInt64
    package let network: ClassificationNetwork
    /// What data-dependent initialization found.
    package let initialization = InitializationReport()
    package private(set) var stepCount = 0
    private let random: Generator
    private let optimizer: Adam
    /// The learning rate of the first half of the run.
    package let learningRate: Double
    private let rate: Schedule
    private let beta1: Schedule
    private let stepsPerEpoch: Int
    private let observer: WeightObserver
    // Sums since the last reading, on the device: a step must not wait for the device only to keep count.
    private var lossSum: Tensor
    private var errorSum: Tensor
    private var imageCount = 0
    private var batchCount = 0

    /// A network with drawn weights. Weights, noise and dropout depend on the seed alone, so that all norms of a seed start from the same draws.
    package init(
        _ settings: ClassificationSettings, normalization: Normalization, seed: UInt64, channels: Int, stepsPerEpoch: Int, device: Device
    ) {
        self.settings = settings
        self.normalization = normalization
        self.seed = seed
        self.stepsPerEpoch = stepsPerEpoch
        random = Generator(seed: seed, device: device)
        network = ClassificationNetwork(settings, channels: channels, normalization: normalization, random: random)
        observer = WeightObserver(network)
        optimizer = Adam(
            network.parameters, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon, epsilonPlace: .insideRoot)
        let epochs = Double(settings.epochs)
        learningRate = settings.learningRate(normalization)
        rate = .constantThenLinear(learningRate, epochs: epochs)
        beta1 = .step(settings.beta1, then: settings.laterBeta1, at: epochs / 2)
        lossSum = .zeros([], on: device)
        errorSum = .zeros([], type: .int64, on: device)
    }

    /// The number of trained numbers.
    package var parameterCount: Int { network.parameters.reduce(0) { $0 + $1.value.count } }

    /// The images of a minibatch as the network takes them: (raw − 127.5)/128.
    package static func input(_ batch: Batch) -> Tensor { (batch.images.converted(to: .float32) - 127.5) * (1 / 128.0) }

    /// Data-dependent initialization: a forward pass.
    package func initialize(_ input: Tensor) {
        withoutGradients { _ = network(input, .initializing(random, report: initialization)) }
    }

    /// One step of the optimizer on a minibatch.
    package func step(_ input: Tensor, labels: Tensor) {
        let epoch = Double(stepCount) / Double(stepsPerEpoch)
        let logits = network(input, .training(random))
        let loss = logits.softmaxCrossEntropy(labels: labels)
        optimizer.beta1 = beta1(epoch)
        optimizer.minimize(loss, rate: rate(epoch))
        stepCount += 1
        withoutGradients {
            lossSum = lossSum + loss.detached()
            errorSum = errorSum + Self.errors(logits, labels)
        }
        imageCount += input.shape[0]
        batchCount += 1
    }

    /// Mean loss in nats and the share of wrong answers on the minibatches since the last reading, as trained: under noise and dropout.
    package func readTraining() -> (loss: Double, error: Double) {
        let result = (lossSum.item() / Double(batchCount), errorSum.item() / Double(imageCount))
        (lossSum, errorSum) = (lossSum.detached().zerosLike(), errorSum.zerosLike())
        (imageCount, batchCount) = (0, 0)
        return result
    }

    /// What the weights look like now; the effective step is that of the last step's learning rate, before the first step the first's.
    package func readWeights() -> [WeightReading] {
        observer.read(rate: rate(Double(max(0, stepCount - 1)) / Double(stepsPerEpoch)))
    }

    /// The share of wrong answers on a set of images, without noise and dropout.
    package func error(on set: ImageSet, device: Device) -> Double {
        withoutGradients {
            var errors = Tensor.zeros([], type: .int64, on: device)
            // On the CPU the layers' outputs should stay in the cache (500 images at a time took three times as long as 100); a GPU wants more.
            for batch in Batches.inOrder(set, size: device.isCPU ? 100 : 1000, on: device) {
                errors = errors + Self.errors(network(Self.input(batch), .inference), batch.labels)
            }
            return errors.item() / Double(set.count)
        }
    }

    private static func errors(_ logits: Tensor, _ labels: Tensor) -> Tensor {
        (logits.detached().indexOfMaximum(along: 1) .!= labels).sum()
    }
}
