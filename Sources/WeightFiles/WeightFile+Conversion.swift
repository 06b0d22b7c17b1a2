import Torch
public import WeightNorm

// Converts a file's weights to another layout; everything else stays as it is, byte for byte and in order.

extension WeightFile {
    /// What a conversion did.
    public struct Outcome: Sendable {
        /// The weights that are now held differently.
        public var changed: [String] = []
        /// Of these, the ones whose v and g, before and after, are not the same numbers.
        public var computed: [String] = []
        /// All other weights.
        public var kept: [String] = []
    }

    /// Writes the file with every normalized weight in a layout; in the plain layout, that means w = g·v/‖v‖. Plain weights stay plain.
    ///
    /// Between PyTorch's two layouts no byte of a tensor changes. From the native one, gains on a logarithmic scale and units in blocks are converted
    /// to PyTorch's v and g (``PyTorchForm``), and weights with no form there, such as scaled ones, become plain.
    ///
    /// - Parameters:
    ///   - layout: the layout; the plain one folds.
    ///   - path: the file to write, which may be the one that is read; it is written completely or not at all.
    ///   - shardSize: the most bytes of tensors in a file; if given, `path` is a folder (``Safetensors/write(_:metadata:toFolder:shardSize:)``).
    /// - Throws: ``ModuleFileError`` if a weight is incomplete, ``SafetensorsError`` if a number leaves the range of its type, `FileError` if the
    ///   system cannot read or write a file.
    public func convert(to layout: StateLayout, path: String, shardSize: Int? = nil) throws -> Outcome {
        try requireWhole()
        var outcome = Outcome()
        var items: [SafetensorsItem] = []
        for name in file.names {
            guard case .part(let weight, let index) = role(of: name) else {
                if let item = file.item(name, as: name) { items.append(item) }
                continue
            }
            let changes = Self.changes(weight, to: layout)
            if changes {
                items += try converted(weight, part: index, to: layout)
            } else if let item = file.item(name, as: name) {
                items.append(item)
            }
            guard index == 0 else { continue }
            if changes { outcome.changed.append(weight.stored.name) } else { outcome.kept.append(weight.stored.name) }
            if changes && Self.areComputed(weight, in: layout) { outcome.computed.append(weight.stored.name) }
        }
        let metadata = metadata(file.metadata, to: layout, plain: []) { Self.changes($0, to: layout) }
        try write(items, metadata, path, shardSize)
        return outcome
    }

    /// Writes the file with plain weights as v = w and g = ‖w‖, a v of ones and g = 0 where ‖w‖ = 0.
    ///
    /// Folding the result gives the same weights, up to rounding.
    ///
    /// - Parameters:
    ///   - layout: the names that v and g get; not the plain layout.
    ///   - units: the parts that each have their own norm.
    ///   - path: the file to write, which may be the one that is read.
    ///   - shardSize: the most bytes of tensors in a file; if given, `path` is a folder.
    ///   - selects: whether a tensor is normalized, judged by its name, if it is floating-point, has at least 2 dimensions and such units; by default, whether
    ///     its name is that of a weight (``isWeight(_:)``).
    /// - Throws: ``ModuleFileError`` if a weight is incomplete; ``SafetensorsError`` if there is no such tensor, or a norm leaves the range of its
    ///   type; `FileError` if the system cannot read or write a file.
    /// - Precondition: the layout has v and g.
    public func unfold(
        to layout: StateLayout, units: OutputUnits, path: String, shardSize: Int? = nil, selects: (String) -> Bool = isWeight
    ) throws -> Outcome {
        try unfold(path: path, shardSize, "units of \(units)") { name in selects(name) ? (layout, units) : nil }
    }

