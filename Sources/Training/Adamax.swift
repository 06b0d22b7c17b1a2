public import Torch

/// Adamax (Kingma & Ba, 2015, §7.1): Adam with the infinity norm.
///
/// m ← β1·m + (1 − β1)·∇, u ← max(β2·u, |∇| + ε), θ ← θ − rate/(1 − β1ᵗ)·m/u.
public final class Adamax: Optimizer {
    /// The parameters.
    public let parameters: [Parameter]
    /// The decay of the first moment ("momentum"), from 0 to below 1.
    public let beta1: Double
    /// The decay of the infinity norm, from 0 to below 1.
    public let beta2: Double
    /// Keeps the divisor from zero; values below the smallest normal number of float32 (of float64, if all parameters are float64) count as that
    /// number.
    public let epsilon: Double
    /// Whether m is divided by 1 − β1ᵗ.
    public let correctsBias: Bool
    /// Steps made so far.
    public private(set) var stepCount = 0
    private let firstMoments: MutableTensorList
    private let infinityNorms: MutableTensorList
    private let wide: MasterParameters
    /// −rate/(1 − β1ᵗ).
    private let factor: StepNumber

    /// Adamax for the given parameters.
    public init(
        _ parameters: [Parameter], beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, correctsBias: Bool = true
    ) {
        trap(unless: (0..<1).contains(beta1), "Adamax: expected β1 from 0 to below 1, found \(beta1)")
        trap(unless: (0..<1).contains(beta2), "Adamax: expected β2 from 0 to below 1, found \(beta2)")
        self.parameters = parameters
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.correctsBias = correctsBias
        requireEpsilon(epsilon, of: "Adamax")
        wide = MasterParameters(parameters)
        firstMoments = wide.zeros()
        infinityNorms = wide.zeros()
        factor = StepNumber(for: parameters)
    }

    /// Counts a step, and sets the learning rate with the bias correction.
    public func prepare(learningRate: Double) {
        guard !parameters.isEmpty else { return }
        stepCount += 1
        factor.set(-learningRate / (correctsBias ? 1 - power(beta1, stepCount) : 1))
    }

    /// One step with the numbers that were set.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            firstMoments.move(towards: gradients, by: 1 - beta1)
            let magnitudes = MutableTensorList(gradients.magnitudes().tensors)
            magnitudes.add(wide.representable(epsilon))
            infinityNorms.multiply(by: beta2)
            infinityNorms.takeMaximum(with: magnitudes.values)
            parameters.addQuotient(firstMoments.values, infinityNorms.values, times: factor)
        }
    }

    /// The copies in which the steps of 16-bit parameters accumulate.
    public var masters: MasterParameters? { wide }

    private var lists: KeyValuePairs<String, MutableTensorList?> { ["first": firstMoments, "infinity": infinityNorms] }

    /// The first moment, the infinity norm and the number of steps.
    public var state: OptimizerState {
        OptimizerState(kind: "Adamax", numbers: ["stepCount": Double(stepCount)], lists: lists, masters: wide)
    }

    /// Resumes from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.require(kind: "Adamax")
        let count = try state.count("stepCount")
        try state.restore(kind: "Adamax", lists: lists, masters: wide)
        stepCount = count
    }
}
