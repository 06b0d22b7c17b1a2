public import Torch

/// Gradient descent, optionally with momentum: u ← momentum·u + ∇, θ ← θ − rate·u.
public final class SGD: Optimizer {
    /// The parameters.
    public let parameters: [Parameter]
    /// The fraction of the previous step that is kept, from 0 to below 1.
    public let momentum: Double
    private let velocity: MutableTensorList?
    private let wide: MasterParameters
    /// −rate.
    private let factor: StepNumber

    /// Descent for the given parameters.
    public init(_ parameters: [Parameter], momentum: Double = 0) {
        trap(unless: (0..<1).contains(momentum), "SGD: expected a momentum from 0 to below 1, found \(momentum)")
        self.parameters = parameters
        self.momentum = momentum
        wide = MasterParameters(parameters)
        velocity = momentum > 0 ? wide.zeros() : nil
        factor = StepNumber(for: parameters)
    }

    /// Sets the learning rate.
    public func prepare(learningRate: Double) { factor.set(-learningRate) }

    /// One step with the learning rate that was set.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            guard let velocity else { return parameters.add(gradients, times: factor) }
            velocity.multiply(by: momentum)
            velocity.add(gradients)
            parameters.add(velocity.values, times: factor)
        }
    }

    /// The copies in which the steps of 16-bit parameters accumulate.
    public var masters: MasterParameters? { wide }

    /// The velocity, if there is momentum.
    public var state: OptimizerState { OptimizerState(kind: "SGD", lists: ["velocity": velocity], masters: wide) }

    /// Resumes from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.restore(kind: "SGD", lists: ["velocity": velocity], masters: wide)
    }
}
