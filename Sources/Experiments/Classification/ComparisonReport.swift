package import Foundation
package import Report
import WeightNorm

/// The report of a comparison: a table for the terminal, a page for the browser.
package struct ComparisonReport: RunReport {
    let summary: Comparison.Summary
    let records: [Comparison.Record]
    let norms: [String]
    let seeds: [UInt64]
    let layers: [Comparison.LayerRecord]
    /// Pictures of the first layer's filters, by norm.
    let filters: [(norm: String, png: Data)]

    package init(
        _ summary: Comparison.Summary, records: [Comparison.Record], layers: [Comparison.LayerRecord] = [],
        filters: [(norm: String, png: Data)] = []
    ) {
        self.layers = layers
        self.filters = filters
        self.summary = summary
        self.records = records
        (norms, seeds) = (summary.runs.norms, summary.runs.seeds)
    }

    // MARK: - The table

    private struct Row {
        let norm: String
        let test: [Double]
        let train: [Double]
        let milliseconds: Double
        let cost: Double?
        /// The mean over seeds of the first time below each threshold; nil if a seed never got below it.
        let under: [Double?]
    }

    private var rows: [Row] {
        norms.map { norm in
            let runs = summary.runs.filter { $0.norm == norm }
            let costs = runs.compactMap(\.costRelativeToNormal)
            return Row(
                norm: norm, test: runs.map(\.testError), train: runs.map(\.trainError),
                milliseconds: Statistics.median(runs.map(\.millisecondsPerStep)), cost: costs.isEmpty ? nil : Statistics.median(costs),
                under: summary.thresholds.map { threshold in
                    let times = runs.map { $0.firstEpochUnder[String(threshold)] }
                    return times.contains(nil) ? nil : times.compactMap { $0 }.reduce(0, +) / Double(runs.count)
                })
        }
    }

    /// The name of the measured error.
    private var errorName: String { summary.heldOut == nil ? "test error" : "held-out error" }
    private var errorTitle: String { summary.heldOut == nil ? "Test error" : "Held-out error" }

    /// The part of an epoch over which the training error is averaged.
    private var readingPart: String { summary.pace.readings == 1 ? "epoch" : "\(Self.ordinal(summary.pace.readings)) of an epoch" }

    private static func ordinal(_ parts: Int) -> String { parts == 20 ? "twentieth" : "1/\(parts)" }

    /// The table as lines of text.
    package var text: String {
        var lines = table.lines
        lines.append("")
        lines.append("\(errorTitle) after the last step; training error over the last \(readingPart), with noise and dropout.")
        lines.append(
            "ms/step: median; cost: median of the ratio to \"normal\" at the same step; < …: epochs until the \(errorName) was below it."
        )
        return lines.joined(separator: "\n")
    }

    private var table: Table {
        func percent(_ values: [Double]) -> Table.Cell { .over(values, scale: 100, decimals: 2, unit: " %") }
        let columns: [Table.Column<Row>] =
            [
                .init("Norm", terminal: "norm", isNumeric: false) { .text($0.norm) },
                .init(errorTitle, terminal: errorName, best: .lowest) { percent($0.test) },
                .init("Training error", terminal: "training error", best: .lowest) { percent($0.train) },
                .init("ms per step", terminal: "ms/step") { .number($0.milliseconds, decimals: 1) },
                .init("Cost", terminal: "cost") { $0.cost.map { .number($0, decimals: 2, suffix: "×") } ?? .missing },
            ]
            + summary.thresholds.enumerated().map { index, threshold in
                let percent = NumberText.general(threshold * 100)
                return .init("Epochs to \(percent)\u{a0}%", terminal: "< \(percent) %") { row in
                    row.under[index].map { .number($0, decimals: 2) } ?? .missing
                }
            }
        return Table(
            "Results after \(summary.settings.epochs == 1 ? "one epoch" : "\(summary.settings.epochs) epochs")",
            of: rows, columns: columns)
    }

    private var explanation: Prose {
        let spread = seeds.count > 1 ? ", in percent: mean and standard deviation over \(seeds.count) seeds" : ""
        return """
            \(errorTitle) after the last step\(spread). Training error over the last \(readingPart), on the minibatches as trained: with \
            noise and dropout. Cost: the median over the steps of the ratio to “normal” at the same step; the networks take their steps in \
            turn. The last columns: epochs until the \(errorName) was first seen below that value.
            """
    }

    // MARK: - The page

    private func chart(_ title: String, summary: Prose, _ value: KeyPath<Comparison.Record, Double?>) -> Chart {
        Chart(
            title, summary: summary, x: Axis("Epoch", minimum: 0),
            // An error of zero cannot be shown on a logarithmic axis.
            y: Axis(title, scale: records.contains { $0[keyPath: value] == 0 } ? .linear : .logarithmic, format: .percent),
            series: norms.enumerated().map { index, norm in
                let runs = seeds.map { seed in
                    records.filter { $0.norm == norm && $0.seed == seed }.compactMap { record in
                        record[keyPath: value].map { Series.Point(record.epoch, $0) }
                    }
                }
                return Series(norm, meanOf: runs, colour: .slot(index))
            }, height: 340)
    }

    /// The page.
    package var page: Page {
        var results: [Page.Block] = [.table(table), .prose(explanation)]
        if seeds.count > 1 {
            results.append(
                .dots(
                    DotPlot(
                        "\(errorTitle) of every seed", axis: Axis(errorTitle, format: .percent),
                        rows: rows.map { .init($0.norm, [.init(errorName, values: $0.test)]) })))
        }
        return Page(
            norms.count == 1 && summary.command != Comparison.command
                ? "Classification with the norm “\(norms[0])”" : "Weight normalization compared with its rivals",
            lead: norms.count == 1
                ? "One convolutional network, trained on \(summary.data) in one parameterisation of its weights."
                : """
                One convolutional network, trained in \(norms.count) ways on \(summary.data), from the same draws and on the same minibatches in the \
                same order. Only the parameterisation of its weights differs.
                """,
            sections: [
                Page.Section("Results", results),
                besideThePaper,
                Page.Section(
                    "Learning curves",
                    [
                        .chart(
                            chart(
                                errorTitle,
                                summary:
                                    "On the \(summary.heldOut.map { "\($0) held-out training" } ?? "test") images, without noise and dropout; with running averages for norms that have them.",
                                \.testError)),
                        .chart(
                            chart(
                                "Training error",
                                summary:
                                    "On the training minibatches, averaged over \(summary.pace.readings == 1 ? "an" : "a") \(readingPart).",
                                \.trainError)),
                    ]),
                inside,
                filterSection,
                Page.Section(
                    "What was compared",
                    [
                        .list(norms.compactMap { Normalization(rawValue: $0) }.map { Self.explanation($0) }),
                        .row([.settings(.init("Training", training)), .settings(.init("Machine", machine))]),
                    ]),
            ].filter { !$0.blocks.isEmpty },
            footer: """
                Made by \(code: "weightnorm \(summary.command)"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), Figure 1.
                """)
    }

    private var training: [(name: String, value: String)] {
        let settings = summary.settings
        let (early, late) = (NumberText.general(settings.beta1), NumberText.general(settings.laterBeta1))
        return [
            ("Images", summary.data + (settings.whitens ? ", whitened" : "")),
            ("Images seen", "\(settings.batch * (summary.runs.first?.steps ?? 0))"),
            ("Minibatch", "\(settings.batch)"), ("Maps", "\(settings.firstMaps) and \(settings.secondMaps) (the paper: 96 and 192)"),
            ("Parameters", summary.runs.first.map { "\($0.parameters) (\($0.norm))" } ?? "–"),
            ("Input noise", "σ = \(NumberText.general(settings.inputNoise))"),
            ("Dropout", NumberText.general(settings.dropout)),
            ("Optimizer", "Adam, β1 \(early == late ? early : "\(early), in the second half \(late)")"),
            ("Learning rate", learningRates), ("Seeds", seeds.map { "\($0)" }.joined(separator: ", ")),
        ]
    }

    private var machine: [(name: String, value: String)] {
        [
            ("Device", summary.device), ("Threads", "\(summary.threads)"), ("Vector instructions", summary.processor),
            ("libtorch", summary.libtorch), ("Total time", Self.duration(summary.seconds)),
        ]
    }

    private static func explanation(_ normalization: Normalization) -> Prose {
        let name = normalization.rawValue
        return switch normalization {
        case .plain: "\(strong: name): plain weights, scaled at the start so that every pre-activation has mean 0 and deviation 1."
        case .fixedGain: "\(strong: name): the same start, by means of a multiplier that stays fixed while the weights are trained."
        case .weight: "\(strong: name): w = g·v/‖v‖ with one g for each output unit, started as the same function as “normal”."
        case .logWeight: "\(strong: name): the same with g = exp(s), where s is trained."
        case .batch: "\(strong: name): batch normalization; it sets mean and deviation of each pre-activation itself."
        case .meanOnlyBatch: "\(strong: name): plain weights, with the minibatch's mean subtracted from each pre-activation."
        case .weightAndMeanOnlyBatch:
            "\(strong: name): weight normalization, with the minibatch's mean subtracted from each pre-activation."
        default: "\(strong: name): \(normalization.form.identifier) weights."
        }
    }

    private var learningRates: String {
        let rates = norms.compactMap { norm in summary.runs.first { $0.norm == norm }?.learningRate }
        if let first = rates.first, rates.allSatisfy({ $0 == first }) {
            return "\(NumberText.general(first)), linear to 0 in the second half"
        }
        return zip(norms, rates).map { "\($0) \(NumberText.general($1))" }.joined(separator: ", ") + "; linear to 0 in the second half"
    }

    private static func duration(_ seconds: Double) -> String {
        seconds < 120 ? "\(NumberText.fixed(seconds, decimals: 0)) s" : "\(NumberText.fixed(seconds / 60, decimals: 1)) min"
    }
}
