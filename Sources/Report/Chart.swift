/// A line chart.
///
/// It is an SVG whose text and lines keep their size while the plot fills the available width, so one chart suits both a phone and a wide screen.
/// Colours and marks come from the page's style sheet.
public struct Chart: Sendable {
    /// What is shown.
    public var title: String
    /// A sentence below the title; it should say what the reader should see.
    public var summary: Prose?
    /// The horizontal axis.
    public var x: Axis
    /// The vertical axis.
    public var y: Axis
    /// The curves, in the order of the legend.
    public var series: [Series]
    /// Height of the plot without labels, in CSS pixels.
    public var height: Int

    /// A chart of the series; a height below 80 counts as 80.
    public init(_ title: String, summary: Prose? = nil, x: Axis, y: Axis, series: [Series], height: Int = 300) {
        self.title = title
        self.summary = summary
        self.x = x
        self.y = y
        self.series = series
        self.height = max(80, height)
    }
}

/// One line of a legend.
struct LegendEntry {
    enum Sign: Equatable {
        case series(Series.Style)
        /// The vertical stroke of a reference value.
        case reference
    }

    var name: String
    var colour: Series.Colour
    var sign: Sign
    var hasBand = false
    var isEmpty = false
    var showsMark = true

    /// A list above the plot: it wraps with the width and cannot cover a curve.
    static func list(_ entries: [LegendEntry]) -> Markup {
        guard !entries.isEmpty else { return "" }
        let items: [Markup] = entries.map { entry in
            let text: Markup = entry.isEmpty ? "\(entry.name) <em>(nothing to draw)</em>" : "\(entry.name)"
            return "<li>\(entry.swatch)<span>\(text)</span></li>\n"
        }
        return "<ul class=\"legend\">\n\(items)</ul>\n"
    }

    private var swatch: Markup {
        var inside: Markup = ""
        var style = ""
        switch sign {
        case .reference:
            inside += "<path class=\"reference\" d=\"M15 0v14\"/>"
        case .series(let series):
            style = series.cssClass
            if hasBand { inside += "<path class=\"band\" d=\"M0 1h30v12h-30Z\"/>" }
            if series != .points { inside += "<path class=\"line\" d=\"M2 7h26\"/>" }
            if showsMark, series != .faint { inside += "<use class=\"mark\" href=\"#\(colour.mark)\" x=\"15\" y=\"7\"/>" }
        }
        return "<svg class=\"swatch \(colour.cssClass) \(style)\" width=\"30\" height=\"14\" aria-hidden=\"true\">\(inside)</svg> "
    }
}

extension Series.Style {
    var cssClass: String {
        switch self {
        case .solid: "solid"
        case .dashed: "dashed"
        case .points: "points"
        case .faint: "faint"
        }
    }
}

extension Chart {
    /// The series with their colours assigned.
    var coloured: [Series] {
        var next = 0
        return series.map { series in
            var series = series
            if series.colour == .automatic {
                series.colour = .slot(next)
                next += 1
            }
            return series
        }
    }

    /// The whole figure.
    ///
    /// - Parameter id: unique on the page; ids inside the figure begin with it.
    package func markup(id: String) -> Markup {
        let plot = ChartPlot(self)
        let notes: [Markup] = plot.notes.map { "<p class=\"note\">\($0)</p>\n" }
        let labelled = plot.endLabels.isEmpty ? "" : " labelled"
        let right = plot.endLabels.isEmpty ? ChartPlot.edge : plot.labelWidth
        return """
            <figure class="chart\(labelled)" id="\(id)">
            \(Markup.caption(title: title, summary: summary))\(notes)\(LegendEntry.list(plot.legend))<div class="plot" \
            style="--left:\(plot.leftMargin)px;--right:\(right)px">
            <svg role="img" aria-label="\(plot.label)" aria-describedby="\(id)-text" width="100%" height="\(height)">
            <desc id="\(id)-text">\(plot.description)</desc>
            \(plot.axes)\(plot.curves)\(plot.marks)\(plot.labels)</svg>
            </div>
            </figure>

            """
    }
}
