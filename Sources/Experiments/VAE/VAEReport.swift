package import Foundation
import WeightNorm

/// How a training of variational autoencoders is shown: a table for the terminal, a page for the browser.
package struct VAEReport {
    private let summary: VAEExperiment.Summary
    private let records: [VAEExperiment.Record]
    /// Samples and reconstructions by norm, of the first seed.
    private let pictures: [(norm: String, samples: Data, reconstructions: Data)]
    private let norms: [String]
    private let seeds: [UInt64]

    package init(
        _ summary: VAEExperiment.Summary, records: [VAEExperiment.Record],
        pictures: [(norm: String, samples: Data, reconstructions: Data)] = []
    ) {
        self.summary = summary
        self.records = records
        self.pictures = pictures
        var norms: [String] = []
        var seeds: [UInt64] = []
        for run in summary.runs {
            if !norms.contains(run.norm) { norms.append(run.norm) }
            if !seeds.contains(run.seed) { seeds.append(run.seed) }
        }
        (self.norms, self.seeds) = (norms, seeds)
    }

    private var isPhotograph: Bool { summary.settings.pixels == .levels }

    /// Nats of an image as bits per dimension: −nats/(dimensions·log 2).
    private func bits(_ nats: Double) -> Double { -nats / (Double(summary.dimensions) * log(2.0)) }

    private func values(_ norm: String, _ value: (VAEExperiment.Run) -> Double?) -> [Double] {
        summary.runs.filter { $0.norm == norm }.compactMap(value)
    }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

    // MARK: - The table

    private static func text(_ values: [Double], decimals: Int) -> String {
        guard !values.isEmpty else { return "–" }
        return values.count > 1
            ? NumberText.spread(mean(values), ComparisonReport.deviation(values), decimals: decimals)
            : NumberText.fixed(values[0], decimals: decimals)
    }

    private static func cell(_ values: [Double], decimals: Int) -> Table.Cell {
        guard !values.isEmpty else { return .missing }
        return values.count > 1
            ? .spread(mean(values), ComparisonReport.deviation(values), decimals: decimals) : .number(values[0], decimals: decimals)
    }

    private var hasEstimate: Bool { summary.runs.contains { $0.logLikelihood != nil } }

    /// The table as lines of text.
    package var text: String {
        let headings = ["norm", "test bound", "bits/dim", "training bound"] + (hasEstimate ? ["log p(x)"] : []) + ["ms/step"]
        let rows = norms.map { norm in
            [
                norm, Self.text(values(norm, \.testBound), decimals: 2), Self.text(values(norm, { bits($0.testBound) }), decimals: 4),
                Self.text(values(norm, \.trainBound), decimals: 2),
            ] + (hasEstimate ? [Self.text(values(norm, \.logLikelihood), decimals: 2)] : [])
                + [NumberText.fixed(Comparison.median(values(norm, \.millisecondsPerStep)), decimals: 1)]
        }
        var lines = TextTable.lines(headings, rows) + [""]
        lines.append("Bounds in nats an image, after the last pass; the test bound with averaged parameters and one draw of z an image.")
        if let draws = summary.runs.compactMap(\.importanceDraws).first {
            lines.append("log p(x): the importance-weighted estimate of \(draws) draws.")
        }
        return lines.joined(separator: "\n")
    }

    private var table: Table {
        var columns: [Table.Column] = [
            .init("Norm", isNumeric: false), .init("Test bound (nats)", best: .highest), .init("Bits per dimension", best: .lowest),
            .init("Training bound (nats)", best: .highest),
        ]
        if hasEstimate { columns.append(.init("log p(x) (nats)", best: .highest)) }
        columns.append(.init("ms a step"))
        return Table(
            "Results after \(summary.settings.epochs == 1 ? "one pass" : "\(summary.settings.epochs) passes") over the training images",
            columns: columns,
            rows: norms.map { norm in
                [
                    .init(stringLiteral: norm), Self.cell(values(norm, \.testBound), decimals: 2),
                    Self.cell(values(norm, { bits($0.testBound) }), decimals: 4), Self.cell(values(norm, \.trainBound), decimals: 2),
                ] + (hasEstimate ? [Self.cell(values(norm, \.logLikelihood), decimals: 2)] : [])
                    + [.number(Comparison.median(values(norm, \.millisecondsPerStep)), decimals: 1)]
            })
    }

    // MARK: - The page

    /// The page.
    package var page: Page {
        let pictured: [Page.Block] = pictures.flatMap { norm, samples, reconstructions -> [Page.Block] in
            [
                image("\(norm): samples", samples, "What the model expects for 60 draws of z from the prior, the first seed's."),
                image(
                    "\(norm): reconstructions", reconstructions,
                    "Above, test images; below, what the model makes of the z that it draws for each."),
            ].compactMap { $0 }
        }
        return Page(
            "Variational autoencoders" + (norms.count == 1 ? " with the norm “\(norms[0])”" : ""),
            lead: """
                One model of the images of \(summary.data), trained \(norms.count == 1 ? "in one parameterisation" : "in \(norms.count) parameterisations") \
                of its weights. The bound is on log p(x): the higher, the better the model.
                """,
            sections: [
                Page.Section("Results", [.table(table), .chart(chart)]),
                Page.Section("What it draws", pictured),
                Page.Section("What was trained", [.row([.settings(.init("Training", training)), .settings(.init("Machine", machine))])]),
            ].filter { !$0.blocks.isEmpty },
            footer: """
                Made by \(code: "weightnorm train vae"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), Figure 3.
                """)
    }

    private func image(_ title: String, _ png: Data, _ summary: Prose) -> Page.Block? {
        (try? Image(title, png: png, alternative: title, summary: summary, scale: 2, isPixelArt: true)).map { .image($0) }
    }

    private var chart: Chart {
        let unit = isPhotograph ? "Test bound in bits per dimension" : "Test bound in nats"
        func value(_ nats: Double) -> Double { isPhotograph ? bits(nats) : nats }
        // A run of the paper's length can be compared pass by pass; a shorter one stands beside the first part of its curve.
        var series = norms.enumerated().map { index, norm in
            Series(
                norm,
                meanOf: seeds.map { seed in
                    records.filter { $0.norm == norm && $0.seed == seed }.map { Series.Point($0.epoch, value($0.testBound)) }
                }, colour: .slot(index))
        }
        if showsPaper {
            for (index, norm) in ["normal", "weight"].enumerated() {
                let points = PaperBounds.points(norm, isPhotograph: isPhotograph)
                let colour = norms.firstIndex(of: norm) ?? norms.count + index
                series.append(
                    Series(
                        "\(norm), the paper", points: points.map { Series.Point($0.epoch, $0.value) }, colour: .slot(colour),
                        style: .dashed, markers: .all))
            }
        }
        return Chart(
            "Test bound",
            summary: showsPaper
                ? "Solid: this run\(seeds.count > 1 ? ", the mean over seeds with a band from the lowest to the highest" : ""). Dashed: the paper's values, digitised from its Figure 3."
                : "With averaged parameters.",
            x: Axis("Passes over the training images", minimum: 0), y: Axis(unit), series: series, height: 360)
    }

    /// Whether the images are of the paper's two sets.
    private var showsPaper: Bool { summary.data == "mnist" || summary.data == "cifar10" }

    private var training: [(name: String, value: String)] {
        let settings = summary.settings
        let model: [(String, String)] =
            isPhotograph
            ? [
                ("Stochastic layers a scale", settings.depth.map { "\($0)" }.joined(separator: ", ")), ("Maps", "\(settings.ladderMaps)"),
                ("Maps of z", "\(settings.latents)"), ("Flow", settings.flowSteps > 0 ? "one step a layer" : "none"),
                ("Free bits", "\(NumberText.general(settings.freeNats)) nats a map"),
            ]
            : [
                ("Maps", settings.maps.map { "\($0)" }.joined(separator: ", ")), ("Residual blocks a sequence", "\(settings.blocks)"),
                ("Dense features", "\(settings.hidden)"), ("z", "\(settings.latents)"), ("Flow steps", "\(settings.flowSteps)"),
                ("Pixels", settings.pixels == .dynamic ? "binary, drawn for each minibatch" : "binary, drawn once"),
            ]
        return [("Images", summary.data)] + model + [
            ("Minibatch", "\(settings.batch)"), ("Optimizer", "Adamax, rate \(NumberText.general(settings.learningRate))"),
            ("Average of parameters", "rate \(NumberText.general(settings.averageRate))"),
            ("Initial deviation", NumberText.general(settings.targetDeviation)),
            ("Parameters", summary.runs.first.map { "\($0.parameters) (\($0.norm))" } ?? "–"),
            ("Seeds", seeds.map { "\($0)" }.joined(separator: ", ")),
        ]
    }

    private var machine: [(name: String, value: String)] {
        [
            ("Device", summary.device), ("Threads", "\(summary.threads)"), ("Vector instructions", summary.processor),
            ("libtorch", summary.libtorch), ("Time for all", NumberText.fixed(summary.seconds / 60, decimals: 1) + " min"),
        ]
    }
}

/// The test bounds of the paper's Figure 3, digitised.
package enum PaperBounds {
    private static let epochs: [Double] = [50, 100, 150, 200, 250, 300, 450]

    /// Passes, and the bound: of MNIST in nats, of CIFAR-10 in bits per dimension.
    ///
    /// The paper does not say CIFAR-10's unit. Taken as nats of a density on [0, 1] pixels, a value v is 8 − v/(3072·log 2) bits per dimension.
    package static func points(_ norm: String, isPhotograph: Bool) -> [(epoch: Double, value: Double)] {
        let values: [Double] =
            switch (norm, isPhotograph) {
            case ("normal", false): [-87.30, -86.16, -85.9, -85.81, -85.80, -85.83]
            case ("weight", false): [-87.28, -86.05, -85.6, -85.41, -85.31, -85.33]
            case ("normal", true): [8307, 8624, 8773, 8888, 8946, 9023, 9148]
            case ("weight", true): [8549, 8849, 9015, 9095, 9145, 9196, 9277]
            default: []
            }
        return zip(epochs, values).map { ($0, isPhotograph ? 8 - $1 / (3072 * log(2.0)) : $1) }
    }
}
