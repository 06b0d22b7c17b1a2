import AtomicFiles
import Experiments
import Foundation
import Report
import TestSupport
import Testing
import Torch
import Training

/// Runs a study's small grid to its end.
private func run(_ name: String, in folder: String, shard: StudyRunner.Shard = .init(1, of: 1)) throws -> (StudyRunner, StudyRunner.End) {
    let study = try #require(Study.named(name, .tiny))
    let runner = try StudyRunner(study, in: folder, shard: shard)
    return (runner, try runner.run())
}

@Suite(.serialized) struct StudyTests {
    static let names = Study.all().map(\.plan.name)

    @Test("every plan names only its own parts, arms and measures, and at least four rates where it tunes", arguments: names)
    func plans(name: String) throws {
        for scale in [Study.Scale.full, .tiny] {
            let plan = try #require(Study.named(name, scale)).plan
            #expect(plan.isTiny == (scale == .tiny))
            for part in plan.parts {
                for measure in part.measures { #expect(plan.measure(measure) != nil, "\(measure)") }
                guard let tuning = part.tuning else { continue }
                let tuned = try #require(plan.part(tuning.part))
                #expect(plan.measure(tuning.measure)?.best != nil)
                #expect(tuned.strata == part.strata && tuned.arms == part.arms)
                #expect(scale == .tiny || tuned.strata.allSatisfy { tuned.rates(of: $0).count >= 4 })
                let (first, second) = (
                    tuned.firstSeed..<tuned.firstSeed + UInt64(tuned.seeds), part.firstSeed..<part.firstSeed + UInt64(part.seeds)
                )
                #expect(!first.overlaps(second), "rates are tuned with other seeds")
            }
            for question in plan.questions {
                let part = try #require(plan.part(question.part))
                #expect(question.strata?.allSatisfy { part.strata.contains($0) } ?? true)
                for side in [question.of] + (question.against.map { [$0] } ?? []) {
                    #expect(part.arms.contains(side.arm) && plan.measure(side.measure) != nil)
                }
                #expect(question.rule.smallest > (question.isRatio ? 1 : 0))
            }
            for figure in plan.figures { #expect(plan.part(figure.part) != nil) }
        }
    }

    @Test("the small grid of every study runs to its end, answers every question, and makes a page", arguments: names)
    func tiny(name: String) throws {
        try withFolder { folder in
            let (runner, end) = try run(name, in: folder)
            #expect(end == .finished)
            let records = runner.records
            for part in records.plan.parts { #expect(records.complete(part)?.count == records.count(of: part)) }
            for answer in records.answers { #expect(answer.verdict != .unfinished && answer.interval != nil, "\(answer.question.claim)") }
            let report = StudyReport(try StudyCollection(at: [folder]))
            let page = report.page.html()
            #expect(page.contains("verdicts mean nothing") && !page.contains("undefined"))
            for question in records.plan.questions { #expect(report.text.contains(question.claim)) }
            // Escaped: up to the first apostrophe.
            #expect(!page.contains("nothing to draw"))
            for figure in records.plan.figures { #expect(page.contains(figure.title.prefix { $0 != "'" }), "\(figure.title)") }
        }
    }

    @Test("what is finished is not run again, and what was stopped goes on to the same numbers") func resumes() throws {
        try withFolder { folder in
            let (whole, _) = try run("vae", in: "\(folder)/whole")
            let study = try #require(Study.named("vae", .tiny))
            var (stops, count) = (0, 0)
            var end = StudyRunner.End.stopped
            while end == .stopped, stops < 1000 {
                let runner = try StudyRunner(study, in: "\(folder)/stopped")
                end = try runner.run {
                    count += 1
                    return count.isMultiple(of: 7)
                }
                stops += 1
            }
            #expect(end == .finished && stops > 5)
            let stopped = try StudyRunner(study, in: "\(folder)/stopped")
            #expect(stopped.records.cells.count == whole.records.cells.count)
            for record in whole.records.cells {
                let other = try #require(stopped.records.finished[record.cell])
                #expect(other.measurements.values == record.measurements.values && other.measurements.curves == record.measurements.curves)
            }
            var steps = 0
            let again = try stopped.run(progress: { _ in steps += 1 })
            #expect(again == .finished && steps == 0)
        }
    }

    @Test("shards do each cell once, wait for each other's rates, and give what one process gives") func shards() throws {
        try withFolder { folder in
            let (whole, _) = try run("draw", in: "\(folder)/whole")
            let (first, end) = try run("draw", in: "\(folder)/parts", shard: .init(1, of: 2))
            #expect(end == .waiting(2))
            #expect(first.records.cells.count == 4, "half of its own settings' four and of the tuning's four")
            let (_, second) = try run("draw", in: "\(folder)/parts", shard: .init(2, of: 2))
            #expect(second == .finished)
            let (last, third) = try run("draw", in: "\(folder)/parts", shard: .init(1, of: 2))
            #expect(third == .finished)
            #expect(last.records.cells.count == whole.records.cells.count)
            for record in whole.records.cells {
                #expect(last.records.finished[record.cell]?.measurements.values == record.measurements.values)
            }
        }
    }

    @Test("a run that diverges is kept, with the step, and counts") func divergence() throws {
        try withFolder { folder in
            let known = try #require(Study.named("rates", .tiny))
            let plan = known.plan
            let study = Study(plan, hours: 0) { cell, data in
                var high = cell
                high.rate = 1000
                return try known.workload(high, data)
            }
            let runner = try StudyRunner(study, in: folder)
            let end = try runner.run()
            #expect(end == .finished)
            let lost = runner.records.cells.filter { $0.measurements.divergedAt != nil }
            #expect(lost.contains { $0.cell.stratum == "sgd" && $0.cell.arm == "normal" })
            let error = try #require(plan.measure("testError"))
            #expect(lost.allSatisfy { $0.value(error) == 0.9 })
        }
    }

    @Test("a study of another commit, or another plan, is not gone on with") func mixtures() throws {
        try withFolder { folder in
            let (runner, _) = try run("draw", in: folder)
            let file = "\(runner.path)/study.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try text.replacing(BuildCommit.current, with: "abc").write(toFile: file, atomically: true, encoding: .utf8)
            let study = try #require(Study.named("draw", .tiny))
            let commit = try #require(throws: RunFailure.self) { try StudyRunner(study, in: folder) }
            #expect(commit.description.contains("expected a study of commit") && commit.description.contains("found one of abc"))
            try text.replacing("whole images", with: "half images").write(toFile: file, atomically: true, encoding: .utf8)
            let plan = try #require(throws: RunFailure.self) { try StudyRunner(study, in: folder) }
            #expect(plan.description.contains("expected the study draw as this program has it, found another"))
        }
    }

    @Test("a damaged study.json is refused in one line, whatever is in it") func damaged() throws {
        try withFolder { folder in
            let (runner, _) = try run("draw", in: folder)
            let file = "\(runner.path)/study.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            for (old, new) in [
                ("\"seeds\" : 2", "\"seeds\" : -1"), ("\"seedOffset\" : 0", "\"seedOffset\" : 18446744073709551615"),
                ("\"part\" : \"tune\"", "\"part\" : \"best\""), ("\"format\" : 1", "\"format\" : 7"),
                ("\"name\" : \"draw\"", "\"name\" : \"../x\""),
            ] {
                #expect(text.contains(old))
                try text.replacing(old, with: new).write(toFile: file, atomically: true, encoding: .utf8)
                let failure = try #require(throws: RunFailure.self) { try StudyRunner.records(at: runner.path) }
                #expect(failure.description.contains("expected"), "\(failure)")
            }
        }
    }

    @Test("small and whole grids in one folder are apart, and the records that a report wrote do not stand in the way") func together()
        throws
    {
        try withFolder { folder in
            let (runner, _) = try run("draw", in: folder)
            var whole = runner.records
            whole.plan.isTiny = false
            _ = try whole.write(to: folder)
            let collection = try StudyCollection(at: [folder])
            #expect(collection.studies.map { $0.map(\.plan.isTiny) } == [[false], [true]])
            for records in collection.studies.flatMap(\.self) { try records.write(to: folder) }
            var old = try StudyRecords(at: "\(folder)/draw-tiny.json")
            old.commit = "abc"
            for place in old.cells.indices { old.cells[place].commit = "abc" }
            #expect(throws: RunFailure.self) { try old.write(to: folder) }
            try old.write(to: folder, replacing: true)
            let studies = try StudyCollection(at: [folder]).studies
            #expect(studies.count == 2 && studies[1][0].commit == BuildCommit.current)
        }
    }

    @Test("a part whose rates are not chosen says which runs it needs") func order() throws {
        try withFolder { folder in
            let study = try #require(Study.named("draw", .tiny))
            let runner = try StudyRunner(study, in: folder)
            let failure = try #require(throws: RunFailure.self) { try runner.run(parts: ["best"]) }
            #expect(
                failure.description.contains(
                    "expected tune, by which the rates of best are chosen, to be finished before, found 0 of its 4 runs"))
        }
    }

    @Test("finished runs are taken over from records of the same program") func adoption() throws {
        try withFolder { folder in
            let (first, _) = try run("draw", in: "\(folder)/first")
            let study = try #require(Study.named("draw", .tiny))
            let second = try StudyRunner(study, in: "\(folder)/second")
            try second.adopt(first.records)
            var steps = 0
            let end = try second.run(progress: { _ in steps += 1 })
            #expect(end == .finished && steps == 0 && second.records.finished == first.records.finished)
            var other = first.records
            other.commit = "abc"
            #expect(throws: RunFailure.self) { try second.adopt(other) }
        }
    }
}
