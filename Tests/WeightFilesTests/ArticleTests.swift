import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

/// A module with one layer at the path `p`.
private final class Holder: Module {
    let p: any Module
    init(_ p: any Module) { self.p = p }
}

/// What *Coming from PyTorch* says, line by line.
struct ArticleTests {
    private static let article: String = {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../Sources/WeightNorm/WeightNorm.docc/ComingFromPyTorch.md")
        return (try? String(contentsOf: url, encoding: .utf8)) ?? ""
    }()

    /// The cells of the table whose first column is called so.
    private static func rows(_ heading: String) -> [[String]] {
        let lines = article.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("| \(heading) |") }) else { return [] }
        return lines[(start + 2)...].prefix { $0.hasPrefix("|") }
            .map { $0.dropFirst(2).dropLast(2).split(separator: " | ", omittingEmptySubsequences: false).map(String.init) }
    }

    private static func code(_ cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    /// What stands in the first column, made, with the layout in which it is written.
    private static var layers: [String: (StateLayout, (Generator) -> any Module)] {
        func plain(_ make: @escaping (Generator) -> any Module) -> (StateLayout, (Generator) -> any Module) { (.plain, make) }
        func normalized(_ normalizer: any Normalizer) -> (StateLayout, (Generator) -> any Module) {
            plain { random in
                let map = DenseMap(inputs: 3, outputs: 2)
                return Dense(map: map, weight: .normalized(.normal([2, 3], from: random)), bias: nil, normalizer: normalizer)
            }
        }
        return [
            "`Dense(3, to: 2)`": plain { Dense(3, to: 2, random: $0) },
            "`Convolution(3, to: 2, kernel: [5])`": plain { Convolution(3, to: 2, kernel: [5], random: $0) },
            "`Convolution(3, to: 2, kernel: 5)`": plain { Convolution(3, to: 2, kernel: 5, random: $0) },
            "`TransposedConvolution(3, to: 2, kernel: [5])`": plain { TransposedConvolution(3, to: 2, kernel: [5], random: $0) },
            "any of them in the older layout": (.weightNorm, { Convolution(3, to: 2, kernel: [5], random: $0) }),
            "any of them in the newer layout": (.parametrizations, { Convolution(3, to: 2, kernel: [5], random: $0) }),
            "`BatchNorm` as a layer's `normalizer`": normalized(BatchNorm(features: 2, axis: -1)),
            "`MeanOnlyBatchNorm` as a layer's `normalizer`": normalized(MeanOnlyBatchNorm(features: 2, axis: -1)),
            "`LayerNorm(3)`": plain { _ in LayerNorm(3) }, "`RMSNorm(3)`": plain { _ in RMSNorm(3) },
            "`GroupNorm(4, groups: 2)`": plain { _ in GroupNorm(4, groups: 2) },
            "`InstanceNorm(4, affine: true)`": plain { _ in InstanceNorm(4, affine: true) },
            "`Embedding(5, features: 3)`": plain { Embedding(5, features: 3, random: $0) }, "`Snake(4)`": plain { _ in Snake(4) },
            "`SnakeBeta(4)`": plain { _ in SnakeBeta(4) }, "`LSTM(3, hidden: 2)`": plain { LSTM(3, hidden: 2, random: $0) },
            "`GRU(3, hidden: 2)`": plain { GRU(3, hidden: 2, random: $0) },
            "`StackedGRU(3, hidden: 2, layers: 2)`": plain { StackedGRU(3, hidden: 2, layers: 2, random: $0) },
            "`StackedLSTM(3, hidden: 2, layers: 1, isBidirectional: true)`": plain {
                StackedLSTM(3, hidden: 2, layers: 1, isBidirectional: true, random: $0)
            },
            "an `LSTM` with `peepholes` and `trainableStart`": plain {
                LSTM(3, hidden: 2, peepholes: true, trainableStart: true, random: $0)
            },
            "`MultiHeadAttention(4, heads: 2)`": plain { MultiHeadAttention(4, heads: 2, random: $0) },
            "`Sequential(Dense(3, to: 2), Activation.relu, Dense(2, to: 1))`": plain {
                Sequential(Dense(3, to: 2, random: $0), Activation.relu, Dense(2, to: 1, random: $0))
            },
        ]
    }

    @Test("every layer in the table of names is written with the names that the table has", arguments: rows("here"))
    func names(row: [String]) throws {
        let (layout, make) = try #require(Self.layers[row[0]], "a layer for '\(row[0])'")
        let holder = Holder(make(Generator(seed: 1)))
        try withFile { path in
            try holder.write(to: path, layout: layout)
            let file = try SafetensorsFile(opening: path)
            #expect(Set(file.names) == Set(Self.code(row[2])))
            try Holder(make(Generator(seed: 2))).load(from: path)
        }
    }

    @Test("every layer here is in the table")
    func allRows() { #expect(Set(Self.rows("here").map { $0[0] }) == Set(Self.layers.keys) && Self.rows("there").count > 10) }

    @Test("the example of renaming does what it says, and stands in the article")
    func renaming() throws {
        final class Network: Module {
            let layers: [Dense]
            let memory: LSTM
            init(_ random: Generator) {
                let map = DenseMap(inputs: 2, outputs: 2)
                layers = [
                    Dense(
                        map: map, weight: .normalized(.normal([2, 2], from: random)), bias: nil,
                        normalizer: BatchNorm(features: 2, axis: -1))
                ]
                memory = LSTM(2, hidden: 3, random: random)
            }
        }
        let renaming: Renaming = [
            "layers.0": "conv1", "layers.0.normalizer": "bn1",
            "memory.weight_ih_l0": "rnn.weight_ih_l1", "memory.weight_hh_l0": "rnn.weight_hh_l1",
            "memory.bias_ih_l0": "rnn.bias_ih_l1", "memory.bias_hh_l0": "rnn.bias_hh_l1",
        ]
        let pairs = [
            "\"layers.0\": \"conv1\", \"layers.0.normalizer\": \"bn1\",",
            "\"memory.weight_ih_l0\": \"rnn.weight_ih_l1\", \"memory.weight_hh_l0\": \"rnn.weight_hh_l1\",",
            "\"memory.bias_ih_l0\": \"rnn.bias_ih_l1\", \"memory.bias_hh_l0\": \"rnn.bias_hh_l1\",",
        ]
        for pair in pairs { #expect(Self.article.contains(pair)) }
        try withFile { path in
            let network = Network(Generator(seed: 1))
            try network.write(to: path, layout: .parametrizations, renaming: renaming)
            let names = try SafetensorsFile(opening: path).names
            let expected =
                ["conv1.parametrizations.weight.original0", "conv1.parametrizations.weight.original1"]
                + ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map { "bn1.\($0)" }
                + ["weight_ih_l1", "weight_hh_l1"].flatMap { name in [0, 1].map { "rnn.parametrizations.\(name).original\($0)" } }
                + ["rnn.bias_ih_l1", "rnn.bias_hh_l1"]
            #expect(Set(names) == Set(expected))
            try Network(Generator(seed: 2)).load(from: path, renaming: renaming)
        }
    }

    private func withFile(_ body: (String) throws -> Void) throws {
        try withFolder { try body("\($0)/model.safetensors") }
    }
}
