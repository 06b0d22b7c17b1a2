public import Torch

/// Which elements of a weight belong to one unit, and so share one norm and one gain: by default one output unit, as in the paper.
///
/// A dense weight `[outputs, inputs]` and a convolution's `[outputs, inputs/groups, …]` have their units along axis 0. A transposed
/// convolution's weight is `[inputs, outputs/groups, …]`: its units lie along axis 1, and with groups each block of inputs/groups rows has
/// its own units.
public struct OutputUnits: Hashable, Sendable {
    /// The axes along which the units lie, in ascending order; none if the whole weight is one unit.
    public let axes: [Int]
    /// The number of blocks into which axis 0 is cut, each with its own units.
    public let blocks: Int

    private init(axes: [Int], blocks: Int) {
        (self.axes, self.blocks) = (axes, blocks)
    }

    /// One unit for every index of an axis (PyTorch's `dim`), counted from 0.
    public static func axis(_ axis: Int, blocks: Int = 1) -> OutputUnits { OutputUnits(axes: [axis], blocks: blocks) }

    /// One unit for every combination of indices of some axes, counted from 0, which no `dim` of PyTorch's can say if there are several.
    public static func axes(_ axes: [Int]) -> OutputUnits { OutputUnits(axes: Set(axes).sorted(), blocks: 1) }

    /// The whole weight as one unit (PyTorch's `dim=None`).
    public static let whole = OutputUnits(axes: [], blocks: 1)

    /// The axis along which the units lie; nil if there are none or several.
    public var axis: Int? { axes.count == 1 ? axes[0] : nil }

    /// ‖v‖ of every unit, in a shape that ``scale(_:by:)`` takes: `[1, …, units, …, 1]`, with blocks `[blocks, 1, units per block, 1, …]`.
    ///
    /// For 16-bit elements the result is float32. The sum is accumulated in float64, as ``normalize(_:gain:)`` does: squares overflow or
    /// underflow long before the elements do. A norm is infinite only if the result's type cannot hold it.
    public func norms(of weight: Tensor) -> Tensor {
        wideNorms(of: weight).converted(to: weight.type.accumulator)
    }

    /// ``norms(of:)`` in float64, in which they do not overflow.
    public func wideNorms(of weight: Tensor) -> Tensor {
        let parts = blocked(weight)
        return parts.wideNorm(over: reducedAxes(of: parts), keeping: true)
    }

    /// The shape of ``norms(of:)`` for a weight of the given shape; nil if such a weight has no such units.
    public func normsShape(ofWeight shape: [Int]) -> [Int]? {
        guard axes.allSatisfy(shape.indices.contains), blocks > 0, blocks == 1 || shape[0].isMultiple(of: blocks) else { return nil }
        let parts = blocks > 1 ? [blocks, shape[0] / blocks] + shape.dropFirst() : shape
        let kept = keptAxes
        return parts.indices.map { kept.contains($0) ? parts[$0] : 1 }
    }

    /// The same weight with a 1 for every element of the units whose norm is 0: a direction for a unit that has none.
    ///
    /// With g = 0 it stands for the same w as v = 0 does here. Other libraries divide by 0 for v = 0: PyTorch's `weight_norm` gives NaN.
    public func replacingZeroDirections(_ direction: Tensor) -> Tensor {
        withoutGradients {
            let direction = direction.detached()
            let isZero = (norms(of: direction) .== 0)
            guard isZero.anyTrue() else { return direction }
            return direction + scale(direction.zerosLike() + 1, by: isZero.converted(to: direction.type))
        }
    }

    /// The elements of each unit in its own row, `[units, elements of a unit]`, in the order of the layer's output features.
    ///
    /// The rows of a weight's gradient are each unit's gradient. ``tensor(ofRows:shape:)`` is the inverse.
    public func rows(of weight: Tensor) -> Tensor {
        let parts = blocked(weight)
        let kept = keptAxes
        let order = kept + (0..<parts.rank).filter { !kept.contains($0) }
        let shape = parts.shape
        return parts.permuted(order).reshaped([kept.reduce(1) { $0 * shape[$1] }, -1])
    }

    /// The tensor of the given shape whose ``rows(of:)`` are the given ones.
    public func tensor(ofRows rows: Tensor, shape: [Int]) -> Tensor {
        let kept = keptAxes
        let blockedShape = blocks > 1 ? [blocks, shape[0] / blocks] + shape.dropFirst() : shape
        let order = kept + blockedShape.indices.filter { !kept.contains($0) }
        let back = order.indices.map { axis in order.firstIndex(of: axis) ?? axis }
        return rows.reshaped(order.map { blockedShape[$0] }).permuted(back).reshaped(shape)
    }

