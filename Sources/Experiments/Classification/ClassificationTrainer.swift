package import Datasets
package import Torch
package import Training
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
    /// The first step at which the loss was not finite, as far as it is known: on the CPU at once, elsewhere once ``readTraining()`` or ``currentLoss``
    /// has asked the device. The parameters are those of before this step on the CPU.
    package private(set) var divergedAt: Int?
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
    /// Steps up to the first whose loss is not finite, without it.
    private var finiteSteps: Tensor
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
        finiteSteps = .zeros([], type: .int64, on: device)
    }

    /// The number of trained numbers.
    package var parameterCount: Int { network.parameters.reduce(0) { $0 + $1.value.count } }

    /// Data-dependent initialization: a forward pass.
    package func initialize(_ input: Tensor) {
        withoutGradients { _ = network(input, .initializing(random, report: initialization)) }
    }

    /// One step of the optimizer on a minibatch. On the CPU nothing is changed if the loss is not finite.
    package func step(_ input: Tensor, labels: Tensor) {
        let epoch = Double(stepCount) / Double(stepsPerEpoch)
        let logits = network(input, .training(random))
        let loss = logits.softmaxCrossEntropy(labels: labels)
        withoutGradients {
            lossSum = lossSum + loss.detached()
            errorSum = errorSum + Self.errors(logits, labels)
            // The sum of losses is finite just as long as all of them are.
            finiteSteps = finiteSteps + lossSum.isFinite().converted(to: .int64)
        }
        imageCount += input.shape[0]
        batchCount += 1
        stepCount += 1
        // Asking costs nothing where nothing has to be waited for.
        if loss.device.isCPU, !loss.item().isFinite {
            divergedAt = divergedAt ?? stepCount
            return
        }
        optimizer.beta1 = beta1(epoch)
        optimizer.minimize(loss, rate: rate(epoch))
    }

    /// Mean loss in nats and the share of wrong answers on the minibatches since the last reading, as trained: under noise and dropout.
    package func readTraining() -> (loss: Double, error: Double) {
        let result = (currentLoss, errorSum.item() / Double(imageCount))
        (lossSum, errorSum, finiteSteps) = (lossSum.zerosLike(), errorSum.zerosLike(), finiteSteps.zerosLike())
        (imageCount, batchCount) = (0, 0)
        return result
    }

    /// Mean loss in nats on the minibatches since the last reading; waits for the device.
    package var currentLoss: Double {
        let sum = lossSum.item()
        if !sum.isFinite { divergedAt = divergedAt ?? stepCount - batchCount + Int(finiteSteps.item()) + 1 }
        return sum / Double(batchCount)
    }

    /// What the weights look like now; the effective step is that of the last step's learning rate, before the first step the first's.
    package func readWeights() -> [WeightReading] {
        observer.read(rate: rate(Double(max(0, stepCount - 1)) / Double(stepsPerEpoch)))
    }

    /// The share of wrong answers on a set of images, without noise and dropout.
    package func error(on set: ResidentImages) -> Double {
        withoutGradients {
            var errors = Tensor.zeros([], type: .int64, on: set.device)
            // On the CPU the layers' outputs should stay in the cache (500 images at a time took three times as long as 100); a GPU wants more.
            let size = set.device.isCPU ? 100 : 1000
            for start in stride(from: 0, to: set.count, by: size) {
                let (inputs, labels) = set.batch(start..<min(start + size, set.count))
                errors = errors + Self.errors(network(inputs, .inference), labels)
            }
            return errors.item() / Double(set.count)
        }
    }

    private static func errors(_ logits: Tensor, _ labels: Tensor) -> Tensor {
        (logits.detached().indexOfMaximum(along: 1) .!= labels).sum()
    }
}

// MARK: - Going on later

extension ClassificationTrainer {
    /// What is counted outside of tensors.
    private struct Counts: Codable {
        var steps: Int
        var images: Int
        var batches: Int
        var units: Int
        var constantUnits: Int
    }

    /// Adds everything on which the next step depends.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(network, as: "\(name)/network")
        checkpoint.add(optimizer, as: "\(name)/optimizer")
        checkpoint.add(random, as: "\(name)/random")
        checkpoint.add(lossSum, as: "\(name)/loss")
        checkpoint.add(errorSum, as: "\(name)/errors")
        checkpoint.add(finiteSteps, as: "\(name)/finite")
        for (path, directions) in observer.directions {
            checkpoint.add(directions.vectors, as: "\(name)/directions/\(path)")
            checkpoint.add(directions.exist, as: "\(name)/directions/\(path)/exist")
        }
        let counts = Counts(
            steps: stepCount, images: imageCount, batches: batchCount, units: initialization.unitCount,
            constantUnits: initialization.constantUnitCount)
        try checkpoint.add(value: counts, as: "\(name)/counts")
    }

    /// Goes on from a trainer of the same settings, norm and seed that was added.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        let device = lossSum.device
        try checkpoint.restore(network, from: "\(name)/network")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        lossSum = try checkpoint.tensor("\(name)/loss").moved(to: device)
        errorSum = try checkpoint.tensor("\(name)/errors").moved(to: device)
        finiteSteps = try checkpoint.tensor("\(name)/finite").moved(to: device)
        var directions: [(path: String, directions: WeightObserver.Directions)] = []
        for path in network.namedWeights.map(\.path) {
            directions.append(
                (
                    path,
                    .init(
                        vectors: try checkpoint.tensor("\(name)/directions/\(path)").moved(to: device),
                        exist: try checkpoint.tensor("\(name)/directions/\(path)/exist").moved(to: device))
                ))
        }
        observer.restore(directions)
        let counts: Counts = try checkpoint.value("\(name)/counts")
        (stepCount, imageCount, batchCount) = (counts.steps, counts.images, counts.batches)
        initialization.restore(unitCount: counts.units, constantUnitCount: counts.constantUnits)
    }
}
