import Foundation
package import Report
import WeightNorm

/// The report of an analysis: a table for the terminal, a page for the browser.
package struct AnalysisReport: RunReport {
    private let summary: RunAnalysis.Summary
    private var networks: [RunAnalysis.Network] { summary.networks }
    /// The layers of any network: their shapes are the same in all networks.
    private var layers: [NetworkAnalysis.Layer] { networks.first?.layers ?? [] }

    package init(_ summary: RunAnalysis.Summary) { self.summary = summary }

    // MARK: - For the terminal

    /// The table as lines of text.
    package var text: String {
        func middle(_ title: String, _ value: @escaping (NetworkAnalysis.Layer) -> Double?) -> Table.Column<RunAnalysis.Network> {
            .init(title) { .text(Self.short(Self.middle($0.layers, value))) }
        }
        var lines = Table(
            of: networks,
            columns: [
                .init("norm") { .text($0.norm) }, middle("λ₁/λd of C") { $0.gradientCondition?.median },
                middle("of D") { $0.directionCondition?.median }, middle("C/D") { $0.improvement?.median },
                middle("random C/D") { $0.improvementOfDrawn?.median }, middle("|cos| of w") { $0.cosines.first?.median },
                middle("random") { $0.drawnCosine },
            ]
        ).lines
        lines.append("")
        lines.append(
            "Medians over the layers of the medians over their units. C: covariance of single images' gradients in w; D: the same in v.")
        lines.append("random: with a random direction instead of w. |cos|: between w and the eigenvector of C with the largest eigenvalue.")
        lines += summary.warnings
        return lines.joined(separator: "\n")
    }

    /// The median over the layers that have such a value.
    private static func middle(_ layers: [NetworkAnalysis.Layer], _ value: (NetworkAnalysis.Layer) -> Double?) -> Double? {
        let values = layers.compactMap(value)
        return values.isEmpty ? nil : Statistics.median(values)
    }

    private static func short(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "–" }
        if value >= 10_000 {
            let exponent = Int(log10(value).rounded(.down))
            return NumberText.fixed(value / pow(10, Double(exponent)), decimals: 1) + "×" + NumberText.powerOfTen(exponent)
        }
        return value >= 100 ? NumberText.fixed(value, decimals: 0) : NumberText.fixed(value, decimals: value >= 10 ? 1 : 2)
    }

    // MARK: - The page

    package var page: Page {
        Page(
            "What weight normalization does to the gradients",
            lead: """
                The gradients of \(summary.examples) single images in \(networks.count == 1 ? "a network" : "\(networks.count) networks"), trained \
                for \(summary.epochs == 1 ? "one epoch" : "\(summary.epochs) epochs") on \(summary.data): how unequal they are in different \
                directions, before and after weight normalization projects out the direction of w.
                """,
            sections: [Page.Section("The answer", answer)] + networks.map { details($0) } + [about],
            footer: """
                Made by \(code: "weightnorm analyze"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), §2.1.
                """)
    }

    private var answer: [Page.Block] {
        var blocks: [Page.Block] = summary.warnings.map { .prose("\(strong: "Note:") \($0).") }
        blocks.append(
            .prose(
                """
                For each output unit, C is the covariance over the images of the loss's gradient in its weight vector w. With w = g·v/‖v‖ \
                the gradient in v has the covariance D = (g²/‖v‖²)·M·C·M, where M projects out the direction of w. The paper argues that w lies \
                close to a leading eigenvector of C, so that projecting it out brings the eigenvalues closer together. For networks without \
                weight normalization, D is what it would be with v = w. The grey lines show the same for directions drawn at random.
                """))
        blocks.append(
            .row([
                .chart(
                    byLayer(
                        "Does w lie along the leading eigenvector of C?",
                        summary: "|cos| of the angle between them: 1 means parallel, 0 orthogonal. Medians over the units.",
                        Axis("|cos|", minimum: 0, maximum: 1), drawn: ("random direction", { $0.drawnCosine })
                    ) { $0.cosines.first?.median }),
                .chart(
                    byLayer(
                        "Is D better conditioned than C?",
                        summary: "Condition number of C divided by that of D: 1 means no better. Medians over the units.",
                        Axis("Ratio of condition numbers", scale: .logarithmic),
                        drawn: ("random direction", { layer in drawnImprovement(layer.path) })
                    ) { $0.improvement?.median }),
            ]))
        blocks.append(
            .row([
                .chart(
                    byLayer(
                        "Condition number of C", summary: "Largest eigenvalue divided by the smallest. Medians over the units.",
                        Axis("λ₁/λd", scale: .logarithmic)
                    ) { $0.gradientCondition?.median }),
                .chart(
                    byLayer(
                        "Share of the leading eigenvalue", summary: "λ₁ as a part of C's trace. Medians over the units.",
                        Axis("λ₁ / trace", format: .percent, minimum: 0)
                    ) { $0.leadingShare?.median }),
            ]))
        return blocks
    }

    /// The mean over the networks: the result for a random direction depends little on the norm.
    private func drawnImprovement(_ path: String) -> Double? {
        Self.middle(networks.compactMap { $0.layers.first { $0.path == path } }) { $0.improvementOfDrawn?.median }
    }

    private func byLayer(
        _ title: String, summary: Prose, _ axis: Axis, drawn: (name: String, value: (NetworkAnalysis.Layer) -> Double?)? = nil,
        _ value: (NetworkAnalysis.Layer) -> Double?
    ) -> Chart {
        func points(_ layers: [NetworkAnalysis.Layer], _ value: (NetworkAnalysis.Layer) -> Double?) -> [Series.Point] {
            layers.enumerated().compactMap { index, layer in value(layer).map { Series.Point(Double(index + 1), $0) } }
        }
        var series = networks.enumerated().map { index, network in
            Series(network.norm, points: points(network.layers, value), colour: .slot(index), markers: .all)
        }
        if let drawn {
            series.append(Series(drawn.name, points: points(layers, drawn.value), colour: .muted, style: .dashed, markers: .none))
        }
        return Chart(title, summary: summary, x: Axis("Layer", minimum: 1), y: axis, series: series, height: 260)
    }

    private func details(_ network: RunAnalysis.Network) -> Page.Section {
        let charts = network.layers.enumerated().map { index, layer in
            Page.Block.chart(
                Chart(
                    "\(index + 1): \(layer.path)", x: Axis("Eigenvalue, the largest first", scale: .logarithmic),
                    y: Axis("λ / λ₁", scale: .logarithmic),
                    series: [
                        Series("C", points: Self.points(layer.gradientSpectrum), colour: .slot(0)),
                        Series("D", points: Self.points(layer.directionSpectrum), colour: .slot(1)),
                    ], height: 170))
        }
        return Page.Section(
            "In detail: \(network.norm)",
            [
                .table(table(network)),
                .prose("Spectra of C and D, each divided by its largest eigenvalue; medians over the units of a layer."),
                .row(charts),
            ])
    }

    /// Eigenvalues within rounding error of zero cannot be shown on a logarithmic axis.
    private static func points(_ spectrum: [Double]) -> [Series.Point] {
        let floor = UnitSpectra.rounding(spectrum)
        return spectrum.enumerated().filter { $0.element > floor }.map { Series.Point(Double($0.offset + 1), $0.element) }
    }

    private func table(_ network: RunAnalysis.Network) -> Table {
        func cell(_ quartiles: Quartiles?, alone: Bool = false) -> Table.Cell {
            guard let quartiles, quartiles.median.isFinite else { return .missing }
            guard !alone, quartiles.lower.isFinite, quartiles.upper.isFinite else { return .text(Self.short(quartiles.median)) }
            return .text("\(Self.short(quartiles.median)) (\(Self.short(quartiles.lower))–\(Self.short(quartiles.upper)))")
        }
        return Table(
            "Medians over the units, with quartiles in parentheses", of: network.layers,
            columns: [
                .init("Layer", isNumeric: false) { .text($0.path) }, .init("d") { .text("\($0.elements)") },
                .init("λ₁/λd of C") { cell($0.gradientCondition, alone: true) },
                .init("λ₁/λd₋₁ of D") { cell($0.directionCondition, alone: true) }, .init("C / D") { cell($0.improvement) },
                .init("…by λ₁ alone") { cell($0.improvementOfLargest, alone: true) },
                .init("C / D, random") { cell($0.improvementOfDrawn) },
                .init("|cos|") { cell($0.cosines.first) }, .init("|cos|, random") { .text(Self.short($0.drawnCosine)) },
                .init("λ₁ / trace") { cell($0.leadingShare, alone: true) }, .init("g²/‖v‖²") { cell($0.scale, alone: true) },
            ],
            footnotes: layersWithFewUnits(network))
    }

    private func layersWithFewUnits(_ network: RunAnalysis.Network) -> [Prose] {
        let partial = network.layers.filter { $0.unitsAnalysed < $0.units }
        guard !partial.isEmpty else { return [] }
        let counts = partial.map { "\($0.path) \($0.unitsAnalysed) of \($0.units)" }.joined(separator: ", ")
        return [Prose("In some layers not all units were analysed: \(counts).")]
    }

    private var about: Page.Section {
        let seconds = NumberText.fixed(summary.seconds, decimals: 0)
        return Page.Section(
            "How it was measured",
            [
                .list([
                    """
                    Each image goes through the network by itself, as in inference: without noise and dropout, and with running averages for batch \
                    statistics; in float64. The weights are those after the last step.
                    """,
                    """
                    The factor g²/‖v‖² scales all eigenvalues of a unit's D alike, so it does not change its condition number: what does is M \
                    alone. D is exactly zero along w; its eigenvalues are those at a right angle to w, of which there are d − 1.
                    """,
                    """
                    They lie between those of C (λ₁ of C, λ₁ of M·C·M, λ₂ of C, …), so the ratio is at least 1 whatever direction is taken \
                    off; how much of it comes from the largest eigenvalue stands in its own column.
                    """,
                    """
                    A covariance from N images for d elements overstates how unequal the eigenvalues are, the more the closer N is to d. An \
                    eigenvalue of no more than d·2⁻⁵² of the largest is rounding; then there is no condition number.
                    """,
                ]),
                .settings(
                    .init(
                        "Settings",
                        [
                            ("Run", summary.run), ("Images", "\(summary.examples) of \(summary.data)"), ("Seed", "\(summary.seed)"),
                            ("libtorch", "\(summary.libtorch), \(summary.processor), \(summary.threads) threads"), ("Time", "\(seconds) s"),
                        ])),
            ])
    }
}
