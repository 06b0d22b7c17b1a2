import ArgumentParser
import Foundation
import WeightFiles
import WeightNorm

/// `weightnorm weights`: which weights a safetensors file holds, and how.
struct Weights: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Inspect, fold, unfold and convert the weights in a safetensors file.",
        discussion: """
            Weights are recognised by the names of their tensors: weight_g and weight_v (torch.nn.utils.weight_norm), parametrizations.weight.original0 and \
            original1 (torch.nn.utils.parametrizations.weight_norm), weight.gain and weight.direction (this library), and plain ones: weight, \
            weight_ih_l0 and the like. Everything else in a file stays as it is. PyTorch's .pt files are pickles, which can run code when they \
            are read; convert them in Python: safetensors.torch.save_file(model.state_dict(), "model.safetensors").
            """,
        subcommands: [InspectWeights.self, FoldWeights.self, UnfoldWeights.self, ConvertWeights.self])
}

/// Where a command writes.
struct WeightsOutput: ParsableArguments {
    @Option(help: ArgumentHelp("The file to write; with --shard-size a folder.", valueName: "file"))
    var out: String

    @Option(
        help: ArgumentHelp(
            "Write shards of at most so many bytes of tensors, such as 5GB or 500MB, and their index.", valueName: "size"),
        transform: byteCount)
    var shardSize: Int?

    @Flag(help: "Replace the file if it exists. It may be the one that is read.")
    var force = false

    /// A number of bytes: alone, or with KB, MB or GB, powers of 1000.
    @Sendable static func byteCount(_ text: String) throws -> Int {
        let units = ["KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000]
        let unit = units.first { text.uppercased().hasSuffix($0.key) }
        let number = Double(text.dropLast(unit == nil ? 0 : 2))
        guard let number, number.isFinite, number * Double(unit?.value ?? 1) >= 1, number * Double(unit?.value ?? 1) < 0x1p62 else {
            throw ValidationError("--shard-size: expected a number of bytes from 1 up, such as 5GB, 500MB or 1000000, found '\(text)'")
        }
        return Int(number * Double(unit?.value ?? 1))
    }

    /// Throws if the file exists and must not be replaced.
    func check() throws {
        // A broken link exists too.
        let isThere = (try? FileManager.default.attributesOfItem(atPath: out)) != nil
        guard force || !isThere else {
            throw ValidationError("--out: expected a new file, found \(out) already there; --force replaces it")
        }
    }

    func report(_ outcome: WeightFile.Outcome, _ what: String) {
        print("\(out): \(outcome.changed.count) weights \(what), \(outcome.kept.count) as they were")
        guard !outcome.computed.isEmpty else { return }
        print(
            "With other v and g that stand for the same weight, since PyTorch has no such form: \(MessageList.joined(outcome.computed))"
        )
    }
}

struct FoldWeights: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fold", abstract: "Replace every v and g with the plain weight w = g·v/‖v‖.",
        discussion: "Load the result into a model without weight normalization. `unfold` goes the other way.")

    @Argument(help: ArgumentHelp("A safetensors file; or, of a model in shards, its index or folder.", valueName: "file"))
    var file: String
    @OptionGroup var output: WeightsOutput

    func run() throws {
        let weights = try WeightFile(opening: file)
        try output.check()
        output.report(try weights.convert(to: .plain, path: output.out, shardSize: output.shardSize), "folded")
    }
}

struct ConvertWeights: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Rename v and g to the names of another layout.",
        discussion: """
            Between weight-norm and parametrizations not a byte of any tensor changes, and converting back gives the same file. Plain weights stay plain: \
            use `unfold` to normalize them.
            """)

    @Argument(help: ArgumentHelp("A safetensors file; or, of a model in shards, its index or folder.", valueName: "file"))
    var file: String
    @Option(
        help: ArgumentHelp("The layout: \(layouts(StateLayout.allCases)).", valueName: "layout"),
        transform: { try choice($0, option: "to", outOf: StateLayout.allCases) })
    var to: StateLayout
    @OptionGroup var output: WeightsOutput

    func run() throws {
        let weights = try WeightFile(opening: file)
        try output.check()
        output.report(try weights.convert(to: to, path: output.out, shardSize: output.shardSize), "converted to \(to.rawValue)")
    }
}

