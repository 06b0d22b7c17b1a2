// What the reports of trainings with several norms and seeds have in common.

/// A finished training with one norm and one seed.
protocol SeededRun {
    var norm: String { get }
    var seed: UInt64 { get }
}

extension Comparison.Run: SeededRun {}
extension GenerativeRun: SeededRun {}
extension DQNRun: SeededRun {}

extension Array where Element: SeededRun {
    /// The norms, each once, in the order of the runs.
    var norms: [String] { reduce(into: []) { if !$0.contains($1.norm) { $0.append($1.norm) } } }

    /// The seeds, each once, in the order of the runs.
    var seeds: [UInt64] { reduce(into: []) { if !$0.contains($1.seed) { $0.append($1.seed) } } }

    /// A value of each run of a norm that has one.
    func values(_ norm: String, _ value: (Element) -> Double?) -> [Double] { filter { $0.norm == norm }.compactMap(value) }
}

extension NumberText {
    /// Values over seeds: the mean with the standard deviation, one as it is.
    static func overSeeds(_ values: [Double], decimals: Int) -> String {
        guard !values.isEmpty else { return "–" }
        return values.count > 1
            ? spread(mean(values), ComparisonReport.deviation(values), decimals: decimals) : fixed(values[0], decimals: decimals)
    }

    fileprivate static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}

extension Table.Cell {
    /// The same as a cell.
    static func overSeeds(_ values: [Double], decimals: Int) -> Table.Cell {
        guard !values.isEmpty else { return .missing }
        return values.count > 1
            ? .spread(NumberText.mean(values), ComparisonReport.deviation(values), decimals: decimals)
            : .number(values[0], decimals: decimals)
    }
}
