import Foundation
package import Report

/// The page of all studies: each claim with its verdict, and what the verdict rests on.
package struct StudyReport: RunReport {
    private let studies: [[StudyRecords]]

    package init(_ collection: StudyCollection) { studies = collection.studies }

    // MARK: - For the terminal

    package var text: String {
        var lines: [String] = []
        for records in studies.flatMap(\.self) {
            let plan = records.plan
            let again = records.seedOffset == 0 ? "" : ", again with other seeds (+\(records.seedOffset))"
            lines.append("\(plan.title)\(again)\(plan.isTiny ? ", the small grid: its verdicts mean nothing" : "") – \(records.state)")
            let answers = records.answers
            let width = answers.map { $0.verdict.rawValue.count }.max() ?? 0
            for answer in answers {
                let verdict = answer.verdict.rawValue.padding(toLength: width, withPad: " ", startingAt: 0)
                lines.append("  \(verdict)  \(answer.question.claim)\(answer.interval == nil ? "" : " \(answer.effect): \(answer.range).")")
            }
            lines.append("")
        }
        lines.append(Self.wordsOfVerdicts)
        return lines.joined(separator: "\n")
    }

    private static let wordsOfVerdicts = """
        holds: the 95 % interval lies wholly beyond the smallest effect that was named before; level: wholly within it; refuted here: wholly on the \
        other side; open: none of these.
        """

    // MARK: - The page

    package var page: Page {
        let isTiny = studies.contains { $0.contains { $0.plan.isTiny } }
        return Page(
            "What the paper claims, measured",
            lead: """
                Each claim about weight normalization with its verdict: by a rule that was written before the runs, over seeds and, where norms compete, \
                with a learning rate chosen for each alike.\(isTiny ? " These are small grids, which only show that the studies work: their verdicts mean nothing." : "")
                """,
            sections: [verdicts] + studies.map(section),
            footer: """
                Made by \(code: "weightnorm study report"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016). Intervals and verdicts after Agarwal et al., \
                \(link: "Deep Reinforcement Learning at the Edge of the Statistical Precipice", to: "https://arxiv.org/abs/2108.13264") (2021).
                """)
    }

    private struct Row {
        var study: String
        var answer: StudyAnswer
        var again: [StudyAnswer]
    }

    private func rows(_ records: [StudyRecords], _ study: String) -> [Row] {
        guard let first = records.first else { return [] }
        return first.answers.enumerated().map { place, answer in
            // A repetition answers the same questions, or it would be no repetition.
            Row(
                study: study, answer: answer,
                again: records.dropFirst().compactMap {
                    $0.plan.questions == first.plan.questions ? $0.answer($0.plan.questions[place]) : nil
                })
        }
    }

    private func columns(naming: Bool, again: Bool) -> [Table.Column<Row>] {
        let verdict = Table.Column<Row>("Verdict", isNumeric: false) { .text($0.answer.verdict.rawValue) }
        var columns: [Table.Column<Row>] = [naming ? .init("Study", isNumeric: false) { .text($0.study) } : verdict]
        columns += [
            .init("Claim", isNumeric: false) { .text($0.answer.question.claim) },
            .init("Effect") { .text($0.answer.effect) }, .init("95 % interval") { .text($0.answer.range) },
        ]
        if naming { columns.append(.init("In smallest effects that count", isNumeric: false) { $0.answer.drawing }) }
        if naming { columns.append(verdict) }
        if again {
            columns.append(
                .init("Again, with other seeds", isNumeric: false) { row in
                    let words = row.again.map { "\($0.verdict.rawValue) (\($0.range))" }
                    return words.isEmpty ? .missing : .text(words.joined(separator: "; "))
                })
        }
        if !naming {
            columns += [
                .init("Pairs") { .text($0.answer.interval == nil ? "–" : "\($0.answer.count)") },
                .init("Diverged") { .text($0.answer.interval == nil ? "–" : "\($0.answer.diverged)") },
                .init("Rule", isNumeric: false) { .text($0.answer.question.rule.words($0.answer.question)) },
            ]
        }
        return columns
    }

    private var verdicts: Page.Section {
        let rows = studies.flatMap { self.rows($0, $0.first?.plan.title ?? "") }
        let again = studies.contains { $0.count > 1 }
        return Page.Section(
            "Verdicts",
            [
                .table(Table("All claims", of: rows, columns: columns(naming: true, again: again))),
                .prose(
                    """
                    The drawings have the smallest effect that counts as their unit: shaded is what does not count, and an interval wholly to the right of the \
                    shade is as claimed (of a claim that there is no difference: one within it; of one that there is no more: one that does not reach beyond it to \
                    the right).
                    """),
                .list([
                    "\(strong: "holds"): the 95 % interval of the effect lies wholly beyond the smallest effect that counts, which was named before the runs; of a claim that there is no difference, wholly within it.",
                    "\(strong: "level"): it lies wholly within the smallest effect that counts.",
                    "\(strong: "refuted here"): it lies wholly beyond the smallest effect, on the other side.",
                    "\(strong: "open"): none of these: the runs do not decide it.",
                ]),
                .prose(
                    """
                    Effects are means over paired runs (same seed: same draws and, but for games, the same minibatches), or interquartile means where a claim says so. Intervals are \
                    those of a stratified bootstrap over the seeds, widened to Student's t where that is wider: with a handful of seeds the bootstrap \
                    alone covers less than it says. A run that diverged counts with the value that its study names, and is never left out; if it has no \
                    such number at all, the question stays open. Of so many claims, one in twenty intervals misses its effect by chance.
                    """),
            ])
    }

    private func section(_ records: [StudyRecords]) -> Page.Section {
        guard let first = records.first else { return Page.Section("", []) }
        let plan = first.plan
        var blocks: [Page.Block] = [
            .prose("\(strong: "The claim"): \(plan.claim) (\(plan.source).)"),
            .table(
                Table(
                    "Verdicts and rules", of: rows(records, plan.title),
                    columns: columns(naming: false, again: records.count > 1))),
        ]
        let figures = StudyFigures(first)
        blocks += figures.blocks
        blocks += plan.parts.compactMap { part in first.complete(part).map { .table(figures.table(of: part, $0)) } }
        blocks.append(.prose("\(strong: "What was done.") \(plan.method.joined(separator: " "))"))
        blocks.append(.prose("\(strong: "What it does not show")"))
        blocks.append(.list(plan.limits.map { "\($0)" }))
        blocks.append(.row(records.map { .settings(.init($0.seedOffset == 0 ? "Made by" : "Made again by", provenance($0))) }))
        return Page.Section(plan.title, blocks)
    }

    private func provenance(_ records: StudyRecords) -> [(name: String, value: String)] {
        let machines = Set(records.cells.map(\.machine)).sorted { $0.processor < $1.processor }.map {
            "\($0.processor) with \($0.cores) cores, \($0.instructions), \($0.threads == 1 ? "one thread" : "\($0.threads) threads") a run, libtorch \($0.libtorch)"
        }
        let days = records.cells.map(\.day)
        let hours = records.cells.reduce(0) { $0 + $1.measurements.seconds } / 3600
        let isKnown = BuildCommit.isReproducible(records.commit)
        return [
            ("Command", records.command),
            (
                "Commit of the program and of the rules",
                BuildCommit.short(records.commit) + (isKnown ? "" : ", with changes: not to be made again")
            ),
            ("Machines", machines.joined(separator: "; ")),
            ("Days", [days.min(), days.max()].compactMap(\.self).uniqued.joined(separator: " to ")),
            ("Runs", records.state), ("Time", "\(NumberText.fixed(hours, decimals: 1)) hours of runs"),
            ("Runs that diverged", "\(records.cells.count { $0.measurements.divergedAt != nil })"),
            ("Runs that were stopped and went on", "\(records.cells.count(where: \.wasResumed))"),
        ]
    }
}

