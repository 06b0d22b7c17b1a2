public import WeightNorm

/// A safetensors file whose weights are found only by their names, without the module that they belong to.
///
/// Pairs `…_g` and `…_v`, `….parametrizations.….original0` and `…1`, `….gain` (or `….logGain`) and `….direction` are weights if the shapes fit;
/// tensors named `weight`, `weight_ih_l0` and the like, with at least 2 dimensions, are plain weights. Other forms are named in the file's strings.
/// Weights of another reparameterization (spectral normalization's `…_orig`, `…_u` and `…_v`) are left alone: they count as other tensors.
public struct WeightFile: Sendable {
    /// A weight and what the file has for it.
    public struct FoundWeight: Sendable {
        package let stored: StoredWeight
        /// The weight's name: in PyTorch's layouts that of the plain w, such as `hidden.weight`; in the native layout its path.
        public var name: String { stored.name }
        /// How the file holds it.
        public var layout: StateLayout { stored.layout }
        /// The form that its tensors represent.
        public var form: any WeightForm.Type { stored.form }
        /// The names of its tensors, in the order of the form's parts.
        public var tensors: [String] { stored.tensors }
        /// Whether the file has w itself.
        public var isPlain: Bool { stored.isPlain }
        /// The format's name of the first tensor's type, such as `F32`.
        public let typeName: String
        /// Of w.
        public let shape: [Int]
        /// Nil for a form without units, such as the plain one.
        public let units: OutputUnits?
        /// Those of the form, such as the c of g = exp(c·s).
        public let settings: [String: Double]
    }

    /// A tensor's role in the file: part of a weight, or not.
    enum Role {
        case part(FoundWeight, Int)
        case other
    }

    /// The file itself.
    public let file: SafetensorsFile
    /// In the order of the file's tensors.
    public let weights: [FoundWeight]
    /// The names of all other tensors.
    public let others: [String]
    /// Weights with a part that is missing or does not fit the others.
    public let defects: [ModuleFileError.Defect]
    private let byTensor: [[UInt8]: FoundWeight]

    /// Finds the weights of a file, using only its header.
    ///
    /// - Parameters:
    ///   - file: the file.
    ///   - forms: forms from outside this library that the file may have.
    public init(_ file: SafetensorsFile, knowing forms: [any WeightForm.Type] = []) {
        self.file = file
        var weights: [FoundWeight] = []
        var byTensor: [[UInt8]: FoundWeight] = [:]
        var defects: [ModuleFileError.Defect] = []
        var seen: Set<[UInt8]> = []
        let further = FurtherParametrizations(in: file)
        let named = Self.named(in: file, KnownForms(and: forms), &defects)
        for name in file.names {
            guard byTensor[Array(name.utf8)] == nil else { continue }
            let stated = named[Array(name.utf8)]
            // What the first guess lacks: no defect if another guess has all of its tensors.
            var missing: [ModuleFileError.Defect] = []
            for stored in stated.map({ [$0] }) ?? Self.guesses(name, isNative: file.isNative) {
                // Each tensor of a weight leads here.
                guard seen.insert(Array(stored.tensors.joined(separator: "\0").utf8)).inserted else { break }
                guard !further.contains(stored) else { continue }
                var found: [ModuleFileError.Defect] = []
                let weight = Self.weight(stored, in: file, &found)
                if let weight {
                    weights.append(weight)
                    for tensor in stored.tensors { byTensor[Array(tensor.utf8)] = weight }
                }
                if weight != nil || found.contains(where: { $0.kind != .missing }) {
                    missing = found
                    break
                }
                // A weight without a scale beside it is a plain one.
                let isPlainName = stated == nil && stored.layout == .native && stored.name == name
                if missing.isEmpty, !isPlainName { missing = found }
            }
            defects += missing
        }
        var holders: [[UInt8]: FoundWeight] = [:]
        for weight in weights {
            guard let other = holders.updateValue(weight, forKey: Array(weight.name.utf8)) else { continue }
            let found = (other.tensors + weight.tensors).map { Safetensors.quoted($0) }.joined(separator: ", ")
            defects.append(.init(.contradictory, weight.name, expected: "the weight once", found: found))
        }
        self.weights = weights
        self.byTensor = byTensor
        self.defects = defects
        others = file.names.filter { byTensor[Array($0.utf8)] == nil }
    }

    /// Opens a file and finds its weights.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - forms: forms from outside this library that the file may have.
    /// - Throws: what ``SafetensorsFile/init(opening:isMapped:)`` throws.
    public init(opening path: String, knowing forms: [any WeightForm.Type] = []) throws {
        self.init(try SafetensorsFile(opening: path), knowing: forms)
    }

