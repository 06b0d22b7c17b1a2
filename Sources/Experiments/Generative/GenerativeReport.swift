import Foundation
package import Report
import WeightNorm

/// The report on training generative models: a table for the terminal, a page for the browser.
package struct GenerativeReport<Settings: GenerativeSettings>: RunReport {
    private let summary: GenerativeSetup<Settings>.Summary
    private let model: ReportedModel
    private let records: [GenerativeRecord]
    /// Of the first seed, by norm.
    private let pictures: [GenerativePictures]
    private let norms: [String]
    private let seeds: [UInt64]

    package init(
        _ summary: GenerativeSetup<Settings>.Summary, records: [GenerativeRecord], pictures: [GenerativePictures] = []
    ) {
        self.summary = summary
        model = summary.settings.description(of: summary.data)
        self.records = records
        self.pictures = pictures
        (norms, seeds) = (summary.runs.norms, summary.runs.seeds)
    }

    private var isPhotograph: Bool { summary.settings.pixels == .levels }

    /// Nats of an image as bits per dimension: −nats/(dimensions·log 2).
    private func bits(_ nats: Double) -> Double { -nats / (Double(summary.dimensions) * log(2.0)) }

    // MARK: - The table

    private var hasEstimate: Bool { summary.runs.contains { $0.logLikelihood != nil } }

    private var averaged: Bool { summary.settings.evaluationAverage != nil }

    /// The table as lines of text.
    package var text: String {
        var lines = table.lines + [""]
        lines.append(
            "Bounds in nats per image, after the last epoch; the test bound \(averaged ? "with averaged parameters and " : "with ")one draw of z per image."
        )
        if let draws = summary.runs.compactMap(\.importanceDraws).first {
            lines.append("log p(x): the importance-weighted estimate of \(draws) draws.")
        }
        return lines.joined(separator: "\n")
    }

    private var table: Table {
        func column(
            _ title: String, terminal: String, best: Table.Best = .highest, decimals: Int = 2, _ value: @escaping (GenerativeRun) -> Double?
        ) -> Table.Column<String> {
            .init(title, terminal: terminal, best: best) { .over(summary.runs.values($0, value), decimals: decimals) }
        }
        var columns: [Table.Column<String>] = [
            .init("Norm", terminal: "norm", isNumeric: false) { .text($0) },
            column("Test bound (nats)", terminal: "test bound") { $0.testBound },
            column("Bits per dimension", terminal: "bits/dim", best: .lowest, decimals: 4) { bits($0.testBound) },
            column("Training bound (nats)", terminal: "training bound") { $0.trainBound },
        ]
        if hasEstimate { columns.append(column("log p(x) (nats)", terminal: "log p(x)") { $0.logLikelihood }) }
        columns.append(
            .init("ms per step", terminal: "ms/step") {
                .number(Statistics.median(summary.runs.values($0, \.millisecondsPerStep)), decimals: 1)
            })
        return Table(
            "Results after \(summary.settings.epochs == 1 ? "one epoch" : "\(summary.settings.epochs) epochs")",
            of: norms, columns: columns)
    }

    // MARK: - The page

    /// The page.
    package var page: Page {
        let pictured = pictures.flatMap { of -> [Page.Block] in
            [
                image("\(of.norm): samples", of.samples, "What the model expects for 60 draws of z from the prior, the first seed's."),
                image(
                    "\(of.norm): reconstructions", of.reconstructions,
                    "Top: test images; bottom: the model's reconstructions from the z drawn for each."),
            ].compactMap { $0 }
        }
        let drawn = pictures.flatMap { of -> [Page.Block] in
            [
                of.drawnReconstructions.flatMap {
                    image(
                        "\(of.norm): test images as they are read and drawn", $0,
                        """
                        Above, test images, each with the green box that the model reads at that glimpse; below, its canvas, with the red box that it writes. \
                        A box spans the centres of the outermost filters. Models of whole images have no boxes.
                        """, scale: 1)
                },
                of.drawnSamples.flatMap {
                    image(
                        "\(of.norm): generated digits", $0, "The canvas after each glimpse, for draws of z from the prior.", scale: 1
                    )
                },
            ].compactMap { $0 }
        }
        return Page(
            model.title + (norms.count == 1 ? " with the norm “\(norms[0])”" : ""),
            lead: """
                One model of the images of \(summary.data), trained \(norms.count == 1 ? "in one parameterisation" : "in \(norms.count) parameterisations") \
                of its weights. The bound is on log p(x): the higher, the better the model.
                """,
            sections: [
                Page.Section("Results", [.table(table), .chart(chart)]),
                Page.Section("How it draws", drawn),
                Page.Section("What it draws", pictured),
                Page.Section("What was trained", [.row([.settings(.init("Training", training)), .settings(.init("Machine", machine))])]),
            ].filter { !$0.blocks.isEmpty },
            footer: """
                Made by \(code: "weightnorm \(Settings.command)"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), Figure \(model.figure).
                """)
    }

    private func image(_ title: String, _ png: Data, _ summary: Prose, scale: Int = 2) -> Page.Block? {
        (try? Image(title, png: png, alternative: title, summary: summary, scale: scale, isPixelArt: true)).map { .image($0) }
    }

    private var chart: Chart {
        let unit = isPhotograph ? "Test bound in bits per dimension" : "Test bound in nats"
        func value(_ nats: Double) -> Double { isPhotograph ? bits(nats) : nats }
        // A run of the paper's length can be compared epoch by epoch; a shorter one is shown beside the first part of the paper's curve.
        var series = norms.enumerated().map { index, norm in
            Series(
                norm,
                meanOf: seeds.map { seed in
                    records.filter { $0.norm == norm && $0.seed == seed }.map { Series.Point($0.epoch, value($0.testBound)) }
                }, colour: .slot(index))
        }
        if showsPaper {
            for (index, norm) in ["normal", "weight"].enumerated() {
                let points = model.paper(norm)
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
                ? "Solid: this run\(seeds.count > 1 ? ", the mean over seeds with a band from the lowest to the highest" : ""). Dashed: the paper's values, digitised from its Figure \(model.figure)."
                : averaged ? "With averaged parameters." : "After each epoch.",
            x: Axis("Epoch", minimum: 0), y: Axis(unit), series: series, height: 360)
    }

    /// Whether the paper has curves for such images.
    private var showsPaper: Bool { !model.paper("weight").isEmpty }

    private var training: [(name: String, value: String)] {
        let settings = summary.settings
        let pixels =
            switch settings.pixels {
            case .dynamic: "binary, drawn for each minibatch"
            case .fixed: "binary, drawn once"
            case .levels: "256 levels"
            }
        let images = summary.images.map { "\($0) of \(summary.data)" } ?? summary.data
        return [("Images", images), ("Pixels", pixels)] + model.entries + [
            ("Minibatch", "\(settings.batch)"), ("Optimizer", "\(model.optimizer), rate \(NumberText.general(settings.learningRate))"),
            ("Maximum gradient norm", settings.maxNorm.map(NumberText.general) ?? "no limit"),
            ("Average of parameters", settings.evaluationAverage.map { "rate \(NumberText.general($0))" } ?? "none"),
            ("Parameters", summary.runs.first.map { "\($0.parameters) (\($0.norm))" } ?? "–"),
            ("Seeds", seeds.map { "\($0)" }.joined(separator: ", ")),
        ]
    }

    private var machine: [(name: String, value: String)] {
        [
            ("Device", summary.device), ("Threads", "\(summary.threads)"), ("Vector instructions", summary.processor),
            ("libtorch", summary.libtorch), ("Total time", NumberText.fixed(summary.seconds / 60, decimals: 1) + " min"),
        ]
    }
}