extension StudyRecords {
    /// How many of the runs are finished, in words.
    package var state: String {
        let parts = plan.parts.map(progress)
        let (done, total) = parts.reduce((0, 0)) { ($0.0 + $1.done, $0.1 + $1.total) }
        return done == total ? "all \(total) runs are finished" : "\(done) of \(total) runs are finished"
    }
}

extension StudyAnswer {
    /// The interval in units of the smallest effect that counts, so that all claims can be drawn alike: to the right is as claimed.
    var drawing: Table.Cell {
        guard let interval else { return .missing }
        let smallest = question.isRatio ? log(question.rule.smallest) : question.rule.smallest
        let sign = question.rule.claim == .below ? -1 / smallest : 1 / smallest
        let ends = [interval.lower * sign, interval.upper * sign].sorted()
        return .interval(interval.estimate * sign, from: ends[0], to: ends[1], zone: 1, bound: 5, text: "\(effect): \(range)")
    }

    /// The effect with its unit, "–" if there is none.
    var effect: String { interval.map { question.shownEstimate($0.estimate) + question.unitWord } ?? "–" }

    /// The interval, "–" if there is none.
    var range: String { interval.map { question.shown($0) } ?? "–" }
}

extension [String] {
    /// Each once, in order.
    fileprivate var uniqued: [String] { reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
}
