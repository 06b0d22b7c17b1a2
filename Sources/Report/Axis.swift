import Foundation

/// One axis of a chart: what it measures, how its numbers are written, and its range.
public struct Axis: Sendable {
    /// How values are placed.
    public enum Scale: Sendable {
        /// Equal steps for equal differences.
        case linear
        /// Base ten; values that are not positive cannot be drawn and are counted in a note.
        case logarithmic
    }

    /// How values are written.
    public enum Format: Sendable {
        /// As they are.
        case number
        /// Fractions of one, written as percent: 0.0731 is "7.31 %".
        case percent
        /// Whole thousands and millions shortened: 1 500 000 is "1.5 M".
        case compact
    }

    /// What is measured.
    public var title: String
    /// The unit, such as `degrees`; nil if the title says it, or there is none.
    public var unit: String?
    /// How values are placed.
    public var scale: Scale
    /// How values are written.
    public var format: Format
    /// The lower end of the axis; `nil` takes it from the data. An unusable bound (not finite, or not positive on a logarithmic axis) counts as
    /// `nil`.
    public var minimum: Double?
    /// The upper end, in the same way.
    public var maximum: Double?

    /// An axis with this title.
    public init(
        _ title: String, unit: String? = nil, scale: Scale = .linear, format: Format = .number, minimum: Double? = nil,
        maximum: Double? = nil
    ) {
        self.title = title
        self.unit = unit
        self.scale = scale
        self.format = format
        self.minimum = minimum
        self.maximum = maximum
    }

    /// The title with the unit, as shown beside the axis.
    var heading: String {
        if let unit { return "\(title) (\(unit))" }
        return format == .percent ? "\(title) (%)" : title
    }

    /// Whether a value can be drawn on this axis. Huge values count as diverged: their differences and ratios are no longer finite.
    func canDraw(_ value: Double) -> Bool {
        switch scale {
        case .linear: value.isFinite && value.magnitude < 1e300
        case .logarithmic: value > 1e-150 && value < 1e150
        }
    }

    /// A value with its unit, for tooltips and descriptions.
    func text(_ value: Double) -> String {
        switch format {
        case .percent: NumberText.general(value * 100) + " %"
        case .number, .compact: NumberText.general(value) + (unit.map { " \($0)" } ?? "")
        }
    }

    /// The numbers beside the ticks: as many decimals as the step needs, the same for all.
    func tickText(_ value: Double, step: Double) -> String {
        if format == .percent { return NumberText.fixed(value * 100, decimals: NumberText.decimals(forStep: step * 100)) }
        if format == .compact, max(value.magnitude, step) >= 1000 {
            if value == 0 { return "0" }
            let (divisor, suffix) = value.magnitude >= 1e6 ? (1e6, "M") : (1e3, "k")
            let shown = value / divisor
            return NumberText.fixed(shown, decimals: min(3, NumberText.decimals(forStep: step / divisor))) + "\u{202F}" + suffix
        }
        // A zero stays a plain zero, whatever the power of ten beside it.
        if value != 0, step >= 1e6 || step < 1e-4 { return NumberText.scientific(value) }
        return NumberText.fixed(value, decimals: value == 0 && step < 1e-4 ? 0 : NumberText.decimals(forStep: step))
    }

    /// The numbers of a logarithmic axis.
    ///
    /// - Parameter asPowers: whether the axis as a whole is written in powers of ten, so that the two styles are not mixed.
    func decadeText(_ value: Double, asPowers: Bool) -> String {
        let shown = format == .percent ? value * 100 : value
        if asPowers { return NumberText.scientific(shown) }
        return format == .compact && shown >= 1000 ? tickText(shown, step: shown) : NumberText.general(shown)
    }
}

/// A tick on an axis; one without text is a minor tick.
package struct Tick: Equatable {
    package var value: Double
    package var text: String
    /// Omitted if the chart is narrow.
    package var isSecondary = false
}

