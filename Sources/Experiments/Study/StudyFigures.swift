import Foundation
import Report

/// The figures and tables of a study.
struct StudyFigures {
    private let records: StudyRecords
    private var plan: StudyPlan { records.plan }

    init(_ records: StudyRecords) { self.records = records }

    /// The figures whose runs are finished.
    var blocks: [Page.Block] {
        plan.figures.flatMap { figure -> [Page.Block] in
            guard let part = plan.part(figure.part), let found = records.complete(part) else { return [] }
            let strata = figure.strata ?? part.strata
            if figure.kind == .dots { return [.dots(dots(figure, part, strata, found))] }
            let charts: [Page.Block] = strata.map { stratum in
                .chart(chart(figure, part, stratum, of: strata.count, found.filter { $0.cell.stratum == stratum }))
            }
            return charts.count > 1 ? [.row(charts)] : charts
        }
    }

    private func axis(_ title: String, _ measure: StudyPlan.Measure?, isLogarithmic: Bool) -> Axis {
        Axis(title, scale: isLogarithmic ? .logarithmic : .linear, format: measure?.unit == "%" ? .percent : .number)
    }

    private func chart(
        _ figure: StudyPlan.Figure, _ part: StudyPlan.Part, _ stratum: String, of count: Int, _ found: [StudyCellRecord]
    ) -> Chart {
        var series: [Series] = []
        for (index, arm) in part.arms.enumerated() {
            let own = found.filter { $0.cell.arm == arm }
            let colour = Series.Colour.slot(index)
            switch figure.kind {
            case .curves:
                let runs = own.map { ($0.measurements.curves[figure.y] ?? []).filter { $0.count == 2 }.map { Series.Point($0[0], $0[1]) } }
                series.append(Series(arm, meanOf: runs, colour: colour))
            case .rates:
                let points = own.compactMap { record in
                    record.cell.rate.flatMap { rate in value(figure.y, record).map { Series.Point(rate, $0) } }
                }
                let rates = Set(points.map(\.x)).sorted()
                let means = rates.map { rate in Series.Point(rate, Statistics.mean(points.filter { $0.x == rate }.map(\.y))) }
                series.append(Series(arm, points: means, colour: colour, markers: .all))
                if part.seeds > 1 {
                    series.append(Series(arm, points: points, colour: colour, style: .points, markers: .none, isInLegend: false))
                }
            case .scatter:
                let points = own.compactMap { record in
                    value(figure.x, record).flatMap { x in value(figure.y, record).map { Series.Point(x, $0) } }
                }
                series.append(Series(arm, points: points.sorted { $0.x < $1.x }, colour: colour, style: .points))
            case .dots: break
            }
        }
        return Chart(
            count > 1 ? "\(figure.title): \(stratum)" : figure.title, summary: "\(figure.summary)",
            x: axis(figure.xTitle, plan.measure(figure.x), isLogarithmic: figure.hasLogarithmicX),
            y: axis(figure.yTitle, plan.measure(figure.y), isLogarithmic: figure.hasLogarithmicY), series: series, height: 320)
    }

    private func value(_ name: String, _ record: StudyCellRecord) -> Double? {
        plan.measure(name).flatMap { record.value($0) }
    }

    private func dots(_ figure: StudyPlan.Figure, _ part: StudyPlan.Part, _ strata: [String], _ found: [StudyCellRecord]) -> DotPlot {
        let measure = plan.measure(figure.y)
        func values(_ stratum: String, _ arm: String) -> [Double] {
            found.filter { $0.cell.stratum == stratum && $0.cell.arm == arm }.compactMap { value(figure.y, $0) }
        }
        let rows =
            strata.count > 1
            ? strata.map { stratum in
                DotPlot.Row(
                    stratum,
                    part.arms.enumerated().map { .init($0.element, values: values(stratum, $0.element), colour: .slot($0.offset)) })
            }
            : part.arms.map { arm in DotPlot.Row(arm, [.init(figure.yTitle, values: values(strata.first ?? "", arm))]) }
        return DotPlot(
            figure.title, summary: "\(figure.summary)",
            axis: Axis(figure.yTitle, format: measure?.unit == "%" ? .percent : .number), rows: rows,
            decimals: measure?.decimals ?? 2)
    }

    /// A part's table: a row for each stratum, arm and rate, with means and deviations over the seeds.
    func table(of part: StudyPlan.Part, _ found: [StudyCellRecord]) -> Table {
        struct Row: Hashable {
            var stratum: String
            var arm: String
            var rate: Double?
        }
        var rows: [Row] = []
        for stratum in part.strata {
            for arm in part.arms {
                let rates = Set(found.filter { $0.cell.stratum == stratum && $0.cell.arm == arm }.map(\.cell.rate))
                rows += rates.sorted { ($0 ?? 0) < ($1 ?? 0) }.map { Row(stratum: stratum, arm: arm, rate: $0) }
            }
        }
        func own(_ row: Row) -> [StudyCellRecord] {
            found.filter { $0.cell.stratum == row.stratum && $0.cell.arm == row.arm && $0.cell.rate == row.rate }
        }
        let isTuning = plan.parts.contains { $0.tuning?.part == part.name }
        var columns: [Table.Column<Row>] = [.init("", isNumeric: false) { .text($0.arm) }]
        if part.strata.count > 1 { columns.insert(.init("", isNumeric: false) { .text($0.stratum) }, at: 0) }
        if rows.contains(where: { $0.rate != nil }) {
            columns.append(.init("Rate") { $0.rate.map { .text(NumberText.general($0)) } ?? .missing })
        }
        for measure in part.measures.compactMap({ plan.measure($0) }) {
            columns.append(
                .init(measure.title + (measure.unit == "%" ? " (%)" : "")) { row in
                    .over(own(row).compactMap { $0.value(measure) }, scale: measure.factor, decimals: measure.decimals)
                })
        }
        if found.contains(where: { $0.measurements.divergedAt != nil }) {
            columns.append(.init("Diverged") { row in .text("\(own(row).count { $0.measurements.divergedAt != nil })") })
        }
        if isTuning {
            columns.append(
                .init("Chosen", isNumeric: false) { row in
                    let tuned = plan.parts.compactMap(\.tuning).first { $0.part == part.name }
                    let best = tuned.flatMap { records.bestRate($0, stratum: row.stratum, arm: row.arm) }
                    guard let best, best == row.rate else { return "" }
                    let grid = part.rates(of: row.stratum)
                    return .text(grid.count > 1 && (best == grid.min() || best == grid.max()) ? "best, at the end of the grid" : "best")
                })
        }
        return Table(
            "\(part.title) (\(part.seeds == 1 ? "one seed" : "mean ± deviation over \(part.seeds) seeds"))", of: rows, columns: columns)
    }
}
