package import WeightNorm

/// A safetensors file whose weights are found by their names alone, without the module that they belong to.
///
/// Pairs `…_g` and `…_v`, `….parametrizations.….original0` and `…1`, `….gain` (or `….logGain`) and `….direction` are weights if the shapes fit; so is
/// what is called `weight`, `weight_ih_l0` and the like, of 2 dimensions at least: a plain one. What another reparameterization holds (spectral normalization's
/// `…_orig`, `…_u` and `…_v`) is left alone: these are other tensors.
package struct WeightFile {
    /// A weight and what the file has of it.
    package struct FoundWeight {
        package let stored: StoredWeight
        package let typeName: String
        package let shape: [Int]
        /// nil for a plain weight.
        package let units: OutputUnits?
        /// c of g = exp(c·s).
        package let factor: Double
    }

    /// A tensor of the file as a part of a weight, or as none.
    enum Role {
        case direction(FoundWeight)
        case gain(FoundWeight)
        case other
    }

    package let file: SafetensorsFile
    /// In the order of the file's tensors.
    package let weights: [FoundWeight]
    /// The names of all other tensors.
    package let others: [String]
    /// Weights of which a part is missing or does not fit the other.
    package let defects: [ModuleFileError.Defect]
    private let byTensor: [[UInt8]: FoundWeight]

    package init(_ file: SafetensorsFile) {
        self.file = file
        var weights: [FoundWeight] = []
        var byTensor: [[UInt8]: FoundWeight] = [:]
        var defects: [ModuleFileError.Defect] = []
        var seen: Set<[UInt8]> = []
        let further = FurtherParametrizations(in: file)
        for name in file.names {
            guard byTensor[Array(name.utf8)] == nil else { continue }
            for stored in Self.guesses(name, isNative: file.metadata[StateKey.layout] == StateLayout.native.rawValue) {
                // Both tensors of a pair lead here.
                guard seen.insert(Array("\(stored.direction)\0\(stored.gain ?? "")".utf8)).inserted else { break }
                guard !further.contains(stored), let weight = Self.weight(stored, in: file, &defects) else { continue }
                weights.append(weight)
                for tensor in stored.tensors { byTensor[Array(tensor.utf8)] = weight }
                break
            }
        }
        self.weights = weights
        self.byTensor = byTensor
        self.defects = defects
        others = file.names.filter { byTensor[Array($0.utf8)] == nil }
    }

    package init(opening path: String) throws { self.init(try SafetensorsFile(opening: path)) }

    /// Throws unless every weight is whole.
    package func requireWhole() throws {
        guard defects.isEmpty else { throw ModuleFileError(path: file.path, defects: defects) }
    }

    func role(of name: String) -> Role {
        guard let weight = byTensor[Array(name.utf8)] else { return .other }
        return Array(weight.stored.direction.utf8) == Array(name.utf8) ? .direction(weight) : .gain(weight)
    }

    /// The names that another tensor's stands for, whose duplicates the writer left out (`safetensors.torch.save_model`).
    package var ties: [(name: String, source: String)] {
        file.metadata.filter { !file.contains($0.key) && file.contains($0.value) }
            .map { (name: $0.key, source: $0.value) }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// The weights of which a tensor may be a part, by its name.
    static func guesses(_ name: String, isNative: Bool) -> [StoredWeight] {
        var guesses: [StoredWeight] = []
        func base(_ suffix: String) -> String? {
            name.hasSuffix(suffix) && name.count > suffix.count ? String(name.dropLast(suffix.count)) : nil
        }
        for suffix in ["_g", "_v"] { if let base = base(suffix) { guesses.append(.normalized(base, .weightNorm)) } }
        for suffix in [".original0", ".original1"] {
            guard let owner = base(suffix) else { continue }
            let (prefix, leaf) = StoredWeight.split(owner)
            guard prefix == "parametrizations." || prefix.hasSuffix(".parametrizations.") else { continue }
            guesses.append(.normalized("\(prefix.dropLast("parametrizations.".count))\(leaf)", .parametrizations))
        }
        for suffix in [".gain", ".direction"] { if let base = base(suffix) { guesses.append(.normalized(base, .native)) } }
        for suffix in [".logGain", ".direction"] { if let base = base(suffix) { guesses.append(.logNormalized(base)) } }
        // Elsewhere a scale beside a weight means other things.
        if isNative { guesses += [.scaled(base(".scale") ?? name)] }
        if isWeight(name) { guesses.append(.plain(name)) }
        return guesses
    }

    /// Whether a tensor's name says that it is a weight: `weight`, `weight_ih_l0`, `weight_hh_l1_reverse`, `inputWeight`, `stateWeight`.
    package static func isWeight(_ name: String) -> Bool {
        let leaf = StoredWeight.split(name).leaf
        if ["weight", "inputWeight", "stateWeight"].contains(leaf) { return true }
        for prefix in ["weight_ih_l", "weight_hh_l"] where leaf.hasPrefix(prefix) {
            let rest = leaf.dropFirst(prefix.count)
            let number = rest.hasSuffix("_reverse") ? rest.dropLast("_reverse".count) : rest
            return !number.isEmpty && number.allSatisfy { $0.isASCII && $0.isNumber }
        }
        return false
    }

    /// The weight, if it is one; a defect if it is one of which something is wrong.
    private static func weight(_ stored: StoredWeight, in file: SafetensorsFile, _ defects: inout [ModuleFileError.Defect]) -> FoundWeight?
    {
        // Two originals, or a `weight` with a suffix, are meant for weight normalization; other pairs may be anything.
        let isMeant = stored.layout == .parametrizations || (stored.layout == .weightNorm && isWeight(stored.name))
        let missing = stored.tensors.filter { !file.contains($0) }
        guard missing.isEmpty else {
            let other = stored.tensors.first { file.contains($0) } ?? ""
            if isMeant, StoredWeight.spectral(stored.name, in: file) == nil {
                defects += missing.map {
                    ModuleFileError.Defect(.missing, $0, expected: "a tensor beside \(Safetensors.quoted(other))", found: "none")
                }
            }
            return nil
        }
        guard let direction = file.entry(stored.direction) else { return nil }
        guard let name = stored.gain, let gain = file.entry(name) else {
            guard direction.shape.count > 1, direction.type?.isFloatingPoint == true else { return nil }
            return FoundWeight(stored: stored, typeName: direction.typeName, shape: direction.shape, units: nil, factor: 1)
        }
        let before = defects.count
        let units = StoredWeight.units(direction: direction.shape, gain: gain.shape)
        if units == nil, isMeant {
            let expected = "\(StoredWeight.gainShapes(direction: direction.shape)) for v of \(direction.shape)"
            defects.append(ModuleFileError.Defect(.misshapen, name, expected: expected, found: "\(gain.shape)"))
        }
        for (name, entry) in [(stored.direction, direction), (name, gain)] where entry.type?.isFloatingPoint != true && isMeant {
            defects.append(ModuleFileError.Defect(.mistyped, name, expected: "F16, BF16, F32 or F64", found: entry.typeName))
        }
        var factor = 1.0
        if stored.form == .logNormalized, let text = file.metadata[StateKey.factor(stored.name)] {
            if let given = StateKey.factor(parsing: text) { factor = given } else { defects.append(.badFactor(text, of: stored.name)) }
        }
        guard defects.count == before, let units, direction.type?.isFloatingPoint == true, gain.type?.isFloatingPoint == true else {
            return nil
        }
        return FoundWeight(stored: stored, typeName: direction.typeName, shape: direction.shape, units: units, factor: factor)
    }
}
