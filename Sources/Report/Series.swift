/// One curve of a chart.
public struct Series: Sendable {
    /// A point of the curve.
    public struct Point: Sendable, Equatable {
        /// Its place on the x axis.
        public var x: Double
        /// Its value; a value that is not finite leaves a gap.
        public var y: Double

        /// A point.
        public init(_ x: Double, _ y: Double) {
            self.x = x
            self.y = y
        }
    }

    /// The spread of values at one place on the x axis.
    public struct Spread: Sendable, Equatable {
        /// The place.
        public var x: Double
        /// The lowest value there.
        public var lower: Double
        /// The highest value there.
        public var upper: Double

        /// A spread at a place.
        public init(x: Double, lower: Double, upper: Double) {
            self.x = x
            self.lower = lower
            self.upper = upper
        }
    }

    /// How the curve is drawn.
    public enum Style: Sendable {
        /// A line.
        case solid
        /// For what was not measured here, such as values read off a paper's figure.
        case dashed
        /// Marks without a line.
        case points
        /// A thin pale line without marks, for single runs behind their mean.
        case faint
    }

    /// The colour of the curve, and the shape of its marks.
    public enum Colour: Sendable, Equatable {
        /// The chart's next free slot.
        case automatic
        /// A colour and mark of the palette, 0 to 7; higher slots have the same colours with other marks.
        case slot(Int)
        /// Grey, for reference curves.
        case muted
        /// A CSS class, defined by the page, that sets `--series`.
        case custom(String)
    }

    /// Where the curve has marks.
    public enum Markers: Sendable {
        /// A few along the curve, so that curves can be distinguished without colour.
        case sparse
        /// One at every point.
        case all
        /// Nowhere.
        case none
    }

    /// The name in the legend.
    public var name: String
    /// From left to right.
    public var points: [Point]
    /// Colour and shape of the marks.
    public var colour: Colour
    /// How the curve is drawn.
    public var style: Style
    /// A pale band behind the curve.
    public var band: [Spread]
    /// Where the curve has marks.
    public var markers: Markers
    /// Whether the legend lists this series; series of the same name, style and colour share one entry.
    public var isInLegend: Bool

    /// A curve through these points.
    public init(
        _ name: String, points: [Point], colour: Colour = .automatic, style: Style = .solid, band: [Spread] = [],
        markers: Markers = .sparse, isInLegend: Bool = true
    ) {
        self.name = name
        self.points = points
        self.colour = colour
        self.style = style
        self.band = band
        self.markers = markers
        self.isInLegend = isInLegend
    }

    /// The mean of several runs with a band from their lowest to their highest value, at the places that all runs have in common.
    ///
    /// A place where one run has no finite value is left as a gap: a mean over the survivors would look too good.
    public init(_ name: String, meanOf runs: [[Point]], colour: Colour = .automatic, style: Style = .solid) {
        var values: [Double: [Double]] = [:]
        for run in runs {
            for point in run { values[point.x, default: []].append(point.y) }
        }
        let shared = values.filter { $0.value.count == runs.count && !$0.key.isNaN }.sorted { $0.key < $1.key }
        self.init(
            name,
            points: shared.map { Point($0.key, $0.value.reduce(0, +) / Double($0.value.count)) },
            colour: colour, style: style,
            band: runs.count < 2
                ? []
                : shared.compactMap { x, ys in
                    guard let low = ys.min(), let high = ys.max(), ys.allSatisfy(\.isFinite) else { return nil }
                    return Spread(x: x, lower: low, upper: high)
                })
    }
}

extension Series.Colour {
    /// The slot that determines colour and mark, if there is one.
    var slot: Int? {
        if case .slot(let number) = self { return max(0, number) }
        return nil
    }

    var cssClass: String {
        switch self {
        case .automatic: "c0"
        case .slot(let number): "c\(max(0, number) % Palette.size)"
        case .muted: "muted"
        // Only characters allowed in a class name: a space would add a second class.
        case .custom(let name): String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "-" })
        }
    }

    /// The id of the mark's shape in the page's list of symbols.
    var mark: String {
        let number = slot ?? 0
        // After eight series the colours repeat, with the marks shifted by one, so that no pair repeats.
        return "mark-\((number + number / Palette.size) % Palette.size)"
    }
}

/// Builds the curves of a chart as SVG path data.
struct PathBuilder {
    var x: AxisScale
    var y: AxisScale
    /// Side of the square in which curves are drawn; it is stretched to the plot's real size, so lines use non-scaling strokes.
    static let side = 1000.0
    /// More points than this are thinned out: no screen shows them, and the page of a million-step run must stay small.
    static let limit = 2000

    func line(_ runs: [[Series.Point]]) -> String {
        runs.map { run in
            let thin = PathBuilder.thinned(run)
            // A point between two gaps is a line of zero length, which the round cap shows as a dot.
            let end = thin.count == 1 ? "h0" : ""
            return "M" + thin.map { place($0.x, $0.y) }.joined(separator: "L") + end
        }.joined()
    }

    func dots(_ points: [Series.Point]) -> String {
        points.map { "M\(place($0.x, $0.y))h0" }.joined()
    }

    func area(_ runs: [[Series.Spread]]) -> String {
        runs.map { run in
            // Thinning picks the extremes of one value; here both edges are thinned alike, by index.
            let every = max(1, run.count / 1000)
            let kept = run.indices.filter { $0 % every == 0 || $0 == run.count - 1 }.map { run[$0] }
            let forth = kept.map { place($0.x, $0.upper) }
            let back = kept.reversed().map { place($0.x, $0.lower) }
            return "M" + (forth + back).joined(separator: "L") + "Z"
        }.joined()
    }

    /// The lowest and highest point of every bucket, so that no spike is lost.
    static func thinned(_ run: [Series.Point]) -> [Series.Point] {
        guard run.count > limit else { return run }
        let bucket = (run.count * 4 + limit - 1) / limit
        return stride(from: 0, to: run.count, by: bucket).flatMap { start in
            let range = start..<min(start + bucket, run.count)
            let low = range.min { run[$0].y < run[$1].y } ?? start
            let high = range.max { run[$0].y < run[$1].y } ?? start
            return Set([start, low, high, range.upperBound - 1]).sorted().map { run[$0] }
        }
    }

    private func place(_ xValue: Double, _ yValue: Double) -> String {
        coordinate(x.fraction(xValue)) + " " + coordinate(1 - y.fraction(yValue))
    }

    private func coordinate(_ fraction: Double) -> String {
        // A value far outside a fixed range would otherwise give coordinates that browsers cannot handle.
        PathBuilder.short(min(max(fraction, -10), 11) * PathBuilder.side)
    }

    /// A number with at most one decimal.
    static func short(_ value: Double) -> String {
        let text = String((value * 10).rounded() / 10)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// The runs of elements between those that cannot be drawn.
    static func runs<Element>(of elements: [Element], where canDraw: (Element) -> Bool) -> [[Element]] {
        elements.split(omittingEmptySubsequences: true) { !canDraw($0) }.map(Array.init)
    }

    /// A position as a percentage of the plot's width or height.
    static func percent(_ fraction: Double) -> String {
        let text = String((fraction * 10_000).rounded() / 100)
        return (text.hasSuffix(".0") ? String(text.dropLast(2)) : text) + "%"
    }
}