    /// Writes the file with those plain weights as v and g that another file holds as v and g, with its names and units: the opposite of folding that file.
    ///
    /// - Parameters:
    ///   - model: the other file.
    ///   - path: the file to write, which may be the one that is read.
    ///   - shardSize: the most bytes of tensors in a file; if given, `path` is a folder.
    ///   - selects: whether a tensor is normalized, judged by its name, if the other file has it normalized; by default always.
    /// - Throws: ``ModuleFileError`` if a weight of either file is incomplete, or if the other file's weight of the same name has another shape; else as
    ///   ``unfold(to:units:path:shardSize:selects:)``.
    public func unfold(
        like model: WeightFile, path: String, shardSize: Int? = nil, selects: (String) -> Bool = { _ in true }
    ) throws -> Outcome {
        try model.requireWhole()
        var known: [[UInt8]: FoundWeight] = [:]
        for weight in model.weights where !weight.isPlain { known[Array(weight.name.utf8)] = weight }
        let misshapen = file.names.compactMap { name -> ModuleFileError.Defect? in
            guard let weight = known[Array(name.utf8)], selects(name), let shape = file.entry(name)?.shape, shape != weight.shape else {
                return nil
            }
            return ModuleFileError.Defect(
                .misshapen, name, expected: "\(weight.shape), as in \(Safetensors.quoted(model.file.path))", found: "\(shape)")
        }
        guard misshapen.isEmpty else { throw ModuleFileError(path: file.path, defects: misshapen) }
        return try unfold(path: path, shardSize, "a weight that \(Safetensors.quoted(model.file.path)) has as v and g") { name in
            guard selects(name), let weight = known[Array(name.utf8)] else { return nil }
            let form = weight.form
            let layout = weight.layout == .native && form != NormalizedWeight.self ? .parametrizations : weight.layout
            return (layout, weight.units ?? .axis(0))
        }
    }

    /// Writes the file with the tensors as v and g for which the closure gives a layout and units; `wanted` says in words what these are.
    private func unfold(
        path: String, _ shardSize: Int?, _ wanted: String, _ choose: (String) -> (layout: StateLayout, units: OutputUnits)?
    ) throws -> Outcome {
        try requireWhole()
        var outcome = Outcome()
        var items: [SafetensorsItem] = []
        var layouts: [[UInt8]: StateLayout] = [:]
        /// The first selected tensor that cannot be unfolded.
        var unfit: (name: String, type: String, shape: [Int])?
        for name in file.names {
            let entry = file.entry(name)
            var found: StoredWeight?
            if case .part(let weight, _) = role(of: name) { found = weight.stored }
            let choice = found?.isPlain ?? true ? choose(name) : nil
            if let choice {
                trap(unless: choice.layout != .plain, "unfold weights: expected a layout with v and g, found the plain one")
                guard choice.layout == .native || choice.units.inPyTorch == choice.units else {
                    throw SafetensorsError(
                        path: file.path,
                        problem:
                            "units: expected ones that PyTorch's dim can name for the layout \(choice.layout.rawValue), found \(choice.units)"
                    )
                }
            }
            guard let (layout, units) = choice, let shape = entry?.shape, let type = entry?.type, type.isFloatingPoint, shape.count > 1,
                let norms = units.normsShape(ofWeight: shape)
            else {
                if choice != nil, unfit == nil, let entry { unfit = (name, entry.typeName, entry.shape) }
                if let found, case .part(_, 0) = role(of: name) { outcome.kept.append(found.name) }
                if let item = file.item(name, as: name) { items.append(item) }
                continue
            }
            let stored = StoredWeight.normalized(name, layout)
            outcome.changed.append(name)
            layouts[Array(name.utf8)] = layout
            let file = file
            let gainShape = layout != .native && units == .whole ? [] : norms
            items.append(
                SafetensorsItem(stored.tensors[1], type: type, shape: gainShape) {
                    let weight = try file.computable(name)
                    let gain = units.norms(of: weight).converted(to: type)
                    guard gain.converted(to: type.accumulator).isFinite().allTrue() || !weight.isFinite().allTrue() else {
                        throw SafetensorsError(
                            path: file.path,
                            problem: "tensor \(Safetensors.quoted(name)): expected norms within the range of \(type), found larger ones")
                    }
                    return gain
                })
            items.append(
                SafetensorsItem(stored.tensors[0], type: type, shape: shape) {
                    units.replacingZeroDirections(try file.computable(name)).converted(to: type)
                })
        }
        guard !outcome.changed.isEmpty else {
            let found = unfit.map { "tensor \(Safetensors.quoted($0.name)) of \($0.type)\($0.shape)" } ?? "none"
            throw SafetensorsError(
                path: file.path,
                problem:
                    "expected at least one selected plain weight of floating-point numbers, with at least 2 dimensions and \(wanted), found \(found)"
            )
        }
        // Not everything chosen by a pattern has a weight's name.
        let metadata = Set(layouts.values).sorted { $0.rawValue < $1.rawValue }.reduce(file.metadata) { metadata, layout in
            let changed = Set(layouts.keys.filter { layouts[$0] == layout })
            return self.metadata(metadata, to: layout, plain: changed) { $0.stored.isPlain && changed.contains(Array($0.stored.name.utf8)) }
        }
        try write(items, metadata, path, shardSize)
        return outcome
    }

