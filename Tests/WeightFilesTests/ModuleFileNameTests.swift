import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

/// Two layers of the same shape, declared in either order.
private final class EncoderFirst: Module {
    let encoder = Dense(2, to: 2, normalization: .plain, bias: false, random: Generator(seed: 1))
    let decoder = Dense(2, to: 2, normalization: .plain, bias: false, random: Generator(seed: 2))
}

private final class DecoderFirst: Module {
    let decoder = Dense(2, to: 2, normalization: .plain, bias: false, random: Generator(seed: 1))
    let encoder = Dense(2, to: 2, normalization: .plain, bias: false, random: Generator(seed: 2))
}

/// A layer that stands at two places.
private final class Twice: Module {
    let first: Dense
    let list: [Dense]
    init(_ normalization: Normalization) {
        first = Dense(2, to: 2, normalization: normalization, bias: false, random: Generator(seed: 1))
        list = [first]
    }
}

/// Which of a file's names stand for which of a module's.
@Suite struct ModuleFileNameTests {
    @Test("a tensor that a file has for two weights is read into both, in whichever order the module has them")
    func untied() throws {
        let value = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
        try withFile { path in
            for (there, leftOut) in [("decoder", "encoder"), ("encoder", "decoder")] {
                try Safetensors.write([("\(there).weight", value)], metadata: ["\(leftOut).weight": "\(there).weight"], to: path)
                for module in [EncoderFirst(), DecoderFirst()] as [any Module] {
                    let report = try module.load(from: path)
                    #expect(report.weights.count == 2)
                    for parameter in module.parameters { #expect(parameter.value.elements(as: Float.self) == [1, 2, 3, 4]) }
                }
            }
            // One name for two weights stays an error.
            try Safetensors.write([("w", value)], to: path)
            for renaming: Renaming in [["encoder.weight": "w", "decoder.weight": "w"], Renaming { _ in "w" }] {
                let error = try #require(throws: ModuleFileError.self) { try EncoderFirst().load(from: path, renaming: renaming) }
                #expect(error.defects.map(\.description) == ["contradictory 'w': expected one place in the module, found two"])
            }
        }
    }

    @Test("all paths of a shared layer may have one name in the file", arguments: [Normalization.plain, .weight])
    func shared(normalization: Normalization) throws {
        try withFile { path in
            let value = Tensor([3, 4, 6, 8] as [Float], shape: [2, 2])
            try Safetensors.write([("w", value)], to: path)
            let module = Twice(normalization)
            try module.load(from: path, renaming: ["first.weight": "w", "list.0.weight": "w"])
            #expect(relativeDifference(module.first.weight.value, value) < 1e-6)
            // Names that are given to one path each must hold the same.
            try Safetensors.write([("w", value), ("x", value + 1)], to: path)
            #expect(throws: ModuleFileError.self) {
                try module.load(from: path, renaming: ["first.weight": "w", "list.0.weight": "x"])
            }
        }
    }
}
