import WeightNorm

extension StoredWeight {
    /// The units with which tensors of these shapes form a weight of the given shape: the given units, else the preferred ones if they fit (with
    /// lengths of 1 several may); nil if none fit.
    ///
    /// In PyTorch g has the shape `[1, …, n, …, 1]` if `dim` is the axis of length n, and `[]` for `dim=None` (or `dim=-1`, which it treats the
    /// same).
    func units(
        _ shapes: [[Int]], ofWeight weight: [Int], _ settings: [String: Double], given: OutputUnits? = nil,
        preferring preferred: [OutputUnits] = []
    ) -> OutputUnits? {
        candidates(shapes, weight, given, preferred).first { units in
            guard let expected = form.partShapes(ofWeight: weight, units: units, settings: settings) else { return false }
            return expected.count == shapes.count && zip(expected, shapes).allSatisfy { $1 == $0 || ($1.isEmpty && isOne($0, units)) }
        }
    }

    /// The shapes that a part may have, for messages, such as `[4, 1], [1, 3] or []`; nil if the one found is among them.
    func expectation(
        ofPart index: Int, _ shapes: [[Int]], ofWeight weight: [Int], _ settings: [String: Double], given: OutputUnits? = nil
    ) -> String? {
        var texts: [String] = []
        for units in candidates([], weight, given, []) {
            guard let shape = form.partShapes(ofWeight: weight, units: units, settings: settings)?[index] else { continue }
            let isGain = index > 0 && isOne(shape, units)
            if shapes[index] == shape || (isGain && shapes[index].isEmpty) { return nil }
            let text = isGain ? "[]" : "\(shape)"
            if !texts.contains(text) { texts.append(text) }
        }
        guard let last = texts.last, texts.count > 1 else { return texts.first ?? "a part of such a weight" }
        return texts.dropLast().joined(separator: ", ") + " or " + last
    }

    /// Whether a part is a single number for the whole, which PyTorch stores without dimensions.
    private func isOne(_ shape: [Int], _ units: OutputUnits) -> Bool { units == .whole && shape.allSatisfy { $0 == 1 } }

    private func candidates(
        _ shapes: [[Int]], _ weight: [Int], _ given: OutputUnits?, _ preferred: [OutputUnits]
    ) -> [OutputUnits] {
        if let given { return [given] }
        guard form.hasUnits else { return [.whole] }
        var candidates = preferred + weight.indices.map { .axis($0) } + [.whole]
        // PyTorch's layouts have no units along several axes.
        if layout == .native {
            for gain in shapes where gain.count == weight.count && gain != weight {
                candidates.append(.axes(gain.indices.filter { gain[$0] != 1 }))
            }
        }
        // One dimension more than v: the blocks of the native layout.
        for gain in shapes where gain.count == weight.count + 1 && gain.count > 2 && gain[0] > 1 {
            candidates.append(.axis(1, blocks: gain[0]))
        }
        return candidates
    }
}
