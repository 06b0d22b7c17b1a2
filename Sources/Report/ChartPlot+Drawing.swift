extension ChartPlot {
    /// What the reader must know about values that the curves do not show.
    var notes: [String] {
        var notes: [String] = []
        for (series, drawable) in zip(series, drawable) {
            let missing = series.points.count - drawable.count
            guard missing > 0 else { continue }
            let isFinite = series.points.filter { !canDraw($0) }.contains { $0.x.isFinite && $0.y.isFinite }
            let reason = isFinite ? "outside of what the axes can show" : "not finite"
            notes.append("\(series.name): \(missing) of \(series.points.count) values are \(reason) and cannot be drawn.")
        }
        if drawable.contains(where: { $0.contains { !isInside($0) } }) {
            notes.append("Values outside of the shown range are cut off.")
        }
        return notes
    }

    var label: String {
        "Line chart: \(chart.title). \(chart.y.heading) against \(chart.x.heading)."
    }

    /// The curves in words, for readers who cannot see them.
    var description: String {
        let sentences = zip(series, drawable).filter(\.0.isInLegend).prefix(16).map { series, points in
            guard let first = points.first, let last = points.last, let low = points.min(by: { $0.y < $1.y }) else {
                return "\(series.name): no values."
            }
            return "\(series.name): \(points.count) points, from \(chart.y.text(first.y)) at \(chart.x.text(first.x)) to "
                + "\(chart.y.text(last.y)) at \(chart.x.text(last.x)); lowest \(chart.y.text(low.y)) at \(chart.x.text(low.x))."
        }
        return sentences.isEmpty ? "No values." : sentences.joined(separator: " ")
    }

    var axes: Markup {
        let rows: [Markup] = yTicks.map { tick in
            let place = PathBuilder.percent(1 - yScale.fraction(tick.value))
            if tick.text.isEmpty { return "<line class=\"tick\" x1=\"-3\" x2=\"0\" y1=\"\(place)\" y2=\"\(place)\"/>\n" }
            return """
                <line class="grid" x1="0" x2="100%" y1="\(place)" y2="\(place)"/>\
                <text class="number" x="-8" y="\(place)" dy="4" text-anchor="end">\(tick.text)</text>

                """
        }
        let columns: [Markup] = xTicks.map { tick in
            let place = PathBuilder.percent(xScale.fraction(tick.value))
            let isMinor = tick.text.isEmpty
            let line: Markup =
                "<line class=\"tick\" x1=\"\(place)\" x2=\"\(place)\" y1=\"\(chart.height)\" y2=\"\(chart.height + (isMinor ? 3 : 5))\"/>"
            let style = tick.isSecondary ? "number secondary" : "number"
            let text: Markup =
                isMinor
                ? "" : "<text class=\"\(style)\" x=\"\(place)\" y=\"\(chart.height + 20)\" text-anchor=\"middle\">\(tick.text)</text>"
            return "\(line)\(text)\n"
        }
        let isEmpty = drawable.allSatisfy(\.isEmpty)
        let empty: Markup = isEmpty ? "<text class=\"nothing\" x=\"50%\" y=\"50%\" text-anchor=\"middle\">No values to draw</text>\n" : ""
        return """
            <g class="axes">
            \(rows)\(columns)<line class="base" x1="0" x2="100%" y1="\(chart.height)" y2="\(chart.height)"/>
            <text class="heading" x="-\(leftMargin)" y="-14">\(chart.y.heading)</text>
            <text class="heading" x="50%" y="\(chart.height + 42)" text-anchor="middle">\(chart.x.heading)</text>
            \(empty)</g>

            """
    }

    var curves: Markup {
        let builder = PathBuilder(x: xScale, y: yScale)
        var bands: Markup = ""
        var faint: Markup = ""
        var lines: Markup = ""
        for (series, drawable) in zip(series, drawable) {
            let colour = series.colour.cssClass
            let spread = PathBuilder.runs(of: series.band) {
                chart.x.canDraw($0.x) && chart.y.canDraw($0.lower) && chart.y.canDraw($0.upper)
            }
            if !spread.isEmpty { bands += "<path class=\"band \(colour)\" d=\"\(builder.area(spread))\"/>\n" }
            guard !drawable.isEmpty else { continue }
            let path = series.style == .points ? builder.dots(drawable) : builder.line(PathBuilder.runs(of: series.points, where: canDraw))
            let curve: Markup = """
                <path class="curve \(series.style.cssClass) \(colour)" data-series="\(series.name)" d="\(path)"/>

                """
            if series.style == .faint { faint += curve } else { lines += curve }
        }
        // Clipping only where it is needed: it would halve the stroke of a curve that runs along the edge.
        let everything = drawable.flatMap(\.self) + series.flatMap(\.band).flatMap { [.init($0.x, $0.lower), .init($0.x, $0.upper)] }
        let overflow = everything.allSatisfy(isInside) ? "visible" : "hidden"
        return """
            <svg class="curves" width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="\(overflow)">
            \(bands)\(faint)\(lines)</svg>

            """
    }

    /// Marks on the curves, and invisible discs with the values as tooltips.
    var marks: Markup {
        var marks: Markup = ""
        var tips: Markup = ""
        for (index, (series, drawable)) in zip(series, drawable).enumerated() where series.style != .faint {
            let inside = drawable.filter(isInside)
            for number in markedIndices(of: series, count: inside.count, order: index) {
                let (x, y) = place(inside[number])
                marks += "<use class=\"mark \(series.colour.cssClass)\" href=\"#\(series.colour.mark)\" x=\"\(x)\" y=\"\(y)\"/>\n"
            }
            for number in spaced(count: inside.count, limit: 40) {
                let (x, y) = place(inside[number])
                let text = "\(series.name): \(chart.y.text(inside[number].y)) at \(chart.x.title) \(chart.x.text(inside[number].x))"
                tips += "<circle class=\"tip \(series.colour.cssClass)\" cx=\"\(x)\" cy=\"\(y)\" r=\"7\"><title>\(text)</title></circle>\n"
            }
        }
        return "<g class=\"marks\">\n\(marks)</g>\n<g class=\"tips\">\n\(tips)</g>\n"
    }

    /// Names at the ends of the curves, each connected to its curve by a short line.
    var labels: Markup {
        guard !endLabels.isEmpty else { return "" }
        let items: [Markup] = endLabels.map { label in
            let (curve, text) = (PathBuilder.short(label.curve), PathBuilder.short(label.text))
            let mark: Markup =
                label.entry.showsMark && label.style != .faint
                ? "<use class=\"mark\" href=\"#\(label.entry.colour.mark)\" x=\"27\" y=\"\(text)\"/>" : ""
            return """
                <g class="\(label.entry.colour.cssClass) \(label.style.cssClass)">\
                <path class="leader" d="M3 \(curve)L14 \(text)H22"/>\(mark)\
                <text x="37" y="\(text)" dy="4">\(label.entry.name)</text></g>

                """
        }
        return "<svg class=\"labels\" x=\"100%\" width=\"\(labelWidth)\" height=\"\(chart.height)\" overflow=\"visible\">\n\(items)</svg>\n"
    }

    private func markedIndices(of series: Series, count: Int, order: Int) -> [Int] {
        if series.style == .points || series.markers == .all { return Array(spaced(count: count, limit: PathBuilder.limit)) }
        if count == 1 { return [0] }
        guard series.markers == .sparse else { return [] }
        guard count > 10 else { return Array(0..<count) }
        // Curves in one chart are marked at different places, so that marks do not cover each other where curves meet.
        let offset = (Double(order) * 0.37).truncatingRemainder(dividingBy: 1)
        return (0..<7).map { Int((Double($0) + 0.15 + 0.7 * offset) / 7 * Double(count)) }
    }

    private func spaced(count: Int, limit: Int) -> [Int] {
        guard count > limit else { return Array(0..<count) }
        return (0..<limit).map { $0 * (count - 1) / (limit - 1) }
    }

    private func place(_ point: Series.Point) -> (x: String, y: String) {
        (PathBuilder.percent(xScale.fraction(point.x)), PathBuilder.percent(1 - yScale.fraction(point.y)))
    }
}
