import Torch
package import WeightNorm

// A file's weights in another layout; everything else stays as it is, byte for byte and in its order.

extension WeightFile {
    /// What a conversion did.
    package struct Outcome {
        /// The weights that are held in another way than before.
        package var changed: [String] = []
        /// Of these, the ones with v and g before and after that are not the same numbers.
        package var computed: [String] = []
        /// All other weights.
        package var kept: [String] = []
    }

    /// Writes the file with every normalized weight in a layout; in the plain one that is w = g·v/‖v‖. Plain weights stay plain.
    ///
    /// Between PyTorch's two layouts no byte of a tensor changes. From the native one, gains on a logarithmic scale and units in blocks are put into
    /// the v and g that PyTorch has (``OutputUnits/pyTorchParts(_:_:)``), and scaled weights become plain.
    package func convert(to layout: StateLayout, path: String) throws -> Outcome {
        try requireWhole()
        var outcome = Outcome()
        var items: [SafetensorsItem] = []
        for name in file.names {
            switch role(of: name) {
            case .direction(let weight) where weight.units != nil && weight.stored.layout != layout:
                let parts = try parts(of: weight, in: layout)
                outcome.changed.append(weight.stored.name)
                if parts.areComputed { outcome.computed.append(weight.stored.name) }
                items.append(parts.direction)
            case .gain(let weight) where weight.stored.layout != layout:
                if let gain = try parts(of: weight, in: layout).gain { items.append(gain) }
            case .direction(let weight):
                outcome.kept.append(weight.stored.name)
                fallthrough
            case .gain, .other:
                if let item = file.item(name, as: name) { items.append(item) }
            }
        }
        let metadata = metadata(to: layout, plain: []) { $0.units != nil && $0.stored.layout != layout }
        try Safetensors.write(items: items, metadata: metadata, to: path)
        return outcome
    }

    /// Writes the file with plain weights as v = w and g = ‖w‖, a v of ones and g = 0 where ‖w‖ = 0.
    ///
    /// Folding the result gives the same weights, to rounding.
    ///
    /// - Parameter selects: tells of a tensor by its name whether it is to be normalized, if it is floating-point and has 2 dimensions at least.
    /// - Throws: ``SafetensorsError`` if there is no such tensor, or a norm leaves the range of its type.
    package func unfold(to layout: StateLayout, units: OutputUnits, path: String, selects: (String) -> Bool) throws -> Outcome {
        try requireWhole()
        var outcome = Outcome()
        var items: [SafetensorsItem] = []
        for name in file.names {
            let entry = file.entry(name)
            var isPlain = true
            switch role(of: name) {
            case .direction(let weight): isPlain = weight.units == nil
            case .gain: isPlain = false
            case .other: break
            }
            guard isPlain, let shape = entry?.shape, let type = entry?.type, type.isFloatingPoint, shape.count > 1, selects(name),
                let norms = units.normsShape(ofWeight: shape)
            else {
                if case .direction(let weight) = role(of: name) { outcome.kept.append(weight.stored.name) }
                if let item = file.item(name, as: name) { items.append(item) }
                continue
            }
            let stored = StoredWeight.normalized(name, layout)
            outcome.changed.append(name)
            let file = file
            let gainShape = layout != .native && units == .whole ? [] : norms
            items.append(
                SafetensorsItem(stored.gain ?? name, type: type, shape: gainShape) {
                    let weight = try file.tensor(name)
                    let gain = units.norms(of: weight).converted(to: type)
                    guard gain.isFinite().allTrue() || !weight.isFinite().allTrue() else {
                        throw SafetensorsError(
                            path: file.path,
                            problem: "tensor \(Safetensors.quoted(name)): expected norms within the range of \(type), found larger ones")
                    }
                    return gain
                })
            items.append(
                SafetensorsItem(stored.direction, type: type, shape: shape) { units.replacingZeroDirections(try file.tensor(name)) })
        }
        guard !outcome.changed.isEmpty else {
            throw SafetensorsError(path: file.path, problem: "expected at least one plain weight that is selected, found none")
        }
        let changed = Set(outcome.changed.map { Array($0.utf8) })
        // Of what a pattern has chosen, not all is called a weight.
        let metadata = metadata(to: layout, plain: changed) { $0.units == nil && changed.contains(Array($0.stored.direction.utf8)) }
        try Safetensors.write(items: items, metadata: metadata, to: path)
        return outcome
    }

    /// The tensors of a weight, read.
    package func read(_ weight: FoundWeight) throws -> Weight {
        let direction = try file.tensor(weight.stored.direction)
        guard let name = weight.stored.gain, let units = weight.units, let shape = units.normsShape(ofWeight: weight.shape) else {
            return .direct(Parameter(direction))
        }
        let read = try file.tensor(name)
        // A gain may need a wider type than its logarithm, a product than its factors.
        let least: [ElementType] = weight.stored.form == .logNormalized || weight.stored.form == .scaled ? [.float32] : []
        let common = ElementType.common([direction.type, read.type] + least)
        let gain = read.reshaped(shape).converted(to: common)
        let wide = Parameter(direction.converted(to: common))
        switch weight.stored.form {
        case .plain: return .direct(wide)
        case .normalized: return .normalized(direction: wide, gain: Parameter(gain), units: units)
        case .logNormalized: return .logNormalized(direction: wide, logGain: Parameter(gain), factor: weight.factor, units: units)
        case .scaled: return .scaled(wide, by: Buffer(gain), units: units)
        }
    }