/// The visible range of an axis; maps values to 0…1.
package struct AxisScale: Equatable {
    package var lower: Double
    package var upper: Double
    package var scale: Axis.Scale

    /// The range that shows these values.
    ///
    /// - Parameter rounds: whether the ends are moved outward to a round number (for the y axis, where curves should not end at the edge).
    package init(_ axis: Axis, values: [Double], rounds: Bool) {
        scale = axis.scale
        let drawable = values.filter(axis.canDraw)
        let fixedLower = axis.minimum.flatMap { axis.canDraw($0) ? $0 : nil }
        let fixedUpper = axis.maximum.flatMap { axis.canDraw($0) ? $0 : nil }
        var low = drawable.min() ?? (scale == .linear ? 0 : fixedUpper.map { $0 / 10 } ?? 1)
        var high = drawable.max() ?? (scale == .linear ? 1 : low * 10)
        // Errors, losses and epochs read best from zero, unless that would squeeze them into a small part of the height.
        if scale == .linear, low > 0, low <= 0.3 * high { low = 0 }
        low = fixedLower ?? low
        high = fixedUpper ?? high

        switch scale {
        case .linear:
            if !(high - low > max(low.magnitude, high.magnitude) * 1e-9) {
                let middle = fixedLower ?? fixedUpper ?? low
                let half = middle == 0 ? 1 : middle.magnitude * 0.1
                low = fixedLower ?? (middle == 0 && drawable.allSatisfy { $0 >= 0 } ? 0 : middle - half)
                high = fixedUpper.flatMap { $0 > low ? $0 : nil } ?? low + (low == middle ? half : 2 * half)
            }
            if rounds {
                let (bottom, span) = (low, high - low)
                let step = AxisScale.roundStep(span: span, count: 5)
                // A round end may cost at most a tenth of the height; otherwise a small margin suffices, but zero stays the end.
                func end(_ round: Double, from value: Double) -> Double {
                    value == 0 || (round - value).magnitude <= 0.1 * span ? round : value + (round > value ? 0.04 : -0.04) * span
                }
                if fixedLower == nil { low = end((bottom / step + 1e-9).rounded(.down) * step, from: bottom) }
                if fixedUpper == nil { high = end((high / step - 1e-9).rounded(.up) * step, from: high) }
            }
        case .logarithmic:
            if !(high / low > 1 + 1e-9) {
                let middle = fixedLower ?? fixedUpper ?? low
                low = fixedLower ?? middle / 3
                high = fixedUpper.flatMap { $0 > low ? $0 : nil } ?? middle * 3
            } else if rounds {
                // A twentieth of the height on each side; whole decades would waste up to half of it.
                let margin = pow(high / low, 0.05)
                if fixedLower == nil { low /= margin }
                if fixedUpper == nil { high *= margin }
            }
        }
        lower = low
        upper = high
    }

    /// 0 at the lower end, 1 at the upper end; values outside the range lie beyond.
    package func fraction(_ value: Double) -> Double {
        switch scale {
        case .linear: (value - lower) / (upper - lower)
        case .logarithmic: log(value / lower) / log(upper / lower)
        }
    }

    package func ticks(_ axis: Axis, count: Int) -> [Tick] {
        scale == .linear || upper / lower < 4 ? linearTicks(axis, count: count) : logarithmicTicks(axis, count: count)
    }

    /// The smallest of 1, 2 and 5 times a power of ten that divides the span into about `count` parts.
    ///
    /// Up to a quarter more are allowed: from 2 to 5 is a big jump, and too few labels are worse than one too many.
    static func roundStep(span: Double, count: Int) -> Double {
        let rough = span / Double(max(1, count))
        let power = pow(10, log10(rough).rounded(.down))
        guard rough > 0, power > 0, power.isFinite else { return max(span, .leastNormalMagnitude) }
        return ([1, 2, 5].first { $0 * power >= rough * 0.799 } ?? 10) * power
    }

    private func linearTicks(_ axis: Axis, count: Int) -> [Tick] {
        let step = AxisScale.roundStep(span: upper - lower, count: count)
        let first = (lower / step - 1e-6).rounded(.up)
        let last = (upper / step + 1e-6).rounded(.down)
        guard last >= first, last - first < 100 else { return [] }
        let indices = Array(stride(from: first, through: last, by: 1))
        let ticks = indices.map { index in
            // Multiples, not a running sum, which would end in 0.30000000000000004.
            let value = index * step
            return Tick(value: value, text: axis.tickText(value, step: step))
        }
        // What fits on a phone, at about seven pixels per character.
        let width = ticks.reduce(0) { $0 + $1.text.count * 7 + 14 }
        return width <= 230
            ? ticks
            : ticks.enumerated().map { number, tick in
                Tick(value: tick.value, text: tick.text, isSecondary: (indices[number]).truncatingRemainder(dividingBy: 2) != 0)
            }
    }

    private func logarithmicTicks(_ axis: Axis, count: Int) -> [Tick] {
        let decades = log10(upper / lower)
        let labelled: [Double] = decades < 1.2 ? [1, 2, 3, 5] : decades < 3 ? [1, 3] : [1]
        let every = max(1, Int((decades / Double(max(1, count))).rounded(.up)))
        let asPowers = lower < 0.99e-4 || upper > (axis.format == .compact ? 1.01e8 : 1.01e5)
        var ticks: [Tick] = []
        for exponent in Int(log10(lower).rounded(.down))...Int(log10(upper).rounded(.up)) {
            for factor in stride(from: 1.0, through: 9, by: 1) {
                let value = factor * pow(10, Double(exponent))
                guard value >= lower * (1 - 1e-9), value <= upper * (1 + 1e-9) else { continue }
                if labelled.contains(factor), exponent % every == 0 {
                    let isSecondary = factor != 1 || (decades > 5 && exponent % (2 * every) != 0)
                    ticks.append(Tick(value: value, text: axis.decadeText(value, asPowers: asPowers), isSecondary: isSecondary))
                } else if decades <= 8 || factor == 1 {
                    ticks.append(Tick(value: value, text: ""))
                }
            }
        }
        // A narrow chart still needs two labels.
        let isReadable = ticks.count { !$0.text.isEmpty && !$0.isSecondary } >= 2
        return isReadable ? ticks : ticks.map { Tick(value: $0.value, text: $0.text) }
    }
}
