import Torch
import WeightNorm

/// Matches a file's tensors to a module's, and finds everything that does not fit.
struct StateMatching {
    /// A weight with its place in the file.
    struct WeightMatch {
        let path: String
        let weight: Weight
        let stored: StoredWeight
        let units: OutputUnits
        let settings: [String: Double]
        let sources: [String]
    }

    /// Another tensor with its place in the file.
    struct TensorMatch {
        let path: String
        let content: StateSlot.Content
        let names: [String]
        let sources: [String]
    }

    let file: SafetensorsFile
    let slots: [StateSlot]
    let convertingTypes: Bool
    let known: KnownForms
    var mapUnits: [Weight.Identity: OutputUnits] = [:]
    private(set) var weights: [WeightMatch] = []
    private(set) var tensors: [TensorMatch] = []
    private(set) var ignored: [String] = []
    private(set) var defects: [ModuleFileError.Defect] = []
    // Bytes, since Swift's strings treat some names as equal that other programs distinguish.
    private var claimed: Set<[UInt8]> = []
    // A tensor with several names is seen at the first of them, and still available for the others.
    private var seen: Set<[UInt8]> = []

    /// A matching that knows this library's forms, the given ones and the module's own.
    init(file: SafetensorsFile, slots: [StateSlot], convertingTypes: Bool, knowing forms: [any WeightForm.Type]) {
        self.file = file
        self.slots = slots
        self.convertingTypes = convertingTypes
        let own = slots.compactMap { slot -> (any WeightForm.Type)? in
            if case .weight(let weight) = slot.content { type(of: weight.form) } else { nil }
        }
        known = KnownForms(and: forms + own)
    }

    mutating func match(ignoring: (String) -> Bool) {
        var further: [String: [StateSlot]] = [:]
        for slot in slots { if let first = slot.first { further[first, default: []].append(slot) } }
        for slot in slots where slot.first == nil {
            let places = [slot] + (further[slot.path] ?? [])
            switch slot.content {
            case .weight(let weight): match(weight, places)
            case .parameter(let parameter): match(slot.content, like: parameter.value, places)
            case .buffer(let buffer): match(slot.content, like: buffer.value, places)
            }
            for counter in places.compactMap(\.counter) where source(of: counter) != nil { seen.insert(Array(counter.utf8)) }
        }
        for name in file.names where !seen.contains(Array(name.utf8)) {
            if ignoring(name) { ignored.append(name) } else { add(.extra, name, "a tensor of the module", text(name)) }
        }
    }

    private mutating func match(_ weight: Weight, _ places: [StateSlot]) {
        let strings = places.compactMap { StoredForm.find($0.nativeName, in: file, known) }
        guard strings.allSatisfy(\.defects.isEmpty) else {
            defects += strings.flatMap(\.defects)
            for place in places { passOver(place) }
            return
        }
        let found = places.compactMap { place in one(of: candidates(place), \.tensors) }
        guard let stored = found.first else {
            missing(places[0], candidates(places[0]).map(\.tensors))
            return
        }
        for other in found.dropFirst() { requireSame(stored.tensors, other.tensors) }
        let sources = stored.tensors.compactMap { use($0) }
        let shapes = sources.compactMap { file.entry($0)?.shape }
        guard shapes.count == stored.tensors.count else { return }
        let given = stored.layout == .native ? strings.first?.units : nil
        let before = defects.count
        let own = type(of: weight.form) == stored.form ? weight.form.settings : [:]
        let settings = stored.settings(in: file, else: own, &defects)
        let preferred = [weight.units, mapUnits[weight.identity]].compactMap(\.self)
        let units = stored.units(shapes, ofWeight: weight.shape, settings, given: given, preferring: preferred)
        if units == nil { misshapen(stored, shapes, weight.shape, settings, given) }
        for (index, type) in weight.types(asIn: stored.form).enumerated() {
            _ = check(stored.tensors[index], sources[index], shape: shapes[index], type: type)
        }
        guard let units, defects.count == before else { return }
        weights.append(
            WeightMatch(path: places[0].path, weight: weight, stored: stored, units: units, settings: settings, sources: sources))
    }

    /// Reports the parts of a weight whose shapes are not allowed; all parts, if the shapes merely do not go together.
    private mutating func misshapen(
        _ stored: StoredWeight, _ shapes: [[Int]], _ weight: [Int], _ settings: [String: Double], _ given: OutputUnits?
    ) {
        let before = defects.count
        for (index, name) in stored.tensors.enumerated() {
            guard let expected = stored.expectation(ofPart: index, shapes, ofWeight: weight, settings, given: given) else { continue }
            add(.misshapen, name, expected, "\(shapes[index])")
        }
        guard defects.count == before else { return }
        add(.misshapen, stored.name, "parts of one weight of \(weight)", shapes.map { "\($0)" }.joined(separator: " and "))
    }

    /// Marks everything at the path of an unreadable weight as seen, so that it is not reported as extra.
    private mutating func passOver(_ slot: StateSlot) {
        for name in file.names where name == slot.nativeName || name.hasPrefix("\(slot.nativeName).") { seen.insert(Array(name.utf8)) }
    }

    private mutating func match(_ content: StateSlot.Content, like value: Tensor, _ places: [StateSlot]) {
        let found = places.compactMap { place in one(of: place.spellings, \.self) }
        guard let names = found.first else {
            missing(places[0], places[0].spellings)
            return
        }
        for other in found.dropFirst() { requireSame(names, other) }
        let sources = names.compactMap { use($0) }
        let fits = zip(names, sources).map { check($0, $1, shape: value.shape, type: value.type) }
        guard sources.count == names.count, fits.allSatisfy(\.self) else { return }
        tensors.append(TensorMatch(path: places[0].path, content: content, names: names, sources: sources))
    }

