package import Training
import WeightFiles

/// What a study claims, how that is measured, and the rules by which it is judged.
///
/// It is fixed before the first run: every record is stored with the plan that it was made by, and a report judges by that plan, whatever the
/// program has become since.
package struct StudyPlan: Codable, Equatable, Sendable {
    /// The name in commands and files, such as "rates".
    package var name: String
    package var title: String
    /// What the source says, in a sentence.
    package var claim: String
    /// Where it says so.
    package var source: String
    /// What is done, a sentence each.
    package var method: [String]
    package var measures: [Measure]
    package var parts: [Part]
    package var questions: [Question]
    package var figures: [Figure]
    /// What the study does not show, a sentence each.
    package var limits: [String]
    /// Whether this is the small grid that only shows that the study works: its verdicts mean nothing.
    package var isTiny: Bool

    package init(
        name: String, title: String, claim: String, source: String, method: [String], measures: [Measure], parts: [Part],
        questions: [Question], figures: [Figure], limits: [String], isTiny: Bool
    ) {
        (self.name, self.title, self.claim, self.source, self.method) = (name, title, claim, source, method)
        (self.measures, self.parts, self.questions, self.figures) = (measures, parts, questions, figures)
        (self.limits, self.isTiny) = (limits, isTiny)
    }

    /// A number that every run of a part gives.
    package struct Measure: Codable, Equatable, Sendable {
        package enum Best: String, Codable, Sendable {
            case lowest, highest
        }

        /// Its key in the records.
        package var name: String
        package var title: String
        /// The unit after ``factor``, such as "%"; empty for none.
        package var unit: String
        /// What a value is multiplied by before it is shown.
        package var factor: Double
        package var decimals: Int
        package var best: Best?
        /// The value that counts for a run that diverged; nil if it has none, and the run is missing from this measure.
        package var diverged: Double?

        package init(
            _ name: String, _ title: String, unit: String = "", factor: Double = 1, decimals: Int = 2, best: Best? = nil,
            diverged: Double? = nil
        ) {
            (self.name, self.title, self.unit, self.factor) = (name, title, unit, factor)
            (self.decimals, self.best, self.diverged) = (decimals, best, diverged)
        }

        /// A share of wrong answers out of ten classes: a diverged network answers as well as by chance.
        package static func error(_ name: String, _ title: String) -> Measure {
            Measure(name, title, unit: "%", factor: 100, best: .lowest, diverged: 0.9)
        }
    }

    /// A grid of runs: every stratum × arm × rate × seed.
    package struct Part: Codable, Equatable, Sendable {
        /// Where each arm's learning rate comes from, if it is not in the grid.
        package struct Tuning: Codable, Equatable, Sendable {
            /// The part whose best rate is taken, for the same stratum and arm.
            package var part: String
            /// The measure by which it is the best.
            package var measure: String

            package init(part: String, measure: String) { (self.part, self.measure) = (part, measure) }
        }

        package var name: String
        package var title: String
        /// What is compared within itself alone: data sets, optimizers, sizes of minibatches. One of no name if there is only one.
        package var strata: [String]
        /// What is compared: norms.
        package var arms: [String]
        /// The learning rates in the grid; empty if the rate is not part of it.
        package var rates: [Double]
        /// Those of strata that have their own.
        package var ratesOfStrata: [String: [Double]]
        package var tuning: Tuning?
        package var seeds: Int
        package var firstSeed: UInt64
        /// The measures in the part's table.
        package var measures: [String]

        package init(
            _ name: String, _ title: String, strata: [String] = [""], arms: [String], rates: [Double] = [],
            ratesOfStrata: [String: [Double]] = [:], tuning: Tuning? = nil, seeds: Int, firstSeed: UInt64, measures: [String]
        ) {
            (self.name, self.title, self.strata, self.arms) = (name, title, strata, arms)
            (self.rates, self.ratesOfStrata, self.tuning) = (rates, ratesOfStrata, tuning)
            (self.seeds, self.firstSeed, self.measures) = (seeds, firstSeed, measures)
        }

        /// The rates of a stratum's grid.
        package func rates(of stratum: String) -> [Double] { ratesOfStrata[stratum] ?? rates }
    }

    /// Where the numbers of a question come from.
    package struct Side: Codable, Equatable, Sendable {
        package var arm: String
        package var measure: String

        package init(_ arm: String, _ measure: String) { (self.arm, self.measure) = (arm, measure) }
    }

    /// How one number is made from a stratum's, arm's and seed's values at several rates.
    package struct Derivation: Codable, Equatable, Sendable {
        package enum Kind: String, Codable, Sendable {
            /// The decades of rate around the best one at which the measure is at most ``Derivation/within`` worse than there.
            case plateau
            /// The slope of the measure's logarithm over the rate's.
            case slope
            /// The value at the rate that is the best on average over the seeds.
            case best
        }

        package var kind: Kind
        package var within: Double

        package static func plateau(within: Double) -> Derivation { Derivation(kind: .plateau, within: within) }
        package static let slope = Derivation(kind: .slope, within: 0)
        package static let best = Derivation(kind: .best, within: 0)
    }

    /// Which difference counts, named before anything is measured.
    package struct Rule: Codable, Equatable, Sendable {
        package enum Claim: String, Codable, Sendable {
            /// The first side is above the second.
            case above
            /// The first side is below the second.
            case below
            /// There is no difference that counts.
            case level
            /// The first side is not above the second by as much as counts.
            case notAbove
        }

        package var claim: Claim
        /// The smallest effect that counts, above 0; a ratio above 1 for a question about ratios.
        package var smallest: Double

        package static func above(by smallest: Double) -> Rule { Rule(claim: .above, smallest: smallest) }
        package static func below(by smallest: Double) -> Rule { Rule(claim: .below, smallest: smallest) }
        package static func notAbove(by smallest: Double) -> Rule { Rule(claim: .notAbove, smallest: smallest) }
        package static func level(within smallest: Double) -> Rule { Rule(claim: .level, smallest: smallest) }
    }

    /// A claim about one effect, and the rule of its verdict.
    package struct Question: Codable, Equatable, Sendable {
        package enum Statistic: String, Codable, Sendable {
            /// The mean over seeds, then over strata.
            case mean
            /// The mean of the middle half of all differences.
            case interquartileMean
            /// The difference of two shares, for measures that are 0 or 1.
            case share
        }

        /// What is claimed, as a sentence.
        package var claim: String
        package var part: String
        /// The strata that count; nil for all.
        package var strata: [String]?
        package var of: Side
        /// What the first side is compared with: another side, or ``number``.
        package var against: Side?
        package var number: Double
        package var derivation: Derivation?
        /// Whether the sides are compared by their ratio instead of their difference.
        package var isRatio: Bool
        package var statistic: Statistic
        package var rule: Rule
        /// How the effect is shown: its unit after a factor, and decimals.
        package var unit: String
        package var factor: Double
        package var decimals: Int

        package init(
            _ claim: String, part: String, strata: [String]? = nil, _ of: Side, against: Side? = nil, number: Double = 0,
            derivation: Derivation? = nil, isRatio: Bool = false, statistic: Statistic = .mean, _ rule: Rule, unit: String = "",
            factor: Double = 1, decimals: Int = 2
        ) {
            (self.claim, self.part, self.strata, self.of, self.against, self.number) = (claim, part, strata, of, against, number)
            (self.derivation, self.isRatio, self.statistic, self.rule) = (derivation, isRatio, statistic, rule)
            (self.unit, self.factor, self.decimals) = (unit, factor, decimals)
        }
    }

    /// A figure of the page.
    package struct Figure: Codable, Equatable, Sendable {
        package enum Kind: String, Codable, Sendable {
            /// A measure's curve in the course of the runs.
            case curves
            /// A measure against the learning rate.
            case rates
            /// A measure against another.
            case scatter
            /// Each run's measure, by arm.
            case dots
        }

        package var kind: Kind
        package var title: String
        package var summary: String
        package var part: String
        /// One figure for each of these strata; nil for all.
        package var strata: [String]?
        /// The name of the curve, or of the measure on the vertical axis.
        package var y: String
        /// The name of the measure on the horizontal axis of a scatter.
        package var x: String
        package var xTitle: String
        package var yTitle: String
        package var hasLogarithmicX: Bool
        package var hasLogarithmicY: Bool

        package init(
            _ kind: Kind, _ title: String, summary: String, part: String, strata: [String]? = nil, y: String, x: String = "",
            xTitle: String = "", yTitle: String, hasLogarithmicX: Bool = false, hasLogarithmicY: Bool = false
        ) {
            (self.kind, self.title, self.summary, self.part, self.strata) = (kind, title, summary, part, strata)
            (self.y, self.x, self.xTitle, self.yTitle) = (y, x, xTitle, yTitle)
            (self.hasLogarithmicX, self.hasLogarithmicY) = (hasLogarithmicX, hasLogarithmicY)
        }
    }

    package static let mostSeedOffset: UInt64 = 1_000_000_000
    /// The least number to add to seeds for others than the plan's own.
    package static let leastSeedOffset: UInt64 = 1000
    /// The runs of a study.
    package static let mostCells = 100_000

    /// Throws unless the number can be added to seeds.
    package static func check(seedOffset: UInt64) throws(RunFailure) {
        guard seedOffset == 0 || (leastSeedOffset...mostSeedOffset).contains(seedOffset) else {
            throw RunFailure("seed-offset: expected 0, or a number from \(leastSeedOffset) to \(mostSeedOffset), found \(seedOffset)")
        }
    }

    /// Throws unless the grid has a size that can be run: a plan may come from a file.
    func check() throws(RunFailure) {
        func check(_ what: String, _ count: Int, _ range: ClosedRange<Int>) throws(RunFailure) {
            guard range.contains(count) else {
                throw RunFailure("\(what): expected from \(range.lowerBound) to \(range.upperBound), found \(count)")
            }
        }
        func checkName(_ what: String, _ name: String, isPath: Bool) throws(RunFailure) {
            let isPlain = name.unicodeScalars.allSatisfy {
                isPath
                    ? "abcdefghijklmnopqrstuvwxyz0123456789-".unicodeScalars.contains($0)
                    : $0.value >= 0x20 && $0 != "/" && $0.value != 0x7F
            }
            guard isPlain, name.utf8.count <= 100, !isPath || !name.isEmpty else {
                throw RunFailure(
                    "\(what): expected a short name\(isPath ? " of letters, digits and hyphens" : ""), found \(Safetensors.quoted(name))")
            }
        }
        try checkName("name", name, isPath: true)
        try check("parts", parts.count, 1...100)
        for part in parts {
            try checkName("part", part.name, isPath: true)
            for arm in part.arms { try checkName("arm", arm, isPath: false) }
            for stratum in part.strata { try checkName("stratum", stratum, isPath: false) }
        }
        guard Set(parts.map(\.name)).count == parts.count else { throw RunFailure("parts: expected different names, found one twice") }
        for part in parts {
            for (what, list) in [("arms", part.arms), ("strata", part.strata)] where Set(list).count != list.count {
                throw RunFailure("\(what) of a part: expected different ones, found one twice")
            }
            for stratum in part.strata where Set(part.rates(of: stratum)).count != part.rates(of: stratum).count {
                throw RunFailure("rates of a part: expected different ones, found one twice")
            }
        }
        for part in parts {
            try check("seeds of a part", part.seeds, 1...SettingsLimits.mostSeeds)
            try check("strata of a part", part.strata.count, 1...100)
            try check("arms of a part", part.arms.count, 1...100)
            for stratum in part.strata { try check("rates of a part", part.rates(of: stratum).count, 0...100) }
            guard part.firstSeed < Self.leastSeedOffset else {
                throw RunFailure("firstSeed: expected below \(Self.leastSeedOffset), found \(part.firstSeed)")
            }
            // A part that tunes is not tuned itself: rates would otherwise be looked for without end.
            if let tuning = part.tuning, self.part(tuning.part).map({ $0.tuning != nil }) ?? true {
                throw RunFailure("part \(Safetensors.quoted(part.name)): expected to be tuned by one with rates of its own, found another")
            }
        }
        let cells = parts.reduce(0) { sum, part in
            sum + part.strata.reduce(0) { $0 + max(1, part.rates(of: $1).count) } * part.arms.count * part.seeds
        }
        guard cells <= Self.mostCells else { throw RunFailure("runs: expected at most \(Self.mostCells), found \(cells)") }
        try check("questions", questions.count, 0...1000)
        try check("figures", figures.count, 0...1000)
        for question in questions { try checkQuestion(question) }
        // A terminal would obey control characters.
        let texts = [name, title, claim, source] + method + limits + questions.flatMap { [$0.claim, $0.unit] }
        for text in texts
        where text.utf8.count > 10_000 || text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            throw RunFailure("text: expected at most 10000 bytes without control characters, found \(Safetensors.quoted(text))")
        }
    }

    private func checkQuestion(_ question: Question) throws(RunFailure) {
        guard let part = part(question.part) else {
            throw RunFailure("question: expected one of the study's parts, found \(Safetensors.quoted(question.part))")
        }
        for stratum in question.strata ?? [] where !part.strata.contains(stratum) {
            throw RunFailure("question: expected strata of \(part.name), found \(Safetensors.quoted(stratum))")
        }
        guard question.strata?.isEmpty != true else { throw RunFailure("question: expected strata, found none") }
        for side in [question.of] + (question.against.map { [$0] } ?? []) {
            guard part.arms.contains(side.arm) else {
                throw RunFailure("question: expected an arm of \(part.name), found \(Safetensors.quoted(side.arm))")
            }
            guard measure(side.measure) != nil else {
                throw RunFailure("question: expected one of the study's measures, found \(Safetensors.quoted(side.measure))")
            }
        }
        let smallest = question.rule.smallest
        guard smallest.isFinite, smallest > (question.isRatio ? 1 : 0) else {
            throw RunFailure("question: expected a smallest effect above \(question.isRatio ? 1 : 0), found \(smallest)")
        }
    }

    package func part(_ name: String) -> Part? { parts.first { $0.name == name } }
    package func measure(_ name: String) -> Measure? { measures.first { $0.name == name } }
}
