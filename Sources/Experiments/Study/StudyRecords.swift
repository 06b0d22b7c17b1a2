import AtomicFiles
import Foundation
import Report
import Training
import WeightFiles

/// A study with its finished cells, as in `NAME.json`.
package struct StudyRecords: Codable, Equatable, Sendable {
    package var format = Self.format
    package var plan: StudyPlan
    /// Added to every seed of the plan: another number is a repetition with other seeds.
    package var seedOffset: UInt64
    /// What ran it.
    package var command: String
    package var commit: String
    package var cells: [StudyCellRecord]

    package init(plan: StudyPlan, seedOffset: UInt64, commit: String, cells: [StudyCellRecord]) {
        (self.plan, self.seedOffset, self.commit, self.cells) = (plan, seedOffset, commit, cells)
        command =
            "weightnorm study run \(plan.name)" + (plan.isTiny ? " --tiny" : "") + (seedOffset > 0 ? " --seed-offset \(seedOffset)" : "")
    }

    /// The file of a study in a folder of records; a repetition has one of its own.
    package var fileName: String { "\(Self.folderName(plan, seedOffset: seedOffset)).json" }

    /// The name of a study's folder.
    static func folderName(_ plan: StudyPlan, seedOffset: UInt64) -> String {
        plan.name + (seedOffset == 0 ? "" : "-\(seedOffset)") + (plan.isTiny ? "-tiny" : "")
    }

    // MARK: - The grid

    /// The cells of a part; nil if they are not known yet, because the part that its rates come from is not finished.
    package func cells(of part: StudyPlan.Part) -> [StudyCell]? {
        var cells: [StudyCell] = []
        // Once for every arm, not for every cell.
        var tuned: [[String]: Double] = [:]
        if let tuning = part.tuning {
            let rates = bestRates(tuning)
            for stratum in part.strata {
                for arm in part.arms {
                    guard let rate = rates[[stratum, arm]] else { return nil }
                    tuned[[stratum, arm]] = rate
                }
            }
        }
        for seed in (0..<UInt64(part.seeds)).map({ part.firstSeed + seedOffset + $0 }) {
            for stratum in part.strata {
                let rates: [Double?] = part.rates(of: stratum).isEmpty ? [nil] : part.rates(of: stratum)
                for rate in rates {
                    for arm in part.arms {
                        cells.append(
                            StudyCell(part: part.name, stratum: stratum, arm: arm, rate: tuned[[stratum, arm]] ?? rate, seed: seed))
                    }
                }
            }
        }
        return cells
    }

    /// The number of a part's cells.
    package func count(of part: StudyPlan.Part) -> Int {
        part.strata.reduce(0) { $0 + max(1, part.rates(of: $1).count) * part.arms.count } * part.seeds
    }

    /// The best rate that a part found for a stratum and arm, by the mean over its seeds; nil until all of their runs are finished.
    package func bestRate(_ tuning: StudyPlan.Part.Tuning, stratum: String, arm: String) -> Double? { bestRates(tuning)[[stratum, arm]] }

    /// The rate with the best mean of a measure; the smaller of two equally good ones, so that the choice does not depend on the order. Nil if none has one.
    static func bestRate(of records: [StudyCellRecord], _ measure: StudyPlan.Measure) -> Double? {
        let sign = measure.best == .highest ? -1.0 : 1
        let means = Dictionary(grouping: records) { $0.cell.rate ?? .nan }.mapValues { records in
            sign * Statistics.mean(records.map { $0.value(measure) ?? .nan })
        }
        return means.filter { $0.key.isFinite && $0.value.isFinite }.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }

    /// The best rates that a part found, by stratum and arm, as far as all of their runs are finished.
    private func bestRates(_ tuning: StudyPlan.Part.Tuning) -> [[String]: Double] {
        guard let part = plan.part(tuning.part), let measure = plan.measure(tuning.measure), let grid = cells(of: part) else { return [:] }
        let found = finished
        return Dictionary(grouping: grid) { [$0.stratum, $0.arm] }.compactMapValues { cells -> Double? in
            let records = cells.compactMap { found[$0] }
            return records.count == cells.count ? Self.bestRate(of: records, measure) : nil
        }
    }

    /// The finished cells.
    package var finished: [StudyCell: StudyCellRecord] { Dictionary(cells.map { ($0.cell, $0) }, uniquingKeysWith: { $1 }) }

    /// The finished cells of a part, in the order of the grid; nil while one is missing.
    package func complete(_ part: StudyPlan.Part) -> [StudyCellRecord]? {
        guard let grid = cells(of: part) else { return nil }
        let found = finished
        let records = grid.compactMap { found[$0] }
        return records.count == grid.count ? records : nil
    }

    /// The finished cells of a part and all of its cells.
    package func progress(of part: StudyPlan.Part) -> (done: Int, total: Int) {
        let done = cells.count { $0.cell.part == part.name }
        return (min(done, count(of: part)), count(of: part))
    }
}

