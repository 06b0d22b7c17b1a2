/// Final values of several runs: a ring for each run, a mark for the mean, and a line from the lowest to the highest.
///
/// Rings rather than bars: a bar would hide that there were only three seeds, and bars of errors must start at zero.
public struct DotPlot: Sendable {
    /// One measured quantity of a row.
    public struct Measure: Sendable {
        /// What is measured.
        public var name: String
        /// One value per run.
        public var values: [Double]
        /// A reference value, such as the paper's.
        public var reference: Double?
        /// The colour of the rings and the mark.
        public var colour: Series.Colour

        /// A measured quantity; the automatic colour gives each measure name its own slot.
        public init(_ name: String, values: [Double], reference: Double? = nil, colour: Series.Colour = .automatic) {
            self.name = name
            self.values = values
            self.reference = reference
            self.colour = colour
        }
    }

    /// The measurements of one thing, such as a norm.
    public struct Row: Sendable {
        /// The thing's name.
        public var name: String
        /// Each measure gets a line.
        public var measures: [Measure]

        /// A row of measured quantities.
        public init(_ name: String, _ measures: [Measure]) {
            self.name = name
            self.measures = measures
        }
    }

    /// What is shown.
    public var title: String
    /// A sentence below the title.
    public var summary: Prose?
    /// The axis of all values.
    public var axis: Axis
    /// From top to bottom.
    public var rows: [Row]
    /// The legend's name for the references.
    public var referenceName: String
    /// Decimals of the means in the plot.
    public var decimals: Int

    /// A plot of the rows.
    public init(
        _ title: String, summary: Prose? = nil, axis: Axis, rows: [Row], referenceName: String = "paper", decimals: Int = 2
    ) {
        self.title = title
        self.summary = summary
        self.axis = axis
        self.rows = rows
        self.referenceName = referenceName
        self.decimals = decimals
    }
}

extension DotPlot {
    private static let nameHeight = 22
    private static let laneHeight = 24

    package func markup(id: String) -> Markup {
        let all = rows.flatMap(\.measures)
        let scale = AxisScale(axis, values: all.flatMap { $0.values + ($0.reference.map { [$0] } ?? []) }, rounds: true)
        var names: [String] = []
        for measure in all where !names.contains(measure.name) { names.append(measure.name) }

        var top = 0
        var body: Markup = ""
        var written: [String] = []
        for row in rows {
            body += "<text class=\"row-name\" x=\"-10\" y=\"\(top + 17)\">\(row.name)</text>\n"
            top += DotPlot.nameHeight
            for measure in row.measures {
                let slot = measure.colour == .automatic ? .slot(names.firstIndex(of: measure.name) ?? 0) : measure.colour
                let text = value(measure)
                written.append("\(row.name), \(measure.name): \(text)")
                body += lane(measure, row: row.name, text: text, colour: slot, scale: scale, y: top + DotPlot.laneHeight / 2)
                top += DotPlot.laneHeight
            }
            top += 8
        }
        let columns: [Markup] = scale.ticks(axis, count: 6).filter { !$0.text.isEmpty }.map { tick in
            let x = PathBuilder.percent(scale.fraction(tick.value))
            return """
                <line class="grid" x1="\(x)" x2="\(x)" y1="0" y2="\(top)"/>\
                <text class="number\(tick.isSecondary ? " secondary" : "")" x="\(x)" y="\(top + 18)" \
                text-anchor="middle">\(tick.text)</text>

                """
        }
        let right = 24 + (all.map { value($0).count }.max() ?? 0) * 7
        let notes: [Markup] = notes(all).map { "<p class=\"note\">\($0)</p>\n" }
        return """
            <figure class="chart dots" id="\(id)">
            \(Markup.caption(title: title, summary: summary))\(legend(names, all))<div class="plot" style="--left:10px;--right:\(right)px">
            <svg role="img" aria-label="\("Dot plot: \(title). \(axis.heading).")" aria-describedby="\(id)-text" \
            width="100%" height="\(top)">
            <desc id="\(id)-text">\(written.joined(separator: ". "))</desc>
            <g class="axes">
            \(columns)<text class="heading" x="50%" y="\(top + 40)" text-anchor="middle">\(axis.heading)</text>
            </g>
            \(body)</svg>
            </div>
            \(notes)</figure>

            """
    }

