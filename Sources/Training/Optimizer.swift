public import Torch

/// Changes parameters along their gradients.
///
/// ``SGD``, ``Adam`` and ``Adamax`` keep a float32 copy of each 16-bit parameter, and all their averages in float32: in 16 bits both would soon stand still.
public protocol Optimizer: AnyObject {
    /// The parameters, in the order in which ``step(gradients:rate:)`` takes gradients.
    var parameters: [Parameter] { get }

    /// One step with the given gradients (one per parameter, in order) and learning rate.
    func step(gradients: [Tensor], rate: Double)

    /// Everything besides the parameters that the next step depends on.
    var state: OptimizerState { get }

    /// Goes on from a state of an optimizer of the same kind and for parameters of the same shapes: from there on every step is what it would have been.
    ///
    /// - Throws: ``OptimizerStateError`` if the state does not fit; then nothing was changed.
    func restore(_ state: OptimizerState) throws(OptimizerStateError)
}

extension Optimizer {
    /// Takes the gradients of a scalar loss and makes a step.
    public func minimize(_ loss: Tensor, rate: Double) {
        step(gradients: gradients(of: loss, withRespectTo: parameters), rate: rate)
    }

    /// The same with all gradients scaled down together where their norm is larger than `largestNorm`: see ``scaled(_:toNormAtMost:)``.
    public func minimize(_ loss: Tensor, rate: Double, largestNorm: Double?) {
        let found = gradients(of: loss, withRespectTo: parameters)
        step(gradients: largestNorm.map { scaled(found, toNormAtMost: $0) } ?? found, rate: rate)
    }
}

/// Gradients times min(1, largest/‖∇‖), where ‖∇‖ is the norm of all of them together (Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent
/// neural networks*, 2013). The factor stays on the device.
///
/// Gradients whose norm is not finite are given back as they are not either: a training finds out by its loss. Traps unless `largest` is above 0.
public func scaled(_ gradients: [Tensor], toNormAtMost largest: Double) -> [Tensor] {
    trap(unless: largest > 0, "gradients: expected a largest norm above 0, found \(largest)")
    guard !gradients.isEmpty else { return gradients }
    return withoutGradients {
        let device = gradients[0].device
        let norm = Tensor.stacked(gradients.map { $0.wideNorm().moved(to: device) }).wideNorm()
        // ‖∇‖ = 0 gives infinity, of which the smaller is 1.
        let factor = (largest / norm).clamped(to: 1)
        // In two steps: a factor may be smaller than the gradients' type knows. The second is nearly always 1.
        let first = factor.clamped(from: 0x1p-96)
        let rest = factor / first
        // In the type of the sums, for which there is a fused operator on CUDA.
        let type: ElementType = gradients.contains { $0.type == .float64 } ? .float64 : .float32
        let scaled = TensorList(gradients).multiplied(by: first.converted(to: type))
        if !device.isCPU || rest.item() != 1 { scaled.multiply(by: rest.converted(to: type)) }
        return scaled.tensors
    }
}

/// Gradient descent, with momentum if asked for: u ← momentum·u + ∇, θ ← θ − rate·u.
public final class SGD: Optimizer, WorksOnWideParameters {
    /// The parameters.
    public let parameters: [Parameter]
    /// The share of the step before that is kept, from 0 to below 1.
    public let momentum: Double
    let velocity: TensorList?
    let wide: WideParameters
    let prepared: DeviceNumbers

    /// Descent for the given parameters.
    public init(_ parameters: [Parameter], momentum: Double = 0) {
        trap(unless: (0..<1).contains(momentum), "SGD: expected a momentum from 0 to below 1, found \(momentum)")
        self.parameters = parameters
        self.momentum = momentum
        wide = WideParameters(parameters)
        velocity = momentum > 0 ? wide.zeros() : nil
        prepared = DeviceNumbers(for: parameters)
    }

    /// One step.
    public func step(gradients: [Tensor], rate: Double) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            guard let velocity else { return parameters.add(gradients, times: -rate) }
            velocity.multiply(by: momentum)
            velocity.add(gradients)
            parameters.add(velocity, times: -rate)
        }
    }

    /// The velocity, if there is momentum.
    public var state: OptimizerState { OptimizerState(kind: "SGD", lists: ["velocity": velocity], copies: wide.copies) }

    /// Goes on from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.restore(kind: "SGD", lists: ["velocity": velocity], wide: wide)
    }
}

/// Adam (Kingma & Ba, 2015), with bias correction:
///
/// m ← β1·m + (1 − β1)·∇, v ← β2·v + (1 − β2)·∇², θ ← θ − rate·m̂/(√v̂ + ε), or with ε inside the root √(v̂ + ε).
public final class Adam: Optimizer, WorksOnWideParameters {
    /// Where ε stands in the divisor.
    public enum EpsilonPlace: String, Sendable {
        /// √(v̂ + ε): the weight normalization paper's code.
        case insideRoot
        /// √v̂ + ε: Kingma & Ba, PyTorch, and most others.
        case besideRoot
    }

