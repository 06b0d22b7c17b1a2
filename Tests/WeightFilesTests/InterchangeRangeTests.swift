import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

private func dense(_ weight: Weight, bias: Parameter? = nil) -> Dense {
    Dense(map: DenseMap(inputs: weight.shape[1], outputs: weight.shape[0]), weight: weight, bias: bias)
}

private func half(_ value: Double, _ shape: [Int]) -> Tensor { .full(shape, value, type: .float16) }

private func logWeight(_ log: Double, type: ElementType = .float16) -> Weight {
    .logNormalized(
        direction: Parameter(.full([1, 4], 2, type: type)), logGain: Parameter(.full([1, 1], log, type: type)), factor: 1, units: .axis(0))
}

/// Finite numbers that the type of another form cannot hold, and conversions of type that lose nothing or something.
@Suite struct InterchangeRangeTests {
    @Test("a gain that the module's type cannot hold is an error, and nothing is changed")
    func derivedGains() throws {
        try withFile { path in
            let sources: [(name: String, weight: Weight)] = [
                ("plain", .direct(Parameter(half(60000, [1, 4])))),
                ("scaled", .scaled(Parameter(half(300, [1, 4])), by: Buffer(half(300, [1, 1])), units: .axis(0))),
                ("log", logWeight(12)),
            ]
            for (name, source) in sources {
                try dense(source).write(to: path)
                let target = dense(.normalized(half(1, [1, 4])))
                let error = try #require(throws: SafetensorsError.self, "\(name)") { try target.load(from: path) }
                #expect(error.problem == "weight 'weight': expected numbers within the range of float16, found larger ones", "\(name)")
                #expect(target.weight.value.elements(as: Float.self) == [1, 1, 1, 1], "\(name)")
            }
            // g = 81377 is too large for float16, spread over four elements of w it is not.
            try dense(logWeight(11.307)).write(to: path)
            let target = dense(.direct(Parameter(half(1, [1, 4]))))
            try target.load(from: path)
            #expect(abs(target.weight.value.elements(as: Double.self)[0] / 40690 - 1) < 0.01)
            // What is infinite in the file is so in the module.
            try dense(.direct(Parameter(half(.infinity, [1, 4])))).write(to: path)
            try target.load(from: path)
            #expect(target.weight.value.elements(as: Float.self) == [.infinity, .infinity, .infinity, .infinity])
        }
    }

    @Test("an LSTM's bias whose sum the module's type cannot hold is an error, and nothing is changed")
    func summedBias() throws {
        try withFile { path in
            let source = LSTM(1, hidden: 1, type: .float16, random: Generator(seed: 1))
            try source.write(to: path, layout: .plain)
            let file = try SafetensorsFile(opening: path)
            try Safetensors.write(
                try file.names.map { ($0, $0.hasPrefix("bias_") ? half(40000, [4]) : try file.tensor($0)) }, to: path)
            let target = LSTM(1, hidden: 1, type: .float16, random: Generator(seed: 2))
            let before = target.parameters.map { $0.snapshot().elements(as: Float.self) }
            let error = try #require(throws: SafetensorsError.self) { try target.load(from: path) }
            #expect(
                error.problem == "sum of 'bias_ih_l0' and 'bias_hh_l0': expected numbers within the range of float16, found larger ones")
            #expect(target.parameters.map { $0.snapshot().elements(as: Float.self) } == before)
        }
    }

    @Test("a weight or a gain that the file's type cannot hold is an error of fold and convert, and nothing is written")
    func converting() throws {
        try withFile { path in
            let out = "\(path).new"
            func problem(_ layout: StateLayout) throws -> String {
                let error = try #require(throws: SafetensorsError.self) { try WeightFile(opening: path).convert(to: layout, path: out) }
                #expect(!FileManager.default.fileExists(atPath: out))
                return error.problem
            }
            let tooLarge = "expected numbers within the range of float16, found larger ones"
            try Safetensors.write([("a.weight_v", half(1, [1, 4])), ("a.weight_g", .full([1, 1], 1e6))], to: path)
            #expect(try problem(.plain) == "weight 'a.weight': \(tooLarge)")
            try dense(logWeight(12)).write(to: path)
            #expect(try problem(.plain) == "weight 'weight': \(tooLarge)")
            #expect(try problem(.weightNorm) == "weight 'weight': \(tooLarge)")
            // The gain is too large, no element of the weight is.
            try dense(logWeight(11.307)).write(to: path)
            #expect(try problem(.parametrizations) == "weight 'weight': \(tooLarge)")
            _ = try WeightFile(opening: path).convert(to: .plain, path: out)
            let folded = try SafetensorsFile(opening: out).tensor("weight")
            #expect(folded.type == .float16 && abs(folded.elements(as: Double.self)[0] / 40690 - 1) < 0.01)
        }
    }

    @Test("a loaded weight is exact only in the types that the file has", arguments: [LoadedForms.keep, .adopt])
    func exactTypes(forms: LoadedForms) throws {
        try withFile { path in
            for normalization in [Normalization.plain, .weight, .logWeight, .fixedGain] {
                func layer(_ type: ElementType) -> Dense {
                    Dense(2, to: 2, normalization: normalization, type: type, random: Generator(seed: 1))
                }
                for type in [ElementType.float16, .bfloat16, .float32, .float64] {
                    try layer(.float64).write(to: path)
                    let report = try layer(type).load(from: path, forms: forms, convertingTypes: true)
                    #expect(report.weights.map(\.isExact) == [type == .float64], "\(normalization) as \(type)")
                    try layer(type).write(to: path)
                    #expect(try layer(type).load(from: path, forms: forms).weights.allSatisfy(\.isExact), "\(normalization) in \(type)")
                }
            }
        }
    }
}
