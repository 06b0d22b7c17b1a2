// Weights that a file holds by a reparameterization other than weight normalization: recognized, so that they are not mistaken for v and g, and left
// alone.

extension StoredWeight {
    /// The tensors of spectral normalization (PyTorch's, old and new, and the older `weight_bar`): w is the first divided by the product with the others.
    private static func spectral(_ name: String) -> [[String]] {
        let (prefix, leaf) = split(name)
        let owner = "\(prefix)parametrizations.\(leaf)"
        return [
            ["\(name)_orig", "\(name)_u", "\(name)_v"], ["\(name)_bar", "\(name)_u", "\(name)_v"],
            // Before PyTorch 1.0 v was not stored.
            ["\(name)_orig", "\(name)_u"], ["\(owner).original", "\(owner).0._u", "\(owner).0._v"],
        ]
    }

    /// The tensors of a file in which a weight of this name is held by spectral normalization; nil if it is not.
    static func spectral(_ name: String, in file: SafetensorsFile) -> [String]? {
        spectral(name).first { $0.allSatisfy(file.contains) }
    }
}

/// The weights of a file that have parametrizations (`torch.nn.utils.parametrize`) besides weight normalization: they have `original0` and
/// `original1`, but w is not just g·v/‖v‖.
struct FurtherParametrizations {
    private var owners: Set<[UInt8]> = []

    init(in file: SafetensorsFile) {
        for name in file.names {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            // The last matching place: `parametrizations`, the weight's name, one of its parts.
            guard let place = parts.lastIndex(of: "parametrizations"), parts.count > place + 2 else { continue }
            let rest = parts[(place + 2)...]
            if rest.count == 1, ["original", "original0", "original1"].contains(rest[place + 2]) { continue }
            owners.insert(Array(parts[...(place + 1)].joined(separator: ".").utf8))
        }
    }

    /// Whether the weight, of the layout ``StateLayout/parametrizations``, has others besides weight normalization.
    func contains(_ stored: StoredWeight) -> Bool {
        guard stored.layout == .parametrizations, let original = stored.tensors.first, let dot = original.lastIndex(of: ".") else {
            return false
        }
        return owners.contains(Array(original[..<dot].utf8))
    }
}