// MARK: - Files

extension StudyRecords {
    /// The records in a file, checked.
    ///
    /// - Throws: `FileError` if it cannot be read; ``RunFailure`` if it contradicts itself.
    package init(at path: String) throws {
        let (folder, name) = AtomicFile.split(path)
        let format = try RunFolder.read(Format.self, named: name, at: folder).format
        guard format == Self.format else {
            throw RunFailure("\(path): expected records of a study of format \(Self.format), found format \(format)")
        }
        self = try RunFolder.read(StudyRecords.self, named: name, at: folder)
        do throws(RunFailure) { try check() } catch { throw RunFailure("\(path): \(error)") }
    }

    private static let format = 1

    /// What is read first: the rest of another format cannot be.
    private struct Format: Decodable {
        var format: Int
    }

    func check() throws(RunFailure) {
        try plan.check()
        try StudyPlan.check(seedOffset: seedOffset)
        if let other = cells.first(where: { $0.commit != commit }) {
            throw RunFailure(
                "cell \(other.cell.description): expected one of commit \(BuildCommit.short(commit)), as the study, "
                    + "found one of \(BuildCommit.short(other.commit))")
        }
        guard Set(cells.map(\.cell)).count == cells.count else {
            let twice = Dictionary(grouping: cells, by: \.cell).first { $0.value.count > 1 }
            throw RunFailure("cell \(twice?.key.description ?? ""): expected it once, found it twice")
        }
        // The grids first: a part's cells are only known if those that it is tuned by are.
        for part in plan.parts {
            guard let grid = cells(of: part).map(Set.init) else {
                if let early = cells.first(where: { $0.cell.part == part.name }) {
                    throw RunFailure("cell \(early.cell.description): expected all cells that tune its rate, found some missing")
                }
                continue
            }
            if let stray = cells.first(where: { $0.cell.part == part.name && !grid.contains($0.cell) }) {
                throw RunFailure("cell \(stray.cell.description): expected one of the study's grid, found another")
            }
        }
        if let stray = cells.first(where: { plan.part($0.cell.part) == nil }) {
            throw RunFailure(
                "cell \(stray.cell.description): expected one of the study's parts, found \(Safetensors.quoted(stray.cell.part))")
        }
    }

    /// The JSON text: a line for each cell, so that two versions of a file can be compared.
    package var json: [UInt8] {
        get throws {
            var head = self
            head.cells = []
            var text = String(decoding: try RunFolder.encode(head, pretty: false), as: UTF8.self)
            let lines = try cells.map { String(decoding: try RunFolder.encode($0, pretty: false), as: UTF8.self) }
            text.replace("\"cells\":[]", with: "\"cells\":[\n\(lines.joined(separator: ",\n"))\n]", maxReplacements: 1)
            return Array("\(text)\n".utf8)
        }
    }
}

extension StudyRecords: NamedDocument {
    package static let documentName = "study"
}

extension StudyCellRecord: NamedDocument {
    package static let documentName = "cell of a study"
}
