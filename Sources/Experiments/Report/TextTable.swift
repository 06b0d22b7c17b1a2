/// A table as lines of text, for the terminal.
package enum TextTable {
    /// The headings, a rule and the rows: columns two blanks apart, the first flush left and the others flush right.
    package static func lines(_ headings: [String], _ rows: [[String]]) -> [String] {
        let cells = [headings] + rows
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