    private func parts(
        of weight: FoundWeight, in layout: StateLayout
    ) throws -> (direction: SafetensorsItem, gain: SafetensorsItem?, areComputed: Bool) {
        let (name, shape) = (weight.stored.name, weight.shape)
        let stored = StoredWeight.normalized(name, layout)
        guard let units = weight.units, let gainName = weight.stored.gain, let type = file.entry(weight.stored.direction)?.type,
            let gainType = file.entry(gainName)?.type
        else {
            throw SafetensorsError(path: file.path, problem: "weight \(Safetensors.quoted(name)): expected v and g, found a plain weight")
        }
        guard layout != .plain, weight.stored.form != .scaled, let newGain = stored.gain else {
            let plain = SafetensorsItem(name, type: type, shape: shape) {
                try narrowed(weight, to: type) { $0.value }
            }
            return (plain, nil, false)
        }
        let norms = units.normsShape(ofWeight: shape) ?? []
        guard weight.stored.layout == .native else {
            guard let direction = file.item(weight.stored.direction, as: stored.direction), let gain = file.item(gainName, as: newGain)
            else {
                throw SafetensorsError(path: file.path, problem: "weight \(Safetensors.quoted(name)): expected v and g, found neither")
            }
            return (direction, layout == .native ? gain.reshaped(norms) : gain, false)
        }
        let kept = units.blocks == 1 ? units : .axis(1)
        let newShape = kept == .whole ? [] : kept.normsShape(ofWeight: shape) ?? []
        func part(_ type: ElementType, _ choose: @escaping ((direction: Tensor, gain: Tensor)) -> Tensor) -> () throws -> Tensor {
            { try narrowed(weight, to: type) { value in value.pyTorchParts.map(choose) ?? value.value } }
        }
        return (
            SafetensorsItem(stored.direction, type: type, shape: shape, part(type, \.direction)),
            SafetensorsItem(newGain, type: gainType, shape: newShape, part(gainType, \.gain)),
            units.blocks > 1 || weight.stored.form == .logNormalized
        )
    }

    /// What is made of a weight's numbers, in the type that the file will have; an error if finite ones are no longer so.
    private func narrowed(_ weight: FoundWeight, to type: ElementType, _ make: (Weight) -> Tensor) throws -> Tensor {
        let value = try read(weight)
        let made = withoutGradients { make(value).converted(to: type) }
        guard made.isFinite().allTrue() || !value.isFinite else {
            throw SafetensorsError(path: file.path, problem: "weight \(Safetensors.quoted(weight.stored.name)): \(tooLarge(type))")
        }
        return made
    }

    /// The file's own strings, with what they say of the layout and of left-out duplicates brought up to date.
    ///
    /// - Parameters:
    ///   - plain: the plain tensors that become v and g, weights by their names or not.
    ///   - changes: tells of a weight whether it goes into the new layout.
    private func metadata(to layout: StateLayout, plain: Set<[UInt8]>, changes: (FoundWeight) -> Bool) -> [String: String] {
        let changed = weights.filter(changes)
        guard !changed.isEmpty || !plain.isEmpty else { return file.metadata }
        var metadata = file.metadata
        if metadata[StateKey.layout] == StateLayout.native.rawValue {
            for weight in changed { metadata[StateKey.factor(weight.stored.name)] = nil }
            // Without the layout's name a scaled weight is none.
            let staysNative = weights.contains { !changes($0) && ($0.stored.form == .logNormalized || $0.stored.form == .scaled) }
            if layout != .native && !staysNative { metadata[StateKey.layout] = nil }
        } else if metadata[StateKey.layout] != nil || layout == .native {
            metadata[StateKey.layout] = layout.rawValue
        }
        for (name, source) in ties {
            guard let (tied, old, isGain) = tie(name, source, plain: plain, changes: changes) else { continue }
            metadata[name] = nil
            let (key, value) = (StoredWeight.normalized(tied, layout), StoredWeight.normalized(old.name, layout))
            if old.gain == nil || layout == .plain {
                for (key, value) in zip(key.tensors, value.tensors) { metadata[key] = value }
            } else {
                metadata[isGain ? key.gain ?? "" : key.direction] = isGain ? value.gain : value.direction
            }
        }
        return metadata
    }

    /// The weight's name that a tie gives to one that changes, that weight, and whether g is meant; nil where the tie stays as it is.
    private func tie(
        _ name: String, _ source: String, plain: Set<[UInt8]>, changes: (FoundWeight) -> Bool
    ) -> (tied: String, old: StoredWeight, isGain: Bool)? {
        if plain.contains(Array(source.utf8)) { return (name, .plain(source), false) }
        let (found, isGain): (FoundWeight, Bool)
        switch role(of: source) {
        case .direction(let weight): (found, isGain) = (weight, false)
        case .gain(let weight): (found, isGain) = (weight, true)
        case .other: return nil
        }
        guard changes(found) else { return nil }
        let old = found.stored
        let tied = Self.guesses(name, isNative: old.form == .scaled).first {
            $0.layout == old.layout && $0.form == old.form && (isGain ? $0.gain : $0.direction) == name
        }
        return tied.map { ($0.name, old, isGain) }
    }
}
