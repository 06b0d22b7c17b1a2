import Report
import Testing

@Suite("a table is declared once, for the page and the terminal")
struct TableTests {
    private struct Result {
        var norm: String
        var errors: [Double]
    }

    private let table = Table(
        "Errors",
        of: [Result(norm: "normal", errors: [0.1, 0.2]), Result(norm: "weight", errors: [0.05]), Result(norm: "batch", errors: [])],
        columns: [
            .init("Norm", terminal: "norm", isNumeric: false) { .text($0.norm) },
            .init("Test error", terminal: "error", best: .lowest) { .over($0.errors, scale: 100, decimals: 1, unit: " %").noted(1) },
            .init("Runs") { .number(Double($0.errors.count), decimals: 0).inTerminal("\($0.errors.count)×") },
        ], footnotes: ["Of the last pass."])

    @Test("in the terminal: its own headings and words, the first column flush left, the others flush right, no footnotes")
    func terminal() {
        #expect(
            table.lines == [
                "norm           error  Runs",
                "--------------------------",
                "normal  15.0 ± 7.1 %    2×",
                "weight         5.0 %    1×",
                "batch              –    0×",
            ])
    }

    @Test("on a page: titles, the best in bold, units in the words around")
    func page() {
        let html = Page("t", lead: "", sections: [.init("s", [.table(table)])], footer: "").html()
        for part in [
            ">Norm</th>", ">Test error</th>", ">15.0 ± 7.1<sup>a</sup></td>", "<strong>5.0 %</strong><sup>a</sup></td>", ">2</td>",
            "<caption id=\"figure-1-caption\">Errors</caption>",
        ] { #expect(html.contains(part), "\(part)") }
        #expect(!html.contains("2×") && !html.contains(">error<"))
    }

    @Test("mean, deviation and median of many, two, one and no numbers")
    func statistics() {
        #expect(Statistics.mean([1, 2, 6]) == 3 && Statistics.median([6, 1, 2]) == 2 && Statistics.median([4, 1, 3, 2]) == 2.5)
        #expect(Statistics.standardDeviation([1, 2, 3]) == 1 && Statistics.standardDeviation([5]) == 0 && Statistics.median([7]) == 7)
        #expect(Statistics.mean([]).isNaN && Statistics.median([]).isNaN)
    }

    @Test("an interval is drawn around zero, and cut off with arrows at its bound") func interval() {
        let cell = Table.Cell.interval(1, from: -0.5, to: 2.5, zone: 1, bound: 5, text: "+1.00 <points>")
        let page = Table("T", headings: [.init("A"), .init("B")], rows: [["x", cell]]).markup(id: "t").html
        #expect(page.contains("aria-label=\"+1.00 &lt;points&gt;\""))
        // From 6 to 164: zero in the middle, a unit every 15.8.
        #expect(page.contains("x1=\"77.1\" x2=\"124.5\"") && page.contains("cx=\"100.8\""))
        #expect(page.contains("<rect class=\"zone\" x=\"69.2\" width=\"31.6\""))
        #expect(!page.contains("<path class=\"end\""))
        let long = Table.Cell.interval(7, from: -.infinity, to: 9, zone: 1, bound: 5, text: "7")
        let cut = Table("T", headings: [.init("A"), .init("B")], rows: [["x", long]]).markup(id: "t").html
        #expect(cut.components(separatedBy: "<path class=\"end\"").count == 3 && !cut.contains("<circle"))
        #expect(Table(of: [cell], columns: [.init("A") { $0 }]).lines.last == "+1.00 <points>")
        #expect(Table.Cell.interval(.nan, from: 0, to: 1, zone: 1, bound: 5, text: "none") == "none")
    }
}
