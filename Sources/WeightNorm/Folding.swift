import Torch

// From v and g to w and back, and from one module to another of the same kind.

/// A type that stores weights and allows their form to change.
///
/// ``Affine``, ``LSTM`` and ``GRU`` are such types. Conform your own class with a property of type ``Weight``, so that folding and loading
/// reach it.
public protocol HoldsWeights: AnyObject {
    /// Calls the closure for each stored weight, with the name of its property and the units that its normalized form has, and stores what
    /// the closure returns.
    func changeWeights(_ change: (_ property: String, _ weight: Weight, _ units: OutputUnits) -> Weight)
}

extension Module {
    /// Replaces every weight by the plain weight that it stands for, as a new parameter: the function stays the same, bit for bit, and no
    /// trace of the normalization remains.
    ///
    /// For models that will be used, not trained further. Parameters obtained earlier, such as an optimizer's, no longer belong to the
    /// module. Batch normalization stays.
    public func foldWeights() {
        changeWeights { _, weight, _ in
            weight.plain == nil ? weight.folded() : weight
        }
    }

    /// Replaces every plain weight by a normalized one that equals it to rounding, g = ‖w‖: the opposite of ``foldWeights()``.
    ///
    /// - Parameter units: which elements of a weight share a norm; by default those of an output of its layer. Traps for a weight that has no such axes.
    public func normalizeWeights(along units: OutputUnits? = nil) {
        changeWeights { path, weight, own in
            guard let plain = weight.plain else { return weight }
            let units = units ?? own
            trap(
                unless: units.normsShape(ofWeight: weight.shape) != nil,
                "normalize weight '\(path)': expected units of a weight of \(weight.shape), found \(units)")
            return .normalized(plain.value, units: units)
        }
    }

    /// Calls the closure for each weight, with its path and the units that its normalized form has, and stores what the closure returns.
    ///
    /// A weight that several layers share is changed once and stays shared. An optimizer that holds parameters which are replaced traps at its next step. Traps if a weight is stored in a type that is not ``HoldsWeights``: the change
    /// would not reach it.
    public func changeWeights(_ change: (_ path: String, _ weight: Weight, _ units: OutputUnits) -> Weight) {
        let (holders, weights) = holdersAndWeights
        var changed: [Weight.Identity: Weight] = [:]
        var reached: Set<String> = []
        for holder in holders {
            holder.value.changeWeights { property, weight, units in
                let path = holder.path.isEmpty ? property : "\(holder.path).\(property)"
                reached.insert(path)
                if let before = changed[weight.identity] { return before }
                let after = change(path, weight, units)
                trap(unless: after.shape == weight.shape, "weight '\(path)': expected shape \(weight.shape), found \(after.shape)")
                changed[weight.identity] = after
                let kept = Set(after.form.parts.map { ObjectIdentifier($0.object) })
                for case .parameter(let parameter) in weight.form.parts where !kept.contains(ObjectIdentifier(parameter)) {
                    parameter.replace()
                }
                return after
            }
        }
        for weight in weights where !reached.contains(weight.path) {
            fatalError("weight '\(weight.path)': expected to find it in a type that is HoldsWeights, so that its form can be changed")
        }
    }

    /// Copies the values of all parameters and buffers from a module of the same structure; nothing is shared afterwards.
    ///
    /// Everything is copied, including directions, gains and running averages, as target networks and averaged models need. Traps unless
    /// both have parameters and buffers with the same paths and shapes; the message names what differs.
    public func copyValues(from other: some Module) {
        let (ours, theirs) = (namedParameters, other.namedParameters)
        let (ourBuffers, theirBuffers) = (namedBuffers, other.namedBuffers)
        requireSame(ours.map { ($0.path, $0.value.value.shape) }, theirs.map { ($0.path, $0.value.value.shape) })
        requireSame(ourBuffers.map { ($0.path, $0.value.value.shape) }, theirBuffers.map { ($0.path, $0.value.value.shape) })
        for (parameter, source) in zip(ours, theirs) { parameter.value.assign(source.value.value.detached()) }
        for (buffer, source) in zip(ourBuffers, theirBuffers) {
            let value = source.value.value
            buffer.value.assign(value.converted(to: buffer.value.value.type).moved(to: buffer.value.value.device).copied())
        }
    }

    private func requireSame(_ ours: [(String, [Int])], _ theirs: [(String, [Int])]) {
        let (left, right) = (ours.map { "\($0.0) \($0.1)" }, theirs.map { "\($0.0) \($0.1)" })
        guard left != right else { return }
        let missing = left.filter { !right.contains($0) }.joined(separator: ", ")
        let extra = right.filter { !left.contains($0) }.joined(separator: ", ")
        fatalError("copy of a module: expected the same paths and shapes, missing [\(missing)], unexpected [\(extra)]")
    }
}
