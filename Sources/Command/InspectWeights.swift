import ArgumentParser
import Foundation
import Training
import WeightFiles
import WeightNorm

/// `weightnorm weights inspect`.
struct InspectWeights: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "List the weights in a file – layout, shape and norms – and then its other tensors.",
        discussion: """
            Norms are given as smallest – largest over the output units. dim is the axis of the output units according to g, or "whole" if there is a single g. \
            For a plain weight, ‖w‖ is taken along axis 0.
            """)

    @Argument(help: ArgumentHelp("A safetensors file; or, of a model in shards, its index or folder.", valueName: "file"))
    var file: String
    @Flag(help: "Print JSON instead of a table.")
    var json = false

    func run() throws {
        let weights = try WeightFile(opening: file)
        let rows = try weights.weights.map { Row($0, try weights.norms(of: $0)) }
        let others = weights.others.compactMap { name in
            weights.file.entry(name).map { Other(name: name, dtype: $0.typeName, shape: $0.shape) }
        }
        let ties = Dictionary(weights.ties.map { ($0.name, $0.source) }) { first, _ in first }
        if json {
            let listing = Listing(
                file: file, metadata: weights.file.metadata, weights: rows, others: others, ties: ties,
                defects: weights.defects.map(\.description))
            try printJSON(listing)
        } else {
            printTable(rows, others, ties)
        }
        try weights.requireWhole()
    }

    private func printTable(_ rows: [Row], _ others: [Other], _ ties: [String: String]) {
        print("\(file): \(rows.count) weights, \(others.count) other tensors")
        var lines = rows.isEmpty ? [] : [["weight", "layout", "dim", "type", "shape", "‖v‖", "g", "‖w‖"]]
        lines += rows.map {
            [Self.plain($0.name), $0.layout, $0.dim ?? "", $0.dtype, "\($0.shape)", Self.text($0.v), Self.text($0.g), Self.text($0.w)]
        }
        Self.printColumns(lines)
        lines = others.isEmpty ? [] : [["other tensor", "type", "shape"]]
        lines += others.map { [Self.plain($0.name), Self.plain($0.dtype), "\($0.shape)"] }
        Self.printColumns(lines)
        for (name, source) in ties.sorted(by: { $0.key < $1.key }) {
            print("\(Self.plain(name)) is the same tensor as \(Self.plain(source)), says the file's metadata")
        }
        for row in rows where row.notFinite > 0 { print("\(Self.plain(row.name)): \(row.notFinite) elements are NaN or infinite") }
    }

    /// Prints columns, two spaces apart, below a line of headings.
    private static func printColumns(_ lines: [[String]]) {
        guard let first = lines.first else { return }
        let widths = first.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        for line in lines {
            let cells = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            var text = cells.joined(separator: "  ")
            while text.last == " " { text.removeLast() }
            print("  " + text)
        }
    }

    /// A name from a file, made safe for a terminal.
    private static func plain(_ name: String) -> String { String(Safetensors.quoted(name, atMost: 100).dropFirst().dropLast()) }

    private static func text(_ range: [Double]?) -> String {
        guard let range else { return "" }
        let texts = range.map { String(format: "%.4g", $0) }
        return texts[0] == texts[1] ? texts[0] : "\(texts[0]) – \(texts[1])"
    }

    private struct Row: Encodable {
        let name: String
        let layout: String
        let dim: String?
        let dtype: String
        let shape: [Int]
        let tensors: [String]
        let v: [Double]?
        let g: [Double]?
        let w: [Double]?
        let notFinite: Int

        init(_ weight: WeightFile.FoundWeight, _ norms: WeightFile.Norms) {
            func range(_ range: WeightFile.Range?) -> [Double]? { range.map { [$0.smallest, $0.largest] } }
            name = weight.stored.name
            layout = weight.stored.layout.rawValue
            dim = weight.units.map { units in
                if units == .whole { return "whole" }
                let axes = units.axes.map(String.init).joined(separator: ",")
                return units.blocks > 1 ? "\(axes) in \(units.blocks) blocks" : axes
            }
            dtype = weight.typeName
            shape = weight.shape
            tensors = weight.stored.tensors
            (v, g, w) = (range(norms.direction), range(norms.gain), range(norms.weight))
            notFinite = norms.notFinite
        }
    }

    private struct Other: Encodable {
        let name: String
        let dtype: String
        let shape: [Int]
    }

    private struct Listing: Encodable {
        let file: String
        let metadata: [String: String]
        let weights: [Row]
        let others: [Other]
        let ties: [String: String]
        let defects: [String]
    }
}
