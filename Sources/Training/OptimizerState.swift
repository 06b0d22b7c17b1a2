public import Torch

/// Everything besides the parameters that an optimizer's next step depends on: what a checkpoint stores.
public struct OptimizerState {
    /// The optimizer's name, such as `Adam`.
    public let kind: String
    /// Counts and settings that may change between steps.
    public let numbers: [String: Double]
    /// Moments and the like, by names such as `first.0` for the first parameter's; copies, which later steps do not change.
    public let tensors: [(name: String, value: Tensor)]

    /// A state made of the given parts.
    public init(kind: String, numbers: [String: Double] = [:], tensors: [(name: String, value: Tensor)] = []) {
        self.kind = kind
        self.numbers = numbers
        self.tensors = tensors
    }

    /// A state made of lists, whose tensors are copied and named after their list and index, and of the master copies.
    public init(
        kind: String, numbers: [String: Double] = [:], lists: KeyValuePairs<String, MutableTensorList?>, masters: MasterParameters
    ) {
        var tensors: [(name: String, value: Tensor)] = []
        for (slot, list) in Array(lists) + [(Self.copies, masters.copies)] {
            for (index, tensor) in (list?.values.tensors ?? []).enumerated() {
                tensors.append(("\(slot).\(index)", withoutGradients { tensor.detached().copied() }))
            }
        }
        self.init(kind: kind, numbers: numbers, tensors: tensors)
    }

    /// A number, which must be in the range.
    ///
    /// - Throws: ``OptimizerStateError`` if the state has no such number.
    public func number(_ name: String, in range: Range<Double>) throws(OptimizerStateError) -> Double {
        guard let number = numbers[name], range.contains(number) else {
            let found = numbers[name].map { "\($0)" } ?? "none"
            throw OptimizerStateError(
                "state of \(kind): expected a number '\(name)' from \(range.lowerBound) to below \(range.upperBound), found \(found)")
        }
        return number
    }

    /// A whole number of at least 0.
    ///
    /// - Throws: ``OptimizerStateError`` if the state has no such number.
    public func count(_ name: String) throws(OptimizerStateError) -> Int {
        // Up to 2⁵³ a double holds every whole number.
        let number = try number(name, in: 0..<0x1p53)
        guard let count = Int(exactly: number) else {
            throw OptimizerStateError("state of \(kind): expected a whole number '\(name)', found \(number)")
        }
        return count
    }

    /// Throws ``OptimizerStateError`` unless the state is of the kind.
    public func require(kind: String) throws(OptimizerStateError) {
        guard self.kind == kind else { throw OptimizerStateError("expected the state of \(kind), found that of \(self.kind)") }
    }

    /// Restores the tensors of the lists with these names, and the master copies: all or none of them.
    ///
    /// Version 0.1.0 kept the moments of 16-bit parameters in 16 bits, and no copies of the parameters: both are accepted.
    ///
    /// - Throws: ``OptimizerStateError`` unless the state is of this kind and has exactly these tensors, with their shapes and types; nothing is
    ///   changed then.
    public func restore(
        kind: String, lists: KeyValuePairs<String, MutableTensorList?>, masters: MasterParameters
    ) throws(OptimizerStateError) {
        try require(kind: kind)
        let found = Dictionary(tensors.map { ($0.name, $0.value) }) { first, _ in first }
        let hasCopies = found.keys.contains { $0.hasPrefix("\(Self.copies).") }
        let slots = Array(lists) + (hasCopies ? [(Self.copies, masters.copies)] : [])
        let places = slots.flatMap { slot, list in (list?.values.tensors ?? []).enumerated().map { ("\(slot).\($0)", $1) } }
        guard found.count == places.count else {
            throw OptimizerStateError("state of \(kind): expected \(places.count) tensors, found \(found.count)")
        }
        for (name, place) in places {
            guard let value = found[name] else { throw OptimizerStateError("state of \(kind): expected a tensor '\(name)', found none") }
            guard value.shape == place.shape, value.type.accumulator == place.type else {
                throw OptimizerStateError(
                    "state of \(kind): tensor '\(name)': expected \(place.type)\(place.shape), found \(value.type)\(value.shape)")
            }
        }
        withoutGradients {
            for (name, place) in places { if let value = found[name] { MutableTensorList([place]).assign(TensorList([value])) } }
            if !hasCopies { masters.begin() }
        }
    }

    private static let copies = "copy"
}

/// Why a state does not fit an optimizer.
public struct OptimizerStateError: Error, CustomStringConvertible, Equatable {
    /// What was expected and what was found.
    public let description: String

    /// An error whose text says what was expected and what was found.
    public init(_ description: String) { self.description = description }
}
