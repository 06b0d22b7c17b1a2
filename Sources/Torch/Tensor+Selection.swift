// Choosing, ordering and placing elements. A negative dimension counts from the last.

extension Tensor {
    /// The parts at the given indices (`[n]`, `.int64` or `.int32`) of a dimension.
    public func selecting(_ indices: Tensor, along dimension: Int) -> Tensor {
        operators.indexSelect(.tensor(self), .integer(dimension), .tensor(indices))
    }

    /// For each element of `indices` (`.int64`), the element at that place along the dimension.
    public func gathered(_ indices: Tensor, along dimension: Int) -> Tensor {
        operators.gather(.tensor(self), .integer(dimension), .tensor(indices), .boolean(false))
    }

    /// The tensor with each of `values` in the place that `indices` (`.int64`, of the same shape) gives along the dimension: the opposite of
    /// ``gathered(_:along:)``.
    ///
    /// Where two values go to the same place, any one of them is there afterwards, and the gradient is right only without such places.
    public func scattered(_ values: Tensor, at indices: Tensor, along dimension: Int) -> Tensor {
        operators.scatter(.tensor(self), .integer(dimension), .tensor(indices), .tensor(values))
    }

    /// The same with the values added to what is there, all of them where several go to the same place.
    public func addingScattered(_ values: Tensor, at indices: Tensor, along dimension: Int) -> Tensor {
        operators.scatterAdd(.tensor(self), .integer(dimension), .tensor(indices), .tensor(values))
    }

    /// The elements in ascending or descending order along a dimension, and where they were (`.int64`); equal ones keep their order, and NaN is larger than
    /// every number.
    public func sorted(along dimension: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
        let both = operators.sort.results(
            capacity: 2, .tensor(self), .boolean(true), .integer(dimension), .boolean(descending))
        return (both[0], both[1])
    }

    /// The k largest (or smallest) elements along a dimension, the largest (smallest) first, and where they were (`.int64`).
    public func topK(_ count: Int, along dimension: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
        let both = operators.topK.results(
            capacity: 2, .tensor(self), .integer(count), .integer(dimension), .boolean(largest), .boolean(true))
        return (both[0], both[1])
    }

    /// 1 at the index that each element (`.int64`, from 0 to below `classes`) is, else 0: `[…, classes]`.
    public func oneHot(_ classes: Int, type: ElementType = .float32) -> Tensor {
        operators.oneHot(.tensor(self), .integer(classes)).converted(to: type)
    }

    /// Indices (`.int64`) drawn by weights, `[…, n]` of one or two dimensions, that are not negative and need not add up to 1: `[…, count]`.
    ///
    /// Without replacement no index is drawn twice, and there must be `count` weights above 0. On the generator's device, which must be the tensor's.
    public func multinomial(_ count: Int, replacement: Bool = false, from random: Generator) -> Tensor {
        operators.multinomial(.tensor(self), .integer(count), .boolean(replacement), .generator(random))
    }
}
