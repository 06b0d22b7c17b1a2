import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

private func numbers(_ module: some Module) -> [[Double]] { module.parameters.map { $0.snapshot().elements(as: Double.self) } }

private func layer(_ seed: UInt64 = 1) -> Sequential {
    let random = Generator(seed: seed)
    return Sequential(
        Dense(2, to: 3, random: random), Dense(3, to: 2, normalization: .plain, random: random),
        Dense(2, to: 2, normalization: .batch, random: random))
}

/// Writes a layer's tensors, changed, and gives the defects found on reading them; the module must stay as it is.
private func defects(
    _ layout: StateLayout = .weightNorm, metadata: [String: String] = [:], _ change: (inout [(name: String, value: Tensor)]) -> Void
) throws -> [String] {
    var found: [String] = []
    try withFile { path in
        try layer().write(to: path, layout: layout)
        let file = try SafetensorsFile(opening: path)
        var tensors = try file.names.map { (name: $0, value: try file.tensor($0)) }
        change(&tensors)
        try Safetensors.write(tensors, metadata: file.metadata.merging(metadata) { $1 }, to: path)
        for forms in [LoadedForms.keep, .adopt] {
            let target = layer(2)
            let (parameters, before) = (target.parameters.map { ObjectIdentifier($0) }, numbers(target))
            let error = try #require(throws: ModuleFileError.self) { try target.load(from: path, forms: forms) }
            #expect(numbers(target) == before && target.parameters.map { ObjectIdentifier($0) } == parameters, "nothing was changed")
            found = error.defects.map(\.description)
            #expect(error.path == path && error.description.hasPrefix("\(path): expected tensors that fit, found "))
            #expect(error.description.hasSuffix(": \(found.joined(separator: "; "))"))
        }
    }
    return found
}

extension [(name: String, value: Tensor)] {
    fileprivate subscript(_ name: String) -> Tensor? {
        get { first { $0.name == name }?.value }
        set {
            let place = firstIndex { $0.name == name }
            switch (place, newValue) {
            case (let place?, let value?): self[place].value = value
            case (let place?, nil): remove(at: place)
            case (nil, let value?): append((name, value))
            case (nil, nil): break
            }
        }
    }
}

