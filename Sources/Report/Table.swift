/// A table of results, for a page and for the terminal; its first column names the rows.
///
/// Each column is declared once, with what it shows for a row:
///
/// ```swift
/// let table = Table(
///     "Results", of: runs,
///     columns: [
///         .init("Norm", terminal: "norm", isNumeric: false) { .text($0.norm) },
///         .init("Test error", terminal: "error", best: .lowest) { .over($0.errors, decimals: 2, unit: " %") },
///     ])
/// print(table.lines.joined(separator: "\n"))
/// ```
public struct Table: Sendable {
    /// Which value of a column is the best.
    public enum Best: Sendable {
        /// The smallest, as for errors.
        case lowest
        /// The largest, as for scores.
        case highest
    }

    /// The heading of a column, and how the column is set.
    public struct Heading: Sendable {
        /// The text on a page.
        public var title: String
        /// The text in the terminal, where space is limited.
        public var terminal: String
        /// Whether a page sets the column flush right.
        public var isNumeric: Bool
        /// Which value of the column a page sets in bold; values that look the same are all bold.
        public var best: Best?

        /// A heading; by default it is the same in the terminal.
        public init(_ title: String, terminal: String? = nil, isNumeric: Bool = true, best: Best? = nil) {
            self.title = title
            self.terminal = terminal ?? title
            self.isNumeric = isNumeric
            self.best = best
        }
    }

    /// A column of a table with rows of some type: its heading, and what it shows for a row.
    public struct Column<Row> {
        /// Its heading.
        public var heading: Heading
        /// What it shows for a row.
        public var cell: (Row) -> Cell

        /// A column; by default its heading is the same in the terminal.
        public init(_ title: String, terminal: String? = nil, isNumeric: Bool = true, best: Best? = nil, cell: @escaping (Row) -> Cell) {
            heading = Heading(title, terminal: terminal, isNumeric: isNumeric, best: best)
            self.cell = cell
        }
    }

    /// The content of a row in one column.
    public struct Cell: Sendable, Equatable, ExpressibleByStringLiteral {
        var text: String
        /// The terminal's text, if it differs from a page's.
        var terminal: String?
        /// The cell's value when the best is chosen.
        var value: Double?
        /// The footnote that its mark refers to, from 1.
        var footnote: Int?
        var isMissing = false
        /// What a page draws in place of the text.
        var drawing: Interval?

        /// A cell of text; it never counts as the best.
        public static func text(_ text: String) -> Cell {
            Cell(text: text)
        }

        /// A number with fixed decimals; one that is not finite is written out and never counts as the best.
        public static func number(_ value: Double, decimals: Int, suffix: String = "") -> Cell {
            Cell(text: NumberText.fixed(value, decimals: decimals) + suffix, value: value.isFinite ? value : nil)
        }

        /// A mean with its deviation.
        public static func spread(_ mean: Double, _ deviation: Double, decimals: Int) -> Cell {
            guard mean.isFinite else { return .number(mean, decimals: decimals) }
            return Cell(text: NumberText.spread(mean, deviation, decimals: decimals), value: mean)
        }

        /// Values of several runs: the mean with the standard deviation, a single value as it is, or missing if there are none.
        ///
        /// - Parameters:
        ///   - values: one per run.
        ///   - scale: a factor, such as 100 for percent.
        ///   - decimals: the number of decimals.
        ///   - unit: written after a single value, and in the terminal after a spread; on a page the surrounding text says it.
        public static func over(_ values: [Double], scale: Double = 1, decimals: Int, unit: String = "") -> Cell {
            guard let first = values.first else { return .missing }
            guard values.count > 1 else { return .number(first * scale, decimals: decimals, suffix: unit) }
            let (mean, deviation) = (Statistics.mean(values) * scale, Statistics.standardDeviation(values) * scale)
            return .spread(mean, deviation, decimals: decimals)
                .inTerminal(NumberText.spread(mean, deviation, decimals: decimals) + unit)
        }

        /// Nothing was measured.
        public static let missing = Cell(text: "–", isMissing: true)

        /// A text cell, as ``text(_:)``.
        public init(stringLiteral value: String) {
            text = value
        }

        private init(text: String, value: Double? = nil, isMissing: Bool = false) {
            self.text = text
            self.value = value
            self.isMissing = isMissing
        }

