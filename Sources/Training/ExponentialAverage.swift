public import Torch

/// The exponential moving average of parameters over the steps of training: average ← decay·average + (1 − decay)·θ.
///
/// Networks are often better with averaged parameters than with the last ones (Polyak & Juditsky, 1992). A decay of 0.999 averages over about the
/// last thousand steps. Averages of 16-bit parameters are kept in float32: rounded to 16 bits, they would stop changing. Call ``update()`` after
/// every step of the optimizer, and evaluate in ``withAverages(_:)``.
public final class ExponentialAverage {
    /// The parameters.
    public let parameters: [Parameter]
    /// The fraction of the average that is kept in an update, from 0 to 1.
    public let decay: Double
    private let averages: MutableTensorList

    /// An average that starts at the parameters' present values; make it after data-dependent initialization.
    public init(_ parameters: [Parameter], decay: Double) {
        trap(unless: (0...1).contains(decay), "exponential average: expected a decay from 0 to 1, found \(decay)")
        self.parameters = parameters
        self.decay = decay
        averages = MutableTensorList(parameters.map { $0.snapshot().converted(to: $0.value.type.accumulator) })
    }

    /// Adds the parameters' present values to the average.
    public func update() {
        guard !parameters.isEmpty else { return }
        withoutGradients {
            averages.move(
                towards: TensorList(parameters.map { $0.value.detached().converted(to: $0.value.type.accumulator) }), by: 1 - decay)
        }
    }

    /// Runs the closure with the averages in place of the parameters, then restores the parameters, bit for bit.
    public func withAverages<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let current = parameters.map { $0.snapshot() }
        for (parameter, average) in zip(parameters, averages.values.tensors) { parameter.assign(average) }
        defer { for (parameter, value) in zip(parameters, current) { parameter.assign(value) } }
        return try body()
    }

    /// Copies of the averages, in the parameters' order, for a checkpoint; in at least float32.
    public var values: [Tensor] { averages.values.tensors.map { tensor in withoutGradients { tensor.copied() } } }

    /// Resumes from averages that were read earlier. Traps unless they have the parameters' shapes.
    public func restore(_ values: [Tensor]) {
        trap(
            unless: values.map(\.shape) == averages.values.tensors.map(\.shape),
            "exponential average: expected tensors of the parameters' shapes, found others")
        withoutGradients { averages.assign(TensorList(values)) }
    }
}
