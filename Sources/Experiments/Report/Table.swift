/// A table of results; its first column names the rows.
package struct Table: Sendable {
    package enum Best: Sendable {
        case lowest
        case highest
    }

    package struct Column: Sendable {
        package var title: String
        package var isNumeric: Bool
        /// Which value of the column is set in bold; values that are written alike share it.
        package var best: Best?

        package init(_ title: String, isNumeric: Bool = true, best: Best? = nil) {
            self.title = title
            self.isNumeric = isNumeric
            self.best = best
        }
    }

    package struct Cell: Sendable, Equatable, ExpressibleByStringLiteral {
        var text: String
        /// What the cell counts as in the choice of the best.
        var value: Double?
        /// The footnote that its mark points to, from 1.
        var footnote: Int?
        var isMissing = false

        /// A cell of text; it never counts as the best.
        package static func text(_ text: String) -> Cell {
            Cell(text: text)
        }

        /// A number with fixed decimals; one that is not finite is written out and never counts as the best.
        package static func number(_ value: Double, decimals: Int, suffix: String = "") -> Cell {
            Cell(text: NumberText.fixed(value, decimals: decimals) + suffix, value: value.isFinite ? value : nil)
        }

        /// A mean with its deviation.
        package static func spread(_ mean: Double, _ deviation: Double, decimals: Int) -> Cell {
            guard mean.isFinite else { return .number(mean, decimals: decimals) }
            return Cell(text: NumberText.spread(mean, deviation, decimals: decimals), value: mean)
        }

        /// Nothing was measured.
        package static let missing = Cell(text: "–", isMissing: true)

        package init(stringLiteral value: String) {
            text = value
        }

        private init(text: String, value: Double? = nil, isMissing: Bool = false) {
            self.text = text
            self.value = value
            self.isMissing = isMissing
        }

        /// The cell with a mark that points to a footnote, counted from 1.
        package func noted(_ footnote: Int) -> Cell {
            var cell = self
            cell.footnote = footnote
            return cell
        }
    }

    package let caption: String
    package let columns: [Column]
    package let rows: [[Cell]]
    package let footnotes: [Prose]

    /// - Precondition: every row has a cell for each column.
    package init(_ caption: String, columns: [Column], rows: [[Cell]], footnotes: [Prose] = []) {
        for (index, row) in rows.enumerated() {
            precondition(row.count == columns.count, "Table: \(columns.count) columns, but row \(index) has \(row.count) cells")
        }
        self.caption = caption
        self.columns = columns
        self.rows = rows
        self.footnotes = footnotes
    }
}

extension Table {
    /// The text that is set in bold, for every column.
    private var bestTexts: [String?] {
        columns.indices.map { index in
            let cells = rows.map { $0[index] }.filter { $0.value != nil }
            // One value alone is not the best of anything.
            guard let best = columns[index].best, cells.count > 1 else { return nil }
            let ordered = cells.sorted { ($0.value ?? 0) < ($1.value ?? 0) }
            let winner = (best == .lowest ? ordered.first : ordered.last)?.text
            return cells.allSatisfy { $0.text == winner } ? nil : winner
        }
    }

    package func markup(id: String) -> Markup {
        let best = bestTexts
        let header: [Markup] = columns.map { "<th scope=\"col\"\(alignment($0))>\($0.title)</th>\n" }
        let body: [Markup] = rows.map { row in
            let cells: [Markup] = zip(row, columns).enumerated().map { index, pair in
                let (cell, column) = pair
                let mark: Markup = cell.footnote.map { "<sup>\(Table.letter($0))</sup>" } ?? ""
                let text: Markup = cell.isMissing ? "<span class=\"missing\">\(cell.text)</span>" : "\(cell.text)"
                if index == 0 { return "<th scope=\"row\"\(alignment(column))>\(text)\(mark)</th>" }
                let isBest = cell.value != nil && cell.text == best[index]
                let shown: Markup = isBest ? "<strong>\(text)</strong>" : text
                return "<td\(alignment(column))>\(shown)\(mark)</td>"
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

    private func alignment(_ column: Column) -> Markup {
        column.isNumeric ? " class=\"numeric\"" : ""
    }

    /// Letters, because a raised digit beside a number reads as a power.
    static func letter(_ number: Int) -> String {
        (1...26).contains(number) ? String(UnicodeScalar(UInt8(96 + number))) : "(\(number))"
    }
}