    /// The parameters.
    public let parameters: [Parameter]
    /// The decay of the first moment, from 0 to below 1; may be changed between steps (the paper halves a run at 0.9 and 0.5).
    public var beta1: Double {
        didSet { Self.require(beta1, "β1") }
    }
    /// The decay of the second moment, from 0 to below 1.
    public let beta2: Double
    /// Keeps the divisor from zero; what is below the smallest normal number of float32 (of float64, if all parameters are) counts as that.
    public let epsilon: Double
    /// Where ε stands.
    public let epsilonPlace: EpsilonPlace
    /// Steps made so far.
    public internal(set) var stepCount = 0
    let firstMoments: TensorList
    let secondMoments: TensorList
    /// The fused operator's own count of steps, one tensor per parameter.
    let steps: TensorList
    let wide: WideParameters
    let prepared: DeviceNumbers

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
        wide = WideParameters(parameters)
        firstMoments = wide.zeros()
        secondMoments = wide.zeros()
        steps = TensorList(epsilonPlace == .besideRoot ? parameters.map { .zeros([], on: $0.value.device) } : [])
        prepared = DeviceNumbers(for: parameters, isFused: epsilonPlace == .besideRoot)
    }

    private static func require(_ beta: Double, _ name: String) {
        trap(unless: (0..<1).contains(beta), "Adam: expected \(name) from 0 to below 1, found \(beta)")
    }

    /// One step.
    public func step(gradients: [Tensor], rate: Double) {
        let gradients = wide.widened(gradients)
        guard !parameters.isEmpty else { return }
        stepCount += 1
        wide.change { parameters in
            switch epsilonPlace {
            case .besideRoot:
                parameters.fusedAdam(
                    gradients: gradients, firstMoments: firstMoments, secondMoments: secondMoments, steps: steps, rate: rate, beta1: beta1,
                    beta2: beta2, weightDecay: 0, epsilon: wide.representable(epsilon))
            case .insideRoot:
                firstMoments.move(towards: gradients, by: 1 - beta1)
                secondMoments.multiply(by: beta2)
                secondMoments.addProduct(gradients, gradients, times: 1 - beta2)
                let divisor = secondMoments.multiplied(by: 1 / (1 - power(beta2, stepCount)))
                divisor.add(wide.representable(epsilon))
                divisor.takeSquareRoot()
                parameters.addQuotient(firstMoments, divisor, times: -rate / (1 - power(beta1, stepCount)))
            }
        }
    }

    private var lists: KeyValuePairs<String, TensorList?> { ["first": firstMoments, "second": secondMoments, "steps": steps] }
    // The place of ε is part of the kind: the one has counts that the other lacks.
    private var kind: String { "Adam with ε \(epsilonPlace.rawValue)" }

    /// Both moments, the number of steps and β1.
    public var state: OptimizerState {
        OptimizerState(kind: kind, numbers: ["stepCount": Double(stepCount), "beta1": beta1], lists: lists, copies: wide.copies)
    }

    /// Goes on from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.require(kind: kind)
        let count = try state.count("stepCount")
        let beta = try state.number("beta1", in: 0..<1)
        try state.restore(kind: kind, lists: lists, wide: wide)
        (stepCount, beta1) = (count, beta)
    }
}

/// Adamax (Kingma & Ba, 2015, §7.1): Adam with the infinity norm.
///
/// m ← β1·m + (1 − β1)·∇, u ← max(β2·u, |∇| + ε), θ ← θ − rate/(1 − β1ᵗ)·m/u.
public final class Adamax: Optimizer, WorksOnWideParameters {
    /// The parameters.
    public let parameters: [Parameter]
    /// The decay of the first moment ("momentum"), from 0 to below 1.
    public let beta1: Double
    /// The decay of the infinity norm, from 0 to below 1.
    public let beta2: Double
    /// Keeps the divisor from zero; what is below the smallest normal number of float32 (of float64, if all parameters are) counts as that.
    public let epsilon: Double
    /// Whether m is divided by 1 − β1ᵗ.
    public let correctsBias: Bool
    /// Steps made so far.
    public internal(set) var stepCount = 0
    let firstMoments: TensorList
    let infinityNorms: TensorList
    let wide: WideParameters
    let prepared: DeviceNumbers

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
        wide = WideParameters(parameters)
        firstMoments = wide.zeros()
        infinityNorms = wide.zeros()
        prepared = DeviceNumbers(for: parameters)
    }

    /// One step.
    public func step(gradients: [Tensor], rate: Double) {
        let gradients = wide.widened(gradients)
        guard !parameters.isEmpty else { return }
        stepCount += 1
        wide.change { parameters in
            firstMoments.move(towards: gradients, by: 1 - beta1)
            let magnitudes = gradients.magnitudes()
            magnitudes.add(wide.representable(epsilon))
            infinityNorms.multiply(by: beta2)
            infinityNorms.takeMaximum(with: magnitudes)
            let correction = correctsBias ? 1 - power(beta1, stepCount) : 1
            parameters.addQuotient(firstMoments, infinityNorms, times: -rate / correction)
        }
    }

    private var lists: KeyValuePairs<String, TensorList?> { ["first": firstMoments, "infinity": infinityNorms] }

    /// The first moment, the infinity norm and the number of steps.
    public var state: OptimizerState {
        OptimizerState(kind: "Adamax", numbers: ["stepCount": Double(stepCount)], lists: lists, copies: wide.copies)
    }

    /// Goes on from a state.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.require(kind: "Adamax")
        let count = try state.count("stepCount")
        try state.restore(kind: "Adamax", lists: lists, wide: wide)
        stepCount = count
    }
}

private func requireEpsilon(_ epsilon: Double, of name: String) {
    trap(unless: epsilon >= 0 && epsilon.isFinite, "\(name): expected an ε from 0 up, found \(epsilon)")
}

/// A number to a whole power, by squaring: no floating-point library differs in it.
func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}
