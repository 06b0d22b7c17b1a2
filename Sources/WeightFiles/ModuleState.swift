import Torch
import WeightNorm

// The parts of a module that go into a file, and their names there.

/// A weight, or another tensor, with its names in a file.
struct StateSlot {
    enum Content {
        case weight(Weight)
        case parameter(Parameter)
        case buffer(Buffer)
    }

    /// The path in the module.
    let path: String
    let content: Content
    /// The name or names in PyTorch's layouts; with two, the tensor is their sum.
    let names: [String]
    /// The same with the path as spelled in the module, for reading: `innerLayer.running_mean`.
    let otherNames: [String]
    /// The path in the native layout.
    let nativeName: String
    /// A tensor that PyTorch has beside this one and this library lacks: a batch counter.
    let counter: String?
    /// The native name of the slot that this one repeats, if both are the same.
    let first: String?

    /// What can be read for it: one list of names per spelling.
    var spellings: [[String]] {
        var unique: [[String]] = []
        for spelling in [names, otherNames, [nativeName]] where !unique.contains(spelling) { unique.append(spelling) }
        return unique
    }
}

/// Everything of a module that goes into a file.
struct ModuleState {
    let slots: [StateSlot]

    init(of module: some Module, renaming: Renaming) {
        var owners: [String: any Module] = [:]
        for named in module.namedModules { owners[named.path] = named.value }
        let weights = module.namedWeights
        // A weight's own tensors are at its path or directly under it.
        let weightPaths = Set(weights.map(\.path))
        func isPart(_ path: String) -> Bool {
            weightPaths.contains(path) || weightPaths.contains(StoredWeight.split(path).prefix.dropLast().description)
        }
        var contents = weights.map { ($0.path, StateSlot.Content.weight($0.value)) }
        contents += module.namedParameters.filter { !isPart($0.path) }.map { ($0.path, .parameter($0.value)) }
        contents += module.namedBuffers.filter { !isPart($0.path) }.map { ($0.path, .buffer($0.value)) }
        let firsts = contents.map { Self.slot($0, $1, owners, first: nil, renaming) }
        slots = firsts + Self.again(contents, module.sharedPaths, owners, renaming)
    }

    /// What is shared, repeated for each additional path.
    private static func again(
        _ contents: [(path: String, content: StateSlot.Content)], _ shared: [(path: String, first: String)], _ owners: [String: any Module],
        _ renaming: Renaming
    ) -> [StateSlot] {
        var slots: [StateSlot] = []
        var paths = Set(contents.map(\.path))
        // Something shared may itself hold something shared: the additional paths found so far are included.
        var found = contents.map { (path: $0.path, content: $0.content, first: $0.path) }
        for (further, origin) in shared {
            for (path, content, first) in found where path == origin || path.hasPrefix(origin + ".") {
                let other = further + path.dropFirst(origin.count)
                guard paths.insert(other).inserted else { continue }
                found.append((other, content, first))
                slots.append(slot(other, content, owners, first: first, renaming))
            }
        }
        return slots
    }

    private static func owner(of path: String) -> String { String(StoredWeight.split(path).prefix.dropLast()) }

    /// The prefix that stays and PyTorch's names under it: by the outermost module that names what is at a path under it, else by the owner.
    private static func pyTorchNames(
        _ path: String, _ owners: [String: any Module], first: String?
    ) -> (prefix: String, leaves: [String], owner: (any PyTorchNamed)?) {
        let parts = path.split(separator: ".", omittingEmptySubsequences: false)
        // A module is known by the first path of what is shared.
        func module(at path: String, besides rest: String) -> (any PyTorchNamed)? {
            if let found = owners[path] { return found as? any PyTorchNamed }
            guard let first, first == rest || first.hasSuffix("." + rest) else { return nil }
            return owners[first == rest ? "" : String(first.dropLast(rest.count + 1))] as? any PyTorchNamed
        }
        for count in parts.indices {
            let outer = parts[..<count].joined(separator: ".")
            let rest = parts[count...].joined(separator: ".")
            guard let names = module(at: outer, besides: rest)?.pyTorchNames(ofPath: rest) else { continue }
            return (count == 0 ? "" : outer + ".", names, nil)
        }
        let (prefix, leaf) = StoredWeight.split(path)
        let owner = module(at: owner(of: path), besides: String(leaf))
        return (String(prefix), owner?.pyTorchNames(of: String(leaf)) ?? [String(leaf)], owner)
    }

    private static func slot(
        _ path: String, _ content: StateSlot.Content, _ owners: [String: any Module], first: String?, _ renaming: Renaming
    ) -> StateSlot {
        let (prefix, leaves, owner) = pyTorchNames(path, owners, first: first)
        let counter = owner?.pyTorchCounter(beside: String(StoredWeight.split(path).leaf))
        return StateSlot(
            path: path, content: content, names: leaves.map { renaming.snakeCase(prefix + $0) },
            otherNames: leaves.map { renaming(prefix + Renaming.snakeCase($0)) },
            nativeName: renaming(path), counter: counter.map { renaming.snakeCase(prefix + $0) }, first: first)
    }
}
