import Foundation
package import Report
import WeightNorm

/// The report of a sweep: a table for the terminal, a page for the browser.
package struct SweepReport: RunReport {
    private let summary: Sweep.Summary
    private var runs: [Comparison.Run] { summary.comparison.runs }
    private var seeds: Int { Set(runs.map(\.seed)).count }

    package init(_ summary: Sweep.Summary) { self.summary = summary }

    private var within: String { NumberText.general(summary.within * 100) }

    // MARK: - For the terminal

    /// The table as lines of text.
    package var text: String {
        var lines = Table(of: summary.results, columns: [norm] + atRates + [bestRate, goodRates, factor]).lines
        lines.append("")
        lines.append(
            "\(errorTitle) after the last step at each learning rate\(seeds > 1 ? ", mean over \(seeds) seeds" : "")"
                + "; diverged: the loss of \(seeds > 1 ? "at least one seed" : "the run") was not finite.")
        return lines.joined(separator: "\n")
    }

    // MARK: - The page

    package var page: Page {
        let settings = summary.comparison.settings
        return Page(
            "Robustness to the learning rate",
            lead: """
                One convolutional network, trained \(summary.results.count == 1 ? "in one way" : "in \(summary.results.count) ways") on \
                \(summary.images) images of \(summary.data) at \(summary.rates.count) learning rates, each from the same draws and on the same \
                minibatches. A flat curve means that the rate matters little.
                """,
            sections: [
                Page.Section(
                    "\(errorTitle) against the learning rate",
                    [.chart(chart), .table(table), .table(errors)]),
                Page.Section(
                    "What was done",
                    [
                        .row([
                            .settings(
                                .init(
                                    "Training",
                                    [
                                        ("Images", "\(summary.images) of \(summary.data)"), ("Epochs", "\(settings.epochs)"),
                                        ("Minibatch", "\(settings.batch)"), ("Maps", "\(settings.firstMaps) and \(settings.secondMaps)"),
                                        ("Dropout", NumberText.general(settings.dropout)),
                                        ("Learning rate", "constant, then linear to 0 in the second half"),
                                        ("Seeds", Set(runs.map(\.seed)).sorted().map { "\($0)" }.joined(separator: ", ")),
                                    ])),
                            .settings(
                                .init(
                                    "Machine",
                                    [
                                        ("Device", summary.comparison.device), ("Threads", "\(summary.comparison.threads)"),
                                        ("Vector instructions", summary.comparison.processor), ("libtorch", summary.comparison.libtorch),
                                        ("Total time", NumberText.fixed(summary.comparison.seconds / 60, decimals: 1) + " min"),
                                    ])),
                        ])
                    ]),
            ],
            footer: """
                Made by \(code: "weightnorm sweep"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), §2.1.
                """)
    }

    private var errorTitle: String { summary.comparison.heldOut == nil ? "Test error" : "Held-out error" }

    private var chart: Chart {
        let diverged = runs.filter { !$0.testError.isFinite }
        var series: [Series] = []
        for (index, result) in summary.results.enumerated() {
            let means = zip(summary.rates, result.errors).compactMap { rate, error in error.map { Series.Point(rate, $0) } }
            series.append(Series(result.norm, points: means, colour: .slot(index), markers: .all))
            if seeds > 1 {
                let single = runs.filter { $0.norm == result.norm && $0.testError.isFinite }.map {
                    Series.Point($0.learningRate, $0.testError)
                }
                series.append(
                    Series(result.norm, points: single, colour: .slot(index), style: .points, markers: .none, isInLegend: false))
            }
            let lost = Set(diverged.filter { $0.norm == result.norm }.map(\.learningRate)).sorted()
            if !lost.isEmpty {
                // At the top, like the error of a network that answers nothing; slightly offset, so that none hides another.
                let width = (summary.rates.last ?? 1) / (summary.rates.first ?? 1)
                let shift = pow(width, 0.012 * (Double(index) - Double(summary.results.count - 1) / 2))
                series.append(
                    Series(
                        "\(result.norm), diverged", points: lost.map { Series.Point($0 * shift, 1) }, colour: .slot(index), style: .points))
            }
        }
        return Chart(
            errorTitle,
            summary: """
                After the last step, without noise and dropout.\(seeds > 1 ? " Lines: means over \(seeds) seeds; dots: single seeds." : "")\
                \(diverged.isEmpty ? "" : " Diverged runs, whose loss was not finite, are shown at 100 %, slightly offset.")
                """,
            x: Axis("Learning rate", scale: .logarithmic), y: Axis(errorTitle, scale: .logarithmic, format: .percent), series: series,
            height: 360)
    }

    // MARK: - The columns

    private typealias Column = Table.Column<Sweep.NormResult>

    private var norm: Column { .init("Norm", terminal: "norm", isNumeric: false) { .text($0.norm) } }

    private func percent(_ error: Double) -> Table.Cell { .number(error * 100, decimals: 2, suffix: " %") }

    private var atRates: [Column] {
        summary.rates.enumerated().map { index, rate in
            .init(NumberText.general(rate), best: .lowest) { $0.errors[index].map(percent) ?? .text("diverged") }
        }
    }

    private var bestRate: Column {
        .init("Best rate", terminal: "best rate") { $0.bestRate.map { .text(NumberText.general($0)) } ?? .missing }
    }

    private var bestError: Column { .init("\(errorTitle) there", best: .lowest) { $0.bestError.map(percent) ?? .missing } }

    private var goodRates: Column {
        .init("Rates within \(within) points", terminal: "rates within \(within) points") { result in
            guard let from = result.goodFrom, let to = result.goodTo else { return .text("–") }
            return .text(from == to ? NumberText.general(from) : "\(NumberText.general(from)) – \(NumberText.general(to))")
        }
    }

    private var factor: Column {
        .init("Factor between them", terminal: "factor", best: .highest) { result in
            guard let from = result.goodFrom, let to = result.goodTo else { return .missing }
            return .number(to / from, decimals: 1, suffix: "×").inTerminal(NumberText.general((to / from * 10).rounded() / 10) + "×")
        }
    }

    private var table: Table {
        Table(
            "The best learning rate of each norm, and how wide the choice is", of: summary.results,
            columns: [norm, bestRate, bestError, goodRates, factor])
    }

    private var errors: Table {
        Table(
            "\(errorTitle) at each learning rate\(seeds > 1 ? ": mean over \(seeds) seeds" : "")", of: summary.results,
            columns: [norm] + atRates)
    }
}
