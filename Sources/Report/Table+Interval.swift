extension Table.Cell {
    /// An interval as a small drawing.
    struct Interval: Equatable {
        var estimate: Double
        var lower: Double
        var upper: Double
        var zone: Double
        var bound: Double
        var text: String
    }

    /// An effect and its interval, drawn around zero beside the zone of effects that do not count; what lies beyond the bound is cut off with an arrow.
    ///
    /// - Parameters:
    ///   - estimate: the effect.
    ///   - lower: the interval's lower end, which may be −∞.
    ///   - upper: its upper end, which may be ∞.
    ///   - zone: effects from −zone to zone are shaded.
    ///   - bound: the drawing reaches from −bound to bound.
    ///   - text: the effect in words, for the terminal and for readers who cannot see the drawing.
    public static func interval(_ estimate: Double, from lower: Double, to upper: Double, zone: Double, bound: Double, text: String)
        -> Table.Cell
    {
        var cell = Table.Cell.text(text)
        guard estimate.isFinite, !lower.isNaN, !upper.isNaN, zone > 0, bound > 0 else { return cell }
        cell.drawing = Interval(estimate: estimate, lower: lower, upper: upper, zone: zone, bound: bound, text: text)
        return cell
    }
}

extension Table.Cell.Interval {
    private static let (width, height) = (170, 16)

    private func place(_ value: Double) -> String {
        let share = (min(max(value / bound, -1), 1) + 1) / 2
        return NumberText.fixed(6 + share * Double(Self.width - 12), decimals: 1)
    }

    var markup: Markup {
        let middle = Self.height / 2
        let zone: Markup = """
            <rect class="zone" x="\(place(-self.zone))" width="\(NumberText.fixed(min(self.zone / bound, 1) * Double(Self.width - 12), decimals: 1))" y="0" height="\(Self.height)"/>
            """
        var marks: Markup = """
            <line class="zero" x1="\(place(0))" x2="\(place(0))" y1="0" y2="\(Self.height)"/>\
            <line class="range" x1="\(place(lower))" x2="\(place(upper))" y1="\(middle)" y2="\(middle)"/>
            """
        if lower < -bound { marks += "<path class=\"end\" d=\"M0 \(middle)l7 -4v8Z\"/>" }
        if upper > bound { marks += "<path class=\"end\" d=\"M\(Self.width) \(middle)l-7 -4v8Z\"/>" }
        if estimate.magnitude <= bound { marks += "<circle class=\"end\" cx=\"\(place(estimate))\" cy=\"\(middle)\" r=\"3.6\"/>" }
        return """
            <svg class="interval" role="img" aria-label="\(text)" width="\(Self.width)" height="\(Self.height)"><title>\(text)</title>\(zone)\(marks)</svg>
            """
    }
}
