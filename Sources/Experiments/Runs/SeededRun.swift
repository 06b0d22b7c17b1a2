/// A finished training run with one norm and one seed: what reports on several of them share.
protocol SeededRun {
    var norm: String { get }
    var seed: UInt64 { get }
}

extension Array where Element: SeededRun {
    /// The norms, each once, in the order of the runs.
    var norms: [String] { reduce(into: []) { if !$0.contains($1.norm) { $0.append($1.norm) } } }

    /// The seeds, each once, in the order of the runs.
    var seeds: [UInt64] { reduce(into: []) { if !$0.contains($1.seed) { $0.append($1.seed) } } }

    /// The values for a norm, from the runs that have one.
    func values(_ norm: String, _ value: (Element) -> Double?) -> [Double] { filter { $0.norm == norm }.compactMap(value) }
}
