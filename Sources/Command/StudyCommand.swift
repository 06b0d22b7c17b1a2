import ArgumentParser
import AtomicFiles
import Experiments
import Foundation
import Report
import Torch
import Training

/// `weightnorm study`: the paper's claims, each judged over seeds.
struct StudyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "study",
        abstract: "Judge the paper's claims: grids of runs, with verdicts by rules written beforehand.",
        discussion: """
            Each study is one claim with a plan that is fixed before it is run: which runs, which measures, and the smallest effect that counts. Learning rates are \
            chosen for each norm alike; then other seeds are run in pairs, and an effect is judged by its 95 % interval. See Docs/study.md.
            """,
        subcommands: [List.self, Run.self, Report.self])

    static let folder = "runs/study"

    /// Throws unless a folder has a name.
    static func requireFolder(_ path: String) throws {
        guard !path.isEmpty else { throw ValidationError("--out: expected a folder, found ''") }
    }

    /// `weightnorm study list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the studies, and how much of each is done.")

        @Option(help: ArgumentHelp("Folder of the studies.", valueName: "folder"))
        var out = StudyCommand.folder

        func run() throws {
            try StudyCommand.requireFolder(out)
            for study in Study.all() {
                let plan = study.plan
                let path = AtomicFile.join(out, plan.name)
                let found = StudyRunner.isStudy(path) ? try StudyRunner.records(at: path) : nil
                if let found, found.plan.name != plan.name {
                    throw ValidationError("\(path): expected the study \(plan.name), found \(found.plan.name)")
                }
                let done = found?.state ?? "not begun"
                let runs = StudyRecords(plan: plan, seedOffset: 0, commit: "", cells: [])
                let count = plan.parts.reduce(0) { $0 + runs.count(of: $1) }
                print(plan.name)
                print("  claim  \(plan.claim) (\(plan.source))")
                print("  runs   \(count), about \(NumberText.general(study.hours)) h on two cores")
                print("  done   \(done)")
            }
        }
    }

    /// `weightnorm study run`.
    struct Run: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a study's grid, or go on with it.",
            discussion: """
                Every run of the grid has a folder of its own in the study's; what is finished is not run again, and what was stopped goes on from its checkpoint. \
                SIGINT (Ctrl-C) and SIGTERM finish the current step and save. A study belongs to one commit: go on with the program that began it. The exit status \
                is 0 when all runs of the share are finished, and 75 when there is more to do: the budget is spent, or rates wait for other shares.
                """)

        @Argument(help: ArgumentHelp("Name of the study: \(Study.all().map(\.plan.name).joined(separator: ", ")).", valueName: "name"))
        var name: String

        @Option(help: ArgumentHelp("Folder of the studies; each has one of its own in it.", valueName: "folder"))
        var out = StudyCommand.folder

        @Option(
            help: ArgumentHelp(
                "Run only share I of N, as in a job array whose jobs have one file system. (default: 1/1)", valueName: "I/N"),
            transform: shard)
        var shard: StudyRunner.Shard?

        @Option(help: ArgumentHelp("Hours after which to save and stop. (default: no limit)", valueName: "hours"))
        var budget: Double?

        @Option(
            help: ArgumentHelp("Parts of the study to run, separated by commas. (default: all, in order)", valueName: "list"),
            transform: { try list($0, option: "parts", expected: "names of parts") { $0.isEmpty ? nil : $0 } })
        var parts: [String]?

        @Option(help: ArgumentHelp("Number added to every seed, 1000 or more: runs the study again with other seeds.", valueName: "number"))
        var seedOffset: UInt64 = 0

        @Option(
            help: ArgumentHelp(
                "File of records or folder of an unfinished study, of this very program, whose finished runs to take over.",
                valueName: "path"))
        var from: String?

        @Flag(
            help:
                "Run a grid of the same shape on a few drawn images, in seconds. It shows that the study works; its verdicts mean nothing.")
        var tiny = false

        @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
        var threads: Int?

        func run() throws {
            guard let study = Study.named(name, tiny ? .tiny : .full) else {
                throw ValidationError("name: expected \(alternatives(Study.all().map(\.plan.name))), found '\(name)'")
            }
            if let budget { try require(budget, in: .above(0, atMost: 100_000), option: "budget") }
            if let threads { try require(threads, in: SettingsLimits.threads, option: "threads") }
            do { try StudyPlan.check(seedOffset: seedOffset) } catch { throw ValidationError("--\(error)") }
            for part in parts ?? [] where study.plan.part(part) == nil {
                throw ValidationError("--parts: expected \(alternatives(study.plan.parts.map(\.name))), found '\(part)'")
            }
            try StudyCommand.requireFolder(out)
            try prepareProcessor(threads: threads)
            let runner = try StudyRunner(study, in: out, shard: shard ?? StudyRunner.Shard(1, of: 1), seedOffset: seedOffset)
            if let from { try adopt(from, by: runner) }
            if !tiny, !BuildCommit.isReproducible(BuildCommit.current) {
                printToError(
                    "this program was not built from a commit as it is, but from \(BuildCommit.short(BuildCommit.current)): nobody can make these runs again; "
                        + "commit, then run make build")
            }
            try train(runner)
        }

        private func adopt(_ path: String, by runner: StudyRunner) throws {
            let found = try StudyCollection(at: [path]).studies.flatMap(\.self)
            guard let own = found.first(where: { $0.plan.name == name && $0.seedOffset == seedOffset && $0.plan.isTiny == tiny }) else {
                throw ValidationError("--from: expected records of \(name) in \(path), found none")
            }
            try runner.adopt(own)
        }

        private func train(_ runner: StudyRunner) throws {
            let interruption = Interruption()
            let start = ContinuousClock.now
            var isSpent: Bool { budget.map { (ContinuousClock.now - start) / .seconds(3600) >= $0 } ?? false }
            var display: ProgressDisplay?
            fflush(nil)
            let end = try runner.run(parts: parts) {
                interruption.received != nil || isSpent
            } progress: { progress in
                let shown =
                    display
                    ?? ProgressDisplay(
                        label: name, total: progress.total, done: progress.done, unit: "runs", per: StudyRunner.partsOfRun)
                display = shown
                shown.update(done: progress.done, note: progress.note)
            }
            display?.finish(note: "")
            let again = "weightnorm study run \(name) with the same options"
            switch end {
            case .finished:
                print("\(runner.records.state). Report: weightnorm study report \(out)")
            case .waiting(let count):
                print(
                    "\(runner.records.state). The rest waits for \(count == 1 ? "a run" : "\(count) runs") of other shares: when they are finished, run \(again)"
                )
                throw Self.moreToDo
            case .stopped:
                if let code = interruption.exitCode {
                    printToError("\(code == 130 ? "SIGINT" : "SIGTERM"): stopped and saved; to go on, run \(again)")
                    throw ExitCode(code)
                }
                print("The budget is spent: \(runner.records.state). To go on, run \(again)")
                throw Self.moreToDo
            }
        }

        /// EX_TEMPFAIL: a job array may start the share again.
        private static let moreToDo = ExitCode(75)

        @Sendable private static func shard(_ text: String) throws -> StudyRunner.Shard {
            let words = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
            guard words.count == 2, let index = words[0], let count = words[1], (1...10_000).contains(count), (1...count).contains(index)
            else {
                throw ValidationError("--shard: expected I/N with whole numbers, N at most 10000 and I from 1 to N, found '\(text)'")
            }
            return StudyRunner.Shard(index, of: count)
        }
    }

    /// `weightnorm study report`.
    struct Report: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Judge what is finished, and write the page.",
            discussion: """
                Reads studies from folders in which they are run and from files of records (NAME.json), gathers what several shards have done, and writes report.html \
                and, for every study, its records without checkpoints: NAME.json. Runs of different commits in one study are refused.
                """)

        @Argument(help: ArgumentHelp("Folders of studies, or files of records.", valueName: "path"))
        var paths = [StudyCommand.folder]

        @Option(help: ArgumentHelp("Folder for the page and the records. (default: the first path)", valueName: "folder"))
        var out: String?

        func run() throws {
            let collection = try StudyCollection(at: paths)
            let report = StudyReport(collection)
            print(report.text)
            let folder = try out ?? defaultFolder()
            try StudyCommand.requireFolder(folder)
            try RunFolder.makeFolder(folder, for: folder, operation: "write a report to")
            // A folder's own studies outrank the records that lie beside them.
            for records in collection.studies.flatMap(\.self) { try records.write(to: folder, replacing: folder == paths[0]) }
            let path = AtomicFile.join(folder, "report.html")
            try AtomicFile.write(Array(report.page.html().utf8), to: path, links: .refused)
            print("The report is \(path)")
        }

        /// The first path, if it is a folder: a single study's page goes into its own, where it replaces no page of all studies.
        private func defaultFolder() throws -> String {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: paths[0], isDirectory: &isFolder), isFolder.boolValue else {
                throw ValidationError("--out: expected a folder for the page of single records, found none")
            }
            return paths[0]
        }
    }
}
