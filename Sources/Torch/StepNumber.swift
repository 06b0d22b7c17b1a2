/// A number that changes from step to step, such as a learning rate, kept where a recorded step can read it.
///
/// On the CPU, which records nothing, it is a Swift number and is passed to operators as such. On other devices it is in a tensor, always the same
/// one: a replay of a ``StepGraph`` reads what was set last. Code that uses it is the same for both, and for plain and recorded steps.
///
/// ```swift
/// let rate = StepNumber(on: device)
/// rate.set(-0.01)                                                        // on the host, before every step
/// parameter.assign(parameter.value.adding(gradient, times: rate))        // in the step
/// ```
public final class StepNumber {
    /// What operators receive.
    enum Operand {
        case host(Double)
        case device(Tensor)
    }

    /// Makes the CPU behave like a device that records, for tests on machines without one.
    @TaskLocal package static var liesInTensors = false

    private let place: Tensor?
    private var value: Double?

    /// A number that is not set yet; `type` is the type of its tensor, if it is kept in one.
    public init(on device: Device, type: ElementType = .float32) {
        place = device.isCPU && !Self.liesInTensors ? nil : Tensor.zeros([], type: type, on: device)
    }

    /// Sets the number, without waiting for the device; never call it in the step itself, which would record the number as it is.
    public func set(_ value: Double) {
        self.value = value
        guard let place else { return }
        withoutGradients { operators.fillInPlace.perform(.tensor(place), .real(value)) }
    }

    /// The number; traps if it was never set.
    var operand: Operand {
        guard let value else {
            fatalError("number of a step: expected it to be set before the step, as prepare(learningRate:) does, found none")
        }
        return place.map(Operand.device) ?? .host(value)
    }
}

extension Tensor {
    /// Every element times the number.
    public static func * (left: Tensor, right: StepNumber) -> Tensor {
        switch right.operand {
        case .host(let number): left * number
        case .device(let number): left * number
        }
    }

    /// The sum with a multiple of the other, element by element.
    ///
    /// On the CPU the product is not rounded before it is added; if the number is in a tensor, it is.
    public func adding(_ other: Tensor, times factor: StepNumber) -> Tensor {
        switch factor.operand {
        case .host(let number): adding(other, times: number)
        case .device(let number): self + other * number
        }
    }
}
