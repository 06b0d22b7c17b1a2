import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

private func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name).safetensors").path
}

private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

private func tensors(_ path: String) throws -> [String: Tensor] {
    let file = try SafetensorsFile(opening: path)
    return Dictionary(uniqueKeysWithValues: try file.names.map { ($0, try file.tensor($0)) })
}

private func withPaths(_ body: (String, String, String) throws -> Void) throws {
    try withInterchangeFolder { folder in
        let paths = ["a", "b", "c"].map { folder.appendingPathComponent("\($0).safetensors").path }
        try body(paths[0], paths[1], paths[2])
    }
}

@Suite struct WeightFileTests {
    @Test("a file that PyTorch wrote, converted to the other layout and back, is the same file", arguments: ["float32", "float64"])
    func thereAndBack(type: String) throws {
        try withPaths { there, back, native in
            for (layout, other) in [(StateLayout.weightNorm, StateLayout.parametrizations), (.parametrizations, .weightNorm)] {
                let path = fixture("\(layout.rawValue)-\(type)")
                let outcome = try WeightFile(opening: path).convert(to: other, path: there)
                #expect(outcome.changed.count == 13 && outcome.kept.isEmpty && outcome.computed.isEmpty)
                #expect(try bytes(there) != bytes(path))
                _ = try WeightFile(opening: there).convert(to: layout, path: back)
                #expect(try bytes(back) == bytes(path))
                _ = try WeightFile(opening: path).convert(to: .native, path: native)
                _ = try WeightFile(opening: native).convert(to: layout, path: back)
                #expect(try bytes(back) == bytes(path))
                // The same module.
                let (one, two) = (InterchangeNetwork(.weight, type: .float64), InterchangeNetwork(.weight, type: .float64, seed: 2))
                try one.load(from: path, convertingTypes: true)
                try two.load(from: there, convertingTypes: true)
                for (left, right) in zip(one.parameters, two.parameters) { #expect(relativeDifference(left.value, right.value) == 0) }
            }
        }
    }

    @Test(
        "folding is what the module folds to, and unfolding its inverse (pytorch #125064, peft #3531)",
        arguments: ["weight-norm", "parametrizations", "mixed"])
    func foldAndUnfold(layout: String) throws {
        try withPaths { folded, unfolded, again in
            let path = fixture("\(layout)-float32")
            let outcome = try WeightFile(opening: path).convert(to: .plain, path: folded)
            #expect(outcome.changed.count + outcome.kept.count == 13)
            let network = InterchangeNetwork(.weight, type: .float32)
            try network.load(from: path, forms: .adopt)
            network.foldWeights()
            let copy = InterchangeNetwork(.plain, type: .float32)
            let report = try copy.load(from: folded)
            #expect(report.weights.allSatisfy { $0.layout == .plain && $0.isExact })
            for (left, right) in zip(network.namedWeights, copy.namedWeights) {
                #expect(relativeDifference(left.value.value, right.value.value) == 0, "bit for bit")
            }
            for units in [OutputUnits.axis(0), .axis(1), .whole] {
                for layout in [StateLayout.weightNorm, .parametrizations, .native] {
                    let outcome = try WeightFile(opening: folded).unfold(to: layout, units: units, path: unfolded) {
                        WeightFile.isWeight($0)
                    }
                    #expect(outcome.changed.count == 13)
                    let weights = try WeightFile(opening: unfolded)
                    #expect(weights.weights.allSatisfy { $0.stored.layout == layout && $0.units == units })
                    _ = try weights.convert(to: .plain, path: again)
                    let (before, after) = (try tensors(folded), try tensors(again))
                    #expect(before.keys == after.keys)
                    for (name, value) in before { #expect(relativeDifference(after[name] ?? value + 1, value) < 1e-6, "\(name)") }
                }
            }
        }
    }

    @Test(
        "the file of a module in the native layout converts as the module is written",
        arguments: Normalization.allCases.filter { !$0.rawValue.contains("batch") })
    func native(normalization: Normalization) throws {
        try withPaths { native, converted, written in
            let network = InterchangeNetwork(normalization, type: .float32)
            network.move(3)
            try network.write(to: native)
            for layout in [StateLayout.plain, .weightNorm, .parametrizations] {
                let outcome = try WeightFile(opening: native).convert(to: layout, path: converted)
                let isGrouped =
                    layout == .plain || normalization == .plain || normalization == .fixedGain ? [] : ["up1.weight", "up2.weight"]
                if normalization != .logWeight { #expect(outcome.computed == isGrouped) }
                try network.write(to: written, layout: layout)
                let (one, two) = (try tensors(converted), try tensors(written))
                // The tensors of PyTorch's own names differ: the command knows no layers.
                let common = Set(one.keys).intersection(two.keys)
                #expect(common.count >= 16)
                for name in common { #expect(relativeDifference(one[name]!, two[name]!) == 0, "\(name)") }
            }
        }
    }

    @Test("zeros, empty tensors, types without a place here and other people's suffixes")
    func odd() throws {
        try withPaths { path, unfolded, folded in
            try Safetensors.write(
                [
                    ("weight", Tensor([0, 0, 3, 4] as [Float], shape: [2, 2])), ("empty.weight", .zeros([0, 3])),
                    ("thin.weight", .zeros([3, 0])),
                    ("half.weight", Tensor([300, 400] as [Float], shape: [1, 2]).converted(to: .float16)),
                    ("index.weight", .zeros([2, 2], type: .int64)), ("layer_norm.weight", .ones([2])),
                    ("energy_g", .ones([1])), ("energy_v", .ones([5, 4])), ("momentum_v", .ones([2])), ("norm.gain", .ones([2])),
                    ("quantized.scale", .ones([2, 1])),
                ], to: path)
            let file = try WeightFile(opening: path)
            #expect(
                file.defects.isEmpty && Set(file.weights.map(\.stored.name)) == ["weight", "empty.weight", "thin.weight", "half.weight"])
            for weight in file.weights { _ = try file.norms(of: weight) }
            let outcome = try file.unfold(to: .weightNorm, units: .axis(0), path: unfolded) { WeightFile.isWeight($0) }
            #expect(outcome.changed.count == 4)
            let values = try tensors(unfolded)
            #expect(
                values["weight_v"]?.elements(as: Float.self) == [1, 1, 3, 4] && values["weight_g"]?.elements(as: Float.self) == [0, 5])
            #expect(values["half.weight_g"]?.type == .float16 && values["half.weight_g"]?.elements(as: Float.self) == [500])
            for weight in try WeightFile(opening: unfolded).weights { _ = try WeightFile(opening: unfolded).norms(of: weight) }
            _ = try WeightFile(opening: unfolded).convert(to: .plain, path: folded)
            #expect(try tensors(folded)["weight"]?.elements(as: Float.self) == [0, 0, 3, 4])
            #expect(try tensors(folded).keys == tensors(path).keys)

            // ‖w‖ of numbers that float16 holds can be one that it does not.
            try Safetensors.write([("weight", .full([1, 4], 60000, type: .float16))], to: path)
            #expect(throws: SafetensorsError.self) {
                try WeightFile(opening: path).unfold(to: .weightNorm, units: .axis(0), path: "\(path).new") { _ in true }
            }
            #expect(!FileManager.default.fileExists(atPath: "\(path).new"))
        }
    }

    @Test("duplicates that the writer left out stay left out, under their new names")
    func ties() throws {
        try withPaths { path, converted, back in
            let metadata = ["b.weight_g": "a.weight_g", "b.weight_v": "a.weight_v", "b.bias": "a.bias", "note": "a.bias is fine"]
            try Safetensors.write(
                [
                    ("a.weight_g", Tensor([5, 10] as [Float], shape: [2, 1])),
                    ("a.weight_v", Tensor([3, 4, 3, 4] as [Float], shape: [2, 2])), ("a.bias", .ones([2])),
                ],
                metadata: metadata, to: path)
            #expect(try WeightFile(opening: path).ties.map(\.name) == ["b.bias", "b.weight_g", "b.weight_v"])
            _ = try WeightFile(opening: path).convert(to: .parametrizations, path: converted)
            #expect(
                try SafetensorsFile(opening: converted).metadata["b.parametrizations.weight.original0"]
                    == "a.parametrizations.weight.original0")
            _ = try WeightFile(opening: converted).convert(to: .weightNorm, path: back)
            #expect(try bytes(back) == bytes(path))
            _ = try WeightFile(opening: path).convert(to: .plain, path: converted)
            let folded = try SafetensorsFile(opening: converted)
            #expect(folded.metadata == ["b.weight": "a.weight", "b.bias": "a.bias", "note": "a.bias is fine"])
            #expect(try folded.tensor("a.weight").elements(as: Float.self) == [3, 4, 6, 8])
            _ = try WeightFile(opening: converted).unfold(to: .weightNorm, units: .axis(0), path: back) { WeightFile.isWeight($0) }
            #expect(try SafetensorsFile(opening: back).metadata == metadata)
        }
    }

