public import Torch

/// Something that holds parameters: a layer, a network, a part of one.
///
/// Conforming takes no code. A type's stored properties are found by reflection: parameters and buffers in properties, optionals, arrays,
/// tuples, enum payloads and other modules, private and inherited ones included. Their names are dotted paths of property names, such as
/// `hidden.0.weight.gain`.
public protocol Module {}

/// A module that maps one tensor to another.
public protocol Layer: Module {
    /// Applies the layer in a pass.
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor
}

/// A parameter or buffer with its dotted path in a module.
public struct Named<Value> {
    /// Names of properties and places in arrays, joined with dots.
    public let path: String
    /// What is found there.
    public let value: Value
}

extension Module {
    /// Every parameter with its path, in the order of declaration; a shared one is listed at its first path.
    ///
    /// Each call walks the whole module: keep the list rather than asking in every step.
    public var namedParameters: [Named<Parameter>] { collect().parameters }

    /// Every buffer with its path.
    public var namedBuffers: [Named<Buffer>] { collect().buffers }

    /// Every parameter, in the order of ``namedParameters``.
    public var parameters: [Parameter] { namedParameters.map(\.value) }

    /// Every weight with its path, such as `hidden.0.weight`; a shared one is listed at its first path.
    public var namedWeights: [Named<Weight>] {
        var seen: Set<Weight.Identity> = []
        return collect().weights.filter { seen.insert($0.value.identity).inserted }
    }

    /// Every module inside, including this one (with an empty path), in the order of declaration; an object is listed at its first path.
    public var namedModules: [Named<any Module>] { collect().modules }

    /// The additional paths of shared layers, weights, parameters and buffers.
    ///
    /// What is under `path` is the same as under `first`. An object that points back at its owner gives no such path.
    package var sharedPaths: [(path: String, first: String)] {
        collect().shared.map { ($0.path.joined(separator: "."), $0.first.joined(separator: ".")) }
    }

    /// Everything that stores weights, and all the weights.
    var holdersAndWeights: (holders: [Named<any HoldsWeights>], weights: [Named<Weight>]) {
        let found = collect()
        return (found.weightHolders, found.weights)
    }

    private func collect() -> Collector {
        var collector = Collector()
        collector.visit(self, path: [])
        for named in collector.parameters { named.value.keepPath(named.path) }
        var paths: Set<String> = []
        for path in collector.parameters.map(\.path) + collector.buffers.map(\.path) {
            trap(unless: paths.insert(path).inserted, "module: expected a path for each parameter and buffer, found two at '\(path)'")
        }
        return collector
    }
}

/// A type whose parts are named differently from its stored properties in a module's paths, or are not stored in properties at all.
public protocol PartsOfModule {
    /// The parts in their order: parameters, buffers, modules and whatever holds these, each with its name under the path of the whole. A
    /// part with an empty name is at that path itself.
    var moduleParts: [(label: String, value: Any)] { get }
}

private struct Collector {
    var parameters: [Named<Parameter>] = []
    var buffers: [Named<Buffer>] = []
    var weights: [Named<Weight>] = []
    var weightHolders: [Named<any HoldsWeights>] = []
    var modules: [Named<any Module>] = []
    var shared: [(path: [String], first: [String])] = []
    private var seen: Set<ObjectIdentifier> = []
    private var places: [ObjectIdentifier: [String]] = [:]
    private var weightPlaces: [Weight.Identity: [String]] = [:]
    private var open: Set<ObjectIdentifier> = []

    mutating func visit(_ value: Any, path: [String]) {
        switch value {
        case let parameter as Parameter:
            if isFirst(parameter, path) { parameters.append(Named(path: path.joined(separator: "."), value: parameter)) }
            return
        case let buffer as Buffer:
            if isFirst(buffer, path) { buffers.append(Named(path: path.joined(separator: "."), value: buffer)) }
            return
        case is Tensor, is Generator:
            return
        case let whole as any PartsOfModule:
            let name = path.joined(separator: ".")
            if let weight = whole as? Weight {
                weights.append(Named(path: name, value: weight))
                if let first = weightPlaces[weight.identity] { shared.append((path, first)) } else { weightPlaces[weight.identity] = path }
            }
            if let module = whole as? any Module { modules.append(Named(path: name, value: module)) }
            for (label, part) in whole.moduleParts { visit(part, path: label.isEmpty ? path : path + [label]) }
            return
        default:
            break
        }
        let mirror = Mirror(reflecting: value)
        // Objects may point back at their owners.
        let object = mirror.displayStyle == .class ? value as AnyObject : nil
        if let object {
            guard isFirst(object, path) else { return }
            open.insert(ObjectIdentifier(object))
        }
        defer { if let object { open.remove(ObjectIdentifier(object)) } }
        // An optional casts to what it holds, and its child would do so again.
        if mirror.displayStyle != .optional {
            let name = path.joined(separator: ".")
            if let module = value as? any Module { modules.append(Named(path: name, value: module)) }
            if let holder = value as? any HoldsWeights { weightHolders.append(Named(path: name, value: holder)) }
        }
        visitChildren(of: mirror, path: path)
    }

    /// Whether an object is met for the first time; if not, its path is an additional one, unless the object itself is on that path.
    private mutating func isFirst(_ object: AnyObject, _ path: [String]) -> Bool {
        let identity = ObjectIdentifier(object)
        if seen.insert(identity).inserted {
            places[identity] = path
            return true
        }
        if let first = places[identity], !open.contains(identity) { shared.append((path, first)) }
        return false
    }

    private mutating func visitChildren(of mirror: Mirror, path: [String]) {
        if let inherited = mirror.superclassMirror { visitChildren(of: inherited, path: path) }
        let transparent = mirror.displayStyle == .optional
        if mirror.displayStyle == .dictionary || mirror.displayStyle == .set {
            requireNothing(in: mirror, path: path)
            return
        }
        for (index, child) in mirror.children.enumerated() {
            visit(child.value, path: transparent ? path : path + [Self.name(child.label, index)])
        }
    }

    /// A dictionary has no order: two runs would name or update parameters in different orders.
    private func requireNothing(in mirror: Mirror, path: [String]) {
        var inner = Collector()
        for child in mirror.children {
            for part in Mirror(reflecting: child.value).children { inner.visit(part.value, path: []) }
            inner.visit(child.value, path: [])
        }
        trap(
            unless:
                inner.parameters.isEmpty && inner.buffers.isEmpty,
            "module: expected parameters in properties, optionals or arrays, found a dictionary or set of them at '\(path.joined(separator: "."))'"
        )
    }

    /// The property's name, without the prefixes that the compiler gives lazy properties and wrappers, and without the labels of unnamed
    /// tuple elements.
    private static func name(_ label: String?, _ index: Int) -> String {
        guard let label, !label.hasPrefix(".") else { return "\(index)" }
        let lazyPrefix = "$__lazy_storage_$_"
        if label.hasPrefix(lazyPrefix) { return String(label.dropFirst(lazyPrefix.count)) }
        return label.hasPrefix("_") ? String(label.dropFirst()) : label
    }
}
