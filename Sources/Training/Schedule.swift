import Torch

/// A learning rate, or another number, as a function of the time in epochs.
public struct Schedule: Sendable {
    private let value: @Sendable (Double) -> Double

    /// Any function of the time in epochs (whole epochs done, plus the part of the current one).
    public init(_ value: @escaping @Sendable (Double) -> Double) { self.value = value }

    /// The number at a time in epochs.
    public func callAsFunction(_ epoch: Double) -> Double { value(epoch) }

    /// Always the same.
    public static func constant(_ number: Double) -> Schedule { Schedule { _ in number } }

    /// Constant for part of the run, then linear down to zero at its end, as in the paper's CIFAR-10 runs: number·min((epochs − epoch)/(epochs·(1 −
    /// part)), 1), which for 200 epochs and a constant part of ½ is number·min(2 − epoch/100, 1).
    public static func constantThenLinear(_ number: Double, epochs: Double, constantPart: Double = 0.5) -> Schedule {
        trap(
            unless:
                epochs > 0 && (0..<1).contains(constantPart),
            "schedule: expected epochs above 0 and a constant part from 0 to below 1, found \(epochs) and \(constantPart)")
        return Schedule { epoch in number * max(0, min((epochs - epoch) / (epochs * (1 - constantPart)), 1)) }
    }

    /// One number before a time in epochs, another from then on.
    public static func step(_ before: Double, then after: Double, at epoch: Double) -> Schedule {
        Schedule { $0 < epoch ? before : after }
    }
}
