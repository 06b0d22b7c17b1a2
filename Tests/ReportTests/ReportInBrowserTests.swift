import Foundation
import Report
import TestSupport
import Testing

/// Opens reports in a real browser; one at a time, since each browser takes several processes.
@Suite(
    .serialized, .timeLimit(.minutes(5)),
    .enabled(if: BrowserCheck.executable != nil, "needs chromium, chromium-browser or google-chrome in PATH"))
struct ReportInBrowserTests {
    /// Writes a page into a folder of its own for the time of the closure.
    private func withFile<Result>(_ html: String, _ body: (URL) async throws -> Result) async throws -> Result {
        try await withFolder { folder in
            let file = URL(fileURLWithPath: "\(folder)/report.html")
            try html.write(to: file, atomically: true, encoding: .utf8)
            return try await body(file)
        }
    }

    @Test(arguments: [(BrowserCheck.Scheme.light, 1200), (.dark, 1200), (.light, 320), (.dark, 400)])
    func everyCurveIsDrawn(scheme: BrowserCheck.Scheme, width: Int) async throws {
        let check = try await withFile(SampleReport.page().html()) { try await BrowserCheck.inspect($0, scheme: scheme, width: width) }
        #expect(check.errors == [])
        #expect(check.requests == [])
        #expect(check.isDark == (scheme == .dark))
        #expect(check.windowWidth == Double(width))
        #expect(check.contentWidth <= check.windowWidth, "tables and code must scroll in their own boxes")

        // The order of the file is that of drawing, so names are compared sorted.
        #expect(check.curves.map(\.series).sorted() == SampleReport.expected.flatMap(\.self).sorted())
        let background = try #require(PaletteTests.colour(css: check.background))
        #expect((PaletteTests.contrast(background, .zero) < 2) == (scheme == .dark), "the page's own colours follow the scheme")
        for curve in check.curves {
            #expect(curve.isInside, "\(curve.series) in \(curve.chart)")
            let stroke = try #require(PaletteTests.colour(css: curve.stroke), "\(curve.series) has the stroke \(curve.stroke)")
            #expect(PaletteTests.contrast(stroke, background) >= 3, "\(curve.series): \(curve.stroke) on \(check.background)")
            // Dots are lines of no length under round caps.
            if curve.series == "dots" || curve.series == "one point" { continue }
            #expect(curve.length > 100, "\(curve.series) in \(curve.chart)")
            #expect(curve.width > 50 && curve.height > 5, "\(curve.series) is \(curve.width) × \(curve.height) pixels")
        }
        for chart in Set(check.curves.map(\.chart)) {
            // The paper's dashed curve shares its colour with the measured one on purpose.
            let curves = check.curves.filter { $0.chart == chart && $0.series != "paper" }
            #expect(Set(curves.map(\.stroke)).count == curves.count, "curves of \(chart) share a colour")
        }
    }

    /// The check itself must see what is wrong; otherwise the test above shows nothing.
    @Test func faultsAreFound() async throws {
        let broken = """
            <!DOCTYPE html><html><head><title>x</title></head><body style="width:3000px">
            <figure><svg role="img" aria-label="broken" width="100" height="100">
            <path class="curve" data-series="outside" d="M500 500L900 900" stroke="none"/></svg></figure>
            <img src="missing.png" alt=""><script>throw new Error("thrown on purpose")</script></body></html>
            """
        let check = try await withFile(broken) { try await BrowserCheck.inspect($0, scheme: .light, width: 600) }
        #expect(check.errors.contains { $0.contains("thrown on purpose") })
        #expect(check.errors.contains { $0.contains("missing.png") })
        #expect(check.contentWidth > check.windowWidth)
        let curve = try #require(check.curves.first)
        #expect(curve.series == "outside" && curve.chart == "broken")
        #expect(!curve.isInside)
        #expect(curve.stroke == "none")
    }

    @Test func aPageThatIsNoneIsRefused() async throws {
        await #expect(throws: BrowserCheck.Failure.self) {
            try await withFile("no page") { try await BrowserCheck.inspect($0, scheme: .light) }
        }
    }

    @Test func aBrowserThatTakesTooLongIsStopped() async throws {
        let html = try SampleReport.page().html()
        let error = await #expect(throws: BrowserCheck.Failure.self) {
            try await withFile(html) { try await BrowserCheck.inspect($0, scheme: .light, timeout: .zero) }
        }
        #expect(error?.description.contains("still running") == true)
    }
}
