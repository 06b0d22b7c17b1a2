import AtomicFiles
public import WeightNorm

/// What happens to the weights' forms when a file is loaded.
public enum LoadedForms: Sendable {
    /// The module keeps its forms and its `Parameter` objects, which an optimizer may hold; the values are the file's, converted where the forms
    /// differ.
    case keep
    /// The file's forms and units, of any `dim`, become the module's, so that training continues as it would have. The weights get new `Parameter`
    /// objects: make optimizers afterwards.
    case adopt
}

extension Module {
    /// Sets all parameters and buffers from a safetensors file, written here or by PyTorch.
    ///
    /// Each weight's layout is recognized by its names (``StateLayout``), which may be native, or PyTorch's with or without `snake_case`. v and g
    /// with any `dim` are read; if it is not the module's own, or its weight is plain, w = g·v/‖v‖ is computed and put into the module's form, unless
    /// the file's form is adopted. PyTorch's batch counter is ignored.
    ///
    /// Everything is checked and read before anything is changed: after an error the module is as it was.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - forms: whether weights keep their forms or take on the file's.
    ///   - renaming: maps the module's names to the file's.
    ///   - convertingTypes: whether floating-point tensors of another type are converted; else they are an error.
    ///   - weightForms: forms from outside this library that the file may have; the module's own are known already.
    ///   - ignoring: whether a tensor that the module does not have is ignored; else it is an error.
    /// - Throws: ``ModuleFileError``, which names every tensor that does not fit; ``SafetensorsError`` and `FileError` as for ``SafetensorsFile``.
    @discardableResult
    public func load(
        from path: String, forms: LoadedForms = .keep, renaming: Renaming = .none, convertingTypes: Bool = false,
        knowing weightForms: [any WeightForm.Type] = [], ignoring: (String) -> Bool = { _ in false }
    ) throws -> LoadReport {
        try load(
            from: SafetensorsFile(opening: path), forms: forms, renaming: renaming, convertingTypes: convertingTypes, knowing: weightForms,
            ignoring: ignoring)
    }

    /// The same from an open file.
    @discardableResult
    public func load(
        from file: SafetensorsFile, forms: LoadedForms = .keep, renaming: Renaming = .none, convertingTypes: Bool = false,
        knowing weightForms: [any WeightForm.Type] = [], ignoring: (String) -> Bool = { _ in false }
    ) throws -> LoadReport {
        var matching = StateMatching(
            file: file, slots: ModuleState(of: self, renaming: renaming).slots, convertingTypes: convertingTypes, knowing: weightForms)
        // If lengths of 1 leave a choice, the units that the layer's initialization expects.
        if forms == .adopt {
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
            return (match: match, found: found, values: forms == .adopt ? nil : try match.values(of: found, in: file))
        }

        var report = LoadReport()
        report.ignored = matching.ignored
        for (match, value) in tensors {
            match.assign(value)
            report.tensors.append(LoadReport.FoundTensor(path: match.path, names: match.names))
        }
        var adopted: [Weight.Identity: Weight] = [:]
        for (match, found, values) in weights {
            if let values { match.weight.assign(values) } else { adopted[match.weight.identity] = found }
            let isExact = (values?.isSameForm ?? true) && match.hasTypes(of: file)
            report.weights.append(
                LoadReport.FoundWeight(
                    path: match.path, names: match.stored.tensors, layout: match.stored.layout,
                    units: match.stored.form.hasUnits ? match.units : nil, isExact: isExact))
        }
        if forms == .adopt { changeWeights { _, weight, _ in adopted[weight.identity] ?? weight } }
        return report
    }
}
