import Foundation
import Report

/// What the records say about a claim, by the rule that was written before them.
package enum StudyVerdict: String, Codable, Sendable {
    /// The interval lies wholly beyond the smallest effect that counts; of a claim that there is none, wholly within it.
    case holds
    /// The interval lies wholly within the smallest effect that counts: there is no difference worth the name.
    case level
    /// The interval lies wholly beyond the smallest effect on the other side; of a claim that there is none, on either side.
    case refuted = "refuted here"
    /// None of these: the runs do not decide it.
    case open
    /// Not all runs are finished.
    case unfinished

    /// The verdict on an interval.
    package init(_ interval: StudyInterval, _ rule: StudyPlan.Rule, isRatio: Bool) {
        let smallest = isRatio ? log(rule.smallest) : rule.smallest
        let (lower, upper) = rule.claim == .below ? (-interval.upper, -interval.lower) : (interval.lower, interval.upper)
        let isWithin = lower > -smallest && upper < smallest
        switch rule.claim {
        case .level: self = isWithin ? .holds : lower > smallest || upper < -smallest ? .refuted : .open
        case .notAbove: self = upper < smallest ? .holds : lower > smallest ? .refuted : .open
        case .above, .below: self = lower > smallest ? .holds : isWithin ? .level : upper < -smallest ? .refuted : .open
        }
    }
}

extension StudyPlan.Rule {
    /// The rule in a sentence, with numbers as a question shows them.
    func words(_ question: StudyPlan.Question) -> String {
        let smallest = question.shown(claim == .below && !question.isRatio ? -smallest : smallest, signed: claim != .level)
        let unit = question.unitWord
        if question.isRatio {
            return switch claim {
            case .above: "holds if the whole interval is above \(smallest)\(unit)"
            case .below: "holds if the whole interval is below 1/\(smallest)\(unit)"
            case .notAbove: "holds if the whole interval is below \(smallest)\(unit)"
            case .level: "holds if the whole interval is between 1/\(smallest) and \(smallest)\(unit)"
            }
        }
        return switch claim {
        case .above: "holds if the whole interval is above \(smallest)\(unit)"
        case .below, .notAbove: "holds if the whole interval is below \(smallest)\(unit)"
        case .level: "holds if the whole interval is within ±\(smallest)\(unit)"
        }
    }
}

extension StudyPlan.Question {
    /// The unit with a space before it; empty for none.
    var unitWord: String { unit.isEmpty ? "" : " \(unit)" }

    /// An effect as a number: a ratio as it is, a difference times the factor.
    func shown(_ value: Double, signed: Bool = true) -> String {
        let text = NumberText.fixed(isRatio ? value : value * factor, decimals: decimals)
        return signed && !isRatio && value > 0 ? "+\(text)" : text
    }

    /// An estimate, which for a ratio is a logarithm.
    func shownEstimate(_ value: Double) -> String {
        value.isNaN ? "none" : value.isFinite ? shown(isRatio ? exp(value) : value) : value < 0 ? "−∞" : "∞"
    }

    /// The interval, as "−0.31 … −0.12".
    func shown(_ interval: StudyInterval) -> String { "\(shownEstimate(interval.lower)) … \(shownEstimate(interval.upper))" }
}

/// The answer to a question of a study.
package struct StudyAnswer: Equatable, Sendable {
    package var question: StudyPlan.Question
    package var verdict: StudyVerdict
    /// The effect; nil until all runs are finished. Of a ratio, it is the logarithm.
    package var interval: StudyInterval?
    /// The pairs of runs, or single ones, that it comes from.
    package var count: Int
    /// The runs that diverged among them.
    package var diverged: Int
    /// The pairs that are missing, because a run that diverged has no such number: they leave the question open.
    package var lost: Int
}

extension StudyRecords {
    /// The answers to all questions.
    package var answers: [StudyAnswer] { plan.questions.map(answer) }

