public import Torch

/// Adam (Kingma & Ba, 2015), with bias correction:
///
/// m ← β1·m + (1 − β1)·∇, v ← β2·v + (1 − β2)·∇², θ ← θ − rate·m̂/(√v̂ + ε), or with ε inside the root √(v̂ + ε).
public final class Adam: Optimizer {
    /// Where ε stands in the divisor.
    public enum EpsilonPlace: String, Sendable {
        /// √(v̂ + ε): the weight normalization paper's code.
        case insideRoot
        /// √v̂ + ε: Kingma & Ba, PyTorch, and most others.
        case besideRoot
    }

    /// The parameters.
    public let parameters: [Parameter]
    /// The decay of the first moment, from 0 to below 1; may be changed between steps (the paper uses 0.9 in the first half of a run and 0.5 in the
    /// second).
    public var beta1: Double {
        didSet { Self.require(beta1, "β1") }
    }
    /// The decay of the second moment, from 0 to below 1.
    public let beta2: Double
    /// Keeps the divisor from zero; values below the smallest normal number of float32 (of float64, if all parameters are float64) count as that
    /// number.
    public let epsilon: Double
    /// Where ε stands.
    public let epsilonPlace: EpsilonPlace
    /// Steps made so far.
    public private(set) var stepCount = 0
    private let firstMoments: MutableTensorList
    private let secondMoments: MutableTensorList
    /// The fused operator's own count of steps, one tensor per parameter.
    private let steps: MutableTensorList
    private let wide: MasterParameters
    /// The learning rate if the fused operator corrects the bias itself, else −rate/(1 − β1ᵗ).
    private let factor: StepNumber
    /// 1/(1 − β2ᵗ).
    private let secondCorrection: StepNumber

    /// Adam for the given parameters. β1, β2 and ε are the paper's; ε stands beside the root unless asked, as in PyTorch.
    public init(
        _ parameters: [Parameter], beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        epsilonPlace: EpsilonPlace = .besideRoot
    ) {
        Self.require(beta1, "β1")
        Self.require(beta2, "β2")
        self.parameters = parameters
        self.beta1 = beta1
        self.beta2 = beta2
        requireEpsilon(epsilon, of: "Adam")
        self.epsilon = epsilon
        self.epsilonPlace = epsilonPlace
        wide = MasterParameters(parameters)
        firstMoments = wide.zeros()
        secondMoments = wide.zeros()
        steps = MutableTensorList(epsilonPlace == .besideRoot ? parameters.map { .zeros([], on: $0.value.device) } : [])
        factor = StepNumber(for: parameters, isFused: epsilonPlace == .besideRoot)
        secondCorrection = StepNumber(for: parameters)
    }

    private static func require(_ beta: Double, _ name: String) {
        trap(unless: (0..<1).contains(beta), "Adam: expected \(name) from 0 to below 1, found \(beta)")
    }

    /// Counts a step, and sets the learning rate and the bias corrections.
    public func prepare(learningRate: Double) {
        guard !parameters.isEmpty else { return }
        stepCount += 1
        switch epsilonPlace {
        case .besideRoot: factor.set(learningRate)
        case .insideRoot:
            secondCorrection.set(1 / (1 - power(beta2, stepCount)))
            factor.set(-learningRate / (1 - power(beta1, stepCount)))
        }
    }

    /// One step with the numbers that were set.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            switch epsilonPlace {
            case .besideRoot:
                parameters.fusedAdam(
                    gradients: gradients, firstMoments: firstMoments, secondMoments: secondMoments, steps: steps, rate: factor,
                    beta1: beta1,
                    beta2: beta2, epsilon: wide.representable(epsilon))
            case .insideRoot:
                firstMoments.move(towards: gradients, by: 1 - beta1)
                secondMoments.multiply(by: beta2)
                secondMoments.addProduct(gradients, gradients, times: 1 - beta2)
                let divisor = MutableTensorList(secondMoments.values.multiplied(by: secondCorrection).tensors)
                divisor.add(wide.representable(epsilon))
                divisor.takeSquareRoot()
                parameters.addQuotient(firstMoments.values, divisor.values, times: factor)
            }
        }
    }

    /// β1: a recording contains its value.
    public var recordingKey: [Double] { [beta1] }

    /// The copies in which the steps of 16-bit parameters accumulate.
    public var masters: MasterParameters? { wide }

    private var lists: KeyValuePairs<String, MutableTensorList?> { ["first": firstMoments, "second": secondMoments, "steps": steps] }
    // The place of ε is part of the kind: one of the two has counts that the other lacks.
    private var kind: String { "Adam with ε \(epsilonPlace.rawValue)" }

    /// Both moments, the number of steps and β1.
    public var state: OptimizerState {
        OptimizerState(kind: kind, numbers: ["stepCount": Double(stepCount), "beta1": beta1], lists: lists, masters: wide)
    }

    /// Resumes from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.require(kind: kind)
        let count = try state.count("stepCount")
        let beta = try state.number("beta1", in: 0..<1)
        try state.restore(kind: kind, lists: lists, masters: wide)
        (stepCount, beta1) = (count, beta)
    }
}
