import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

@Suite("weights that another reparameterization holds")
struct ForeignWeightTests {
    /// Spectral normalization of `c.weight`, as PyTorch and others write it.
    static let spectral: [[(name: String, shape: [Int])]] = [
        [("c.weight_orig", [2, 3]), ("c.weight_u", [2]), ("c.weight_v", [3])],
        [("c.weight_bar", [2, 3]), ("c.weight_u", [2]), ("c.weight_v", [3])],
        [("c.weight_orig", [2, 3]), ("c.weight_u", [2])],
        [
            ("c.parametrizations.weight.original", [2, 3]), ("c.parametrizations.weight.0._u", [2]),
            ("c.parametrizations.weight.0._v", [3]),
        ],
    ]

    @Test("spectral norm beside weight norm is left alone (ParallelWaveGAN #309)", arguments: spectral)
    func leftAlone(foreign: [(name: String, shape: [Int])]) throws {
        try withInterchangeFolder { folder in
            let (path, out) = (folder.appendingPathComponent("a").path, folder.appendingPathComponent("b").path)
            let others = foreign.map { (name: $0.name, value: Tensor.range(0..<$0.shape.reduce(1, *)).reshaped($0.shape)) }
            let own: [(name: String, value: Tensor)] = [
                ("a.weight_g", Tensor([5] as [Float], shape: [1, 1])), ("a.weight_v", Tensor([3, 4] as [Float], shape: [1, 2])),
                ("plain.weight", .ones([2, 2])),
            ]
            try Safetensors.write(own + others, to: path)
            let file = try WeightFile(opening: path)
            #expect(file.defects.isEmpty && file.weights.map(\.stored.name).sorted() == ["a.weight", "plain.weight"])
            #expect(Set(file.others) == Set(foreign.map(\.name)))
            func expectKept() throws {
                let written = try SafetensorsFile(opening: out)
                for (name, value) in others {
                    #expect(try written.tensor(name).elements(as: Double.self) == value.elements(as: Double.self))
                }
            }
            let folded = try file.convert(to: .plain, path: out)
            #expect(folded.changed == ["a.weight"])
            #expect(try SafetensorsFile(opening: out).tensor("a.weight").elements(as: Float.self) == [3, 4])
            try expectKept()
            for layout in [StateLayout.parametrizations, .native] {
                #expect(try file.convert(to: layout, path: out).changed == ["a.weight"])
                try expectKept()
            }
            #expect(try file.unfold(to: .weightNorm, units: .axis(0), path: out) { WeightFile.isWeight($0) }.changed == ["plain.weight"])
            try expectKept()
            _ = try WeightFile(opening: out).convert(to: .plain, path: path)
        }
    }

    @Test("a weight that a file holds twice, whole and in halves, is a defect: neither is taken for it")
    func twice() throws {
        try withFile { path in
            for halves in [["a.weight_g", "a.weight_v"], ["a.parametrizations.weight.original0", "a.parametrizations.weight.original1"]] {
                try Safetensors.write([("a.weight", .ones([2, 2])), (halves[0], .ones([2, 1])), (halves[1], .ones([2, 2]))], to: path)
                let file = try WeightFile(opening: path)
                #expect(file.defects.map(\.kind) == [.contradictory])
                #expect(file.defects.first?.found.contains("'\(halves[0])'") == true)
                #expect(throws: ModuleFileError.self) { try file.convert(to: .plain, path: path) }
            }
        }
    }

    @Test("what is selected and cannot be unfolded is named")
    func unfit() throws {
        try withFile { path in
            try Safetensors.write([("a.weight", .ones([3])), ("b.weight", .ones([2, 2], type: .int64))], to: path)
            let file = try WeightFile(opening: path)
            for (name, found) in [("a.weight", "F32[3]"), ("b.weight", "I64[2, 2]")] {
                let error = #expect(throws: SafetensorsError.self) {
                    try file.unfold(to: .weightNorm, units: .axis(0), path: path) { $0 == name }
                }
                #expect(error?.problem.hasSuffix("units of axis 0, found tensor '\(name)' of \(found)") == true)
            }
            let none = #expect(throws: SafetensorsError.self) {
                try file.unfold(to: .weightNorm, units: .axis(0), path: path) { _ in false }
            }
            #expect(none?.problem.hasSuffix("found none") == true)
        }
    }

    @Test("half of a weight normalization is still one, with u beside it or without")
    func halves() throws {
        try withFile { path in
            try Safetensors.write([("c.weight_v", .ones([2, 2])), ("c.weight_orig", .ones([2, 2]))], to: path)
            #expect(try WeightFile(opening: path).defects.map(\.kind) == [.missing])
            try Safetensors.write([("c.weight_g", .ones([2, 1])), ("c.weight_u", .ones([2]))], to: path)
            #expect(try WeightFile(opening: path).defects.map(\.kind) == [.missing])
        }
    }

    @Test("weight norm with a further parametrization on top is not g·v/‖v‖, and left alone")
    func further() throws {
        try withInterchangeFolder { folder in
            let (path, out) = (folder.appendingPathComponent("a").path, folder.appendingPathComponent("b").path)
            try Safetensors.write(
                [
                    ("c.parametrizations.weight.original0", .ones([2, 1])), ("c.parametrizations.weight.original1", .ones([2, 3])),
                    ("c.parametrizations.weight.1._u", .ones([2])), ("c.parametrizations.weight.1._v", .ones([3])),
                    ("d.parametrizations.weight.original0", .ones([2, 1])), ("d.parametrizations.weight.original1", .ones([2, 3])),
                    ("d.parametrizations.bias.0.scale", .ones([2])), ("d.parametrizations.bias.original", .ones([2])),
                ], to: path)
            let file = try WeightFile(opening: path)
            #expect(file.defects.isEmpty && file.weights.map(\.stored.name) == ["d.weight"])
            #expect(file.others.count == 6)
            let before = try SafetensorsFile(opening: path)
            #expect(try file.convert(to: .weightNorm, path: out).changed == ["d.weight"])
            #expect(Set(try SafetensorsFile(opening: out).names).isSuperset(of: before.names.filter { $0.hasPrefix("c.") }))
        }
    }

    @Test("loading such a weight into a module is one defect that says what it is, and changes nothing", arguments: spectral)
    func loading(foreign: [(name: String, shape: [Int])]) throws {
        try withFile { path in
            try Safetensors.write(foreign.map { ($0.name.replacing("c.", with: "0."), Tensor.ones($0.shape)) }, to: path)
            for normalization in [Normalization.weight, .plain] {
                let module = Sequential(Dense(3, to: 2, normalization: normalization, bias: false, random: Generator(seed: 1)))
                let before = module.parameters.map { $0.snapshot().elements(as: Double.self) }
                let error = try #require(throws: ModuleFileError.self) { try module.load(from: path) }
                let names = foreign.map { "'\($0.name.replacing("c.", with: "0."))'" }.joined(separator: ", ")
                #expect(
                    error.defects.map(\.description) == [
                        "missing '0.weight': expected a weight in any layout for the module's '0.weight', "
                            + "found it with spectral normalization, as \(names)"
                    ])
                #expect(module.parameters.map { $0.snapshot().elements(as: Double.self) } == before)
            }
        }
    }
}
