/// Statistics for reports.
public enum Statistics {
    /// The mean; NaN if there are no numbers.
    public static func mean(_ numbers: [Double]) -> Double { numbers.reduce(0, +) / Double(numbers.count) }

    /// The sample's standard deviation: √(Σ(x − mean)² / (n − 1)), and 0 for a single number.
    public static func standardDeviation(_ numbers: [Double]) -> Double {
        let mean = mean(numbers)
        return (numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, numbers.count - 1))).squareRoot()
    }

    /// The middle number; the mean of the two middle ones if the count is even, NaN if there are no numbers.
    public static func median(_ numbers: [Double]) -> Double {
        let sorted = numbers.sorted()
        guard let last = sorted.last else { return .nan }
        let middle = sorted.count / 2
        return sorted.count == 1 ? last : sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// The mean of the middle half of the numbers: a quarter of them, rounded down, is left out at either end; NaN if there are no numbers.
    public static func interquartileMean(_ numbers: [Double]) -> Double {
        let trimmed = numbers.count / 4
        return mean(Array(numbers.sorted()[trimmed..<(numbers.count - trimmed)]))
    }
}