    @Test("unfolding leaves log gains and scaled weights of a native file what they are", arguments: [StateLayout.weightNorm, .native])
    func mixed(layout: StateLayout) throws {
        try withPaths { path, unfolded, folded in
            let log = "weightnorm.factor.log.weight"
            try Safetensors.write(
                [
                    ("log.weight.direction", Tensor([3, 4] as [Float], shape: [1, 2])), ("log.weight.logGain", .full([1, 1], 0.5)),
                    ("scaled.weight", .ones([1, 2])), ("scaled.weight.scale", .full([1, 1], 5)),
                    ("plain.weight", Tensor([3, 4] as [Float], shape: [1, 2])),
                ], metadata: ["weightnorm.layout": "native", log: "3.0"], to: path)
            let outcome = try WeightFile(opening: path).unfold(to: layout, units: .axis(0), path: unfolded) { WeightFile.isWeight($0) }
            #expect(outcome.changed == ["plain.weight"] && outcome.kept == ["log.weight", "scaled.weight"])
            let file = try WeightFile(opening: unfolded)
            #expect(file.file.metadata == ["weightnorm.layout": "native", log: "3.0"])
            #expect(file.weights.map { $0.stored.form.identifier } == ["log-normalized", "scaled", "normalized"])
            _ = try file.convert(to: .plain, path: folded)
            let (once, values) = (try SafetensorsFile(opening: folded), try tensors(folded))
            #expect(once.metadata == ["format": "pt"])
            #expect(relativeDifference(values["log.weight"]!, Tensor([0.6, 0.8] as [Float], shape: [1, 2]) * exp(1.5)) < 1e-6)
            #expect(values["scaled.weight"]?.elements(as: Float.self) == [5, 5])
            #expect(relativeDifference(values["plain.weight"]!, Tensor([3, 4] as [Float], shape: [1, 2])) < 1e-6)
            // Of what changes, nothing is left.
            _ = try WeightFile(opening: path).convert(to: .weightNorm, path: folded)
            #expect(try SafetensorsFile(opening: folded).metadata == ["format": "pt"])
        }
    }

