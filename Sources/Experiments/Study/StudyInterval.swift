import Datasets
import Foundation
import Report

/// An effect with its 95 % interval.
package struct StudyInterval: Equatable, Sendable {
    package var estimate: Double
    package var lower: Double
    package var upper: Double

    /// The interval of a statistic of paired differences, a list for each stratum.
    ///
    /// It is the percentile interval of a stratified bootstrap (Agarwal et al. 2021): seeds are drawn with replacement within each stratum. With few
    /// seeds that alone is too narrow – from three it can never leave the range of the three, and covers in three cases out of four –, so it is
    /// widened to Student's t interval where that is wider. A single seed gives no interval: from −∞ to ∞.
    ///
    /// - Parameters:
    ///   - strata: differences, none of them empty; they must not share seeds, or they would count as more than they are.
    ///   - statistic: the mean of the strata's means, the interquartile mean of all differences, or the difference of two shares.
    ///   - resamples: how often the seeds are drawn.
    package init(_ strata: [[Double]], _ statistic: StudyPlan.Question.Statistic, resamples: Int = 10_000) {
        if statistic == .share {
            self = Self.share(strata.flatMap(\.self))
            return
        }
        estimate = Self.value(strata, statistic)
        guard estimate.isFinite, strata.allSatisfy({ $0.count > 1 }) else {
            (lower, upper) = (-.infinity, .infinity)
            return
        }
        // The seed is fixed: the same records give the same interval.
        var random = Xoshiro256(seed: 0)
        var values = (0..<resamples).map { _ in
            Self.value(
                strata.map { stratum in stratum.indices.map { _ in stratum[Int(random.next(below: UInt64(stratum.count)))] } }, statistic)
        }
        values.sort()
        func quantile(_ part: Double) -> Double { values[Int((part * Double(values.count - 1)).rounded())] }
        let half = Self.halfWidth(strata, statistic)
        (lower, upper) = (min(quantile(0.025), estimate - half), max(quantile(0.975), estimate + half))
    }

    package init(estimate: Double, lower: Double, upper: Double) {
        (self.estimate, self.lower, self.upper) = (estimate, lower, upper)
    }

    /// The difference of two paired shares, by Agresti and Min (2005): half a pair is added to each of the four kinds, so that pairs that all agree still
    /// leave an interval.
    private static func share(_ differences: [Double]) -> StudyInterval {
        let (more, less) = (Double(differences.count { $0 > 0 }) + 0.5, Double(differences.count { $0 < 0 }) + 0.5)
        let count = Double(differences.count) + 2
        let middle = (more - less) / count
        let half = 1.959964 * (more + less - (more - less) * (more - less) / count).squareRoot() / count
        return StudyInterval(estimate: Statistics.mean(differences), lower: max(-1, middle - half), upper: min(1, middle + half))
    }

    private static func value(_ strata: [[Double]], _ statistic: StudyPlan.Question.Statistic) -> Double {
        switch statistic {
        case .mean, .share: Statistics.mean(strata.map(Statistics.mean))
        case .interquartileMean: Statistics.interquartileMean(strata.flatMap(\.self))
        }
    }

    /// Half of the width of Student's t interval. For strata it has Welch's degrees of freedom, for the interquartile mean those of Tukey and
    /// McLaughlin (1963) for trimmed means.
    private static func halfWidth(_ strata: [[Double]], _ statistic: StudyPlan.Question.Statistic) -> Double {
        switch statistic {
        case .mean, .share:
            let parts = strata.map {
                (variance: pow(Statistics.standardDeviation($0), 2) / Double($0.count), freedom: Double($0.count - 1))
            }
            let sum = parts.reduce(0) { $0 + $1.variance }
            guard sum > 0 else { return 0 }
            let freedom = sum * sum / parts.reduce(0) { $0 + $1.variance * $1.variance / $1.freedom }
            return StudentT.quantile(0.975, freedom: freedom) * sum.squareRoot() / Double(strata.count)
        case .interquartileMean:
            let values = strata.flatMap(\.self).sorted()
            let trimmed = values.count / 4
            let winsorized = values.map { min(max($0, values[trimmed]), values[values.count - 1 - trimmed]) }
            let deviation = Statistics.standardDeviation(winsorized)
            guard deviation > 0 else { return 0 }
            let share = 1 - 2 * Double(trimmed) / Double(values.count)
            return StudentT.quantile(0.975, freedom: Double(values.count - 2 * trimmed - 1)) * deviation
                / (share * Double(values.count).squareRoot())
        }
    }
}

/// Student's t distribution.
package enum StudentT {
    /// The number below which a t-distributed one lies with the given probability, from 0.5 to below 1.
    ///
    /// With t = √ν·tan θ the density is cos^(ν−1) θ up to a factor, which is smooth on a finite range: it is summed by Simpson's rule.
    package static func quantile(_ probability: Double, freedom: Double) -> Double {
        let norm = Double.pi.squareRoot() * exp(lgamma(freedom / 2) - lgamma((freedom + 1) / 2))
        func below(_ angle: Double) -> Double {
            let parts = 1000
            let step = angle / Double(parts)
            let sum = (0...parts).reduce(0.0) { sum, place in
                let weight: Double = place == 0 || place == parts ? 1 : place.isMultiple(of: 2) ? 2 : 4
                return sum + weight * pow(cos(Double(place) * step), freedom - 1)
            }
            return 0.5 + sum * step / 3 / norm
        }
        var (low, high) = (0.0, Double.pi / 2)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if below(middle) < probability { low = middle } else { high = middle }
        }
        return freedom.squareRoot() * tan(low)
    }
}
