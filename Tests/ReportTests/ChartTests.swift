import Foundation
import Report
import TestSupport
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// The elements of a piece of markup, read by a strict XML parser.
final class Elements: NSObject, XMLParserDelegate {
    private(set) var all: [(name: String, attributes: [String: String])] = []
    private(set) var text = ""

    init(_ markup: Markup) throws {
        super.init()
        let parser = XMLParser(data: Data("<root>\(markup.html)</root>".utf8))
        parser.delegate = self
        guard parser.parse() else {
            throw BrowserCheck.Failure(description: "expected well-formed markup, found in line \(parser.lineNumber): \(markup.html)")
        }
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        all.append((name, attributes))
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        text += string
    }

    func with(cssClass: String) -> [[String: String]] {
        all.map(\.attributes).filter { $0["class", default: ""].split(separator: " ").contains(Substring(cssClass)) }
    }

    var curves: [[String: String]] { with(cssClass: "curve") }
}

struct ChartTests {
    private func chart(_ series: [Series], x: Axis = Axis("x"), y: Axis = Axis("y")) throws -> Elements {
        try Elements(Chart("Title", x: x, y: y, series: series).markup(id: "f"))
    }

    private func numbers(_ path: String?) -> [Double] {
        (path ?? "").split { "MLhZ ".contains($0) }.compactMap { Double($0) }
    }

    @Test func aLineGoesThroughItsPoints() throws {
        let elements = try chart(
            [Series("a", points: [.init(0, 0), .init(5, 10), .init(10, 5)])], x: Axis("x", minimum: 0, maximum: 10),
            y: Axis("y", minimum: 0, maximum: 10))
        #expect(elements.curves.map { $0["d"] } == ["M0 1000L500 0L1000 500"])
        #expect(elements.curves.map { $0["data-series"] } == ["a"])
        #expect(elements.with(cssClass: "curves").map { $0["overflow"] } == ["visible"])
    }

    @Test func missingValuesBreakTheLine() throws {
        let points = [1, 2, .nan, 4, .infinity, 6, 7].enumerated().map { Series.Point(Double($0.offset), $0.element) }
        let elements = try chart([Series("a", points: points)])
        let path = try #require(elements.curves.first?["d"])
        #expect(path.split(separator: "M").count == 3)
        #expect(path.contains("h0"), "a point between two gaps is a dot")
        #expect(numbers(path).allSatisfy(\.isFinite) && !path.contains("n"))
        #expect(elements.text.contains("a: 2 of 7 values are not finite and cannot be drawn."))
    }

    @Test func whatALogarithmicAxisCannotShowIsSaid() throws {
        let elements = try chart(
            [Series("a", points: [.init(1, 1), .init(2, 0), .init(3, -1), .init(4, 9)])], y: Axis("y", scale: .logarithmic))
        #expect(elements.text.contains("a: 2 of 4 values are outside of what the axes can show and cannot be drawn."))
        #expect(elements.curves.first?["d"]?.split(separator: "M").count == 2)
    }

    @Test func emptySeriesAndChartsSaySo() throws {
        let empty = try chart([])
        #expect(empty.text.contains("No values to draw"))
        #expect(empty.curves.isEmpty)
        let mixed = try chart([
            Series("full", points: [.init(1, 2), .init(2, 3)]), Series("empty", points: []), Series("bad", points: [.init(.nan, 1)]),
        ])
        #expect(mixed.curves.map { $0["data-series"] } == ["full"])
        #expect(!mixed.text.contains("No values to draw"))
        #expect(mixed.text.components(separatedBy: "(nothing to draw)").count == 3)
    }

    @Test func valuesBeyondAFixedRangeAreClippedAndNoted() throws {
        let elements = try chart([Series("a", points: [.init(0, 1), .init(1, 1e290), .init(2, 1)])], y: Axis("y", minimum: 0, maximum: 2))
        #expect(elements.with(cssClass: "curves").map { $0["overflow"] } == ["hidden"])
        #expect(elements.text.contains("Values outside of the shown range are cut off."))
        #expect(numbers(elements.curves.first?["d"]).allSatisfy { $0.magnitude <= 11_000 })
        #expect(elements.with(cssClass: "tip").count == 2, "no tooltip where nothing is to be seen")
    }

    @Test func aThousandPointsAreAllDrawnAndManyKeepTheirSpikes() throws {
        let thousand = try chart([Series("a", points: (0..<1000).map { .init(Double($0), sin(Double($0) / 9)) })])
        #expect(numbers(thousand.curves.first?["d"]).count == 2000)
        #expect(thousand.with(cssClass: "tip").count == 40)

        let million = (0..<100_000).map { Series.Point(Double($0), $0 == 54_321 ? 9 : $0 == 77_777 ? -9 : 0) }
        let elements = try chart([Series("a", points: million)], y: Axis("y", minimum: -10, maximum: 10))
        let places = numbers(elements.curves.first?["d"])
        #expect(places.count <= 4100)
        let heights = stride(from: 1, to: places.count, by: 2).map { places[$0] }
        #expect(heights.min() == 50 && heights.max() == 950)
    }

