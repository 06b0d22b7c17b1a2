package import Datasets
import Report
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
    private let lossSum: Buffer
    private let errorSum: Buffer
    /// Steps up to the first whose loss is not finite, without it.
    private let finiteSteps: Buffer
    /// On CUDA the whole step is recorded once and then replayed.
    private let graph: StepGraph
    /// The indices of a minibatch, in the same place for every step.
    private var minibatch: Buffer?
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
        lossSum = Buffer(.zeros([], on: device))
        errorSum = Buffer(.zeros([], type: .int64, on: device))
        finiteSteps = Buffer(.zeros([], type: .int64, on: device))
        graph = StepGraph(on: device, generators: [random])
    }

    /// Why steps on CUDA are not replayed from a recording; nil if they are.
    package var graphFallback: TorchError? { graph.fallback }

    /// The number of trained numbers.
    package var parameterCount: Int { network.parameters.reduce(0) { $0 + $1.value.count } }

    /// Data-dependent initialization: a forward pass.
    package func initialize(_ input: Tensor) {
        withoutGradients { _ = network(laidOut(input), .initializing(random, report: initialization)) }
    }

    /// One step of the optimizer on the images at the given indices, `.int64` of `[batch]` on their device, always equally many.
    ///
    /// On the CPU nothing is changed if the loss is not finite.
    package func step(_ indices: Tensor, of images: ResidentImages) {
        let epoch = Double(stepCount) / Double(stepsPerEpoch)
        optimizer.beta1 = beta1(epoch)
        imageCount += indices.shape[0]
        batchCount += 1
        stepCount += 1
        guard !images.device.isCPU else {
            let (inputs, labels) = images.batch(indices)
            let loss = loss(inputs, labels: labels)
            // Asking costs nothing where nothing has to be waited for.
            if !loss.item().isFinite {
                divergedAt = divergedAt ?? stepCount
                return
            }
            return optimizer.minimize(loss, learningRate: rate(epoch))
        }
        let place = minibatch ?? Buffer(indices.copied())
        minibatch = place
        place.assign(indices)
        optimizer.prepare(learningRate: rate(epoch))
        graph.run(key: optimizer.recordingKey) {
            let (inputs, labels) = images.batch(place.value)
            let loss = loss(inputs, labels: labels)
            optimizer.apply(gradients: gradients(of: loss, withRespectTo: optimizer.parameters))
        }
    }

    /// The mean loss of a minibatch, which is added to the sums.
    private func loss(_ inputs: Tensor, labels: Tensor) -> Tensor {
        let (logits, loss) = withAutocast(settings.usesBfloat16 ? .bfloat16 : .float32, on: inputs.device) {
            let logits = network(laidOut(inputs), .training(random))
            return (logits, logits.softmaxCrossEntropy(labels: labels))
        }
        withoutGradients {
            lossSum.assign(lossSum.value + loss.detached())
            errorSum.assign(errorSum.value + Self.errors(logits, labels))
            // The sum of losses is finite just as long as all of them are.
            finiteSteps.assign(finiteSteps.value + lossSum.value.isFinite().converted(to: .int64))
        }
        return loss
    }

    /// Mean loss in nats and the share of wrong answers on the minibatches since the last reading, as trained: under noise and dropout.
    package func readTraining() -> (loss: Double, error: Double) {
        let result = (currentLoss, errorSum.value.item() / Double(imageCount))
        for sum in [lossSum, errorSum, finiteSteps] { sum.assign(sum.value.zerosLike()) }
        (imageCount, batchCount) = (0, 0)
        return result
    }

    /// Mean loss in nats on the minibatches since the last reading; waits for the device.
    package var currentLoss: Double {
        let sum = lossSum.value.item()
        if !sum.isFinite { divergedAt = divergedAt ?? stepCount - batchCount + Int(finiteSteps.value.item()) + 1 }
        return sum / Double(batchCount)
    }

    /// Finds out whether every parameter is finite: a finite loss can have a gradient that is not. If one is not, the last step is where the run diverged.
    package func checkParameters() {
        guard divergedAt == nil, !withoutGradients({ optimizer.parameters.allSatisfy { $0.value.isFinite().allTrue() } }) else { return }
        divergedAt = stepCount
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
                errors = errors + Self.errors(network(laidOut(inputs), .inference), labels)
            }
            return errors.item() / Double(set.count)
        }
    }

    /// Pixel after pixel where convolutions are faster so: on the CPU by a seventh with a network of 16 and 32 maps; on GPUs in 16 bits, by what
    /// is known of cuDNN.
    private func laidOut(_ input: Tensor) -> Tensor { input.device.isCPU || settings.usesBfloat16 ? input.channelsLast() : input }

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
        checkpoint.add(lossSum.value, as: "\(name)/loss")
        checkpoint.add(errorSum.value, as: "\(name)/errors")
        checkpoint.add(finiteSteps.value, as: "\(name)/finite")
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
        let device = random.device
        try checkpoint.restore(network, from: "\(name)/network")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        for (sum, part) in [(lossSum, "loss"), (errorSum, "errors"), (finiteSteps, "finite")] {
            let value = try checkpoint.tensor("\(name)/\(part)")
            guard value.shape.isEmpty, value.type == sum.value.type else {
                throw CheckpointError(
                    path: name, problem: "'\(part)': expected one number of \(sum.value.type), found \(value.type)\(value.shape)")
            }
            sum.assign(value.moved(to: device))
        }
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
        guard observer.takes(directions) else {
            throw CheckpointError(path: name, problem: "'directions': expected tensors of the weights' shapes, found others")
        }
        observer.restore(directions)
        let counts: Counts = try checkpoint.value("\(name)/counts")
        let mostSteps = settings.epochs * stepsPerEpoch
        guard (0...mostSteps).contains(counts.steps), (0...counts.steps).contains(counts.batches),
            (0...counts.batches * settings.batch).contains(counts.images), counts.units >= 0,
            (0...counts.units).contains(counts.constantUnits)
        else {
            throw CheckpointError(
                path: name,
                problem: "'counts': expected at most \(mostSteps) steps with their minibatches, images and units, "
                    + "found \(counts.steps) and \(counts.batches), \(counts.images), \(counts.units) and \(counts.constantUnits)")
        }
        for (sum, part) in [(errorSum, "errors"), (finiteSteps, "finite")] {
            let (number, most) = (sum.value.item(), Double(part == "finite" ? counts.batches : counts.images))
            guard (0...most).contains(number) else {
                throw CheckpointError(
                    path: name, problem: "'\(part)': expected a number from 0 to \(NumberText.general(most)), found \(number)")
            }
        }
        (stepCount, imageCount, batchCount) = (counts.steps, counts.images, counts.batches)
        initialization.restore(unitCount: counts.units, constantUnitCount: counts.constantUnits)
    }
}
