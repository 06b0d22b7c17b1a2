package import WeightNorm

extension StoredWeight {
    /// The units whose norms have the shape of g, for v of a shape: those preferred if they fit, as where lengths are 1 several do.
    ///
    /// PyTorch has g of the shape `[1, …, n, …, 1]` for `dim` the axis of length n, and `[]` for `dim=None` (for
    /// which it also takes `dim=-1`).
    package static func units(direction: [Int], gain: [Int], preferring preferred: [OutputUnits] = []) -> OutputUnits? {
        var candidates = preferred + direction.indices.map { .axis($0) } + [.whole]
        // One more dimension than v: the blocks of the native layout.
        if gain.count == direction.count + 1, gain.count > 2, gain[0] > 1 { candidates.append(.axis(1, blocks: gain[0])) }
        return candidates.first { units in
            guard let norms = units.normsShape(ofWeight: direction) else { return false }
            return norms == gain || (units == .whole && gain.isEmpty)
        }
    }

    /// What g may be for v of a shape, for messages: `[4, 1], [1, 3] or []`.
    package static func gainShapes(direction: [Int]) -> String {
        let shapes = direction.indices.map { axis in "\(direction.indices.map { $0 == axis ? direction[$0] : 1 })" }
        return shapes.isEmpty ? "[]" : shapes.joined(separator: ", ") + " or []"
    }
}
