/// The inside of a chart: where everything goes.
struct ChartPlot {
    /// Space beside the plot for half of the last tick's number.
    static let edge = 18

    struct EndLabel {
        var entry: LegendEntry
        var style: Series.Style
        /// Where the curve ends, and where its name is, in pixels from the top.
        var curve: Double
        var text: Double
    }

    private struct End {
        var entry: Int
        var style: Series.Style
        var y: Double
    }

    let chart: Chart
    let series: [Series]
    /// The points of every series that can be drawn.
    let drawable: [[Series.Point]]
    let xScale: AxisScale
    let yScale: AxisScale
    let xTicks: [Tick]
    let yTicks: [Tick]
    let legend: [LegendEntry]
    let endLabels: [EndLabel]

    init(_ chart: Chart) {
        self.chart = chart
        series = chart.coloured
        drawable = series.map { $0.points.filter { chart.x.canDraw($0.x) && chart.y.canDraw($0.y) } }
        let points = drawable.flatMap(\.self)
        let spreads = series.flatMap(\.band).filter { chart.x.canDraw($0.x) }
        xScale = AxisScale(chart.x, values: points.map(\.x) + spreads.map(\.x), rounds: false)
        yScale = AxisScale(chart.y, values: points.map(\.y) + spreads.flatMap { [$0.lower, $0.upper] }, rounds: true)
        xTicks = xScale.ticks(chart.x, count: 8)
        yTicks = yScale.ticks(chart.y, count: max(2, chart.height / 48))

        var entries: [LegendEntry] = []
        var ends: [End] = []
        for (series, drawable) in zip(series, drawable) where series.isInLegend {
            let isKnown = entries.contains { $0.name == series.name && $0.sign == .series(series.style) && $0.colour == series.colour }
            guard !isKnown else { continue }
            if series.style != .points, let last = drawable.last, xScale.fraction(last.x) > 0.985, xScale.fraction(last.x) < 1.001 {
                let end = 1 - yScale.fraction(last.y)
                if (0...1).contains(end) { ends.append(End(entry: entries.count, style: series.style, y: end * Double(chart.height))) }
            }
            entries.append(
                LegendEntry(
                    name: series.name, colour: series.colour, sign: .series(series.style), hasBand: !series.band.isEmpty,
                    isEmpty: drawable.isEmpty, showsMark: series.markers != .none))
        }
        legend = entries
        // Names at the ends of the curves replace the legend, so all of them are shown or none.
        endLabels = ends.count == entries.count ? ChartPlot.arranged(ends, entries: entries, height: Double(chart.height)) : []
    }

    /// Places names below each other without overlap, each as near to its curve as the others allow; empty if they do not fit.
    private static func arranged(_ ends: [End], entries: [LegendEntry], height: Double) -> [EndLabel] {
        let line = 17.0
        guard Double(ends.count) * line <= height, entries.allSatisfy({ $0.name.count <= 34 }) else { return [] }
        let sorted = ends.sorted { $0.y < $1.y }
        // Blocks of touching names: each block is placed at the mean of the positions that its names want, and blocks that meet are merged.
        var blocks: [(wanted: [Double], top: Double)] = []
        for end in sorted {
            blocks.append(([end.y], 0))
            while true {
                let current = blocks.count - 1
                let wanted = blocks[current].wanted
                let size = Double(wanted.count) * line
                let ideal = wanted.enumerated().reduce(0) { $0 + $1.element - Double($1.offset) * line } / Double(wanted.count)
                blocks[current].top = min(max(ideal - line / 2, 0), height - size)
                guard current > 0, blocks[current - 1].top + Double(blocks[current - 1].wanted.count) * line > blocks[current].top else {
                    break
                }
                let joined = blocks.removeLast().wanted
                blocks[current - 1].wanted += joined
            }
        }
        let places = blocks.flatMap { block in block.wanted.indices.map { block.top + (Double($0) + 0.5) * line } }
        return zip(sorted, places).map { EndLabel(entry: entries[$0.entry], style: $0.style, curve: $0.y, text: $1) }
    }

    var labelWidth: Int {
        44 + (legend.map { $0.name.count }.max() ?? 0) * 7
    }

    var leftMargin: Int {
        14 + (yTicks.map { $0.text.count }.max() ?? 0) * 7
    }

    func canDraw(_ point: Series.Point) -> Bool {
        chart.x.canDraw(point.x) && chart.y.canDraw(point.y)
    }

    func isInside(_ point: Series.Point) -> Bool {
        (-0.001...1.001).contains(xScale.fraction(point.x)) && (-0.001...1.001).contains(yScale.fraction(point.y))
    }
}
