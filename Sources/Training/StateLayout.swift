/// The ways in which a file of tensors holds weights: what is stored of each, and under which names.
///
/// For the weight `hidden.weight`, of v and g:
///
/// | layout | tensors |
/// |---|---|
/// | ``native`` | `hidden.weight.direction`, `hidden.weight.gain` |
/// | ``plain`` | `hidden.weight`, which is w |
/// | ``weightNorm`` | `hidden.weight_v`, `hidden.weight_g` |
/// | ``parametrizations`` | `hidden.parametrizations.weight.original1` (v), `….original0` (g) |
///
/// A reader is never told which: it is found for each weight by the names, so that a file may mix them.
public enum StateLayout: String, CaseIterable, Sendable {
    /// This library's own paths, as `Module.namedParameters` has them: every form is kept exactly, with all that belongs to it.
    case native
    /// w alone: what PyTorch has without weight normalization.
    case plain
    /// PyTorch's `torch.nn.utils.weight_norm`: the older one.
    case weightNorm = "weight-norm"
    /// PyTorch's `torch.nn.utils.parametrizations.weight_norm`: the newer one.
    case parametrizations
}

/// One weight as a file may hold it: its form, and its tensors' names.
package struct StoredWeight: Equatable, Sendable {
    /// What the tensors stand for.
    package enum Form: Sendable {
        /// w.
        case plain
        /// v and g.
        case normalized
        /// v and s, with g = exp(c·s).
        case logNormalized
        /// v and multipliers that are not trained.
        case scaled
    }

    /// The weight's name in the plain layout, or its path in the native one.
    package let name: String
    package let layout: StateLayout
    package let form: Form
    /// The tensor of v, or of w.
    package let direction: String
    /// The tensor of g, of s or of the multipliers.
    package let gain: String?

    package var tensors: [String] { [direction] + (gain.map { [$0] } ?? []) }

    package static func plain(_ name: String, _ layout: StateLayout = .plain) -> StoredWeight {
        StoredWeight(name: name, layout: layout, form: .plain, direction: name, gain: nil)
    }

    /// v and g; in the plain layout there is only w.
    package static func normalized(_ name: String, _ layout: StateLayout) -> StoredWeight {
        let (direction, gain): (String, String?) =
            switch layout {
            case .plain: (name, nil)
            case .native: ("\(name).direction", "\(name).gain")
            case .weightNorm: ("\(name)_v", "\(name)_g")
            case .parametrizations: (parametrization(of: name, 1), parametrization(of: name, 0))
            }
        return StoredWeight(name: name, layout: layout, form: gain == nil ? .plain : .normalized, direction: direction, gain: gain)
    }

    package static func logNormalized(_ name: String) -> StoredWeight {
        StoredWeight(name: name, layout: .native, form: .logNormalized, direction: "\(name).direction", gain: "\(name).logGain")
    }

    package static func scaled(_ name: String) -> StoredWeight {
        StoredWeight(name: name, layout: .native, form: .scaled, direction: name, gain: "\(name).scale")
    }

    /// Every form that a weight of a name can have; a scaled one before the plain one, whose tensor it shares.
    package static func all(_ name: String) -> [StoredWeight] {
        [
            .scaled(name), .plain(name), .normalized(name, .weightNorm), .normalized(name, .parametrizations), .normalized(name, .native),
            .logNormalized(name),
        ]
    }

    /// `a.weight` to `a.parametrizations.weight.original0`.
    private static func parametrization(of name: String, _ index: Int) -> String {
        let (prefix, leaf) = split(name)
        return "\(prefix)parametrizations.\(leaf).original\(index)"
    }

    /// `a.b.weight` to `a.b.` and `weight`.
    package static func split(_ name: String) -> (prefix: Substring, leaf: Substring) {
        guard let dot = name.lastIndex(of: ".") else { return ("", name[...]) }
        return (name[...dot], name[name.index(after: dot)...])
    }
}
