/// The colours and marks of the charts.
///
/// Found by a search with two criteria, which the tests check: at least 3:1 contrast to the background, and sufficient distances in a perceptual
/// colour space for normal vision and for simulated protanopia, deuteranopia and tritanopia. The first five are further apart than the rest. Marks
/// distinguish the series where colour does not.
package enum Palette {
    package static let light = ["#2436ab", "#ba4005", "#147c69", "#dc52b4", "#ac9337", "#43216e", "#2799e0", "#7a2418"]
    package static let dark = ["#649cf6", "#e3611c", "#45e0b2", "#a86496", "#ebb818", "#7b69ea", "#c6e8fc", "#d08288"]
    package static let lightBackground = "#ffffff"
    package static let darkBackground = "#15181d"
    static var size: Int { light.count }

    /// Outlines around the origin, about equal in area: disc, square, triangle, diamond, cross, triangle downward, plus, bar.
    private static let marks = [
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
        "M-3.6 -3.6H3.6V3.6H-3.6Z",
        "M0 -4.8L4.7 3.5H-4.7Z",
        "M0 -5.2L5.2 0L0 5.2L-5.2 0Z",
        "M-4.6 -2.6L-2.6 -4.6L0 -2L2.6 -4.6L4.6 -2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0Z",
        "M0 4.8L4.7 -3.5H-4.7Z",
        "M-1.4 -5H1.4V-1.4H5V1.4H1.4V5H-1.4V1.4H-5V-1.4H-1.4Z",
        "M-2 -5.4H2V5.4H-2Z",
    ]

    /// The marks as symbols for `<use>`, once per page.
    static var symbols: Markup {
        let paths: [Markup] = marks.enumerated().map { "<path id=\"mark-\($0.offset)\" d=\"\($0.element)\"/>\n" }
        return "<svg width=\"0\" height=\"0\" class=\"symbols\" aria-hidden=\"true\"><defs>\n\(paths)</defs></svg>\n"
    }

    /// The colours as CSS properties.
    static func properties(_ colours: [String]) -> String {
        colours.enumerated().map { "--c\($0.offset):\($0.element);" }.joined()
    }

    static var classes: String {
        (0..<size).map { ".c\($0){--series:var(--c\($0))}" }.joined(separator: "\n")
    }
}
