import Torch

extension Module {
    /// Runs a layer's forward pass so that a mistake in it is reported with the layer's path, such as `layer 'blocks.3.second': …`.
    ///
    /// The path is that in the largest module whose parameters were asked for, which making an optimizer or loading a file does; before, there is only the type. Layers
    /// without parameters are named by the ``Sequential`` that they are in.
    func traced<Result>(_ body: () -> Result) -> Result {
        LayerTrail.within({ knownPath.map { .path($0) } ?? .part("\(type(of: self))") }, body)
    }

    /// The same for a part of it that is called by its name.
    func traced<Result>(part: String, _ body: () -> Result) -> Result {
        LayerTrail.within({ knownPath.map { .path($0.isEmpty ? part : "\($0).\(part)") } ?? .part(part) }, body)
    }

    /// The path in the largest module that the first parameter was listed in, without what it has below this module.
    private var knownPath: String? {
        // Listing them again keeps the longer path that is known.
        guard let first = namedParameters.first, let whole = first.value.path, whole.hasSuffix(first.path) else { return nil }
        let rest = whole.dropLast(first.path.count)
        return rest.isEmpty ? nil : String(rest.dropLast())
    }
}
