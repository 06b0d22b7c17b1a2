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
        var found: [StudyRecords] = []
        for path in paths { found += try Self.records(at: path) }
        guard !found.isEmpty else {
            throw RunFailure("\(paths.joined(separator: ", ")): expected a folder of a study or a file of its records, found none")
        }
        var merged: [StudyRecords] = []
        for records in found {
            let place = merged.firstIndex {
                $0.plan.name == records.plan.name && $0.seedOffset == records.seedOffset && $0.plan.isTiny == records.plan.isTiny
            }
            if let place { merged[place] = try Self.union(merged[place], records) } else { merged.append(records) }
        }
        let order = Study.all().map(\.plan.name)
        func rank(_ records: StudyRecords) -> Int { order.firstIndex(of: records.plan.name) ?? order.count }
        merged.sort { (rank($0), $0.plan.name, $0.seedOffset) < (rank($1), $1.plan.name, $1.seedOffset) }
        for records in merged {
            if let last = studies.last?.last, last.plan.name == records.plan.name {
                studies[studies.count - 1].append(records)
            } else {
                studies.append([records])
            }
        }
    }

    private static func records(at path: String) throws -> [StudyRecords] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw RunFailure("\(path): expected a folder of a study or a file of its records, found nothing there")
        }
        guard isFolder.boolValue else { return [try StudyRecords(at: path)] }
        if StudyRunner.isStudy(path) { return [try StudyRunner.records(at: path)] }
        return try FileManager.default.contentsOfDirectory(atPath: path).sorted().flatMap { name -> [StudyRecords] in
            let entry = AtomicFile.join(path, name)
            if StudyRunner.isStudy(entry) { return [try StudyRunner.records(at: entry)] }
            return name.hasSuffix(".json") ? [try StudyRecords(at: entry)] : []
        }
    }

    /// One study out of two parts of it.
    private static func union(_ first: StudyRecords, _ second: StudyRecords) throws -> StudyRecords {
        let name = first.plan.name
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
            guard own == record else {
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

    /// Writes the records to a folder, under their ``fileName``.
    package func write(to folder: String) throws -> String {
        let path = AtomicFile.join(folder, fileName)
        try AtomicFile.write(json, to: path)
        return path
    }
}
