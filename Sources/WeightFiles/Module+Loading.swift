import AtomicFiles
public import WeightNorm

/// What happens to the weights' forms when a file is loaded.
public enum LoadedForms: Sendable {
    /// The module keeps its forms, but a weight that is normalized both here and in the file takes over the file's units, of any `dim`: training continues as it would have, and what is
    /// written has the shapes that were read. The default.
    ///
    /// Only a weight whose units change gets new `Parameter` objects (``LoadReport/FoundWeight/hasNewParameters``). An optimizer that was made before and holds the old ones traps at its next
    /// step: make optimizers afterwards.
    case matching
    /// The module keeps its forms, its units and its `Parameter` objects, which an optimizer may hold; the values are the file's, converted where forms or units differ. Where
    /// they do, the function is the same but training continues differently.
    case keep
    /// The file's forms and units, of any `dim`, become the module's. All weights get new `Parameter` objects: make optimizers afterwards.
    case adopt
}

extension Module {
    /// Sets all parameters and buffers from a safetensors file, written here or by PyTorch.
    ///
    /// Each weight's layout is recognized by its names (``StateLayout``), which may be native, or PyTorch's with or without `snake_case`. v and g
    /// with any `dim` are read, and a normalized weight of the module takes over that `dim`. A plain weight of the file becomes v = w and g = ‖w‖ in a normalized layer, and v and g
    /// become w = g·v/‖v‖ in a plain one, unless the file's form is adopted. PyTorch's batch counter is ignored.
    ///
    /// Everything is checked and read before anything is changed: after an error the module is as it was.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - forms: whether weights keep their forms and units or take on the file's.
    ///   - renaming: maps the module's names to the file's.
    ///   - convertingTypes: whether floating-point tensors of another type are converted; else they are an error.
    ///   - weightForms: forms from outside this library that the file may have; the module's own are known already.
    ///   - ignoring: whether a tensor that the module does not have is ignored; else it is an error.
    /// - Throws: ``ModuleFileError``, which names every tensor that does not fit; ``SafetensorsError`` and `FileError` as for ``SafetensorsFile``.
    @discardableResult
    public func load(
        from path: String, forms: LoadedForms = .matching, renaming: Renaming = .none, convertingTypes: Bool = false,
        knowing weightForms: [any WeightForm.Type] = [], ignoring: (String) -> Bool = { _ in false }
    ) throws -> LoadReport {
        try load(
            from: SafetensorsFile(opening: path), forms: forms, renaming: renaming, convertingTypes: convertingTypes, knowing: weightForms,
            ignoring: ignoring)
    }

    /// The same from an open file.
    @discardableResult
    public func load(
        from file: SafetensorsFile, forms: LoadedForms = .matching, renaming: Renaming = .none, convertingTypes: Bool = false,
        knowing weightForms: [any WeightForm.Type] = [], ignoring: (String) -> Bool = { _ in false }
    ) throws -> LoadReport {
        var matching = StateMatching(
            file: file, slots: ModuleState(of: self, renaming: renaming).slots, convertingTypes: convertingTypes, knowing: weightForms)
        // If lengths of 1 leave a choice, the units that the layer's initialization expects.
        if forms != .keep {
            changeWeights { _, weight, units in
                matching.mapUnits[weight.identity] = units
                return weight
            }
        }
        matching.match(ignoring: ignoring)
        guard matching.defects.isEmpty else { throw ModuleFileError(path: file.path, defects: matching.defects) }

        let tensors = try matching.tensors.map { ($0, try $0.read(from: file)) }
        let weights = try matching.weights.map { match in
            let found = try match.read(from: file, adopting: forms == .adopt)
            if forms == .adopt { return (match: match, new: Optional(found), values: Weight.Values?.none) }
            let target = forms == .matching ? match.weightInUnits(of: found) : match.weight
            let values = try match.values(of: found, for: target, in: file)
            return (match: match, new: target.identity == match.weight.identity ? nil : target, values: values)
        }

        var report = LoadReport()
        report.ignored = matching.ignored
        for (match, value) in tensors {
            match.assign(value)
            report.tensors.append(LoadReport.FoundTensor(path: match.path, names: match.names))
        }
        var adopted: [Weight.Identity: Weight] = [:]
        for (match, new, values) in weights {
            if let values { (new ?? match.weight).assign(values) }
            if let new { adopted[match.weight.identity] = new }
            let isExact = (values?.isSameForm ?? true) && match.hasTypes(of: file)
            report.weights.append(
                LoadReport.FoundWeight(
                    path: match.path, names: match.stored.tensors, layout: match.stored.layout,
                    units: match.stored.form.hasUnits ? match.units : nil, isExact: isExact,
                    hasNewParameters: new != nil))
        }
        if !adopted.isEmpty { changeWeights { _, weight, _ in adopted[weight.identity] ?? weight } }
        return report
    }
}