    @Test("a tie goes with a tensor that a pattern has chosen, whatever it is called")
    func tiesOfPatterns() throws {
        try withPaths { path, unfolded, folded in
            let metadata = ["head.table": "embed.table"]
            try Safetensors.write(
                [("embed.table", Tensor([3, 4] as [Float], shape: [1, 2])), ("c.weight", .ones([1, 2]))], metadata: metadata, to: path)
            _ = try WeightFile(opening: path).unfold(to: .weightNorm, units: .axis(0), path: unfolded) { $0 == "embed.table" }
            #expect(
                try SafetensorsFile(opening: unfolded).metadata
                    == ["head.table_v": "embed.table_v", "head.table_g": "embed.table_g"])
            _ = try WeightFile(opening: unfolded).convert(to: .plain, path: folded)
            #expect(try SafetensorsFile(opening: folded).metadata == metadata)
            // Of a tensor that stays, the tie does.
            _ = try WeightFile(opening: path).unfold(to: .weightNorm, units: .axis(0), path: unfolded) { $0 == "c.weight" }
            #expect(try SafetensorsFile(opening: unfolded).metadata == metadata)
        }
    }

    @Test("a factor of a log gain that is none is an error", arguments: ["-3", "0", "inf", "nan", "three", ""])
    func factors(text: String) throws {
        try withPaths { path, out, _ in
            try Safetensors.write(
                [("a.weight.direction", .ones([1, 2])), ("a.weight.logGain", .ones([1, 1]))],
                metadata: ["weightnorm.layout": "native", "weightnorm.factor.a.weight": text], to: path)
            let error = try #require(throws: ModuleFileError.self) { try WeightFile(opening: path).convert(to: .plain, path: out) }
            #expect(
                error.defects.map(\.description) == [
                    "contradictory 'a.weight': expected a factor above 0 in the file's metadata, found '\(text)'"
                ])
            #expect(!FileManager.default.fileExists(atPath: out))
        }
    }

    @Test("in the native layout too: what has a weight's name and lacks a part, or has one that does not fit, is no other tensor")
    func nativeHalves() throws {
        try withPaths { path, out, _ in
            let whole: [(name: String, value: Tensor)] = [
                ("f.weight", .ones([2, 2])), ("g.weight.direction", .ones([2, 2])), ("g.weight.logGain", .ones([2, 1])),
                // Of a batch norm.
                ("h.normalizer.gain", .ones([2])), ("h.normalizer.bias", .ones([2])),
            ]
            let broken: [(name: String, value: Tensor)] = [
                ("a.weight.direction", .ones([2, 3])), ("b.weight.gain", .ones([2, 1])), ("c.weight.logGain", .ones([2, 1])),
                ("d.weight.direction", .ones([2, 3])), ("d.weight.gain", .ones([5])), ("e.stateWeight.direction", .ones([2, 3])),
                ("e.stateWeight.gain", .ones([2, 1], type: .int64)),
            ]
            let metadata = ["weightnorm.layout": "native"]
            try Safetensors.write(whole, metadata: metadata, to: path)
            let sound = try WeightFile(opening: path)
            #expect(sound.defects.isEmpty && Set(sound.weights.map(\.name)) == ["f.weight", "g.weight"])
            try Safetensors.write(whole + broken, metadata: metadata, to: path)
            let weights = try WeightFile(opening: path)
            #expect(Set(weights.weights.map(\.name)) == ["f.weight", "g.weight"])
            let error = try #require(throws: ModuleFileError.self) { try weights.convert(to: .plain, path: out) }
            #expect(
                Set(error.defects.map(\.description)) == [
                    "missing 'a.weight.gain': expected a tensor beside 'a.weight.direction', found none",
                    "missing 'b.weight.direction': expected a tensor beside 'b.weight.gain', found none",
                    "missing 'c.weight.direction': expected a tensor beside 'c.weight.logGain', found none",
                    "misshapen 'd.weight.gain': expected [2, 1], [1, 3] or [] for v of [2, 3], found [5]",
                    "mistyped 'e.stateWeight.gain': expected F16, BF16, F32 or F64, found I64",
                ])
            #expect(!FileManager.default.fileExists(atPath: out))
            // Whole weights are found without the layout's name, and so are broken ones.
            try Safetensors.write(broken, to: path)
            #expect(Set(try WeightFile(opening: path).defects.map(\.description)) == Set(error.defects.map(\.description)))
        }
    }

    @Test("unfolding into the plain layout traps, and units that no dim can name are refused in PyTorch's layouts")
    func wrongUnfolding() async throws {
        try withPaths { path, out, _ in
            try Safetensors.write([("a.weight", .ones([4, 4]))], to: path)
            let file = try WeightFile(opening: path)
            #expect(throws: SafetensorsError.self) { try file.unfold(to: .weightNorm, units: .axis(1, blocks: 2), path: out) }
            _ = try file.unfold(to: .native, units: .axis(1, blocks: 2), path: out)
            #expect(try WeightFile(opening: out).weights[0].units == .axis(1, blocks: 2))
        }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try withFile { path in
                try Safetensors.write([("a.weight", .ones([4, 4]))], to: path)
                _ = try WeightFile(opening: path).unfold(to: .plain, units: .axis(0), path: path)
            }
        }
        let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(words.contains("unfold weights: expected a layout with v and g, found the plain one"))
    }

    @Test("half a weight is an error that names all halves, and nothing is written")
    func halves() throws {
        try withPaths { path, out, _ in
            try Safetensors.write(
                [
                    ("a.weight_g", .ones([2, 1])), ("b.parametrizations.weight.original1", .ones([2, 2])), ("c.weight_v", .ones([2, 2])),
                    ("c.weight_g", .ones([3, 1])), ("d.weight_g", .ones([2, 1], type: .int32)), ("d.weight_v", .ones([2, 2])),
                ], to: path)
            let weights = try WeightFile(opening: path)
            let error = try #require(throws: ModuleFileError.self) { try weights.convert(to: .plain, path: out) }
            #expect(
                error.defects.map(\.description).sorted() == [
                    "misshapen 'c.weight_g': expected [2, 1], [1, 2] or [] for v of [2, 2], found [3, 1]",
                    "missing 'a.weight_v': expected a tensor beside 'a.weight_g', found none",
                    "missing 'b.parametrizations.weight.original0': expected a tensor beside 'b.parametrizations.weight.original1', found none",
                    "mistyped 'd.weight_g': expected F16, BF16, F32 or F64, found I32",
                ])
            #expect(!error.description.contains { $0.isNewline })
            #expect(!FileManager.default.fileExists(atPath: out))
            #expect(throws: ModuleFileError.self) { try weights.unfold(to: .weightNorm, units: .axis(0), path: out) { _ in true } }
        }
    }
}
