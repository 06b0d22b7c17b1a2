public import Torch

/// Changes parameters along their gradients, in a step of two halves: setting the numbers that change from step to step, and work for the device
/// only.
///
/// ``step(gradients:learningRate:)`` and ``minimize(_:learningRate:maxNorm:)`` do both. Only the second half goes into a `StepGraph`: the first half
/// sets `StepNumber`s, which a replay reads. So a recorded step is the same code as a plain one, and on the same device gives the same bits.
///
/// ```swift
/// optimizer.prepare(learningRate: learningRate(epoch))  // on the host, before every step
/// graph.run(key: optimizer.recordingKey) {
///     let loss = network(input.value, .training(random)).softmaxCrossEntropy(labels: labels.value)
///     optimizer.apply(gradients: gradients(of: loss, withRespectTo: optimizer.parameters))
/// }
/// ```
///
/// ``SGD``, ``Adam`` and ``Adamax`` keep a float32 copy of each 16-bit parameter, and all their averages in float32: in 16 bits both would soon stop
/// changing. Your own optimizer gets the same from ``MasterParameters``: see <doc:WritingAnOptimizer>.
public protocol Optimizer: AnyObject {
    /// The parameters, in the order in which ``apply(gradients:)`` takes gradients.
    var parameters: [Parameter] { get }

    /// Counts a step and sets what it depends on besides the gradients; does not wait for the device.
    func prepare(learningRate: Double)

    /// Changes the parameters along the gradients (one per parameter, in order), with the numbers that were prepared last.
    ///
    /// Traps if none were.
    func apply(gradients: [Tensor])

    /// The settings that can change between steps and that a recording of ``apply(gradients:)`` would freeze: part of the recording's key. None by
    /// default.
    var recordingKey: [Double] { get }

    /// The copies in which the steps of 16-bit parameters accumulate, for whatever else changes the parameters, such as weight decay. Nil by default:
    /// the parameters themselves are changed.
    var masters: MasterParameters? { get }

    /// Everything besides the parameters that the next step depends on.
    var state: OptimizerState { get }

    /// Resumes from the state of an optimizer of the same kind, for parameters of the same shapes: every later step is what it would have been.
    ///
    /// - Throws: ``OptimizerStateError`` if the state does not fit; nothing is changed then.
    func restore(_ state: OptimizerState) throws(OptimizerStateError)
}

extension Optimizer {
    /// None.
    public var recordingKey: [Double] { [] }

    /// None.
    public var masters: MasterParameters? { nil }

    /// One step with the given gradients (one per parameter, in order) and learning rate.
    public func step(gradients: [Tensor], learningRate: Double) {
        prepare(learningRate: learningRate)
        apply(gradients: gradients)
    }

    /// Computes the gradients of a scalar loss and makes a step; with `maxNorm`, they are clipped first, as ``clipped(_:maxNorm:)`` does.
    public func minimize(_ loss: Tensor, learningRate: Double, maxNorm: Double? = nil) {
        let found = gradients(of: loss, withRespectTo: parameters)
        step(gradients: maxNorm.map { clipped(found, maxNorm: $0) } ?? found, learningRate: learningRate)
    }
}

/// Gradients times min(1, maxNorm/‖∇‖), where ‖∇‖ is the norm of all of them together (Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent
/// neural networks*, 2013). The factor stays on the device.
///
/// If the norm is not finite, neither are the gradients returned: training notices by its loss. Traps unless `maxNorm` is above 0.
public func clipped(_ gradients: [Tensor], maxNorm: Double) -> [Tensor] {
    trap(unless: maxNorm > 0, "gradients: expected a maxNorm above 0, found \(maxNorm)")
    guard !gradients.isEmpty else { return gradients }
    return withoutGradients {
        let device = gradients[0].device
        let norm = Tensor.stacked(gradients.map { $0.wideNorm().moved(to: device) }).wideNorm()
        // ‖∇‖ = 0 gives infinity, which is clamped to 1.
        let factor = (maxNorm / norm).clamped(to: 1)
        // In two steps: the factor may be too small for the gradients' type. The second is nearly always 1.
        let first = factor.clamped(from: 0x1p-96)
        let rest = factor / first
        // In the accumulator type, for which CUDA has a fused operator.
        let type: ElementType = gradients.contains { $0.type == .float64 } ? .float64 : .float32
        let scaled = MutableTensorList(TensorList(gradients).multiplied(by: first.converted(to: type)).tensors)
        if !device.isCPU || rest.item() != 1 { scaled.multiply(by: rest.converted(to: type)) }
        return scaled.values.tensors
    }
}

extension StepNumber {
    /// A number for steps of the parameters, on their device; on CUDA in float32 unless all parameters are wider, as fused operators require there.
    public convenience init(for parameters: [Parameter], isFused: Bool = false) {
        let device = parameters.first?.value.device ?? .cpu
        let isWide = device.isCPU || !isFused && parameters.allSatisfy { $0.value.type == .float64 }
        self.init(on: device, type: isWide ? .float64 : .float32)
    }
}

func requireEpsilon(_ epsilon: Double, of name: String) {
    trap(unless: epsilon >= 0 && epsilon.isFinite, "\(name): expected an ε from 0 up, found \(epsilon)")
}

/// A number to a whole power, by squaring: the same on every floating-point library.
func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}
