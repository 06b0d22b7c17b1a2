import Torch

// From v and g to w and back, and from one module to another of the same kind.

/// A layer whose weights can change their form.
protocol HoldsWeight: AnyObject {
    /// The weight in its present form.
    var weight: Weight { get set }
    /// The units that a normalized form of the weight has.
    var weightUnits: OutputUnits { get }
}

extension Module {
    /// Replaces every weight by the plain weight that it stands for, as a new parameter: the function stays the same, bit for bit, and no trace of the
    /// normalization is left.
    ///
    /// For models that are to be used, not trained further. Parameters that were asked for before, an optimizer's among them, are no longer the
    /// module's. Batch normalization stays.
    public func foldWeights() { changeWeights { weight, _ in weight.folded() } }

    /// Replaces every plain weight by a normalized one that equals it, g = ‖w‖: the opposite of ``foldWeights()``.
    public func normalizeWeights() {
        changeWeights { weight, units in
            if case .direct(let plain) = weight { .normalized(plain.value, units: units) } else { weight }
        }
    }

    private func changeWeights(_ change: (Weight, OutputUnits) -> Weight) {
        for layer in layersWithWeights { layer.weight = change(layer.weight, layer.weightUnits) }
    }

    /// Copies the values of all parameters and buffers from a module of the same structure; nothing is shared afterwards.
    ///
    /// Everything is copied, directions, gains and running averages among it: so it makes target networks and averaged models. Traps unless both
    /// have parameters and buffers of the same paths and shapes; the message names what differs.
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

extension Weight {
    /// The plain weight that this one stands for, as a parameter of its own.
    public func folded() -> Weight { .direct(Parameter(withoutGradients { value })) }
}