    /// The answer to a question; while runs are missing, there is none, and no number either.
    package func answer(_ question: StudyPlan.Question) -> StudyAnswer {
        var answer = StudyAnswer(question: question, verdict: .unfinished, interval: nil, count: 0, diverged: 0, lost: 0)
        guard let part = plan.part(question.part), let records = complete(part) else { return answer }
        let arms = [question.of.arm] + (question.against.map { [$0.arm] } ?? [])
        let strata = question.strata ?? part.strata
        answer.diverged = records.count { record in
            record.measurements.divergedAt != nil && arms.contains(record.cell.arm) && strata.contains(record.cell.stratum)
        }
        let seeds = Set(records.map(\.cell.seed)).sorted()
        let differences = strata.map { stratum -> [Double?] in
            let first = values(question.of, question, stratum, records)
            let second = question.against.map { values($0, question, stratum, records) }
            return seeds.map { seed in
                let against = second == nil ? question.number : second?[seed]
                guard let value = first[seed], let against else { return nil }
                let difference = question.isRatio ? log(value) - log(against) : value - against
                return difference.isFinite ? difference : nil
            }
        }
        answer.count = differences.reduce(0) { $0 + $1.count { $0 != nil } }
        answer.lost = seeds.count * strata.count - answer.count
        // The strata share seeds, and so draws and minibatches: what a seed gives in all of them counts once.
        let bySeed = seeds.indices.compactMap { place -> Double? in
            let values = differences.compactMap { $0[place] }
            return values.isEmpty ? nil : Statistics.mean(values)
        }
        guard !bySeed.isEmpty else {
            answer.verdict = .open
            return answer
        }
        let interval = StudyInterval([bySeed], question.statistic)
        answer.interval = interval
        answer.verdict = answer.lost == 0 ? StudyVerdict(interval, question.rule, isRatio: question.isRatio) : .open
        return answer
    }

    /// One side's value for every seed.
    private func values(
        _ side: StudyPlan.Side, _ question: StudyPlan.Question, _ stratum: String, _ records: [StudyCellRecord]
    ) -> [UInt64: Double] {
        guard let measure = plan.measure(side.measure) else { return [:] }
        var own = records.filter { $0.cell.stratum == stratum && $0.cell.arm == side.arm }
        if question.derivation?.kind == .best {
            let best = Self.bestRate(of: own, measure)
            own = own.filter { $0.cell.rate == best }
        }
        return Dictionary(grouping: own, by: \.cell.seed).compactMapValues { records in
            guard let derivation = question.derivation else { return records.first?.value(measure) }
            let points = records.compactMap { record -> (rate: Double, value: Double)? in
                guard let rate = record.cell.rate, let value = record.value(measure) else { return nil }
                return (rate, value)
            }
            return derivation.value(of: points.sorted { $0.rate < $1.rate }, best: measure.best ?? .lowest)
        }
    }
}

extension StudyPlan.Derivation {
    /// The derived number; nil if the points do not give one.
    ///
    /// - Parameters:
    ///   - points: rates, ascending, with their values.
    ///   - best: which value is the best.
    package func value(of points: [(rate: Double, value: Double)], best: StudyPlan.Measure.Best) -> Double? {
        let sign = best == .lowest ? 1.0 : -1
        switch kind {
        case .best: return points.map(\.value).min { sign * $0 < sign * $1 }
        case .slope:
            let places = points.filter { $0.value > 0 && $0.value.isFinite }.map { (log10($0.rate), log10($0.value)) }
            guard places.count > 1 else { return nil }
            let (x, y) = (Statistics.mean(places.map(\.0)), Statistics.mean(places.map(\.1)))
            return places.reduce(0) { $0 + ($1.0 - x) * ($1.1 - y) } / places.reduce(0) { $0 + ($1.0 - x) * ($1.0 - x) }
        case .plateau:
            let losses = points.map { (x: log10($0.rate), y: sign * $0.value) }
            guard let least = losses.indices.min(by: { losses[$0].y < losses[$1].y }) else { return nil }
            let limit = losses[least].y + within
            // Where the line to the first point above the limit crosses it; the end of the grid if there is none.
            func end(_ places: [Int]) -> Double {
                var last = losses[least]
                for place in places {
                    let next = losses[place]
                    guard next.y <= limit else { return last.x + (next.x - last.x) * (limit - last.y) / (next.y - last.y) }
                    last = next
                }
                return last.x
            }
            return end(Array((least + 1)..<max(least + 1, losses.count))) - end(Array((0..<least).reversed()))
        }
    }
}
