import Foundation
import Report

/// A page with every kind of block, ordinary and hostile.
enum SampleReport {
    static let hostile = #"</script><b>"x" & 'y'</b><!-- ]]> \u{0}"#
    static let norms = ["normal", "weight", "batch", "mean-only-batch", "weight+mean-only-batch"]

    /// Series names of every chart, in the page's order, as far as they have something to draw.
    static let expected: [[String]] = [
        norms, norms + ["paper"], ["sweep", "sweep with gaps"], ["dots", "faint", "mean"], ["one point"], [hostile], [],
    ]

    static func curve(_ end: Double, _ rate: Double) -> [Series.Point] {
        (1...100).map { epoch in
            Series.Point(Double(epoch), end + 0.6 * exp(-Double(epoch) / rate) + 0.004 * sin(Double(epoch) * rate))
        }
    }

    static var charts: [Chart] {
        let epochs = Axis("epoch")
        let error = Axis("test error", format: .percent)
        let curves = norms.enumerated().map { Series($0.element, points: curve(0.08 - 0.002 * Double($0.offset), 8 + Double($0.offset))) }
        let paper = Series("paper", points: [.init(1, 0.5), .init(50, 0.09), .init(100, 0.074)], colour: .slot(4), style: .dashed)
        let rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
        let runs = (0..<3).map { run in (0..<30).map { Series.Point(Double($0) * 1e5, Double($0 * (run + 1)) - 20) } }
        return [
            Chart("Test error", summary: "All of it.", x: epochs, y: error, series: curves),
            Chart(
                "Near the end", x: epochs, y: Axis("test error", format: .percent, minimum: 0.06, maximum: 0.2), series: curves + [paper]),
            Chart(
                "Learning rates", x: Axis("learning rate", scale: .logarithmic), y: Axis("loss", scale: .logarithmic),
                series: [
                    Series("sweep", points: rates.map { .init($0, 3 + log10($0) * log10($0)) }),
                    Series("sweep with gaps", points: zip(rates, [4, 3.5, .nan, 2, 3]).map { .init($0, $1) }),
                    Series("diverged", points: rates.map { .init($0, .nan) }),
                ]),
            Chart(
                "Kinds of series", x: Axis("frames", format: .compact), y: Axis("reward"),
                series: [
                    Series("dots", points: runs[0], style: .points), Series("faint", points: runs[1], style: .faint),
                    Series("mean", meanOf: runs),
                ]),
            Chart("A single point", x: Axis("x"), y: Axis("y"), series: [Series("one point", points: [.init(3, 5)])]),
            Chart(hostile, x: Axis(hostile), y: Axis(hostile, unit: hostile), series: [Series(hostile, points: curve(1, 5))]),
            Chart("Nothing", x: Axis("x"), y: Axis("y"), series: [Series("empty", points: [])]),
        ]
    }

    static func page() throws -> Page {
        let table = Table(
            hostile,
            headings: [.init("normalization", isNumeric: false), .init("test error, %", best: .lowest), .init(hostile)],
            rows: norms.enumerated().map { [.text($0.element), .spread(8 - 0.2 * Double($0.offset), 0.1, decimals: 2), .missing] }
                + [[.text(hostile), .number(.nan, decimals: 2), Table.Cell.text(hostile).noted(1)]],
            footnotes: [Prose(hostile)])
        let dots = DotPlot(
            "Seeds", axis: Axis("test error", format: .percent),
            rows: norms.map { .init($0, [.init("test error", values: [0.08, 0.081, .nan], reference: 0.0843)]) })
        return Page(
            "Sample \(hostile)", lead: "A page with \(code: hostile) and \(link: "a link", to: "https://example.org/?a=1&b=2").",
            sections: [
                .init("Charts \(hostile)", [.row(charts.prefix(2).map { .chart($0) })] + charts.dropFirst(2).map { .chart($0) }),
                .init(
                    "Rest",
                    [
                        .table(table), .dots(dots), .list(["one", Prose(hostile)]), .code(hostile + String(repeating: "long ", count: 90)),
                        .image(try Image("Pixel", png: png, alternative: hostile, scale: 8, isPixelArt: true)),
                        .settings(.init("Settings", [("seed", "1"), (hostile, hostile + String(repeating: "unbroken", count: 40))])),
                    ]),
            ],
            footer: "The end: \(hostile)")
    }

    /// A picture of one grey pixel.
    static let png =
        Data(
            base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==") ?? Data()
}
