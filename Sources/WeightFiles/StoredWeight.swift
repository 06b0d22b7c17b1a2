package import WeightNorm

/// One weight as a file may hold it: its form, and its tensors' names.
package struct StoredWeight: Equatable, Sendable {
    /// The weight's name in the plain layout, or its path in the native one.
    package let name: String
    package let layout: StateLayout
    /// The form that the tensors represent.
    package let form: any WeightForm.Type
    /// The tensors' names, in the order of the form's parts.
    package let tensors: [String]

    private init(_ name: String, _ layout: StateLayout, _ form: any WeightForm.Type, _ tensors: [String]) {
        (self.name, self.layout, self.form, self.tensors) = (name, layout, form, tensors)
    }

    package static func == (one: StoredWeight, other: StoredWeight) -> Bool {
        one.name == other.name && one.layout == other.layout && one.form == other.form && one.tensors == other.tensors
    }

    /// w.
    package static func plain(_ name: String, _ layout: StateLayout = .plain) -> StoredWeight {
        StoredWeight(name, layout, DirectWeight.self, [name])
    }

    /// Any form's own parts.
    package static func native(_ name: String, _ form: any WeightForm.Type) -> StoredWeight {
        StoredWeight(name, .native, form, form.partNames.map { $0.isEmpty ? name : "\(name).\($0)" })
    }

    /// The parts of a form that PyTorch has too; nil if it does not, or if its names do not cover every part.
    package static func pyTorch(_ name: String, _ form: any WeightForm.Type, _ layout: StateLayout) -> StoredWeight? {
        guard let form = form as? any PyTorchForm.Type, form.isReadFromPyTorch else { return nil }
        let names = form.pyTorchNames(of: name, in: layout)
        let tensors = form.partNames.compactMap { part in names.first { $0.part == part }?.name }
        return tensors.count == form.partNames.count ? StoredWeight(name, layout, form, tensors) : nil
    }

    /// v and g; in the plain layout there is only w.
    package static func normalized(_ name: String, _ layout: StateLayout) -> StoredWeight {
        switch layout {
        case .plain: .plain(name)
        case .native: .native(name, NormalizedWeight.self)
        case .weightNorm, .parametrizations: pyTorch(name, NormalizedWeight.self, layout) ?? .plain(name)
        }
    }

    /// Whether the tensor is w.
    package var isPlain: Bool { form == DirectWeight.self }

    /// `a.b.weight` to `a.b.` and `weight`.
    package static func split(_ name: String) -> (prefix: Substring, leaf: Substring) {
        guard let dot = name.lastIndex(of: ".") else { return ("", name[...]) }
        return (name[...dot], name[name.index(after: dot)...])
    }
}

/// The forms that a reader knows, by their names in files.
struct KnownForms {
    /// Those recognized by their tensors' names; any other form is named in the file's strings. The scaled form comes before the plain one, whose
    /// tensor it shares.
    static let byTensors: [any WeightForm.Type] = [ScaledWeight.self, NormalizedWeight.self, LogNormalizedWeight.self]

    private(set) var all: [any WeightForm.Type] = [DirectWeight.self] + byTensors

    /// This library's and others; of two with the same identifier the first is used.
    init(and others: [any WeightForm.Type] = []) {
        for form in Normalization.allCases.map(\.form) + others where named(form.identifier) == nil { all.append(form) }
    }

    func named(_ identifier: String) -> (any WeightForm.Type)? { all.first { $0.identifier == identifier } }

    /// Whether a file must state the form's name.
    static func mustBeNamed(_ form: any WeightForm.Type) -> Bool {
        form != DirectWeight.self && !byTensors.contains { $0 == form }
    }
}

/// What a file's strings say about a weight in the native layout: its form and units, if its tensors' names do not identify the form, and the form's
/// settings.
struct StoredForm {
    let form: (any WeightForm.Type)?
    let units: OutputUnits?
    /// What is wrong with it.
    let defects: [ModuleFileError.Defect]

    /// nil if the file does not name a form for a weight of this name.
    static func find(_ name: String, in file: SafetensorsFile, _ known: KnownForms) -> StoredForm? {
        guard let identifier = file.metadata[StateKey.form(name)] else { return nil }
        let form = known.named(identifier)
        var defects: [ModuleFileError.Defect] = []
        if form == nil {
            let expected = "a form among \(MessageList.joined(known.all.map { $0.identifier }))"
            defects.append(ModuleFileError.Defect(.unknown, name, expected: expected, found: Safetensors.quoted(identifier)))
        }
        let text = file.metadata[StateKey.units(name)]
        let units = text.flatMap { OutputUnits($0) }
        if let text, units == nil {
            let expected = "units such as axis 0 in the file's metadata"
            defects.append(ModuleFileError.Defect(.contradictory, name, expected: expected, found: Safetensors.quoted(text)))
        }
        return StoredForm(form: form, units: units, defects: defects)
    }
}

extension StoredWeight {
    /// The form's settings: the file's, else the given ones, else the standard ones.
    func settings(in file: SafetensorsFile, else given: [String: Double], _ defects: inout [ModuleFileError.Defect]) -> [String: Double] {
        var settings: [String: Double] = [:]
        for setting in form.settings {
            settings[setting.name] = given[setting.name] ?? setting.standard
            guard let text = file.metadata[StateKey.setting(setting.name, name)] else { continue }
            if let value = Double(text), setting.accepts(value) {
                settings[setting.name] = value
            } else {
                let expected = "\(setting.expectation) in the file's metadata"
                defects.append(.init(.contradictory, name, expected: expected, found: Safetensors.quoted(text)))
            }
        }
        return settings
    }
}

extension SafetensorsFile {
    /// Whether the file says that it is in the native layout.
    var isNative: Bool { metadata[StateKey.layout] == StateLayout.native.rawValue }
}

/// Keys of the strings in a file.
enum StateKey {
    static let layout = "weightnorm.layout"
    /// The form of a weight whose tensors' names do not identify it.
    static func form(_ name: String) -> String { "\(formPrefix)\(name)" }
    static let formPrefix = "weightnorm.form."
    /// The units of such a weight.
    static func units(_ name: String) -> String { "weightnorm.units.\(name)" }
    /// A setting of a weight's form, such as the c of g = exp(c·s).
    static func setting(_ setting: String, _ name: String) -> String { "weightnorm.\(setting).\(name)" }

    /// Everything that the strings say about a weight in the native layout.
    static func metadata(_ name: String, of weight: Weight) -> [String: String] {
        var metadata: [String: String] = [:]
        for (setting, value) in weight.form.settings { metadata[self.setting(setting, name)] = "\(value)" }
        guard KnownForms.mustBeNamed(type(of: weight.form)) else { return metadata }
        metadata[form(name)] = type(of: weight.form).identifier
        metadata[units(name)] = weight.units?.description
        return metadata
    }

    /// The keys of everything that can be said about a weight.
    static func keys(_ name: String, of weightForm: any WeightForm.Type) -> [String] {
        weightForm.settings.map { setting($0.name, name) } + [form(name), units(name)]
    }
}
