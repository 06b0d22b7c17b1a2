public import Torch
public import WeightNorm

/// A model in training, for any module, loss and optimizer.
public final class ModelTrainee<Model: Module, Input>: Trainee {
    /// What is trained.
    public let model: Model
    /// What takes its steps.
    public let optimizer: any Optimizer
    /// The source of initial weights, noise and dropout.
    public let random: Generator
    /// The mean loss, and whether it is finite.
    public let losses: LossMeter
    /// What data-dependent initialization found.
    public let initialization = InitializationReport()
    private let learningRate: (Int) -> Double
    private let loss: (Model, Input, Generator) -> Tensor

    /// A model that is trained to minimize a loss.
    ///
    /// - Parameters:
    ///   - model: what is trained.
    ///   - optimizer: of the model's parameters.
    ///   - random: the source of noise and dropout.
    ///   - learningRate: for a step, counted from 0.
    ///   - loss: a tensor of no dimensions, for an input and a source of noise.
    public init(
        _ model: Model, optimizer: any Optimizer, random: Generator, learningRate: @escaping (_ step: Int) -> Double,
        loss: @escaping (Model, Input, Generator) -> Tensor
    ) {
        (self.model, self.optimizer, self.random, self.learningRate, self.loss) = (model, optimizer, random, learningRate, loss)
        let isDouble = optimizer.parameters.contains { $0.value.type == .float64 }
        losses = LossMeter(on: random.device, type: isDouble ? .float64 : .float32)
    }

    /// Data-dependent initialization: the closure applies the model to a minibatch in the given pass; ``initialization`` counts the units.
    public func initialize(targetDeviation: Double = 1, _ apply: (Model, Pass) -> Tensor) {
        withoutGradients { _ = apply(model, .initializing(random, targetDeviation: targetDeviation, report: initialization)) }
    }

    /// One step of the optimizer; on the CPU nothing is changed if the loss is not finite.
    public func step(_ input: Input) -> Int {
        let rate = learningRate(losses.stepCount)
        let loss = loss(model, input, random)
        if losses.add(loss) { optimizer.minimize(loss, learningRate: rate) }
        return 1
    }

    /// The step at which the loss or a parameter was found not to be finite.
    public var divergedAt: Int? { losses.divergedAt }

    /// Whether the loss and all parameters are finite; waits for the device.
    public func isFinite() -> Bool { losses.isFinite(optimizer.parameters) }

    /// Adds the model, the optimizer, the random numbers and the losses.
    public func add(to checkpoint: inout Checkpoint, as name: String) throws {
        checkpoint.add(model, as: "\(name)/network")
        checkpoint.add(optimizer, as: "\(name)/optimizer")
        checkpoint.add(random, as: "\(name)/random")
        try losses.add(to: &checkpoint, as: "\(name)/losses")
        try initialization.add(to: &checkpoint, as: "\(name)/initialization")
    }

    /// Restores what an identical trainee added.
    public func restore(from checkpoint: Checkpoint, as name: String) throws {
        try checkpoint.restore(model, from: "\(name)/network")
        try checkpoint.restore(optimizer, from: "\(name)/optimizer")
        try checkpoint.restore(random, from: "\(name)/random")
        try losses.restore(from: checkpoint, as: "\(name)/losses")
        try initialization.restore(from: checkpoint, as: "\(name)/initialization")
    }
}
