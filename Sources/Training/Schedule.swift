import Foundation
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

    /// A linear rise from `first` times the schedule's own number to all of it over a time in epochs, then the schedule, whose time begins at 0 too.
    ///
    /// Traps unless the time is above 0 and the first part from 0 to 1.
    public func warmedUp(over epochs: Double, from first: Double = 0) -> Schedule {
        trap(
            unless: epochs > 0 && (0...1).contains(first),
            "warm-up: expected a time above 0 and a first part from 0 to 1, found \(epochs) and \(first)")
        return Schedule { epoch in self(epoch) * (epoch < epochs ? first + (1 - first) * max(0, epoch) / epochs : 1) }
    }

    /// From a number down to a last one along half a cosine (Loshchilov & Hutter, *SGDR*, 2017, eq. 5, without restarts): last + ½(number − last)(1 + cos(π·epoch/epochs)), and the last
    /// from then on.
    ///
    /// Traps unless the time is above 0.
    public static func cosine(_ number: Double, to last: Double = 0, epochs: Double) -> Schedule {
        trap(unless: epochs > 0, "cosine schedule: expected epochs above 0, found \(epochs)")
        return Schedule { epoch in last + (number - last) * halfCosine(epoch / epochs) }
    }

    /// One cycle (Smith & Topin, *Super-Convergence*, 2018): up from largest/divisor to the largest number along half a cosine for the rising part of the run, then down along another to
    /// largest/(divisor·lastDivisor) at its end. PyTorch's `OneCycleLR` has the same form and defaults.
    ///
    /// Traps unless the time and the divisors are above 0 and the part is between 0 and 1.
    public static func oneCycle(
        _ largest: Double, epochs: Double, risingPart: Double = 0.3, divisor: Double = 25, lastDivisor: Double = 1e4
    ) -> Schedule {
        trap(
            unless: epochs > 0 && risingPart > 0 && risingPart < 1 && divisor > 0 && lastDivisor > 0,
            "one-cycle schedule: expected epochs and divisors above 0 and a rising part between 0 and 1, found \(epochs), \(divisor), \(lastDivisor) and \(risingPart)"
        )
        let (first, last, top) = (largest / divisor, largest / divisor / lastDivisor, risingPart * epochs)
        return Schedule { epoch in
            epoch < top
                ? largest + (first - largest) * halfCosine(epoch / top)
                : last + (largest - last) * halfCosine((epoch - top) / (epochs - top))
        }
    }
}

/// 1 at 0, 0 at 1, half a cosine between, and constant beyond.
private func halfCosine(_ part: Double) -> Double { (1 + cos(.pi * max(0, min(part, 1)))) / 2 }
