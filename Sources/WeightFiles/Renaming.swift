/// Maps a module's names to a file's: by replacing prefixes, or by any function of a name.
///
/// ```swift
/// try network.load(
///     from: "model.safetensors", renaming: ["layers.0": "conv1", "layers.0.normalizer": "bn1", "rnn1.weight_ih_l0": "rnn.weight_ih_l1"])
/// ```
///
/// The names on the left are the module's paths with the layout's leaf names: `layers.0.weight` in all layouts, `rnn1.weight_ih_l0` in PyTorch's,
/// `rnn1.inputWeight` in the native one; for v and g the weight's name is renamed. A prefix ends at a dot or at the end of the name; the longest
/// match wins. The empty prefix stands for the whole module.
public struct Renaming: ExpressibleByDictionaryLiteral, Sendable {
    private let change: @Sendable (String) -> (fixed: String, rest: String)

    /// No name changes.
    public static let none = Renaming([])

    /// Prefixes of the module's names, each with the file's replacement.
    public init(_ prefixes: [(ours: String, theirs: String)]) {
        let ordered = prefixes.sorted { $0.ours.utf8.count > $1.ours.utf8.count }
        change = { name in
            for (ours, theirs) in ordered {
                if name == ours { return (theirs, "") }
                if ours.isEmpty { return (theirs.isEmpty ? "" : theirs + ".", name) }
                guard name.hasPrefix(ours + ".") else { continue }
                let rest = String(name.dropFirst(ours.count + 1))
                return (theirs.isEmpty ? "" : theirs + ".", rest)
            }
            return ("", name)
        }
    }

    /// The same, as a literal.
    public init(dictionaryLiteral elements: (String, String)...) { self.init(elements.map { (ours: $0.0, theirs: $0.1) }) }

    /// A function from the module's names to the file's.
    public init(_ change: @escaping @Sendable (String) -> String) {
        self.change = { name in
            let changed = change(name)
            return changed == name ? ("", name) : (changed, "")
        }
    }

    /// The file's name, unchanged in spelling.
    func callAsFunction(_ name: String) -> String {
        let (fixed, rest) = change(name)
        return fixed + rest
    }

    /// The file's name in PyTorch's spelling: what the renaming gives is kept; `camelCase` in the rest becomes `snake_case`.
    func snakeCase(_ name: String) -> String {
        let (fixed, rest) = change(name)
        return fixed + Self.snakeCase(rest)
    }

    static func snakeCase(_ name: String) -> String {
        let letters = Array(name)
        var text = ""
        for (index, letter) in letters.enumerated() {
            if letter.isUppercase, index > 0 {
                let before = letters[index - 1]
                let beginsWord = before.isLowercase || before.isNumber
                let endsAcronym = before.isUppercase && index + 1 < letters.count && letters[index + 1].isLowercase
                if beginsWord || endsAcronym { text += "_" }
            }
            text += letter.lowercased()
        }
        return text
    }
}