    private func lane(_ measure: Measure, row: String, text: String, colour: Series.Colour, scale: AxisScale, y: Int) -> Markup {
        let values = measure.values.filter(axis.canDraw)
        var result: Markup = "<g class=\"\(colour.cssClass)\">"
        if let low = values.min(), let high = values.max() {
            let mean = values.reduce(0, +) / Double(values.count)
            let (from, to) = (PathBuilder.percent(scale.fraction(low)), PathBuilder.percent(scale.fraction(high)))
            result += "<line class=\"spread\" x1=\"\(from)\" x2=\"\(to)\" y1=\"\(y)\" y2=\"\(y)\"/>"
            if values.count > 1 {
                for value in values {
                    let tip = "\(row), \(measure.name): \(axis.text(value))"
                    let x = PathBuilder.percent(scale.fraction(value))
                    result += "<circle class=\"run\" cx=\"\(x)\" cy=\"\(y)\" r=\"4\"><title>\(tip)</title></circle>"
                }
            }
            let place = PathBuilder.percent(scale.fraction(mean))
            result += "<use class=\"mark\" href=\"#\(colour.mark)\" x=\"\(place)\" y=\"\(y)\"/>"
        }
        if let reference = measure.reference, axis.canDraw(reference) {
            let place = PathBuilder.percent(scale.fraction(reference))
            let tip = "\(row), \(measure.name), \(referenceName): \(axis.text(reference))"
            result += """
                <line class="reference" x1="\(place)" x2="\(place)" y1="\(y - 9)" y2="\(y + 9)"><title>\(tip)</title></line>
                """
        }
        return "\(result)<text class=\"value\" x=\"100%\" dx=\"14\" y=\"\(y)\" dy=\"4\">\(text)</text></g>\n"
    }

    private func legend(_ names: [String], _ all: [Measure]) -> Markup {
        // With one quantity the axis says what it is.
        var entries: [LegendEntry] =
            names.count < 2
            ? []
            : names.enumerated().map { index, name in
                let colour = all.first { $0.name == name }?.colour ?? .automatic
                return LegendEntry(name: name, colour: colour == .automatic ? .slot(index) : colour, sign: .series(.points))
            }
        if all.contains(where: { $0.reference != nil }) {
            entries.append(LegendEntry(name: referenceName, colour: .muted, sign: .reference))
        }
        return LegendEntry.list(entries)
    }

    /// The mean, with the sample standard deviation if there are several runs.
    private func value(_ measure: Measure) -> String {
        let factor = axis.format == .percent ? 100.0 : 1
        let values = measure.values.filter(axis.canDraw).map { $0 * factor }
        guard !values.isEmpty else { return "no value" }
        let mean = Statistics.mean(values)
        guard values.count > 1 else { return NumberText.fixed(mean, decimals: decimals) }
        return NumberText.spread(mean, Statistics.standardDeviation(values), decimals: decimals)
    }

    private func notes(_ all: [Measure]) -> [String] {
        let counts = Set(all.map(\.values.count))
        var notes: [String] = []
        if let most = counts.max(), most > 1 {
            let count = counts.count == 1 ? "\(most) runs" : "up to \(most) runs"
            notes.append("Rings: single runs (\(count)); filled mark: their mean; numbers: mean ± sample standard deviation.")
        }
        let missing = all.reduce(0) { $0 + $1.values.count { !axis.canDraw($0) } }
        if missing > 0 {
            let subject = missing == 1 ? "1 value" : "\(missing) values"
            notes.append("\(subject) cannot be drawn (not finite, or outside of what the axis can show); the means leave them out.")
        }
        return notes
    }
}
