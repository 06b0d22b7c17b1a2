import Foundation
import Report
import TestSupport
import Testing

struct PageTests {
    @Test func textIsEscaped() {
        #expect(Markup.escaped(#"<a href="x">&'</a>"#) == "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;")
        #expect(Markup.escaped("a\u{0}b\u{1B}c\u{FFFE}\r\nd\te") == "a\u{FFFD}b\u{FFFD}c\u{FFFD}\n\nd\te")
        #expect(Markup.escaped("weight ‖v‖ 重み 👩‍👩‍👧") == "weight ‖v‖ 重み 👩‍👩‍👧")
        let name = "<b>"
        #expect(("<td>\(name)\(3)</td>" as Markup).html == "<td>&lt;b&gt;3</td>")
    }

    @Test func linksLeadToTheWebOnly() {
        func html(_ address: String) -> String { ("\(link: "text", to: address)" as Prose).html }
        #expect(html("https://example.org/?a&b") == "<a href=\"https://example.org/?a&amp;b\">text</a>")
        #expect(html("run/report.html") == "<a href=\"run/report.html\">text</a>")
        #expect(html("https://example.org/\"onclick=\"x") == "<a href=\"https://example.org/&quot;onclick=&quot;x\">text</a>")
        for address in ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "//example.org"] {
            #expect(html(address) == "text")
        }
    }

    @Test func aPageNeedsNothingElse() throws {
        let html = try SampleReport.page().html()
        #expect(html.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">"))
        #expect(html.contains("<meta charset=\"utf-8\">") && html.contains("name=\"viewport\""))
        for forbidden in ["<script", "<link", "@import", "url(", "src=\"http", "@font-face", "</b>"] {
            #expect(!html.contains(forbidden), "\(forbidden)")
        }
        let ids = html.components(separatedBy: " id=\"").dropFirst().compactMap { $0.split(separator: "\"").first }
        #expect(Set(ids).count == ids.count && ids.count > 20)
        // Every mark that is used has its symbol on the page.
        for use in html.components(separatedBy: "href=\"#").dropFirst() {
            let id = try #require(use.split(separator: "\"").first)
            #expect(ids.contains(id))
        }
    }

    @Test func theBestValueIsBold() throws {
        func cells(_ best: Table.Best?, _ values: [Double]) throws -> [Bool] {
            let rows: [[Table.Cell]] = values.map { ["row", .number($0, decimals: 1)] }
            let table = Table("t", headings: [.init("name", isNumeric: false), .init("value", best: best)], rows: rows)
            let body = table.markup(id: "t").html.components(separatedBy: "</tbody>")[0]
            return body.components(separatedBy: "<tr>").dropFirst(2).map { $0.contains("<strong>") }
        }
        #expect(try cells(.lowest, [3, 1, 2]) == [false, true, false])
        #expect(try cells(.highest, [3, 1, .nan]) == [true, false, false])
        #expect(try cells(.lowest, [1.01, 1.04, 2]) == [true, true, false], "written alike, so equally good")
        #expect(try cells(.lowest, [1, 1]) == [false, false], "no winner")
        #expect(try cells(.lowest, [1]) == [false])
        #expect(try cells(nil, [1, 2]) == [false, false])
    }

    @Test func tablesCarryFootnotesAndStructure() throws {
        let table = Table(
            "Results", headings: [.init("name", isNumeric: false), .init("value")],
            rows: [["a", .missing], ["b", Table.Cell.number(1, decimals: 2).noted(1)]],
            footnotes: ["One seed."])
        let elements = try Elements(table.markup(id: "t"))
        #expect(elements.all.filter { $0.name == "th" }.map { $0.attributes["scope"] } == ["col", "col", "row", "row"])
        #expect(elements.all.filter { $0.name == "td" }.map { $0.attributes["class"] } == ["numeric", "numeric"])
        #expect(table.markup(id: "t").html.contains("1.00<sup>a</sup>") && table.markup(id: "t").html.contains("<sup>a</sup> One seed."))
    }

    @Test func aTableWithARaggedRowTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = Table("t", headings: [.init("one"), .init("two")], rows: [["only one"]])
        }
    }

    @Test func onlyPNGsBecomePictures() throws {
        let image = try Image("x", png: SampleReport.png, alternative: "a pixel", scale: 8)
        #expect(image.markup(id: "i").html.contains("width=\"8\" height=\"8\" alt=\"a pixel\" src=\"data:image/png;base64,iVBOR"))
        #expect(throws: ReportError.notPNG(name: "x", found: "no bytes")) { try Image("x", png: Data(), alternative: "") }
        let jpeg = Data([0xFF, 0xD8, 0xFF, 0xE0] + [UInt8](repeating: 0, count: 40))
        let error = #expect(throws: ReportError.self) { try Image("x", png: jpeg, alternative: "") }
        #expect(error?.description == "Report: expected a PNG image for \"x\", found 44 bytes that begin with FF D8 FF E0")
    }

    @Test func aPageIsWrittenWholeOrNotAtAll() throws {
        let folder = URL(fileURLWithPath: try makeTemporaryFolder())
        defer { try? FileManager.default.removeItem(at: folder) }
        let page = Page("t", lead: "l", sections: [], footer: "f")
        try page.write(to: folder.appendingPathComponent("report.html"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["report.html"])
        #expect(try String(contentsOf: folder.appendingPathComponent("report.html"), encoding: .utf8) == page.html())
        let error = #expect(throws: ReportError.self) { try page.write(to: folder.appendingPathComponent("missing/report.html")) }
        #expect(error?.description.contains("missing/report.html") == true)
        #expect(error?.description.contains("\n") == false)
    }
}