    /// Every unit of a weight times its own factor, of the shape that ``norms(of:)`` gives; the product is computed in the factors' type
    /// and returned in the weight's.
    public func scale(_ weight: Tensor, by factors: Tensor) -> Tensor {
        (blocked(weight).converted(to: factors.type) * factors).converted(to: weight.type).reshaped(weight.shape)
    }

    /// g·v/‖v‖ per unit (eq. 2), in one fused operator. A unit with ‖v‖ = 0 gives w = 0, with finite gradients: its norm is taken as 1.
    public func normalize(_ direction: Tensor, gain: Tensor) -> Tensor {
        let shape = direction.shape
        guard let first = axes.first, let last = axes.last else {
            return direction.normalizedWeight(gain: gain, blocks: 1, outer: 1, units: 1, inner: shape.reduce(1, *))
        }
        guard last - first == axes.count - 1 else {
            // Others lie between the axes: seen as rows, the units are one axis.
            let rows = rows(of: direction)
            let normalized = rows.normalizedWeight(gain: gain, blocks: 1, outer: 1, units: rows.shape[0], inner: rows.shape[1])
            return tensor(ofRows: normalized, shape: shape)
        }
        return direction.normalizedWeight(
            gain: gain, blocks: blocks, outer: shape[..<first].reduce(1, *) / blocks, units: shape[first...last].reduce(1, *),
            inner: shape[(last + 1)...].reduce(1, *))
    }

    /// v/‖v‖ per unit; 0 where ‖v‖ = 0.
    public func unit(_ direction: Tensor) -> Tensor {
        let parts = blocked(direction).converted(to: direction.type.accumulator)
        let reduced = reducedAxes(of: parts)
        // First scaled by a power of two, which is exact: neither ‖v‖ nor 1/‖v‖ need be in the type's range.
        let scaled = parts * parts.rangeScale(over: reduced)
        let norms = scaled.norm(over: reduced, keeping: true)
        return (scaled * (1 / norms.replacing(where: norms .== 0, with: 1))).converted(to: direction.type).reshaped(direction.shape)
    }

    /// One number per unit, `[units]`, in the order of the layer's output features, in the shape of ``norms(of:)``.
    public func shaped(_ perUnit: Tensor, like norms: Tensor) -> Tensor { perUnit.expanded([norms.count]).reshaped(norms.shape) }

    /// Gains of the shape of ``norms(of:)``, replaced where the condition holds; the new gains and the condition are `[units]`, as in
    /// initialization.
    public func replacing(_ gains: Tensor, with new: Tensor, where condition: Tensor) -> Tensor {
        gains.replacing(where: shaped(condition, like: gains), with: shaped(new, like: gains).converted(to: gains.type))
    }

    /// Whether a weight of the given shape has the same norms in both: units of length 1 can be described in several ways.
    public func hasSameNorms(as other: OutputUnits, _ shape: [Int]) -> Bool {
        guard self != other else { return true }
        guard let ours = normsShape(ofWeight: shape), let theirs = other.normsShape(ofWeight: shape) else { return false }
        return ours == theirs
    }

    /// The axes of a blocked weight that together enumerate the units.
    private var keptAxes: [Int] { blocks > 1 ? [0] + axes.map { $0 + 1 } : axes }

    private func reducedAxes(of parts: Tensor) -> [Int] {
        let kept = keptAxes
        return (0..<parts.rank).filter { !kept.contains($0) }
    }

    private func blocked(_ weight: Tensor) -> Tensor {
        guard blocks > 1 else { return weight }
        let shape = weight.shape
        return weight.reshaped([blocks, shape[0] / blocks] + shape.dropFirst())
    }
}

extension OutputUnits: LosslessStringConvertible {
    /// Units from their ``description``; nil for any other text.
    public init?(_ description: String) {
        let words = description.split(whereSeparator: { $0 == " " || $0 == "," })
        let numbers = words.compactMap { Int($0) }.filter { $0 >= 0 }
        let units: OutputUnits
        switch words.first {
        case "axis" where words.count == 2 && numbers.count == 1: units = .axis(numbers[0])
        case "axis" where numbers.count == 2 && numbers[1] > 0: units = .axis(numbers[0], blocks: numbers[1])
        case "axes" where numbers.count > 1: units = .axes(numbers)
        default: units = .whole
        }
        guard units.description == description else { return nil }
        self = units
    }

    /// Such as `axis 1 in 2 blocks`, `axes 0, 2` or `the whole`.
    public var description: String {
        guard let axis else { return axes.isEmpty ? "the whole" : "axes \(axes.map(String.init).joined(separator: ", "))" }
        return blocks == 1 ? "axis \(axis)" : "axis \(axis) in \(blocks) blocks"
    }
}
