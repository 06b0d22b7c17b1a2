import Datasets
import Experiments
import Foundation
import Testing

@Suite struct StudyIntervalTests {
    /// Standard normal numbers.
    private struct Normals {
        var random = Xoshiro256(seed: 7)

        mutating func next() -> Double {
            func uniform() -> Double { (Double(random.next() >> 11) + 0.5) * 0x1p-53 }
            return (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
        }
    }

    /// From tables of the distribution.
    @Test(arguments: [(1.0, 12.7062), (2, 4.30265), (4, 2.77645), (9, 2.26216), (30, 2.04227), (1000, 1.96234)])
    func quantilesOfStudentsT(freedom: Double, expected: Double) {
        #expect(abs(StudentT.quantile(0.975, freedom: freedom) - expected) < 1e-4 * expected)
    }

    /// The reason for Student's t: of three seeds, the bootstrap alone covers in three cases out of four.
    @Test(arguments: [3, 5, 10]) func itCoversAsOftenAsItSays(seeds: Int) {
        var normals = Normals()
        let rounds = 1000
        var (covered, coveredByRange) = (0, 0)
        for _ in 0..<rounds {
            let values = (0..<seeds).map { _ in normals.next() }
            let interval = StudyInterval([values], .mean, resamples: 100)
            if interval.lower <= 0, interval.upper >= 0 { covered += 1 }
            if values.min()! <= 0, values.max()! >= 0 { coveredByRange += 1 }
        }
        // Two standard errors of 95 % in 1000 rounds are 1.4 points.
        #expect(Double(covered) / Double(rounds) > 0.93)
        if seeds == 3 { #expect(Double(coveredByRange) / Double(rounds) < 0.8) }
    }

    @Test func theMeanOfStrataCountsEachAlike() {
        let interval = StudyInterval([[1, 1, 1, 1], [3, 3]], .mean)
        #expect(interval == StudyInterval(estimate: 2, lower: 2, upper: 2))
    }

    /// For one stratum it is the textbook's interval where that is wider.
    @Test func itIsStudentsIntervalForThree() {
        let interval = StudyInterval([[1, 2, 3]], .mean)
        #expect(abs(interval.lower - (2 - 4.30265 / 3.0.squareRoot())) < 1e-4)
        #expect(abs(interval.upper - (2 + 4.30265 / 3.0.squareRoot())) < 1e-4)
    }

    @Test func theInterquartileMeanLeavesOutTheTails() {
        let values = [-1e6, 1, 1, 1, 1, 1, 1, 1e9]
        let interval = StudyInterval([values], .interquartileMean)
        #expect(interval.estimate == 1)
        // Two of eight are rarely among the middle half of a resample, but sometimes.
        #expect(interval.lower <= 1 && interval.upper >= 1)
    }

    /// Ten pairs that all agree do not show that there is no difference.
    @Test func sharesThatAgreeLeaveAnInterval() {
        let equal = StudyInterval([Array(repeating: 0, count: 10)], .share)
        #expect(equal.estimate == 0 && abs(equal.upper - 1.959964 / 12) < 1e-6 && equal.lower == -equal.upper)
        let all = StudyInterval([Array(repeating: 1, count: 10)], .share)
        #expect(all.estimate == 1 && all.lower > 0.5 && all.upper == 1)
    }

    @Test func oneSeedGivesNoInterval() {
        #expect(StudyInterval([[0.3]], .mean) == StudyInterval(estimate: 0.3, lower: -.infinity, upper: .infinity))
        #expect(StudyInterval([[0.3, 0.4], [0.1]], .mean).upper == .infinity)
    }

    @Test func theSameRecordsGiveTheSameInterval() {
        let values = [0.3, 0.1, 0.4, 0.15, 0.9, 0.2, 0.6]
        #expect(StudyInterval([values], .mean) == StudyInterval([values], .mean))
    }
}

@Suite struct StudyVerdictTests {
    private func verdict(_ lower: Double, _ upper: Double, _ rule: StudyPlan.Rule, isRatio: Bool = false) -> StudyVerdict {
        StudyVerdict(StudyInterval(estimate: (lower + upper) / 2, lower: lower, upper: upper), rule, isRatio: isRatio)
    }