    /// Every way in which the file may hold a weight.
    private func candidates(_ slot: StateSlot) -> [StoredWeight] {
        let native = StoredForm.find(slot.nativeName, in: file, known)?.form.map { [$0] } ?? KnownForms.byTensors
        var candidates = native.map { StoredWeight.native(slot.nativeName, $0) }
        for name in slot.names + slot.otherNames + [slot.nativeName] where !candidates.contains(.plain(name)) {
            candidates.append(.plain(name))
            guard name != slot.nativeName || slot.names.contains(name) || slot.otherNames.contains(name) else { continue }
            for layout in [StateLayout.weightNorm, .parametrizations] {
                for stored in known.all.compactMap({ StoredWeight.pyTorch(name, $0, layout) })
                // A form may have the same names in both layouts.
                where !candidates.contains(where: { $0.tensors == stored.tensors }) { candidates.append(stored) }
            }
        }
        return candidates
    }

    /// The candidate whose tensors are all present; a defect if there are several.
    private mutating func one<Candidate>(of candidates: [Candidate], _ names: (Candidate) -> [String]) -> Candidate? {
        var complete = candidates.filter { names($0).allSatisfy { source(of: $0) != nil } }
        // A scaled weight's v has the name of a plain weight.
        let whole = complete
        complete.removeAll { one in whole.contains { names($0).count > 1 && names(one).count == 1 && names($0)[0] == names(one)[0] } }
        if complete.count > 1 {
            let lists = complete.map { names($0).joined(separator: " and ") }
            for name in complete.dropFirst().flatMap(names) where !names(complete[0]).contains(name) { seen.insert(Array(name.utf8)) }
            add(.contradictory, names(complete[0])[0], "a tensor in one form", "it as \(lists.joined(separator: ", and as "))")
        }
        return complete.first
    }

    /// Reports what is missing of the form that is partly present or, if none is, the name expected in the file's layout.
    private mutating func missing(_ slot: StateSlot, _ candidates: [[String]]) {
        let isNative = file.isNative
        if case .weight = slot.content, let (name, tensors) = spectral(slot) {
            for tensor in tensors { seen.insert(Array(tensor.utf8)) }
            let found = "it with spectral normalization, as \(tensors.map { Safetensors.quoted($0) }.joined(separator: ", "))"
            add(.missing, name, "a weight in any layout for the module's '\(slot.path)'", found)
            return
        }
        let started = candidates.first { $0.contains { source(of: $0) != nil } }
        for name in started ?? [] where source(of: name) != nil { _ = use(name) }
        let wanted = started ?? (isNative ? [slot.nativeName] : slot.names)
        for name in wanted where source(of: name) == nil {
            let beside = started.map { " beside '\($0.filter { source(of: $0) != nil }.joined(separator: "' and '"))'" } ?? ""
            let form = if case .weight = slot.content, started == nil { "a weight in any layout" } else { "a tensor" }
            add(.missing, name, "\(form)\(beside) for the module's '\(slot.path)'", "none")
        }
    }

    /// The name of a weight that the file holds by spectral normalization, and its tensors. No module here can hold such a weight: dividing by its
    /// norm would give a different weight as soon as training continues.
    private func spectral(_ slot: StateSlot) -> (name: String, tensors: [String])? {
        for name in slot.names + slot.otherNames + [slot.nativeName] {
            if let tensors = StoredWeight.spectral(name, in: file) { return (name, tensors) }
        }
        return nil
    }

    /// The tensor in the file that a name stands for: its own or, if the writer left that out as a duplicate (`safetensors.torch.save_model`), the
    /// one it duplicates.
    private func source(of name: String) -> String? {
        if file.contains(name) { return name }
        return file.metadata[name].flatMap { file.contains($0) ? $0 : nil }
    }

    /// The source of a tensor that has been matched; a defect if it was already matched elsewhere.
    private mutating func use(_ name: String) -> String? {
        let source = source(of: name)
        if !claimed.insert(Array(name.utf8)).inserted { add(.contradictory, name, "one place in the module", "two") }
        if let source { seen.insert(Array(source.utf8)) }
        return source
    }

    /// What is shared in the module must be equal in the file.
    private mutating func requireSame(_ names: [String], _ others: [String]) {
        // All paths of something shared may have the same name in the file.
        for name in others where !names.contains(name) {
            claimed.insert(Array(name.utf8))
            if let source = source(of: name) { seen.insert(Array(source.utf8)) }
        }
        let same =
            names.count == others.count
            && zip(names, others).allSatisfy { name, other in
                guard let one = source(of: name), let two = source(of: other) else { return false }
                return one == two || ((try? file.hasSameElements(one, two)) ?? false)
            }
        guard !same, let name = others.first else { return }
        add(.contradictory, name, "the elements of '\(names[0])', which is the same in the module", "others")
    }

    private mutating func check(_ name: String, _ source: String, shape: [Int], type: ElementType) -> Bool {
        guard let entry = file.entry(source) else { return false }
        let before = defects.count
        if entry.shape != shape { add(.misshapen, name, "\(shape)", "\(entry.shape)") }
        let canConvert = convertingTypes && entry.type?.isFloatingPoint == true && type.isFloatingPoint
        if entry.type != type && !canConvert { add(.mistyped, name, type.safetensorsName, entry.typeName) }
        return defects.count == before
    }

    private func text(_ name: String) -> String { file.entry(name).map { "\($0.typeName) \($0.shape)" } ?? "none" }

    private mutating func add(_ kind: ModuleFileError.Defect.Kind, _ name: String, _ expected: String, _ found: String) {
        defects.append(ModuleFileError.Defect(kind, name, expected: expected, found: found))
    }
}
