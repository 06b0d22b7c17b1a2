/// Where a part of a minibatch stands in the whole, which several processes may share.
///
/// Draws for the part (``Tensor/normal(_:type:from:at:axis:)``, ``Tensor/bernoulli(_:probability:value:type:from:at:axis:)``) are those that the whole would
/// get at its place from a generator in the same state, which every process then has. So it is with ``Tensor/uniform(_:type:from:at:axis:)``; draws without a
/// place, such as whole numbers, leave the generators of parts of different sizes in different states.
public struct BatchPlace: Hashable, Sendable {
    /// The index in the whole of the part's first example.
    public let first: Int
    /// The number of examples in the whole.
    public let total: Int

    /// A part that begins with an example of the whole, or an empty part at its end; traps for others.
    public init(first: Int, of total: Int) {
        trap(
            unless: total > 0 && (0...total).contains(first),
            "place in a minibatch: expected a first index from 0 to \(total), found \(first)")
        (self.first, self.total) = (first, total)
    }

    /// The operators' arguments: a length of 0 stands for a tensor that is the whole.
    static func arguments(_ place: BatchPlace?, _ shape: [Int], axis: Int) -> (first: Operator.Value, total: Operator.Value) {
        guard let place else { return (.integer(0), .integer(0)) }
        trap(
            unless: shape.indices.contains(axis) && place.first + shape[axis] <= place.total,
            "place in a minibatch: expected a part of \(place.total) examples from \(place.first) on along axis \(axis), found shape \(shape)"
        )
        return (.integer(place.first), .integer(place.total))
    }
}