    @Test func aClaimOfMore() {
        let rule = StudyPlan.Rule.above(by: 1)
        #expect(verdict(1.1, 2, rule) == .holds)
        #expect(verdict(0.9, 2, rule) == .open)
        #expect(verdict(-0.9, 0.9, rule) == .level)
        #expect(verdict(-1.1, 0.9, rule) == .open)
        #expect(verdict(-2, -1.1, rule) == .refuted)
        #expect(verdict(-.infinity, .infinity, rule) == .open)
    }

    @Test func aClaimOfLess() {
        let rule = StudyPlan.Rule.below(by: 1)
        #expect(verdict(-2, -1.1, rule) == .holds)
        #expect(verdict(1.1, 2, rule) == .refuted)
        #expect(verdict(-0.9, 0.9, rule) == .level)
        #expect(verdict(-2, 0, rule) == .open)
    }

    @Test func aClaimOfNoDifference() {
        let rule = StudyPlan.Rule.level(within: 1)
        #expect(verdict(-0.9, 0.9, rule) == .holds)
        #expect(verdict(1.1, 2, rule) == .refuted)
        #expect(verdict(-2, -1.1, rule) == .refuted)
        #expect(verdict(-2, 0.5, rule) == .open)
    }

    @Test func aClaimOfNoMore() {
        let rule = StudyPlan.Rule.notAbove(by: 1)
        #expect(verdict(-9, 0.9, rule) == .holds, "less is not more")
        #expect(verdict(0.5, 1.5, rule) == .open)
        #expect(verdict(1.1, 2, rule) == .refuted)
    }

    @Test func ratiosAreComparedAsLogarithms() {
        let rule = StudyPlan.Rule.above(by: 1.1)
        #expect(verdict(log(1.11), log(1.3), rule, isRatio: true) == .holds)
        #expect(verdict(log(1 / 1.09), log(1.09), rule, isRatio: true) == .level)
        #expect(verdict(log(0.5), log(0.9), rule, isRatio: true) == .refuted)
    }
}

@Suite struct StudyDerivationTests {
    private func points(_ values: [Double]) -> [(rate: Double, value: Double)] {
        values.enumerated().map { (pow(10, Double($0.offset)), $0.element) }
    }

    /// One decade between the rates: the line to 0.30 crosses 0.12 after a tenth of it, that to 0.22 after a sixth.
    @Test func thePlateauEndsWhereTheLineCrosses() throws {
        let width = try #require(StudyPlan.Derivation.plateau(within: 0.02).value(of: points([0.3, 0.1, 0.22]), best: .lowest))
        #expect(abs(width - (0.1 + 1.0 / 6)) < 1e-12)
    }

    @Test func thePlateauMayReachTheEnd() throws {
        let width = try #require(StudyPlan.Derivation.plateau(within: 0.02).value(of: points([0.1, 0.11, 0.12]), best: .lowest))
        #expect(abs(width - 2) < 1e-12)
        // What lies behind a hill does not count.
        let behind = try #require(StudyPlan.Derivation.plateau(within: 0.02).value(of: points([0.1, 0.9, 0.1]), best: .lowest))
        #expect(abs(behind - 0.025) < 1e-12)
    }

    @Test func ofScoresTheHighestIsTheBest() throws {
        let width = try #require(StudyPlan.Derivation.plateau(within: 2).value(of: points([0, 10, 6]), best: .highest))
        #expect(abs(width - (0.2 + 0.5)) < 1e-12)
        #expect(StudyPlan.Derivation.best.value(of: points([0, 10, 6]), best: .highest) == 10)
    }

    @Test func theSlopeIsThatOfLogarithms() throws {
        let slope = try #require(StudyPlan.Derivation.slope.value(of: [(0.01, 3), (0.1, 30), (1, 300), (10, .infinity)], best: .lowest))
        #expect(abs(slope - 1) < 1e-12)
        #expect(StudyPlan.Derivation.slope.value(of: [(0.01, 3)], best: .lowest) == nil)
    }
}
