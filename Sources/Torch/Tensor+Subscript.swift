// x[0], x[1..., ..<3], x[.all, 2], x[.rest, 0]: parts of a tensor, and tensors with parts replaced.

/// What a tensor's subscript takes for a dimension: a whole number, a range, or one of the words of ``TensorIndex``.
public protocol TensorIndexing: Sendable {
    /// The same as a value.
    var tensorIndex: TensorIndex { get }
}

/// What a subscript does with a dimension.
public enum TensorIndex: Sendable {
    /// One index, which removes the dimension; a negative one counts from the end.
    case index(Int)
    /// Every `step`th index from `lower` (by default the first) to before `upper` (by default the end); negative ones count from the end.
    case range(from: Int?, upTo: Int?, step: Int)
    /// The indices in a tensor (`[n]`, `.int64` or `.int32`), which may repeat.
    case indices(Tensor)
    /// A dimension of length 1 that the tensor does not have.
    case newDimension
    /// All of as many dimensions as the other indices leave.
    case remaining
}

extension TensorIndex: TensorIndexing {
    /// Itself.
    public var tensorIndex: TensorIndex { self }
}
extension TensorIndexing where Self == TensorIndex {
    /// All of a dimension.
    public static var all: TensorIndex { .range(from: nil, upTo: nil, step: 1) }
    /// A dimension of length 1 that the tensor does not have.
    public static var new: TensorIndex { .newDimension }
    /// All of as many dimensions as the other indices leave.
    public static var rest: TensorIndex { .remaining }
    /// Every `step`th index from `lower` (by default the first) to before `upper` (by default the end); negative ones count from the end.
    public static func stride(from lower: Int? = nil, to upper: Int? = nil, by step: Int) -> TensorIndex {
        .range(from: lower, upTo: upper, step: step)
    }
}
extension Int: TensorIndexing {
    /// One index.
    public var tensorIndex: TensorIndex { .index(self) }
}
extension Tensor: TensorIndexing {
    /// The indices in it.
    public var tensorIndex: TensorIndex { .indices(self) }
}
extension Range<Int>: TensorIndexing {
    /// From the lower bound to before the upper.
    public var tensorIndex: TensorIndex { .range(from: lowerBound, upTo: upperBound, step: 1) }
}
extension ClosedRange<Int>: TensorIndexing {
    /// From the lower bound to the upper.
    public var tensorIndex: TensorIndex { .range(from: lowerBound, upTo: upperBound == -1 ? nil : upperBound + 1, step: 1) }
}
extension PartialRangeFrom<Int>: TensorIndexing {
    /// From the lower bound on.
    public var tensorIndex: TensorIndex { .range(from: lowerBound, upTo: nil, step: 1) }
}
extension PartialRangeUpTo<Int>: TensorIndexing {
    /// To before the upper bound.
    public var tensorIndex: TensorIndex { .range(from: nil, upTo: upperBound, step: 1) }
}
extension PartialRangeThrough<Int>: TensorIndexing {
    /// To the upper bound.
    public var tensorIndex: TensorIndex { .range(from: nil, upTo: upperBound == -1 ? nil : upperBound + 1, step: 1) }
}

extension Tensor {
    /// The part at the given indices: whole numbers, ranges, index tensors, `.all`, `.new` and at most one `.rest`, from the first dimension on. What follows
    /// is taken as a whole.
    ///
    /// ```swift
    /// x[0]              // the first along the first dimension, which is removed
    /// x[.all, -1]       // the last along the second
    /// x[1..., ..<3]     // from 1 on, and up to before 3
    /// x[.rest, .stride(by: 2)]
    /// x[.rest, 0] = y   // a new tensor with y there, broadcast to the part's shape; others that hold the old one see no change
    /// ```
    ///
    /// Negative indices count from the end. Traps for an index or bound that the dimension does not have, and for more indices than dimensions. Both ways carry
    /// gradients.
    public subscript(_ indices: any TensorIndexing...) -> Tensor {
        get { places(indices).reversed().reduce(self) { part, place in place.part(of: part) } }
        set { self = Self.replacing(self, places(indices)[...], newValue) }
    }

    /// An index with the dimension, counted in this tensor, that it is for.
    private struct Place {
        let index: TensorIndex
        let dimension: Int

        func part(of whole: Tensor) -> Tensor {
            switch index {
            case .index(let index): whole.selected(index, along: dimension)
            case .range(let from, let upTo, let step):
                operators.slice(.tensor(whole), .integer(dimension), .optional(from), .optional(upTo), .integer(step))
            case .indices(let indices): whole.selecting(indices, along: dimension)
            case .newDimension: whole.expandingDimension(dimension)
            case .remaining: whole
            }
        }

        /// The whole with its part replaced.
        func replacing(_ whole: Tensor, with part: Tensor) -> Tensor {
            switch index {
            case .index(let index): operators.selectScatter(.tensor(whole), .tensor(part), .integer(dimension), .integer(index))
            case .range(let from, let upTo, let step):
                operators.sliceScatter(
                    .tensor(whole), .tensor(part), .integer(dimension), .optional(from), .optional(upTo), .integer(step))
            case .indices(let indices): operators.indexCopy(.tensor(whole), .integer(dimension), .tensor(indices), .tensor(part))
            case .newDimension: part.removingDimension(dimension)
            case .remaining: part
            }
        }
    }

    /// Applied from the last to the first, each leaves the dimensions before its own where they are.
    private func places(_ indices: [any TensorIndexing]) -> [Place] {
        let shape = shape
        let indices = indices.map(\.tensorIndex)
        func fail(_ problem: String) -> Never { Torch.fail("subscript of a tensor \(shape): \(problem)") }
        let used = indices.count { if case .newDimension = $0 { false } else if case .remaining = $0 { false } else { true } }
        guard used <= shape.count else { fail("expected at most \(shape.count) indices, found \(used)") }
        var dimension = 0
        var rests = 0
        return indices.compactMap { index in
            switch index {
            case .remaining:
                rests += 1
                guard rests == 1 else { fail("expected .rest at most once, found it twice") }
                dimension += shape.count - used
                return nil
            case .newDimension: return Place(index: index, dimension: dimension)
            default:
                defer { dimension += 1 }
                let length = shape[dimension]
                switch index {
                case .index(let index) where !(-length..<length).contains(index):
                    fail("expected an index from \(-length) to below \(length) for dimension \(dimension), found \(index)")
                case .range(let from, let upTo, let step):
                    let bounds = (from ?? 0, upTo ?? length)
                    let ends = (bounds.0 < 0 ? bounds.0 + length : bounds.0, bounds.1 < 0 ? bounds.1 + length : bounds.1)
                    guard 0 <= ends.0, ends.0 <= ends.1, ends.1 <= length, step > 0 else {
                        fail(
                            "expected a range within 0..<\(length) and a step of at least 1 for dimension \(dimension), found "
                                + "\(bounds.0)..<\(bounds.1)\(step == 1 ? "" : " by \(step)")")
                    }
                default: break
                }
                return Place(index: index, dimension: dimension)
            }
        }
    }

    private static func replacing(_ whole: Tensor, _ places: ArraySlice<Place>, _ value: Tensor) -> Tensor {
        guard let last = places.last else { return value.converted(to: whole.type).expanded(whole.shape) }
        let part = last.part(of: whole)
        return last.replacing(whole, with: replacing(part, places.dropLast(), value))
    }
}
