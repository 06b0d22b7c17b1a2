package import Datasets
import Report
package import Torch
package import Training
package import WeightNorm

/// One network in training: a norm, a seed, an optimizer, and its losses and errors.
package final class ClassificationTrainer: Trainee {
    /// The indices of a minibatch's images, and all images.
    package typealias Minibatch = (indices: Tensor, images: ResidentImages)

    package let settings: ClassificationSettings
    package let normalization: Normalization
    package let seed: UInt64
    package let network: ClassificationNetwork
    /// What data-dependent initialization found.
    package let initialization = InitializationReport()
    private let losses: LossMeter
    package var stepCount: Int { losses.stepCount }
    /// The first step at which the loss was not finite, as far as known; see ``LossMeter/divergedAt``. On the CPU the parameters are those before
    /// this step.
    package var divergedAt: Int? { losses.divergedAt }
    private let random: Generator
    private let optimizer: any Optimizer
    /// The learning rate of the first half of the run.
    package let learningRate: Double
    private let rate: Schedule
    private let beta1: Schedule
    private let stepsPerEpoch: Int
    private let observer: WeightObserver
    /// Wrong answers since the last reading, counted on the device: a step must not wait for the device just to count.
    private let errorSum: Buffer
    /// On CUDA the whole step is recorded once and then replayed.
    private let graph: StepGraph
    /// The indices of a minibatch, in the same place for every step.
    private var minibatch: Buffer?
    private var imageCount = 0

    /// A network with drawn weights. Weights, noise and dropout depend only on the seed, so with the same seed all norms start from the same draws.
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
        optimizer = settings.makeOptimizer(network.parameters)
        let epochs = Double(settings.epochs)
        learningRate = settings.learningRate(normalization)
        rate = .constantThenLinear(learningRate, epochs: epochs)
        beta1 = .step(settings.beta1, then: settings.laterBeta1, at: epochs / 2)
        losses = LossMeter(on: device)
        errorSum = Buffer(.zeros([], type: .int64, on: device))
        graph = StepGraph(on: device, generators: [random])
    }

    /// Why steps on CUDA are not replayed from a recording; nil if they are.
    package var graphFallback: TorchError? { graph.fallback }

    /// The number of trained parameters.
    package var parameterCount: Int { network.parameters.reduce(0) { $0 + $1.value.count } }

    /// Data-dependent initialization: a forward pass.
    package func initialize(_ input: Tensor) {
        withoutGradients { _ = network(laidOut(input), .initializing(random, report: initialization)) }
    }

    /// One step of the optimizer on the images at the given indices, `.int64` of `[batch]` on their device, always the same number.
    ///
    /// On the CPU nothing is changed if the loss is not finite.
    @discardableResult
    package func step(_ minibatch: Minibatch) -> Int {
        let (indices, images) = minibatch
        let epoch = Double(stepCount) / Double(stepsPerEpoch)
        (optimizer as? Adam)?.beta1 = beta1(epoch)
        imageCount += indices.shape[0]
        guard !images.device.isCPU else {
            let (inputs, labels) = images.batch(indices)
            let loss = loss(inputs, labels: labels)
            if losses.add(loss) { optimizer.minimize(loss, learningRate: rate(epoch)) }
            return 1
        }
        let place = self.minibatch ?? Buffer(indices.copied())
        self.minibatch = place
        place.assign(indices)
        losses.countStep()
        optimizer.prepare(learningRate: rate(epoch))
        graph.run(key: optimizer.recordingKey) {
            let (inputs, labels) = images.batch(place.value)
            let loss = loss(inputs, labels: labels)
            losses.accumulate(loss)
            optimizer.apply(gradients: gradients(of: loss, withRespectTo: optimizer.parameters))
        }
        return 1
    }

    /// The mean loss of a minibatch; its wrong answers are added to the sum.
    private func loss(_ inputs: Tensor, labels: Tensor) -> Tensor {
        let (logits, loss) = withAutocast(settings.usesBfloat16 ? .bfloat16 : .float32, on: inputs.device) {
            let logits = network(laidOut(inputs), .training(random))
            return (logits, logits.softmaxCrossEntropy(labels: labels))
        }
        withoutGradients { errorSum.assign(errorSum.value + ResidentImages.errors(logits, labels)) }
        return loss
    }

    /// Mean loss in nats and the error rate on the minibatches since the last reading, as in training: with noise and dropout.
    package func readTraining() -> (loss: Double, error: Double) {
        let result = (losses.read() ?? .nan, errorSum.value.item() / Double(imageCount))
        errorSum.assign(errorSum.value.zerosLike())
        imageCount = 0
        return result
    }

    /// Mean loss in nats on the minibatches since the last reading; waits for the device.
    package var currentLoss: Double { losses.mean ?? .nan }

    /// Whether the losses since the last reading and every parameter are finite; see ``LossMeter/isFinite(_:)``.
    package func isFinite() -> Bool { losses.isFinite(optimizer.parameters) }

    /// A reading of the weights now; the effective step uses the learning rate of the last step or, before any, of the first.
    package func readWeights() -> [WeightReading] {
        observer.read(learningRate: rate(Double(max(0, stepCount - 1)) / Double(stepsPerEpoch)))
    }

    /// The error rate on a set of images, without noise and dropout.
    package func error(on set: ResidentImages) -> Double { set.error { network(laidOut($0), .inference) } }

    /// Channels last where convolutions are faster that way: on the CPU, by a seventh for a network of 16 and 32 maps; on GPUs in 16 bits, from what
    /// is known of cuDNN.
    private func laidOut(_ input: Tensor) -> Tensor { input.device.isCPU || settings.usesBfloat16 ? input.channelsLast() : input }
}