@Suite struct ModuleFileDefectTests {
    @Test("everything that does not fit is named at once, with path, expected and found, and nothing is changed")
    func everything() throws {
        let found = try defects { tensors in
            tensors["0.weight_v"] = nil
            tensors["1.bias"] = nil
            tensors["1.weight"] = .zeros([3, 2])
            tensors["2.weight"] = .zeros([2, 2], type: .float64)
            tensors["2.normalizer.running_var"] = .zeros([2], type: .int32)
            tensors["2.normalizer.weight"] = .zeros([3], type: .float64)
            tensors["2.extra"] = .zeros([1])
            tensors["head.weight"] = .zeros([4, 4], type: .bfloat16)
        }
        #expect(
            found == [
                "missing '0.weight_v': expected a tensor beside '0.weight_g' for the module's '0.weight', found none",
                "missing '1.bias': expected a tensor for the module's '1.bias', found none",
                "extra '2.extra': expected a tensor of the module, found F32 [1]",
                "extra 'head.weight': expected a tensor of the module, found BF16 [4, 4]",
                "misshapen '1.weight': expected [2, 3], found [3, 2]",
                "misshapen '2.normalizer.weight': expected [2], found [3]",
                "mistyped '2.weight': expected F32, found F64",
                "mistyped '2.normalizer.weight': expected F32, found F64",
                "mistyped '2.normalizer.running_var': expected F32, found I32",
            ])
    }

    @Test("a g that fits no axis", arguments: [[2, 1], [3], [1, 3], [3, 1, 1]])
    func misshapenGain(shape: [Int]) throws {
        let found = try defects { $0["0.weight_g"] = .zeros(shape) }
        #expect(found == ["misshapen '0.weight_g': expected [3, 1], [1, 2] or [], found \(shape)"])
    }

    @Test("a weight in two forms, and none in any")
    func forms() throws {
        #expect(
            try defects { $0["0.weight"] = .zeros([3, 2]) }
                == ["contradictory '0.weight': expected a tensor in one form, found it as 0.weight, and as 0.weight_v and 0.weight_g"])
        let none = try defects(.parametrizations) { tensors in
            tensors["0.parametrizations.weight.original0"] = nil
            tensors["0.parametrizations.weight.original1"] = nil
        }
        #expect(none == ["missing '0.weight': expected a weight in any layout for the module's '0.weight', found none"])
        let native = try defects(.native) { $0["0.weight.gain"] = nil }
        #expect(
            native == ["missing '0.weight.gain': expected a tensor beside '0.weight.direction' for the module's '0.weight', found none"])
    }

    @Test("types without a place here, whole numbers, and a factor that is none")
    func types() throws {
        #expect(try defects { $0["0.weight_v"] = .zeros([3, 2], type: .int32) } == ["mistyped '0.weight_v': expected F32, found I32"])
        try withFile { path in
            let layer = Dense(2, to: 1, normalization: .logWeight, bias: false, random: Generator(seed: 1))
            try layer.write(to: path, metadata: ["weightnorm.factor.weight": "-1"])
            let error = try #require(throws: ModuleFileError.self) { try layer.load(from: path) }
            #expect(error.defects.map(\.kind) == [.contradictory])
            // U16 has no type here.
            let header = #"{"weight":{"dtype":"U16","shape":[1,2],"data_offsets":[0,4]}}"#
            let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
            try Data(length + Array(header.utf8) + [0, 0, 0, 0]).write(to: URL(fileURLWithPath: path))
            let sixteen = try #require(throws: ModuleFileError.self) { try layer.load(from: path, convertingTypes: true) }
            #expect(sixteen.defects.map(\.description) == ["mistyped 'weight': expected F32, found U16"])
        }
    }

    @Test("a part of a larger file is read by ignoring the rest, which is reported")
    func ignoring() throws {
        try withFile { path in
            let source = layer()
            try source.write(to: path, layout: .plain, renaming: ["": "encoder"])
            let file = try SafetensorsFile(opening: path)
            let tensors = try file.names.map { ($0, try file.tensor($0)) }
            try Safetensors.write(tensors + [("decoder.weight", .zeros([1]))], to: path)
            let target = layer(2)
            let error = try #require(throws: ModuleFileError.self) { try target.load(from: path, renaming: ["": "encoder"]) }
            #expect(error.defects.map(\.kind) == [.extra])
            let report = try target.load(from: path, renaming: ["": "encoder"]) { $0.hasPrefix("decoder.") }
            #expect(report.ignored == ["decoder.weight"])
            let input = Tensor.normal([4, 2], from: Generator(seed: 3))
            #expect(relativeDifference(target(input, .inference), source(input, .inference)) < 1e-5)
        }
    }

    @Test("names that only Swift takes for equal are told apart, and a message is one line whatever the name")
    func names() throws {
        let found = try defects { tensors in
            tensors["0.weight_v\n\u{1B}[2J"] = .zeros([1])
            tensors["\u{E9}"] = .zeros([1])
        }
        #expect(found.count == 2 && found.allSatisfy { !$0.contains("\n") && !$0.contains("\u{1B}") })
    }

    @Test("numbers beyond the range of the type that they are converted to are an error, not infinite")
    func range() throws {
        try withFile { path in
            for (name, shape) in [("weight", [1, 2]), ("bias", [1])] {
                let wide = Dense(2, to: 1, normalization: .plain, type: .float64, random: Generator(seed: 1))
                wide.namedParameters.first { $0.path == name }?.value.assign(.full(shape, 1e39, type: .float64))
                try wide.write(to: path)
                let target = Dense(2, to: 1, normalization: .plain, random: Generator(seed: 2))
                let before = numbers(target)
                let error = try #require(throws: SafetensorsError.self) { try target.load(from: path, convertingTypes: true) }
                #expect(error.problem == "tensor '\(name)': expected numbers within the range of float32, found one of magnitude 1e+39")
                #expect(numbers(target) == before)
            }
        }
    }

    @Test("files of names, shapes and types at random give errors, never traps")
    func random() throws {
        let names = [
            "weight", "weight_g", "weight_v", "parametrizations.weight.original0", "parametrizations.weight.original1", "weight.gain",
            "weight.direction", "weight.logGain", "weight.scale", "bias", "x_g", "x_v",
        ]
        let shapes = [
            [], [0], [1], [2], [2, 1], [1, 2], [2, 2], [0, 2], [2, 0], [1, 1], [2, 1, 2], [2, 2, 1], [1, 2, 1], [2, 1, 2, 1],
        ]
        let metadata = [[:], ["weightnorm.layout": "native"], ["weight_v": "weight", "weight": "bias", "bias": "bias", "": ""]]
        var random = Generator64(state: 1)
        var (loaded, converted) = (0, 0)
        try withFile { path in
            for round in 0..<60 {
                var tensors: [(name: String, value: Tensor)] = []
                // Half of the files fit more often than not.
                let isTame = round.isMultiple(of: 2)
                for name in names.shuffled(using: &random).prefix(Int.random(in: 0...4, using: &random)) {
                    let shape = (isTame ? [[2, 2], [2, 1], [2]] : shapes).randomElement(using: &random) ?? []
                    let type = isTame ? .float32 : ElementType.allCases.randomElement(using: &random) ?? .float32
                    tensors.append((name, .ones(shape, type: type)))
                }
                try Safetensors.write(tensors, metadata: metadata.randomElement(using: &random) ?? [:], to: path)
                let file = try WeightFile(opening: path)
                for weight in file.weights { _ = try file.norms(of: weight) }
                func attempt(_ body: () throws -> Void) throws -> Int {
                    do { try body() } catch is ModuleFileError { return 0 } catch is SafetensorsError { return 0 }
                    return 1
                }
                for layout in StateLayout.allCases {
                    converted += try attempt { _ = try file.convert(to: layout, path: "\(path).new") }
                    for units in [OutputUnits.axis(0), .axis(1), .whole] where layout != .plain {
                        converted += try attempt { _ = try file.unfold(to: layout, units: units, path: "\(path).new") { _ in true } }
                    }
                }
                for normalization in [Normalization.plain, .weight, .fixedGain, .logWeight] {
                    for forms in [LoadedForms.keep, .adopt] {
                        let layer = Dense(2, to: 2, normalization: normalization, bias: round.isMultiple(of: 3), random: Generator(seed: 1))
                        loaded += try attempt {
                            try layer.load(from: path, forms: forms, convertingTypes: true) { _ in round.isMultiple(of: 2) }
                        }
                    }
                }
            }
        }
        #expect(loaded > 0 && converted > 0)
    }

    @Test("a file that is cut while it is read changes nothing")
    func cut() throws {
        try withFile { path in
            try layer().write(to: path)
            let file = try SafetensorsFile(opening: path)
            let size = try Data(contentsOf: URL(fileURLWithPath: path)).count
            truncate(path, size - 3)
            let target = layer(2)
            let before = numbers(target)
            #expect(throws: SafetensorsError.self) { try target.load(from: file) }
            #expect(numbers(target) == before)
        }
    }
}
