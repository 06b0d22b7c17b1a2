import Experiments
import Foundation
import TestSupport
import Testing
import Training

/// A plan of two parts: one that tunes the other's rates.
private func plan(seeds: Int = 2) -> StudyPlan {
    StudyPlan(
        name: "rates", title: "A title", claim: "A claim.", source: "§1", method: ["Something."],
        measures: [.error("error", "Error"), StudyPlan.Measure("score", "Score", best: .highest)],
        parts: [
            StudyPlan.Part(
                "tune", "Tuning", strata: ["a", "b"], arms: ["normal", "weight"], rates: [0.1, 1], seeds: 1, firstSeed: 0,
                measures: ["error"]),
            StudyPlan.Part(
                "main", "Main", strata: ["a", "b"], arms: ["normal", "weight"], tuning: .init(part: "tune", measure: "error"), seeds: seeds,
                firstSeed: 10, measures: ["error"]),
        ],
        questions: [
            StudyPlan.Question(
                "Less.", part: "main", .init("weight", "error"), against: .init("normal", "error"), .below(by: 0.01), unit: "points",
                factor: 100)
        ],
        figures: [], limits: ["Much."], isTiny: true)
}

/// A cell with an error; nil for a run that diverged.
private func record(_ cell: StudyCell, _ error: Double?, commit: String? = nil) -> StudyCellRecord {
    var record = StudyCellRecord(cell, StudyMeasurements(error.map { ["error": $0] } ?? [:], divergedAt: error == nil ? 3 : nil))
    record.commit = commit ?? "c"
    return record
}

private func records(_ plan: StudyPlan, offset: UInt64 = 0) -> StudyRecords {
    StudyRecords(plan: plan, seedOffset: offset, commit: "c", cells: [])
}

/// Records in which weight norm's error is always two points lower, and its best rate is 1, normal's 0.1.
private func complete(_ plan: StudyPlan) throws -> StudyRecords {
    var all = records(plan)
    for part in plan.parts {
        let cells = try #require(all.cells(of: part))
        for cell in cells {
            let isBest = cell.rate == (cell.arm == "weight" ? 1 : 0.1)
            let error = 0.3 + 0.01 * Double(cell.seed % 3) - (cell.arm == "weight" ? 0.02 : 0) + (isBest ? 0 : 0.1)
            all.cells.append(record(cell, error))
        }
    }
    return all
}

@Suite struct StudyRecordsTests {
    @Test("the cells of a part that is tuned are known once all cells that tune it are finished, and have each arm's best rate")
    func tuning() throws {
        let plan = plan()
        var all = records(plan)
        let tune = try #require(all.cells(of: plan.parts[0]))
        #expect(tune.count == 8 && all.count(of: plan.parts[0]) == 8)
        #expect(all.cells(of: plan.parts[1]) == nil)
        for cell in tune.dropLast() { all.cells.append(record(cell, cell.arm == "weight" ? cell.rate : 1 - (cell.rate ?? 0) / 2)) }
        #expect(all.cells(of: plan.parts[1]) == nil)
        // Diverged: it counts with 0.9, and so is still better than nothing.
        let last = try #require(tune.last)
        all.cells.append(record(last, nil))
        let main = try #require(all.cells(of: plan.parts[1]))
        #expect(main.count == 8 && Set(main.map(\.seed)) == [10, 11])
        #expect(main.filter { $0.arm == "weight" }.allSatisfy { $0.rate == 0.1 })
        #expect(main.filter { $0.arm == "normal" }.allSatisfy { $0.rate == 1 })
    }

    @Test("of two rates that are equally good the smaller is taken, whatever the order of the records")
    func ties() throws {
        let plan = plan()
        var all = records(plan)
        let cells = try #require(all.cells(of: plan.parts[0]))
        for cell in cells { all.cells.append(record(cell, 0.5)) }
        all.cells.reverse()
        #expect(all.bestRate(.init(part: "tune", measure: "error"), stratum: "a", arm: "weight") == 0.1)
    }