extension ResidentImages {
    /// The share of images that a network gives its highest value to another class than theirs.
    func error(_ logits: (Tensor) -> Tensor) -> Double {
        withoutGradients {
            var errors = Tensor.zeros([], type: .int64, on: device)
            // On the CPU the layers' outputs should stay in the cache (500 images at a time took three times as long as 100); a GPU works better with
            // more.
            let size = device.isCPU ? 100 : 1000
            for start in stride(from: 0, to: count, by: size) {
                let (inputs, labels) = batch(start..<min(start + size, count))
                errors = errors + Self.errors(logits(inputs), labels)
            }
            return errors.item() / Double(count)
        }
    }

    /// The number of wrong answers, a tensor of no dimensions.
    static func errors(_ logits: Tensor, _ labels: Tensor) -> Tensor {
        (logits.detached().indexOfMaximum(along: 1) .!= labels).sum()
    }
}

// MARK: - Checkpoints

extension ClassificationTrainer {
    /// What is counted outside tensors.
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
        losses.add(to: &checkpoint, sum: "\(name)/loss", finite: "\(name)/finite")
        checkpoint.add(errorSum.value, as: "\(name)/errors")
        for (path, directions) in observer.directions {
            checkpoint.add(directions.vectors, as: "\(name)/directions/\(path)")
            checkpoint.add(directions.exist, as: "\(name)/directions/\(path)/exist")
        }
        let counts = Counts(
            steps: stepCount, images: imageCount, batches: losses.count, units: initialization.unitCount,
            constantUnits: initialization.constantUnitCount)
        try checkpoint.add(value: counts, as: "\(name)/counts")
    }

    /// Resumes from an added trainer with the same settings, norm and seed.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        let device = random.device
        try checkpoint.restore(network, from: "\(name)/network")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        let errors = try checkpoint.tensor("\(name)/errors", like: errorSum.value)
        // A run without weight readings has none.
        let paths = network.namedWeights.map(\.path)
        if paths.contains(where: { checkpoint.hasTensor("\(name)/directions/\($0)") }) {
            let directions = try paths.map { path in
                (
                    path: path,
                    directions: WeightObserver.Directions(
                        vectors: try checkpoint.tensor("\(name)/directions/\(path)").moved(to: device),
                        exist: try checkpoint.tensor("\(name)/directions/\(path)/exist").moved(to: device))
                )
            }
            guard observer.takes(directions) else {
                throw CheckpointError(path: name, problem: "'directions': expected tensors of the weights' shapes, found others")
            }
            observer.restore(directions)
        }
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
        let number = errors.item()
        guard (0...Double(counts.images)).contains(number) else {
            throw CheckpointError(path: name, problem: "'errors': expected a number from 0 to \(counts.images), found \(number)")
        }
        try losses.restore(
            from: checkpoint, sum: "\(name)/loss", finite: "\(name)/finite", steps: counts.steps, count: counts.batches)
        errorSum.assign(errors)
        imageCount = counts.images
        initialization.restore(unitCount: counts.units, constantUnitCount: counts.constantUnits)
    }
}

extension ClassificationSettings {
    /// The optimizer of a network's parameters.
    func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer {
        switch optimizer ?? .adam {
        case .adam: Adam(parameters, beta1: beta1, beta2: beta2, epsilon: epsilon, epsilonPlace: .insideRoot)
        case .sgd: SGD(parameters)
        case .momentum: SGD(parameters, momentum: beta1)
        }
    }
}