    /// The weights whose forms the file states, by each of their tensors.
    private static func named(
        in file: SafetensorsFile, _ known: KnownForms, _ defects: inout [ModuleFileError.Defect]
    ) -> [[UInt8]: StoredWeight] {
        var named: [[UInt8]: StoredWeight] = [:]
        for name in file.metadata.keys.sorted() where name.hasPrefix(StateKey.formPrefix) {
            let name = String(name.dropFirst(StateKey.formPrefix.count))
            guard let strings = StoredForm.find(name, in: file, known) else { continue }
            defects += strings.defects
            guard strings.defects.isEmpty, let form = strings.form else { continue }
            let stored = StoredWeight.native(name, form)
            for tensor in stored.tensors { named[Array(tensor.utf8)] = stored }
        }
        return named
    }

    /// Throws ``ModuleFileError`` unless every weight is complete.
    public func requireWhole() throws {
        guard defects.isEmpty else { throw ModuleFileError(path: file.path, defects: defects) }
    }

    func role(of name: String) -> Role {
        guard let weight = byTensor[Array(name.utf8)] else { return .other }
        let index = weight.stored.tensors.firstIndex { Array($0.utf8) == Array(name.utf8) }
        return index.map { .part(weight, $0) } ?? .other
    }

    /// The names whose tensors the writer left out as duplicates of another tensor (`safetensors.torch.save_model`).
    public var ties: [(name: String, source: String)] {
        file.metadata.filter { !file.contains($0.key) && file.contains($0.value) }
            .map { (name: $0.key, source: $0.value) }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// The weights that a tensor may be part of, judged by its name.
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
        for form in KnownForms.byTensors {
            // Elsewhere a scale beside a weight means something else.
            let hasPlainName = form.partNames.contains("")
            guard isNative || !hasPlainName else { continue }
            let bases = form.partNames.reversed().filter { !$0.isEmpty }.compactMap { base(".\($0)") }
            guesses += (bases.isEmpty && hasPlainName ? [name] : bases).map { .native($0, form) }
        }
        if isWeight(name) { guesses.append(.plain(name)) }
        return guesses
    }

    /// Whether a tensor's name is that of a weight: `weight`, `weight_ih_l0`, `weight_hh_l1_reverse`, `in_proj_weight`, `inputWeight`, `stateWeight`.
    public static func isWeight(_ name: String) -> Bool {
        let leaf = StoredWeight.split(name).leaf
        if ["weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "inputWeight", "stateWeight"].contains(leaf) {
            return true
        }
        for prefix in ["weight_ih_l", "weight_hh_l"] where leaf.hasPrefix(prefix) {
            let rest = leaf.dropFirst(prefix.count)
            let number = rest.hasSuffix("_reverse") ? rest.dropLast("_reverse".count) : rest
            return !number.isEmpty && number.allSatisfy { $0.isASCII && $0.isNumber }
        }
        return false
    }

    /// The weight, if it is one; adds a defect if something is wrong with it.
    private static func weight(_ stored: StoredWeight, in file: SafetensorsFile, _ defects: inout [ModuleFileError.Defect]) -> FoundWeight?
    {
        let isNamed = stored.layout == .native && file.metadata[StateKey.form(stored.name)] != nil
        // A form stated in the file, two originals, or a `weight` with a suffix are meant as a weight; other tensors that go together may be
        // anything.
        let isMeant = isNamed || stored.layout == .parametrizations || (stored.layout != .plain && isWeight(stored.name))
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
        let entries = stored.tensors.compactMap { file.entry($0) }
        let shapes = entries.map(\.shape)
        guard let shape = stored.form.weightShape(ofParts: shapes), let typeName = entries.first?.typeName else { return nil }
        let areNumbers = entries.allSatisfy { $0.type?.isFloatingPoint == true }
        if stored.isPlain {
            guard shape.count > 1, areNumbers else { return nil }
            return FoundWeight(stored: stored, typeName: typeName, shape: shape, units: nil, settings: [:])
        }
        let before = defects.count
        let settings = stored.settings(in: file, else: [:], &defects)
        let given = isNamed ? file.metadata[StateKey.units(stored.name)].flatMap { OutputUnits($0) } : nil
        let units = stored.units(shapes, ofWeight: shape, settings, given: given)
        for (index, name) in stored.tensors.enumerated() where units == nil && isMeant {
            guard let expected = stored.expectation(ofPart: index, shapes, ofWeight: shape, settings, given: given) else { continue }
            defects.append(.init(.misshapen, name, expected: "\(expected) for v of \(shape)", found: "\(shapes[index])"))
        }
        for (name, entry) in zip(stored.tensors, entries) where entry.type?.isFloatingPoint != true && isMeant {
            defects.append(ModuleFileError.Defect(.mistyped, name, expected: "F16, BF16, F32 or F64", found: entry.typeName))
        }
        guard defects.count == before, let units, areNumbers else { return nil }
        return FoundWeight(
            stored: stored, typeName: typeName, shape: shape, units: stored.form.hasUnits ? units : nil, settings: settings)
    }
}
