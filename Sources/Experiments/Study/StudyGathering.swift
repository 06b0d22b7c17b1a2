import AtomicFiles
import Foundation
import Training

/// Studies gathered from folders and files, for a report.
package struct StudyCollection: Sendable {
    /// Each study with its repetitions, in the order of ``Study/all(_:)`` and then of their names; the first of a study's is the one that counts.
    package private(set) var studies: [[StudyRecords]] = []

    /// Gathers all studies in a folder: files of records, and folders in which studies are run; or a single one of these.
    ///
    /// Of a study of which there are both, cells are taken from both, as from the shards of a job array; they must not contradict each other.
    ///
    /// - Throws: `FileError` or ``RunFailure`` if one cannot be read, or two contradict each other; ``RunFailure`` if there is none.
    package init(at paths: [String]) throws {
        var found: [Found] = []
        for path in paths { found += try Self.records(at: path) }
        guard !found.isEmpty else {
            throw RunFailure("\(paths.joined(separator: ", ")): expected a folder of a study or a file of its records, found none")
        }
        var merged: [Found] = []
        for part in found {
            let place = merged.firstIndex { $0.records.isSameStudy(as: part.records) }
            if let place { merged[place].records = try Self.union(merged[place], part) } else { merged.append(part) }
        }
        let order = Study.all().map(\.plan.name)
        func rank(_ records: StudyRecords) -> Int {
            (order.firstIndex(of: records.plan.name) ?? order.count) + (records.plan.isTiny ? order.count + 1 : 0)
        }
        let sorted = merged.map(\.records).sorted { (rank($0), $0.plan.name, $0.seedOffset) < (rank($1), $1.plan.name, $1.seedOffset) }
        for records in sorted {
            if let last = studies.last?.last, last.plan.name == records.plan.name, last.plan.isTiny == records.plan.isTiny {
                studies[studies.count - 1].append(records)
            } else {
                studies.append([records])
            }
        }
    }

    /// Records, and where they were found.
    private struct Found {
        var path: String
        var records: StudyRecords
    }

    private static func records(at path: String) throws -> [Found] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw RunFailure("\(path): expected a folder of a study or a file of its records, found nothing there")
        }
        guard isFolder.boolValue else { return [Found(path: path, records: try StudyRecords(at: path))] }
        if StudyRunner.isStudy(path) { return [Found(path: path, records: try StudyRunner.records(at: path))] }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw RunFailure("\(path): expected a folder that can be read, found: \(error.localizedDescription)")
        }
        let folders = names.filter { StudyRunner.isStudy(AtomicFile.join(path, $0)) }
        let studies = try folders.map {
            Found(path: AtomicFile.join(path, $0), records: try StudyRunner.records(at: AtomicFile.join(path, $0)))
        }
        let files = try names.filter { $0.hasSuffix(".json") }.map {
            Found(path: AtomicFile.join(path, $0), records: try StudyRecords(at: AtomicFile.join(path, $0)))
        }
        // Records beside a study's own folder, such as those that a report wrote, may hold runs of other shares; those of an earlier study in that folder do not
        // count any more.
        return studies
            + files.filter { file in
                !studies.contains { $0.records.isSameStudy(as: file.records) && $0.records.commit != file.records.commit }
            }
    }

    /// One study out of two parts of it.
    private static func union(_ one: Found, _ other: Found) throws -> StudyRecords {
        let (first, second) = (one.records, other.records)
        let name = "\(one.path) and \(other.path)"
        guard first.commit == second.commit else {
            throw RunFailure(
                "\(name): expected runs of one commit, found those of \(BuildCommit.short(first.commit)) and \(BuildCommit.short(second.commit))"
            )
        }
        guard first.plan == second.plan else { throw RunFailure("\(name): expected runs of one plan, found those of two") }
        var union = first
        let known = first.finished
        for record in second.cells {
            guard let own = known[record.cell] else {
                union.cells.append(record)
                continue
            }
            // A run that was made twice took other seconds.
            guard own.measurements.values == record.measurements.values, own.measurements.curves == record.measurements.curves,
                own.measurements.divergedAt == record.measurements.divergedAt
            else {
                throw RunFailure("\(name): \(record.cell.description): expected one result, found two that differ")
            }
        }
        return union.inOrder
    }
}

extension StudyRecords {
    /// The same with the cells in the order of the grid.
    var inOrder: StudyRecords {
        var ordered = self
        let found = finished
        ordered.cells = plan.parts.flatMap { part in (cells(of: part) ?? []).compactMap { found[$0] } }
        return ordered
    }

    /// Whether other records are of the same study, size and seeds.
    func isSameStudy(as other: StudyRecords) -> Bool {
        plan.name == other.plan.name && seedOffset == other.seedOffset && plan.isTiny == other.plan.isTiny
    }

    /// Writes the records to a folder, under their ``fileName``; those that are there already must be part of them.
    ///
    /// - Throws: ``RunFailure`` if runs would be lost; `FileError` if the file cannot be written.
    @discardableResult
    package func write(to folder: String, replacing mayReplace: Bool = false) throws -> String {
        let path = AtomicFile.join(folder, fileName)
        if !mayReplace, OwnFile.exists(path) {
            let there = try StudyRecords(at: path)
            guard there.commit == commit, there.plan == plan else {
                throw RunFailure(
                    "\(path): expected records of commit \(BuildCommit.short(commit)), found those of another study, of commit "
                        + "\(BuildCommit.short(there.commit)): choose another --out, or remove it")
            }
            let own = finished
            if let lost = there.cells.first(where: { own[$0.cell] == nil }) {
                throw RunFailure(
                    "\(path): expected no more than was gathered, found also \(lost.cell.description): name it among the paths, or choose another --out"
                )
            }
        }
        try AtomicFile.write(json, to: path, links: .refused)
        return path
    }
}