struct UnfoldWeights: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unfold", abstract: "Replace plain weights with v = w and g = ‖w‖.",
        discussion: """
            Applies to tensors of at least 2 dimensions named weight, weight_ih_l0, weight_hh_l0 and so on. Embeddings are named weight too: \
            exclude them with --except. A unit whose weights are all 0 gets a v of ones and g = 0, since PyTorch divides by ‖v‖. `fold` goes the other \
            way. To get back what was folded, with a dim for each weight, name the file from before with --like.
            """)

    @Argument(help: ArgumentHelp("A safetensors file; or, of a model in shards, its index or folder.", valueName: "file"))
    var file: String
    @Option(
        help: ArgumentHelp("The names for v and g: \(layouts(normalizedLayouts)). (default: parametrizations)", valueName: "layout"),
        transform: { try choice($0, option: "layout", outOf: normalizedLayouts) })
    var layout: StateLayout?
    @Option(
        help: ArgumentHelp(
            """
            The axis along which each index has its own norm, PyTorch's dim: 0, 1, 2 … or none; several, such as 0,2, for --layout native. It is 0 in PyTorch unless \
            told otherwise, also for a transposed convolution, whose outputs lie along 1. Tensors without that axis stay plain. (default: 0)
            """,
            valueName: "axis"), transform: units)
    var dim: OutputUnits?
    @Option(
        help: ArgumentHelp(
            "A safetensors file with v and g: what is normalized there is normalized here, with the same names and dim. Excludes --layout and --dim.",
            valueName: "file"))
    var like: String?
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("Only tensors whose name matches, with * and ? as in a shell; may be repeated.", valueName: "pattern"))
    var match: [String] = []
    @Option(parsing: .singleValue, help: ArgumentHelp("Skip tensors whose name matches; may be repeated.", valueName: "pattern"))
    var except: [String] = []
    @OptionGroup var output: WeightsOutput

    @Sendable private static func units(_ text: String) throws -> OutputUnits {
        if text == "none" { return .whole }
        let axes = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard !axes.isEmpty, axes.allSatisfy({ (0..<64).contains($0 ?? -1) }), Set(axes).count == axes.count else {
            throw ValidationError("--dim: expected an axis from 0 up, several such as 0,2, or none, found '\(text)'")
        }
        return .axes(axes.compactMap(\.self))
    }

    func run() throws {
        let weights = try WeightFile(opening: file)
        try output.check()
        func isOne(_ name: String, of patterns: [String]) -> Bool { patterns.contains { fnmatch($0, name, 0) == 0 } }
        func isChosen(_ name: String, else byName: Bool) -> Bool {
            (match.isEmpty ? byName : isOne(name, of: match)) && !isOne(name, of: except)
        }
        guard let like else {
            let outcome = try weights.unfold(
                to: layout ?? .parametrizations, units: dim ?? .axis(0), path: output.out, shardSize: output.shardSize
            ) { name in
                isChosen(name, else: WeightFile.isWeight(name))
            }
            return output.report(outcome, "unfolded")
        }
        guard layout == nil, dim == nil else {
            throw ValidationError(
                "--like: expected it without --layout and --dim, which follow from that file, found \(dim == nil ? "--layout" : "--dim")")
        }
        let outcome = try weights.unfold(like: WeightFile(opening: like), path: output.out, shardSize: output.shardSize) {
            isChosen($0, else: true)
        }
        output.report(outcome, "unfolded")
    }
}

private let normalizedLayouts = StateLayout.allCases.filter { $0 != .plain }

private func layouts(_ list: [StateLayout]) -> String { list.map(\.rawValue).joined(separator: ", ") }
