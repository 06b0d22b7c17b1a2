package import Datasets
package import Torch
package import Training
import WeightFiles
package import WeightNorm

/// One generative model in training: a norm, a seed, an optimizer, averages, and its losses.
package final class GenerativeTrainer<Settings: GenerativeSettings>: Trainee {
    package let settings: Settings
    package let normalization: Normalization
    package let seed: UInt64
    package let model: any GenerativeModel
    /// What data-dependent initialization found.
    package let initialization = InitializationReport()
    /// Of the steps, in nats.
    private let losses: LossMeter
    package var stepCount: Int { losses.stepCount }
    /// The first step at which the loss was not finite, as far as known; see ``LossMeter/divergedAt``.
    package var divergedAt: Int? { losses.divergedAt }
    private let random: Generator
    private let optimizer: any Optimizer
    /// The average with which the model is evaluated, if the settings ask for it.
    private var average: ExponentialAverage?

    /// A model with drawn weights. Weights, binarisation and draws of z depend only on the seed, so with the same seed all norms start from the same
    /// draws.
    package init(
        _ settings: Settings, normalization: Normalization, seed: UInt64, rows: Int, columns: Int, device: Device
    ) {
        self.settings = settings
        self.normalization = normalization
        self.seed = seed
        random = Generator(seed: seed, device: device)
        model = settings.makeModel(rows: rows, columns: columns, normalization: normalization, random: random)
        optimizer = settings.makeOptimizer(model.parameters)
        average = Self.makeAverage(settings, optimizer.parameters)
        losses = LossMeter(on: device)
    }

    private static func makeAverage(_ settings: Settings, _ parameters: [Parameter]) -> ExponentialAverage? {
        settings.evaluationAverage.map { ExponentialAverage(parameters, decay: 1 - $0) }
    }

    /// Runs the closure with the parameters used for evaluation.
    private func evaluating<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        if let average { try average.withAverages(body) } else { try body() }
    }

    /// The number of trained parameters.
    package var parameterCount: Int { optimizer.parameters.reduce(0) { $0 + $1.value.count } }

    /// Byte pixels, `[batch, channels, rows, columns]`, converted to the model's input.
    private func images(_ pixels: Tensor) -> Tensor {
        let levels = pixels.converted(to: .float32).laidOutForModels()
        guard settings.pixels == .dynamic else { return settings.pixels == .levels ? levels : levels * (1 / 255.0) }
        return (Tensor.uniform(levels.shape, from: random) .< levels * (1 / 255.0)).converted(to: .float32)
    }

    /// Data-dependent initialization: a forward pass; the averages start after it.
    package func initialize(_ pixels: Tensor, targetDeviation: Double) {
        withoutGradients {
            let pass = Pass.initializing(random, targetDeviation: targetDeviation, report: initialization)
            _ = model.terms(of: images(pixels), pass, random: random)
        }
        average = Self.makeAverage(settings, optimizer.parameters)
    }

    /// One step of the optimizer on a minibatch. On the CPU nothing is changed if the loss is not finite.
    @discardableResult
    package func step(_ pixels: Tensor) -> Int {
        let loss = model.terms(of: images(pixels), .training(random), random: random).loss
        if losses.add(loss) {
            optimizer.minimize(loss, learningRate: settings.learningRate, maxNorm: settings.maxNorm)
            average?.update()
        }
        return 1
    }

    /// The mean loss in nats on the minibatches since the last reading; NaN if there were none. Waits for the device.
    package var currentLoss: Double { losses.mean ?? .nan }

    /// Returns ``currentLoss`` and resets it.
    package func readLoss() -> Double { losses.read() ?? .nan }

    /// Whether the losses since the last reading and every parameter are finite; see ``LossMeter/isFinite(_:)``.
    package func isFinite() -> Bool { losses.isFinite(optimizer.parameters) }

    /// The mean bound in nats over test images, which must already be binary if the model's are, with the parameters used for evaluation.
    ///
    /// The draws of z depend only on the seed. With several draws it is the importance-weighted estimate of log p(x).
    package func bound(on set: ResidentImages, draws: Int = 1) -> Double {
        let random = Generator(seed: seed &+ 1, device: set.device)
        return evaluating { model.meanBound(on: set, settings.pixels, draws: draws, random: random) }
    }

    /// Pixels as input for the model, without drawing: levels from 0 to 255, or grey as 0 to 1.
    private func scaled(_ pixels: Tensor) -> Tensor { settings.pixels.scaled(pixels) }

    /// Draws from the model with the parameters used for evaluation, `[count, channels, rows, columns]` in [0, 1]: the same for the same seed.
    package func samples(_ count: Int, seed: UInt64) -> Tensor {
        let random = Generator(seed: seed, device: self.random.device)
        return evaluating { withoutGradients { model.samples(count, random: random) } }
    }

    /// The course of drawing new images; nil if the model does not draw in steps.
    package func drawnSamples(_ count: Int, seed: UInt64) -> Drawing? {
        guard let model = model as? any DrawsInSteps else { return nil }
        let random = Generator(seed: seed, device: self.random.device)
        return evaluating { withoutGradients { model.drawnSamples(count, random: random) } }
    }

    /// The course of reading and drawing test images; nil if the model does not draw in steps.
    package func drawnReconstructions(of pixels: Tensor, seed: UInt64) -> Drawing? {
        guard let model = model as? any DrawsInSteps else { return nil }
        let random = Generator(seed: seed, device: self.random.device)
        return evaluating { withoutGradients { model.drawnReconstructions(of: scaled(pixels), random: random) } }
    }

    /// Reconstructions of test images, with the parameters used for evaluation; the same draws for the same seed.
    package func reconstructions(of pixels: Tensor, seed: UInt64) -> Tensor {
        let random = Generator(seed: seed, device: self.random.device)
        return evaluating { withoutGradients { model.reconstructions(of: scaled(pixels), random: random) } }
    }
}

// MARK: - Checkpoints

extension GenerativeTrainer {
    /// Adds everything on which the next step depends.
    package func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(model, as: "\(name)/network")
        checkpoint.add(optimizer, as: "\(name)/optimizer")
        checkpoint.add(random, as: "\(name)/random")
        for (index, value) in (average?.values ?? []).enumerated() { checkpoint.add(value, as: "\(name)/average/\(index)") }
        try losses.add(to: &checkpoint, as: "\(name)/losses")
        try initialization.add(to: &checkpoint, as: "\(name)/initialization")
    }

    /// Resumes from an added trainer with the same settings, norm and seed.
    ///
    /// - Throws: `CheckpointError` if it does not fit.
    package func restore(from checkpoint: Checkpoint, as name: String) throws {
        try checkpoint.restore(model, from: "\(name)/network")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        if let average {
            average.restore(try average.values.enumerated().map { try checkpoint.tensor("\(name)/average/\($0)", like: $1) })
        }
        try losses.restore(from: checkpoint, as: "\(name)/losses")
        try initialization.restore(from: checkpoint, as: "\(name)/initialization")
    }

    /// Writes the model with the parameters used for evaluation.
    package func write(to path: String, metadata: [String: String]) throws {
        try evaluating { try model.write(to: path, layout: .native, metadata: metadata) }
    }
}