    @Test func bandsRunForthAndBack() throws {
        let runs = [[1.0, 2, 3], [3, 4, .nan], [2, 6, 4]].map { $0.enumerated().map { Series.Point(Double($0.offset), $0.element) } }
        let mean = Series("m", meanOf: runs)
        #expect(mean.points.map(\.x) == [0, 1, 2])
        #expect(mean.points[0].y == 2 && mean.points[1].y == 4 && mean.points[2].y.isNaN)
        #expect(mean.band == [.init(x: 0, lower: 1, upper: 3), .init(x: 1, lower: 2, upper: 6)])
        let elements = try chart([mean], x: Axis("x", minimum: 0, maximum: 1), y: Axis("y", minimum: 0, maximum: 10))
        #expect(elements.with(cssClass: "band").contains { $0["d"] == "M0 700L1000 400L1000 800L0 900Z" })
    }

    @Test func seriesDifferInColourAndMark() throws {
        let series = (0..<12).map { number in Series("s\(number)", points: (0..<20).map { .init(Double($0), Double(number)) }) }
        let elements = try chart(series)
        let uses = elements.all.filter { $0.name == "use" }.map { "\($0.attributes["class"] ?? "") \($0.attributes["href"] ?? "")" }
        #expect(Set(uses.filter { $0.hasPrefix("mark c") }).count == 12)
        #expect(elements.curves.map { $0["class"] }.prefix(2) == ["curve solid c0", "curve solid c1"])
        let dashed = try chart([Series("paper", points: [.init(0, 0), .init(1, 1)], colour: .custom("a b\"c"), style: .dashed)])
        #expect(dashed.curves.first?["class"] == "curve dashed a-b-c")
    }

    @Test(arguments: [1.0, 0.5, 0])
    func endLabelsDoNotCollide(height: Double) throws {
        let series = (0..<9).map { number in
            Series("s\(number)", points: [.init(0, 0.5), .init(9, height + 0.001 * Double(number - 4))])
        }
        let elements = try chart(series)
        let places = elements.all.filter { $0.name == "text" && $0.attributes["x"] == "37" }.compactMap { Double($0.attributes["y"] ?? "") }
        #expect(places.count == 9)
        let sorted = places.sorted()
        #expect(zip(sorted, sorted.dropFirst()).allSatisfy { $1 - $0 >= 16.9 })
        #expect(sorted.first.map { $0 >= 0 } == true && sorted.last.map { $0 <= 300 } == true)
        // One curve that ends early would go without a name, so the legend stays alone.
        let short = try chart(series + [Series("short", points: [.init(0, 0), .init(4, 1)])])
        #expect(short.with(cssClass: "labels").isEmpty)
    }

    @Test func aChartIsReadAloud() throws {
        let elements = try chart([Series("a", points: [.init(0, 3), .init(5, 1), .init(9, 2)])], y: Axis("loss", unit: "nats"))
        let svg = try #require(elements.all.first { $0.attributes["role"] == "img" })
        #expect(svg.attributes["aria-label"] == "Line chart: Title. loss (nats) against x.")
        #expect(elements.all.contains { $0.name == "desc" && $0.attributes["id"] == svg.attributes["aria-describedby"] })
        #expect(elements.text.contains("a: 3 points, from 3 nats at 0 to 2 nats at 9; lowest 1 nats at 5."))
        #expect(elements.text.contains("a: 1 nats at x 5"), "the tooltip")
    }

    @Test func hostileNamesStayNames() throws {
        let name = SampleReport.hostile
        let markup = Chart(
            name, summary: Prose(name), x: Axis(name), y: Axis(name), series: [Series(name, points: [.init(0, 1), .init(1, 2)])]
        )
        .markup(id: "f")
        let elements = try Elements(markup)
        #expect(elements.curves.first?["data-series"] == name)
        #expect(!elements.all.contains { $0.name == "b" || $0.name == "script" })
    }

    @Test func dotPlotsShowRunsMeansAndReferences() throws {
        let plot = DotPlot(
            SampleReport.hostile, axis: Axis("error", format: .percent, minimum: 0.06, maximum: 0.1),
            rows: [
                .init("a", [.init("test", values: [0.07, 0.08, 0.09], reference: 0.065), .init("training", values: [0.08])]),
                .init(SampleReport.hostile, [.init("test", values: [.nan])]),
            ])
        let elements = try Elements(plot.markup(id: "f"))
        #expect(elements.with(cssClass: "run").map { $0["cx"] } == ["25%", "50%", "75%"])
        #expect(elements.with(cssClass: "reference").contains { $0["x1"] == "12.5%" })
        #expect(elements.text.contains("8.00 ± 1.00"))
        #expect(elements.text.contains("no value"))
        #expect(elements.text.contains("1 value cannot be drawn"))
        #expect(throws: Never.self) { try Elements(DotPlot("Empty", axis: Axis("x"), rows: []).markup(id: "f")) }
    }
}
