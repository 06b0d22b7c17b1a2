import Torch
import WeightNorm

/// Finds the tensors of a file that belong to a module's, and everything that does not fit.
struct StateMatching {
    /// A weight with where it is in the file.
    struct WeightMatch {
        let path: String
        let weight: Weight
        let stored: StoredWeight
        let units: OutputUnits?
        let factor: Double
        let sources: [String]
    }

    /// Another tensor with where it is in the file.
    struct TensorMatch {
        let path: String
        let content: StateSlot.Content
        let names: [String]
        let sources: [String]
    }

    let file: SafetensorsFile
    let slots: [StateSlot]
    let convertingTypes: Bool
    var mapUnits: [Weight.Identity: OutputUnits] = [:]
    private(set) var weights: [WeightMatch] = []
    private(set) var tensors: [TensorMatch] = []
    private(set) var ignored: [String] = []
    private(set) var defects: [ModuleFileError.Defect] = []
    // Bytes, since Swift's strings take names for the same that other programs tell apart.
    private var claimed: Set<[UInt8]> = []
    // A tensor that several names stand for is seen with the first of them, and free for the others.
    private var seen: Set<[UInt8]> = []

    init(file: SafetensorsFile, slots: [StateSlot], convertingTypes: Bool) {
        self.file = file
        self.slots = slots
        self.convertingTypes = convertingTypes
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
        let found = places.compactMap { place in one(of: Self.candidates(place), \.tensors) }
        guard let stored = found.first else {
            missing(places[0], Self.candidates(places[0]).map(\.tensors))
            return
        }
        for other in found.dropFirst() { requireSame(stored.tensors, other.tensors) }
        let sources = stored.tensors.compactMap { use($0) }
        guard sources.count == stored.tensors.count else { return }
        var fits = check(stored.direction, sources[0], shape: weight.shape, type: weight.directionType)
        var units: OutputUnits?
        if let name = stored.gain, let shape = file.entry(sources[1])?.shape {
            let preferred = [weight.units, mapUnits[weight.identity]].compactMap(\.self)
            units = StoredWeight.units(direction: weight.shape, gain: shape, preferring: preferred)
            if units == nil { add(.misshapen, name, StoredWeight.gainShapes(direction: weight.shape), "\(shape)") }
            fits = check(name, sources[1], shape: shape, type: weight.gainType ?? weight.directionType) && units != nil && fits
        }
        let factor = factor(of: stored, for: weight)
        guard fits else { return }
        let match = WeightMatch(path: places[0].path, weight: weight, stored: stored, units: units, factor: factor, sources: sources)
        weights.append(match)
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

    /// Every way in which a file may have a weight.
    private static func candidates(_ slot: StateSlot) -> [StoredWeight] {
        var candidates: [StoredWeight] = [
            .scaled(slot.nativeName), .normalized(slot.nativeName, .native), .logNormalized(slot.nativeName),
        ]
        for name in slot.names + slot.otherNames + [slot.nativeName] where !candidates.contains(.plain(name)) {
            candidates.append(.plain(name))
            guard name != slot.nativeName || slot.names.contains(name) || slot.otherNames.contains(name) else { continue }
            candidates += [.normalized(name, .weightNorm), .normalized(name, .parametrizations)]
        }
        return candidates
    }

    /// The candidate whose tensors are all there; a defect if there are several.
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

    /// Names what is missing of the form of which something is there, or of the one that the file's other tensors have.
    private mutating func missing(_ slot: StateSlot, _ candidates: [[String]]) {
        let isNative = file.metadata[StateKey.layout] == StateLayout.native.rawValue
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

    /// The name of a weight that the file holds by spectral normalization, and its tensors. There is no module here that such a weight could be put into: to divide by
    /// its norm would be another weight as soon as training goes on.
    private func spectral(_ slot: StateSlot) -> (name: String, tensors: [String])? {
        for name in slot.names + slot.otherNames + [slot.nativeName] {
            if let tensors = StoredWeight.spectral(name, in: file) { return (name, tensors) }
        }
        return nil
    }

    /// The tensor in the file that a name stands for: itself, or what the writer left out as a duplicate of another (`safetensors.torch.save_model`).
    private func source(of name: String) -> String? {
        if file.contains(name) { return name }
        return file.metadata[name].flatMap { file.contains($0) ? $0 : nil }
    }

    /// The source of a tensor that has found its place; a defect if it has found another one before.
    private mutating func use(_ name: String) -> String? {
        let source = source(of: name)
        if !claimed.insert(Array(name.utf8)).inserted { add(.contradictory, name, "one place in the module", "two") }
        if let source { seen.insert(Array(source.utf8)) }
        return source
    }

    /// What is one in the module must be the same in the file.
    private mutating func requireSame(_ names: [String], _ others: [String]) {
        // All paths of what is shared may have one name in the file.
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

    /// c of g = exp(c·s): the writer's, else the module's.
    private mutating func factor(of stored: StoredWeight, for weight: Weight) -> Double {
        guard stored.form == .logNormalized else { return 1 }
        if let text = file.metadata[StateKey.factor(stored.name)] {
            if let factor = StateKey.factor(parsing: text) { return factor }
            defects.append(.badFactor(text, of: stored.name))
        }
        if case .logNormalized(_, _, let factor, _) = weight { return factor }
        return 1
    }

    private func text(_ name: String) -> String { file.entry(name).map { "\($0.typeName) \($0.shape)" } ?? "none" }

    private mutating func add(_ kind: ModuleFileError.Defect.Kind, _ name: String, _ expected: String, _ found: String) {
        defects.append(ModuleFileError.Defect(kind, name, expected: expected, found: found))
    }
}