    @Test("an offset moves every seed") func offset() throws {
        let plan = plan()
        let cells = try #require(records(plan, offset: 1000).cells(of: plan.parts[0]))
        #expect(Set(cells.map(\.seed)) == [1000])
    }

    @Test("there is no verdict until every run is finished, and then the one of the rule") func verdict() throws {
        var all = try complete(plan())
        let answer = all.answers[0]
        #expect(answer.verdict == .holds && answer.count == 4 && answer.lost == 0)
        let interval = try #require(answer.interval)
        #expect(abs(interval.estimate + 0.02) < 1e-12)
        let last = all.cells.removeLast()
        #expect(all.answers[0].verdict == .unfinished && all.answers[0].interval == nil)
        all.cells.append(record(last.cell, nil))
        let diverged = all.answers[0]
        #expect(diverged.diverged == 1 && diverged.verdict == .open, "a run that diverged counts")
    }

    @Test("what a seed gives in several strata counts once: two seeds, four pairs, one degree of freedom") func sharedSeeds() throws {
        var all = try complete(plan())
        for place in all.cells.indices where all.cells[place].cell.part == "main" && all.cells[place].cell.arm == "weight" {
            all.cells[place].measurements.values["error"] = 0.1 + 0.02 * Double(all.cells[place].cell.seed % 2)
        }
        let interval = try #require(all.answers[0].interval)
        var one = all
        one.plan.questions[0].strata = ["a"]
        let single = try #require(one.answers[0].interval)
        #expect(abs(interval.lower - single.lower) < 1e-12 && abs(interval.upper - single.upper) < 1e-12)
    }

    @Test("a pair without a number leaves the question open") func lost() throws {
        var all = try complete(plan())
        all.plan.measures[0].diverged = nil
        let place = try #require(all.cells.firstIndex { $0.cell.part == "main" })
        all.cells[place] = record(all.cells[place].cell, nil)
        let answer = all.answers[0]
        #expect(answer.verdict == .open && answer.lost == 1 && answer.count == 3)
    }

    @Test("at each one's best rate: the best on average, the same for every seed") func best() throws {
        var plan = plan()
        plan.parts = [
            StudyPlan.Part("grid", "Grid", arms: ["normal", "weight"], rates: [0.1, 1], seeds: 2, firstSeed: 0, measures: ["error"])
        ]
        plan.questions = [
            StudyPlan.Question(
                "Level.", part: "grid", .init("weight", "error"), against: .init("normal", "error"), derivation: .best, .level(within: 0.1))
        ]
        var all = records(plan)
        let cells = try #require(all.cells(of: plan.parts[0]))
        for cell in cells {
            // Of weight norm the rate 1 is the best on average, though not for the second seed.
            let weight = cell.rate == 1 ? [0.1, 0.3] : [0.5, 0.25]
            all.cells.append(record(cell, cell.arm == "normal" ? 0.2 : weight[Int(cell.seed)]))
        }
        let interval = try #require(all.answers[0].interval)
        #expect(abs(interval.estimate) < 1e-12)
    }

    @Test("records survive a file, and the file is the same again") func file() throws {
        try withFolder { folder in
            let all = try complete(plan())
            let path = try all.write(to: folder)
            #expect(path.hasSuffix("/rates-tiny.json"))
            let found = try StudyRecords(at: path)
            #expect(found == all)
            let (before, after) = (try all.json, try found.json)
            #expect(before == after)
        }
    }

