import Torch
import WeightNorm

extension WeightFile {
    /// The smallest and the largest of a weight's numbers.
    public struct Range: Sendable {
        /// The smallest number.
        public let smallest: Double
        /// The largest number.
        public let largest: Double

        /// Nil if there are no numbers.
        init?(_ tensor: Tensor) {
            guard tensor.count > 0 else { return nil }
            let numbers = tensor.detached().converted(to: .float64)
            (smallest, largest) = (numbers.minimum().item(), numbers.maximum().item())
        }
    }

    /// Statistics of a weight's numbers.
    public struct Norms: Sendable {
        /// ‖v‖ over the units; nil for a plain weight.
        public let direction: Range?
        /// g over the units; nil for a plain weight.
        public let gain: Range?
        /// ‖w‖ over the units; for a plain weight over axis 0.
        public let weight: Range?
        /// The number of elements of w that are NaN or infinite.
        public let notFinite: Int
    }

    /// Reads a weight and computes its norms, in double precision.
    ///
    /// - Throws: what ``SafetensorsFile/tensor(_:)`` throws.
    public func norms(of found: FoundWeight) throws -> Norms {
        guard !found.shape.contains(0) else { return Norms(direction: nil, gain: nil, weight: nil, notFinite: 0) }
        let weight = try read(found)
        return withoutGradients {
            let units = found.units ?? .axis(0)
            let value = weight.value.converted(to: .float64)
            let finite = value.isFinite().converted(to: .float64).sum().item()
            let (direction, gain): (Range?, Range?) =
                found.stored.isPlain
                ? (nil, nil)
                : (Range(units.norms(of: weight.vector.converted(to: .float64))), weight.form.multiplier.flatMap { Range($0) })
            return Norms(direction: direction, gain: gain, weight: Range(units.norms(of: value)), notFinite: value.count - Int(finite))
        }
    }
}
