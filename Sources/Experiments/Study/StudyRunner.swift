import AtomicFiles
import Foundation
import Report
import Torch
import Training

/// Runs the cells of a study in a folder, one after the other; whatever is finished is not done again.
package final class StudyRunner {
    /// Which of the cells this process runs, for a job array on one file system.
    package struct Shard: Equatable, Sendable {
        /// From 1.
        package var index: Int
        package var count: Int

        package init(_ index: Int, of count: Int) { (self.index, self.count) = (index, count) }

        /// Whether a cell is this share's. The arms of a group, such as a seed's, go to different shares, and change them from group to group, so that no arm
        /// is one machine's alone.
        func has(_ place: Int, arms: Int) -> Bool { (place / arms + place % arms) % count == index - 1 }
    }

    /// How a call of ``run(parts:shouldStop:progress:)`` ended.
    package enum End: Equatable, Sendable {
        /// All of the shard's cells are finished.
        case finished
        /// It was asked to stop: the cell that was in progress goes on from its checkpoint.
        case stopped
        /// Cells whose rates are tuned by the given number of cells, which other shards have not finished.
        case waiting(Int)
    }

    /// How far a study is, over all cells of the shard that are known.
    package struct Progress: Sendable {
        package var done: Int
        package var total: Int
        package var note: String
    }

    /// The units that every run counts in ``Progress``, so that one display covers all of them, whatever they count in.
    package static let partsOfRun = 1000

    package let study: Study
    /// The study's folder.
    package let path: String
    /// What is finished, by whichever shard.
    package private(set) var records: StudyRecords
    private let shard: Shard
    private let data = StudyData()
    /// What the folder's study.json holds: a study in progress must be the same.
    private struct Head: Codable, Equatable, NamedDocument {
        static let documentName = "study"
        static let currentFormat = 1

        var format = currentFormat
        var plan: StudyPlan
        var seedOffset: UInt64
        var commit: String
    }

    /// Opens the study's folder in the given one, or makes it.
    ///
    /// - Throws: `FileError` if it cannot be read or written; ``RunFailure`` if a study of another plan, of other seeds or of another commit is in it.
    package init(_ study: Study, in folder: String, shard: Shard = Shard(1, of: 1), seedOffset: UInt64 = 0) throws {
        self.study = study
        self.shard = shard
        let plan = study.plan
        path = AtomicFile.join(folder, StudyRecords.folderName(plan, seedOffset: seedOffset))
        records = StudyRecords(plan: plan, seedOffset: seedOffset, commit: BuildCommit.current, cells: [])
        let head = Head(plan: plan, seedOffset: seedOffset, commit: BuildCommit.current)
        if let found = try Self.head(at: path) {
            guard found.commit == head.commit else {
                throw RunFailure(
                    "\(path): expected a study of commit \(BuildCommit.short(head.commit)), as this program, found one of "
                        + "\(BuildCommit.short(found.commit)): go on with that one, or choose another --out")
            }
            guard found == head else { throw RunFailure("\(path): expected the study \(plan.name) as this program has it, found another") }
        } else {
            try RunFolder.makeFolder(path, for: path, operation: "start a study in")
            try AtomicFile.write(RunFolder.encode(head, pretty: true), to: AtomicFile.join(path, Self.headName), links: .refused)
        }
        records.cells = try Self.cells(of: records, at: path)
    }

    static let headName = "study.json"
    static let cellName = "cell.json"

    private static func head(at path: String) throws -> Head? {
        guard OwnFile.exists(AtomicFile.join(path, headName)) else { return nil }
        return try readHead(at: path)
    }

    private static func readHead(at path: String) throws -> Head {
        struct Format: Decodable {
            var format: Int
        }
        let format = try RunFolder.read(Format.self, named: headName, at: path).format
        guard format == Head.currentFormat else {
            throw RunFailure("\(path)/\(headName): expected a study of format \(Head.currentFormat), found format \(format)")
        }
        let head = try RunFolder.read(Head.self, named: headName, at: path)
        do throws(RunFailure) {
            try head.plan.check()
            try StudyPlan.check(seedOffset: head.seedOffset)
        } catch { throw RunFailure("\(path)/\(headName): \(error)") }
        return head
    }

    /// The finished cells in a study's folder.
    private static func cells(of records: StudyRecords, at path: String) throws -> [StudyCellRecord] {
        var records = records
        // In the order of the parts: the rates of one are tuned by another.
        for part in records.plan.parts {
            for cell in records.cells(of: part) ?? [] {
                let folder = AtomicFile.join(path, cell.name)
                if let found = try record(of: cell, commit: records.commit, in: folder) { records.cells.append(found) }
            }
        }
        return records.cells
    }

    /// The record in a cell's folder; nil if the cell is not finished.
    private static func record(of cell: StudyCell, commit: String, in folder: String) throws -> StudyCellRecord? {
        guard OwnFile.exists(AtomicFile.join(folder, cellName)) else { return nil }
        let found = try RunFolder.read(StudyCellRecord.self, named: cellName, at: folder)
        guard found.cell == cell else {
            throw RunFailure("\(folder)/\(cellName): expected the cell \(cell.description), found another")
        }
        guard found.commit == commit else {
            throw RunFailure(
                "\(folder)/\(cellName): expected a cell of commit \(BuildCommit.short(commit)), found one of \(BuildCommit.short(found.commit))"
            )
        }
        return found
    }

    /// The study in a folder that a runner made, with its finished cells.
    package static func records(at path: String) throws -> StudyRecords {
        let head = try readHead(at: path)
        var records = StudyRecords(plan: head.plan, seedOffset: head.seedOffset, commit: head.commit, cells: [])
        records.cells = try cells(of: records, at: path)
        return records
    }

    /// Whether a folder is one of a study.
    package static func isStudy(_ path: String) -> Bool { OwnFile.exists(AtomicFile.join(path, headName)) }

    /// Takes over cells that were finished elsewhere by the same program, such as those of a file of records.
    ///
    /// - Throws: ``RunFailure`` if they are of another study, plan, commit or other seeds.
    package func adopt(_ found: StudyRecords) throws {
        do throws(RunFailure) { try found.check() } catch { throw RunFailure("--from: \(error)") }
        guard found.plan == records.plan, found.seedOffset == records.seedOffset, found.commit == records.commit else {
            throw RunFailure(
                "--from: expected records of this study's plan, seeds and commit \(BuildCommit.short(records.commit)), found others, of commit "
                    + BuildCommit.short(found.commit))
        }
        let known = records.finished
        for record in found.cells where known[record.cell] == nil { try keep(record) }
    }

    private func keep(_ record: StudyCellRecord) throws {
        let folder = AtomicFile.join(path, record.cell.name)
        try RunFolder.makeFolder(folder, for: folder)
        let json = try RunFolder.encode(record, pretty: false) + [UInt8(ascii: "\n")]
        try AtomicFile.write(json, to: AtomicFile.join(folder, Self.cellName), links: .refused)
        records.cells.append(record)
    }

    // MARK: - Running

    /// Runs the shard's cells until they are finished.
    ///
    /// - Parameters:
    ///   - parts: the names of the parts to run; nil for all.
    ///   - shouldStop: says between two steps whether to stop.
    ///   - progress: hears how far the study is.
    package func run(
        parts: [String]? = nil, shouldStop: @escaping () -> Bool = { false }, progress: @escaping (Progress) throws -> Void = { _ in }
    ) throws -> End {
        var waiting = 0
        for part in study.plan.parts where parts?.contains(part.name) ?? true {
            guard let cells = try grid(of: part) else {
                waiting += try missing(before: part, parts: parts)
                continue
            }
            for (place, cell) in cells.enumerated() where shard.has(place, arms: part.arms.count) && records.finished[cell] == nil {
                if shouldStop() { return .stopped }
                // Another process may have finished it meanwhile, or be at it.
                let folder = AtomicFile.join(path, cell.name)
                if let found = try Self.record(of: cell, commit: records.commit, in: folder) {
                    records.cells.append(found)
                } else if RunFolder.isInUse(folder) {
                    waiting += 1
                } else {
                    do {
                        guard try run(cell, shouldStop: shouldStop, progress: progress) else { return .stopped }
                    } catch let error as FileError where error.reason == RunFolder.inUse {
                        waiting += 1
                    }
                }
            }
        }
        return waiting == 0 ? .finished : .waiting(waiting)
    }

    /// The cells of a part; nil if its rates are not known yet. Other shards may have found them meanwhile.
    private func grid(of part: StudyPlan.Part) throws -> [StudyCell]? {
        if let cells = records.cells(of: part) { return cells }
        let none = StudyRecords(plan: records.plan, seedOffset: records.seedOffset, commit: records.commit, cells: [])
        records.cells = try Self.cells(of: none, at: path)
        return records.cells(of: part)
    }

    /// The number of cells that are missing to tune a part's rates, which other processes must finish.
    private func missing(before part: StudyPlan.Part, parts: [String]?) throws(RunFailure) -> Int {
        guard let tuning = part.tuning.flatMap({ records.plan.part($0.part) }) else { return 0 }
        let progress = records.progress(of: tuning)
        guard progress.done < progress.total else {
            throw RunFailure("\(part.name): expected a rate at which no run of \(tuning.name) diverges, found none")
        }
        guard shard.count > 1 || parts?.contains(tuning.name) ?? true else {
            throw RunFailure(
                "parts: expected \(tuning.name), by which the rates of \(part.name) are chosen, to be finished before, "
                    + "found \(progress.done) of its \(progress.total) runs")
        }
        return progress.total - progress.done
    }

    /// The shard's cells in all parts, as far as they are known, and those of them that are finished.
    private var counts: (done: Int, total: Int) {
        var (done, total) = (0, 0)
        for part in records.plan.parts {
            let count = records.count(of: part)
            total += (0..<count).count { shard.has($0, arms: part.arms.count) }
            let finished = records.finished
            done += (records.cells(of: part) ?? []).enumerated().count {
                shard.has($0.offset, arms: part.arms.count) && finished[$0.element] != nil
            }
        }
        return (done, total)
    }

    /// Runs a cell to its end; false if it was asked to stop.
    private func run(
        _ cell: StudyCell, shouldStop: @escaping () -> Bool, progress: @escaping (Progress) throws -> Void
    ) throws -> Bool {
        let workload = try study.workload(cell, data)
        let (done, cells) = counts
        let parts = Self.partsOfRun
        let folder = AtomicFile.join(path, cell.name)
        let total = max(1, workload.total)
        let wasResumed = RunFolder.has(RunCheckpoint.name, at: folder)
        let course = StudyCourse(path: folder, shouldStop: shouldStop) { units, note in
            let share = Double(min(units, total)) / Double(total)
            try progress(
                Progress(done: done * parts + Int(share * Double(parts)), total: cells * parts, note: "\(cell.description) \(note)"))
        } keep: { found in
            try self.keep(StudyCellRecord(cell, found, wasResumed: wasResumed))
        }
        guard try workload.run(course) != nil else { return false }
        // What a finished cell needs no more, and the largest of its files.
        for name in [RunCheckpoint.name, "replay-a.safetensors", "replay-b.safetensors"] {
            try? FileManager.default.removeItem(atPath: AtomicFile.join(folder, name))
        }
        return true
    }
}