    /// Reads a weight: its form, with the file's tensors.
    ///
    /// - Throws: what ``SafetensorsFile/tensor(_:)`` throws.
    public func read(_ weight: FoundWeight) throws -> Weight {
        let parts = try weight.stored.tensors.map { try file.tensor($0) }
        let common = weight.stored.commonType(of: parts.map(\.type))
        return weight.stored.weight(
            parts.map { $0.converted(to: common) }, shape: weight.shape, units: weight.units ?? .whole, weight.settings)
    }

    private func write(_ items: [SafetensorsItem], _ metadata: [String: String], _ path: String, _ shardSize: Int?) throws {
        guard let shardSize else { return try Safetensors.write(items: items, metadata: metadata, to: path) }
        try Safetensors.write(items: items, metadata: metadata, toFolder: path, shardSize: shardSize)
    }

    /// Whether a weight is held differently in a layout. Plain ones never are.
    private static func changes(_ weight: FoundWeight, to layout: StateLayout) -> Bool {
        !weight.stored.isPlain && weight.stored.layout != layout
    }

    /// The form in which PyTorch's layouts hold a weight; nil if they hold w.
    private static func pyTorchForm(_ weight: FoundWeight, in layout: StateLayout) -> (any PyTorchForm.Type)? {
        layout == .plain ? nil : weight.stored.form as? any PyTorchForm.Type
    }

    /// Whether a layout has different v and g, or the like, for the same weight.
    private static func areComputed(_ weight: FoundWeight, in layout: StateLayout) -> Bool {
        guard weight.stored.layout == .native, let form = pyTorchForm(weight, in: layout) else { return false }
        return !form.isReadFromPyTorch || weight.units?.inPyTorch != weight.units
    }

    /// What replaces one part of a weight in another layout.
    private func converted(_ weight: FoundWeight, part index: Int, to layout: StateLayout) throws -> [SafetensorsItem] {
        let (name, source) = (weight.stored.name, weight.stored.tensors[index])
        guard let type = file.entry(source)?.type else {
            throw SafetensorsError(path: file.path, problem: "tensor \(Safetensors.quoted(source)): expected numbers, found none")
        }
        guard let form = Self.pyTorchForm(weight, in: layout) else {
            return index > 0 ? [] : [SafetensorsItem(name, type: type, shape: weight.shape) { try narrowed(weight, to: type) { $0.value } }]
        }
        guard weight.stored.layout == .native else {
            let new: StoredWeight? = layout == .native ? StoredWeight.native(name, form) : StoredWeight.pyTorch(name, form, layout)
            guard let new, let item = file.item(source, as: new.tensors[index]) else { return [] }
            let shapes = form.partShapes(ofWeight: weight.shape, units: weight.units ?? .whole, settings: weight.settings)
            return [layout == .native ? item.reshaped(shapes?[index] ?? item.shape) : item]
        }
        let shapes = form.pyTorchShapes(ofWeight: weight.shape, units: weight.units ?? .whole)
        return zip(form.pyTorchNames(of: name, in: layout), shapes).enumerated().compactMap { place, tensor in
            guard tensor.0.part == form.partNames[index] else { return nil }
            return SafetensorsItem(tensor.0.name, type: type, shape: tensor.1) {
                try narrowed(weight, to: type) { ($0.form as? any PyTorchForm)?.pyTorchTensors[place] ?? $0.value }
            }
        }
    }

