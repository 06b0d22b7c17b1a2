extension Table {
    /// The table as lines of text, for the terminal: the headings, a rule and the rows; columns are two spaces apart, the first flush left and the
    /// others flush right.
    public var lines: [String] {
        let cells = [headings.map(\.terminal)] + rows.map { row in row.map { $0.terminal ?? $0.text } }
        let widths = headings.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = cells.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }.joined(separator: "  ")
        }
        lines.insert(String(repeating: "-", count: lines[0].count), at: 1)
        return lines
    }
}
