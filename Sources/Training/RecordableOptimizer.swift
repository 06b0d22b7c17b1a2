public import Torch

/// An optimizer whose step comes in two halves: the numbers that change from step to step, and work for the device alone, which can be recorded.
///
/// `prepare(rate: r)` and then `apply(gradients: g)` are `step(gradients: g, rate: r)` to rounding, and may take turns with it. Only the second half goes
/// into a `StepGraph`: what the first half sets lies in tensors, where a replay finds the new numbers.
///
/// ```swift
/// optimizer.prepare(rate: rate(epoch))  // on the host, before every step
/// graph.run(key: optimizer.recordingKey) {
///     let loss = network(input.value, .training(random)).softmaxCrossEntropy(labels: labels.value)
///     optimizer.apply(gradients: gradients(of: loss, withRespectTo: optimizer.parameters))
/// }
/// ```
public protocol RecordableOptimizer: Optimizer {
    /// Counts a step and puts what it depends on besides the gradients onto the device; does not wait for it.
    func prepare(rate: Double)

    /// Changes the parameters along the gradients (one per parameter, in order), with the numbers that were prepared last.
    ///
    /// Traps if none were.
    func apply(gradients: [Tensor])

    /// The settings that can change between steps and that a recording of ``apply(gradients:)`` holds as they were: a part of the recording's key.
    var recordingKey: [Double] { get }
}

extension SGD: RecordableOptimizer {
    /// Sets the rate.
    public func prepare(rate: Double) { prepared.set([-rate]) }

    /// One step with the prepared rate.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            if let velocity {
                velocity.multiply(by: momentum)
                velocity.add(gradients)
            }
            parameters.add((velocity ?? gradients).multiplied(by: prepared[0]))
        }
    }

    /// None.
    public var recordingKey: [Double] { [] }
}

extension Adam: RecordableOptimizer {
    /// Counts a step, and sets the rate and the corrections of the bias.
    public func prepare(rate: Double) {
        stepCount += 1
        switch epsilonPlace {
        case .besideRoot: prepared.set([rate])  // the fused operator counts and corrects itself
        case .insideRoot: prepared.set([1 / (1 - power(beta2, stepCount)), -(1 - power(beta1, stepCount)) / rate])
        }
    }

    /// One step with what was prepared.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            switch epsilonPlace {
            case .besideRoot:
                parameters.fusedAdam(
                    gradients: gradients, firstMoments: firstMoments, secondMoments: secondMoments, steps: steps, rate: prepared[0],
                    beta1: beta1, beta2: beta2, epsilon: wide.representable(epsilon))
            case .insideRoot:
                firstMoments.move(towards: gradients, by: 1 - beta1)
                secondMoments.multiply(by: beta2)
                secondMoments.addProduct(gradients, gradients, times: 1 - beta2)
                let divisor = secondMoments.multiplied(by: prepared[0])
                divisor.add(wide.representable(epsilon))
                divisor.takeSquareRoot()
                // The rate goes into the divisor: the operator that divides has no room for a tensor that the device reads.
                divisor.multiply(by: prepared[1])
                parameters.addQuotient(firstMoments, divisor, times: 1)
            }
        }
    }

    /// β1: a recording has its value in it.
    public var recordingKey: [Double] { [beta1] }
}

extension Adamax: RecordableOptimizer {
    /// Counts a step, and sets the rate with the correction of the bias.
    public func prepare(rate: Double) {
        stepCount += 1
        prepared.set([-(correctsBias ? 1 - power(beta1, stepCount) : 1) / rate])
    }

    /// One step with what was prepared.
    public func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            firstMoments.move(towards: gradients, by: 1 - beta1)
            let magnitudes = gradients.magnitudes()
            magnitudes.add(wide.representable(epsilon))
            infinityNorms.multiply(by: beta2)
            infinityNorms.takeMaximum(with: magnitudes)
            parameters.addQuotient(firstMoments, infinityNorms.multiplied(by: prepared[0]), times: 1)
        }
    }

    /// None: β1 and β2 stay.
    public var recordingKey: [Double] { [] }
}

/// Numbers of a step in tensors of no dimension beside the parameters, each always in the same place.
final class DeviceNumbers {
    private var numbers: [TensorList] = []
    private let type: ElementType
    private let device: Device

    /// Numbers for the parameters, in float32 on CUDA unless all parameters are wider; a fused operator takes no others there.
    init(for parameters: [Parameter], isFused: Bool = false) {
        device = parameters.first?.value.device ?? .cpu
        let isWide = device.isCPU || !isFused && parameters.allSatisfy { $0.value.type == .float64 }
        type = isWide ? .float64 : .float32
    }

    /// Sets all numbers, without waiting for the device.
    func set(_ values: [Double]) {
        if numbers.isEmpty { numbers = values.map { _ in TensorList([.zeros([], type: type, on: device)]) } }
        withoutGradients { for (number, value) in zip(numbers, values) { number.fill(with: value) } }
    }

    /// The number at a place; traps if none were set.
    subscript(_ index: Int) -> Tensor {
        trap(unless: index < numbers.count, "optimizer: expected prepare(rate:) before apply(gradients:), found no step prepared")
        return numbers[index].tensors[0]
    }
}