    /// What is made from a weight's numbers, in the type for the file; an error if finite numbers become infinite.
    private func narrowed(_ weight: FoundWeight, to type: ElementType, _ make: (Weight) -> Tensor) throws -> Tensor {
        let value = try read(weight)
        let made = withoutGradients { make(value).converted(to: type) }
        guard made.converted(to: type.accumulator).isFinite().allTrue() || !value.isFinite else {
            throw SafetensorsError(path: file.path, problem: "weight \(Safetensors.quoted(weight.stored.name)): \(tooLarge(type))")
        }
        return made
    }

    /// The file's own strings, with the entries on the layout and on left-out duplicates updated.
    ///
    /// - Parameters:
    ///   - before: the strings so far.
    ///   - plain: the plain tensors that become v and g, whether or not their names are those of weights.
    ///   - changes: whether a weight goes into the new layout.
    private func metadata(
        _ before: [String: String], to layout: StateLayout, plain: Set<[UInt8]>, changes: (FoundWeight) -> Bool
    ) -> [String: String] {
        let changed = weights.filter(changes)
        guard !changed.isEmpty || !plain.isEmpty else { return before }
        var metadata = before
        if file.isNative {
            for weight in changed {
                for key in StateKey.keys(weight.stored.name, of: weight.stored.form) { metadata[key] = nil }
            }
            // Without the layout's name a scaled weight is not recognized.
            let staysNative = weights.contains {
                !changes($0) && !$0.stored.isPlain && StoredWeight.pyTorch("", $0.stored.form, .weightNorm) == nil
            }
            if layout != .native && !staysNative {
                metadata[StateKey.layout] = nil
                // Without it some readers refuse PyTorch's files.
                metadata["format"] = metadata["format"] ?? "pt"
            }
        } else if metadata[StateKey.layout] != nil || layout == .native {
            metadata[StateKey.layout] = layout.rawValue
        }
        for (name, source) in ties {
            guard let (tied, old, part) = tie(name, source, plain: plain, changes: changes) else { continue }
            metadata[name] = nil
            let (key, value) = (StoredWeight.normalized(tied, layout), StoredWeight.normalized(old.name, layout))
            if old.isPlain || layout == .plain {
                for (key, value) in zip(key.tensors, value.tensors) { metadata[key] = value }
            } else {
                metadata[key.tensors[part]] = value.tensors[part]
            }
        }
        return metadata
    }

    /// The name that a tie gives to a weight that changes, that weight, and which of its parts is meant; nil if the tie stays as it is.
    private func tie(
        _ name: String, _ source: String, plain: Set<[UInt8]>, changes: (FoundWeight) -> Bool
    ) -> (tied: String, old: StoredWeight, part: Int)? {
        if plain.contains(Array(source.utf8)) { return (name, .plain(source), 0) }
        guard case .part(let found, let part) = role(of: source), changes(found) else { return nil }
        let old = found.stored
        let tied = Self.guesses(name, isNative: old.layout == .native).first {
            $0.layout == old.layout && $0.form == old.form && $0.tensors[part] == name
        }
        return tied.map { ($0.name, old, part) }
    }
}