        /// The cell with a mark that refers to a footnote, counted from 1; the terminal has no footnotes.
        public func noted(_ footnote: Int) -> Cell {
            var cell = self
            cell.footnote = footnote
            return cell
        }

        /// The cell with different text in the terminal.
        public func inTerminal(_ text: String) -> Cell {
            var cell = self
            cell.terminal = text
            return cell
        }
    }

    /// The text above a table on a page; the terminal omits it.
    public let caption: String
    /// The headings of the columns.
    public let headings: [Heading]
    /// A cell for each heading in every row.
    public let rows: [[Cell]]
    /// The footnotes that cells refer to, and other notes below a table on a page.
    public let footnotes: [Prose]

    /// A table of existing cells. Traps unless every row has a cell for each heading.
    public init(_ caption: String, headings: [Heading], rows: [[Cell]], footnotes: [Prose] = []) {
        for (index, row) in rows.enumerated() where row.count != headings.count {
            fatalError("Table: \(headings.count) columns, but row \(index) has \(row.count) cells")
        }
        self.caption = caption
        self.headings = headings
        self.rows = rows
        self.footnotes = footnotes
    }

    /// A table with one row per element and the given columns; for the terminal it needs no caption.
    public init<Row>(_ caption: String = "", of rows: [Row], columns: [Column<Row>], footnotes: [Prose] = []) {
        self.init(
            caption, headings: columns.map(\.heading), rows: rows.map { row in columns.map { $0.cell(row) } }, footnotes: footnotes)
    }
}

extension Table {
    /// The text that is set in bold, for every column.
    private var bestTexts: [String?] {
        headings.indices.map { index in
            let cells = rows.map { $0[index] }.filter { $0.value != nil }
            // A single value is not the best of anything.
            guard let best = headings[index].best, cells.count > 1 else { return nil }
            let ordered = cells.sorted { ($0.value ?? 0) < ($1.value ?? 0) }
            let winner = (best == .lowest ? ordered.first : ordered.last)?.text
            return cells.allSatisfy { $0.text == winner } ? nil : winner
        }
    }

    package func markup(id: String) -> Markup {
        let best = bestTexts
        let header: [Markup] = headings.map { "<th scope=\"col\"\(alignment($0))>\($0.title)</th>\n" }
        let body: [Markup] = rows.map { row in
            let cells: [Markup] = zip(row, headings).enumerated().map { index, pair in
                let (cell, heading) = pair
                let mark: Markup = cell.footnote.map { "<sup>\(Table.letter($0))</sup>" } ?? ""
                let text: Markup =
                    cell.drawing.map(\.markup) ?? (cell.isMissing ? "<span class=\"missing\">\(cell.text)</span>" : "\(cell.text)")
                if index == 0 { return "<th scope=\"row\"\(alignment(heading))>\(text)\(mark)</th>" }
                let isBest = cell.value != nil && cell.text == best[index]
                let shown: Markup = isBest ? "<strong>\(text)</strong>" : text
                return "<td\(alignment(heading))>\(shown)\(mark)</td>"
            }
            return "<tr>\(cells)</tr>\n"
        }
        var notes: [Markup] = footnotes.enumerated().map { "<li><sup>\(Table.letter($0.offset + 1))</sup> \($0.element.markup)</li>\n" }
        if best.contains(where: { $0 != nil }) { notes.insert("<li><strong>Bold</strong>: best of the column.</li>\n", at: 0) }
        let list: Markup = notes.isEmpty ? "" : "<ul class=\"footnotes\">\n\(notes)</ul>\n"
        // The box can be scrolled with the keyboard, so it needs focus and a name.
        return """
            <figure class="table" id="\(id)">
            <div class="scroll" tabindex="0" role="region" aria-labelledby="\(id)-caption">
            <table>
            <caption id="\(id)-caption">\(caption)</caption>
            <thead><tr>
            \(header)</tr></thead>
            <tbody>
            \(body)</tbody>
            </table>
            </div>
            \(list)</figure>

            """
    }

    private func alignment(_ heading: Heading) -> Markup {
        heading.isNumeric ? " class=\"numeric\"" : ""
    }

    /// Letters, because a superscript digit after a number looks like an exponent.
    static func letter(_ number: Int) -> String {
        (1...26).contains(number) ? String(UnicodeScalar(UInt8(96 + number))) : "(\(number))"
    }
}