    @Test("a file that mixes commits, repeats a cell or has one of another grid is refused, with the cell's name")
    func mixtures() throws {
        try withFolder { folder in
            func message(_ change: (inout StudyRecords) -> Void) throws -> String {
                var all = try complete(plan())
                change(&all)
                let path = try all.write(to: folder, replacing: true)
                return try #require(throws: RunFailure.self) { try StudyRecords(at: path) }.description
            }
            let changes: [(String, (inout StudyRecords) -> Void)] = [
                ("expected one of commit c, as the study, found one of d", { $0.cells[3].commit = "d" }),
                ("expected it once, found it twice", { $0.cells.append($0.cells[0]) }),
                ("some missing", { $0.cells.removeFirst() }),
                ("main, a, weight, rate 7, seed 10: expected one of the study's grid", { $0.cells[9].cell.rate = 7 }),
                ("expected one of the study's parts, found 'x'", { $0.cells[9].cell.part = "x" }),
                ("seeds of a part", { $0.plan.parts[0].seeds = 1_000_000_000 }), ("seeds of a part", { $0.plan.parts[0].seeds = -1 }),
                ("format 1, found format 2", { $0.format = 2 }), ("a short name of letters", { $0.plan.name = "../../x" }),
                ("arm: expected a short name", { $0.plan.parts[0].arms[0] = "a/../b" }),
                ("to be tuned by one with rates of its own", { $0.plan.parts[1].tuning?.part = "main" }),
                ("to be tuned by one with rates of its own", { $0.plan.parts[1].tuning?.part = "none" }),
                ("question: expected an arm of main, found 'x'", { $0.plan.questions[0].of.arm = "x" }),
                ("question: expected a smallest effect above 0, found -1.0", { $0.plan.questions[0].rule.smallest = -1 }),
                ("question: expected strata, found none", { $0.plan.questions[0].strata = [] }),
                ("arms of a part: expected different ones", { $0.plan.parts[0].arms = ["a", "a"] }),
                ("without control characters", { $0.plan.claim = "\u{1B}[2J" }),
                ("seed-offset: expected 0, or a number from 1000", { $0.seedOffset = .max }),
                (
                    "runs: expected at most",
                    {
                        $0.plan.parts[0].rates = (1...100).map(Double.init); $0.plan.parts[0].seeds = 1000
                    }
                ),
            ]
            for (expected, change) in changes {
                let found = try message(change)
                #expect(found.contains(expected))
            }
        }
    }

    @Test("shards that were gathered give the whole, and what contradicts is refused") func gathering() throws {
        try withFolder { folder in
            let all = try complete(plan())
            func part(_ name: String, _ change: (inout StudyRecords) -> Void) throws -> String {
                var part = all
                change(&part)
                let place = "\(folder)/\(name)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                return try part.write(to: place)
            }
            let first = try part("first") { $0.cells.removeLast(5) }
            let second = try part("second") { $0.cells = Array($0.cells.prefix(8) + $0.cells.suffix(5)) }
            let gathered = try StudyCollection(at: [first, second])
            #expect(gathered.studies.count == 1)
            #expect(gathered.studies[0][0].cells.sorted { $0.cell.name < $1.cell.name } == all.cells.sorted { $0.cell.name < $1.cell.name })
            let other = try part("other") { $0.cells[9].measurements.values["error"] = 0.5 }
            let differing = try #require(throws: RunFailure.self) { try StudyCollection(at: [first, other]) }
            #expect(differing.description.contains("expected one result, found two that differ"))
            let foreign = try part("foreign") { all in
                all.commit = "d"
                for place in all.cells.indices { all.cells[place].commit = "d" }
            }
            let commits = try #require(throws: RunFailure.self) { try StudyCollection(at: [first, foreign]) }
            #expect(commits.description.contains("expected runs of one commit, found those of c and d"))
        }
    }

    @Test("of a value that is not finite, that of a diverged run counts") func notFinite() throws {
        let cell = StudyCell(part: "main", stratum: "", arm: "weight", rate: nil, seed: 0)
        let measure = StudyPlan.Measure.error("error", "Error")
        #expect(record(cell, .nan).value(measure) == 0.9)
        #expect(record(cell, nil).value(measure) == 0.9)
        #expect(record(cell, 0.25).value(measure) == 0.25)
    }
}
