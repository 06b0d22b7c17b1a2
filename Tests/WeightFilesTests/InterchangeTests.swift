import Foundation
import Testing
import Torch
import WeightFiles
import WeightNorm

private let types: [ElementType] = [.float32, .float64]

/// A file of Scripts/reference/interchange.py with what PyTorch computes beside it.
private struct Reference {
    let path: String
    let values: SafetensorsFile

    init(_ layout: String, _ type: ElementType) throws {
        let given = ProcessInfo.processInfo.environment["WEIGHTNORM_REFERENCE"].map { URL(fileURLWithPath: $0) }
        let folder = given ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        path = folder.appendingPathComponent("\(layout)-\(type).safetensors").path
        values = try SafetensorsFile(opening: folder.appendingPathComponent("\(layout)-\(type).reference.safetensors").path)
    }
}

/// The largest difference from the reference over all that it has, relative to the largest output or to the largest gradient of the same layer: a
/// gain's gradient is a sum over its unit, which may cancel. `names` gives the file's names of a gradient.
private func worst(_ results: [(name: String, value: Tensor)], _ reference: SafetensorsFile, names: (String) -> [String]) throws -> Double {
    func scaleName(_ name: String) -> String { name.hasPrefix("gradient.") ? String(name.split(separator: ".")[1]) : name }
    var scales: [String: Double] = [:]
    for name in reference.names {
        scales[scaleName(name)] = max(scales[scaleName(name)] ?? 0, try reference.tensor(name).magnitude().maximum().item())
    }
    var worst = 0.0
    var compared: Set<String> = ["input", "seed"]
    for (name, value) in results {
        for other in names(name) {
            let expected = try reference.tensor(other)
            let difference = (value.reshaped(expected.shape) - expected).magnitude().maximum().item() / (scales[scaleName(other)] ?? 0)
            // NaN too.
            if !(difference <= worst) { worst = difference }
            compared.insert(other)
        }
    }
    let left = reference.names.filter { !compared.contains($0) }
    #expect(left.isEmpty, "everything in the reference is compared")
    return worst
}

@Suite struct InterchangeTests {
    @Test(
        "a network with every layer from PyTorch: outputs and every gradient agree, in the file's forms",
        arguments: ["plain", "weight-norm", "parametrizations", "mixed"], types)
    func fromPyTorch(layout: String, type: ElementType) throws {
        let reference = try Reference(layout, type)
        for normalization in [Normalization.plain, .weight, .logWeight, .fixedGain] {
            let network = InterchangeNetwork(normalization, type: type)
            let report = try network.load(from: reference.path, forms: .adopt)
            let names = report.namesByPath
            let results = try network.results(reference.values.tensor("input"), seed: reference.values.tensor("seed"))
            let found = try worst(results, reference.values) { name in
                guard name.hasPrefix("gradient."), name != "gradient.input" else { return [name] }
                return names[String(name.dropFirst(9))]?.map { "gradient.\($0)" } ?? []
            }
            if normalization == .plain { print("from PyTorch, \(layout), \(type): worst difference \(found)") }
            #expect(found <= tolerance(type))
            #expect(report.weights.allSatisfy { $0.isExact })
        }
    }

    @Test(
        "old and new key names, any dim, are the same function in every form of the module (pytorch #102999, transformers #33995)",
        arguments: ["plain", "weight-norm", "parametrizations", "mixed"], types)
    func kept(layout: String, type: ElementType) throws {
        let reference = try Reference(layout, type)
        for normalization in [Normalization.plain, .weight, .logWeight, .fixedGain] {
            let network = InterchangeNetwork(normalization, type: type)
            let before = network.parameters.map { ObjectIdentifier($0) }
            let paths = network.namedParameters.map(\.path)
            let report = try network.load(from: reference.path, forms: .keep)
            #expect(network.parameters.map { ObjectIdentifier($0) } == before && network.namedParameters.map(\.path) == paths)
            let results = try network.results(reference.values.tensor("input"), seed: reference.values.tensor("seed"))
            for (name, value) in results.prefix(3) {
                let expected = try reference.values.tensor(name)
                #expect(relativeDifference(value, expected) <= tolerance(type), "\(normalization) \(name)")
            }
            let layouts = Set(report.weights.map(\.layout))
            let expected: Set<StateLayout> =
                switch layout {
                case "plain": [.plain]
                case "weight-norm": [.weightNorm]
                case "parametrizations": [.parametrizations]
                default: [.plain, .weightNorm, .parametrizations]
                }
            #expect(layouts == expected)
        }
    }

    @Test("the units that a file has are found, PyTorch's wrong default axis of transposed convolutions too")
    func units() throws {
        let network = InterchangeNetwork(.weight, type: .float32)
        let old = try Reference("weight-norm", .float32).path
        let report = try network.load(from: old, forms: .keep)
        #expect(report.weights.allSatisfy { $0.units == .axis(0) && !$0.hasNewParameters })
        let exact = report.weights.filter(\.isExact).map(\.path)
        #expect(exact == report.weights.map(\.path).filter { !$0.hasPrefix("up") })
        let mixed = try network.load(from: Reference("mixed", .float32).path, forms: .keep)
        let cycle: [OutputUnits?] = [.whole, .axis(1), .whole, nil, .axis(1)]
        #expect(mixed.weights.map(\.units) == mixed.weights.indices.map { cycle[$0 % 5] })
    }

    @Test("by default a normalized weight takes over the file's units, and only such a weight gets new parameters")
    func unitsAreTakenOver() throws {
        let network = InterchangeNetwork(.weight, type: .float32)
        let before = Dictionary(uniqueKeysWithValues: network.namedParameters.map { ($0.path, ObjectIdentifier($0.value)) })
        let report = try network.load(from: Reference("weight-norm", .float32).path)
        #expect(report.weights.allSatisfy { $0.isExact && $0.hasNewParameters == $0.path.hasPrefix("up") })
        for parameter in network.namedParameters {
            let isNew = parameter.path.hasPrefix("up") && !parameter.path.hasSuffix("bias")
            #expect((before[parameter.path] != ObjectIdentifier(parameter.value)) == isNew, "\(parameter.path)")
        }
        #expect(network.namedWeights.allSatisfy { $0.value.units == .axis(0) })
        let mixed = try network.load(from: Reference("mixed", .float32).path)
        for (found, weight) in zip(mixed.weights, network.namedWeights) { #expect(found.units == nil || found.units == weight.value.units) }
    }

    @Test("an optimizer made before its parameters were replaced ends the program at its next step, and says what to do")
    func staleOptimizer() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let network = InterchangeNetwork(.weight, type: .float32)
                let (stale, input) = (network.parameters, Tensor.ones([4, 4, 8]))
                let before = gradients(of: network(input, .inference).sum(), withRespectTo: stale)
                guard before.count == stale.count else { return }
                try network.load(from: Reference("weight-norm", .float32).path)
                _ = gradients(of: network(input, .inference).sum(), withRespectTo: stale)
            })
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("found 'up1.weight.direction' replaced, by loading, folding or normalizing; make the optimizer afterwards"))
    }

    @Test("what PyTorch's float32 and double files hold is converted only if asked", arguments: types)
    func conversion(type: ElementType) throws {
        let path = try Reference("weight-norm", type).path
        let network = InterchangeNetwork(.weight, type: type == .float32 ? .float64 : .float32)
        let before = network.parameters.map { $0.snapshot().elements(as: Double.self) }
        let error = try #require(throws: ModuleFileError.self) { try network.load(from: path) }
        #expect(error.defects.count == 43 && error.defects.allSatisfy { $0.kind == .mistyped }, "\(error)")
        #expect(network.parameters.map { $0.snapshot().elements(as: Double.self) } == before)
        try network.load(from: path, convertingTypes: true)
        let reference = try Reference("weight-norm", .float64)
        let input = try reference.values.tensor("input").converted(to: network.conv1.weight.value.type)
        let output = network(input, .inference).converted(to: .float64)
        let expected = try reference.values.tensor("output.inference")
        #expect(relativeDifference(output, expected) <= 1e-5)
    }

    /// Also writes what `interchange.py check` reads, if the environment names a folder for it.
    @Test(
        "a network with every layer and form goes to PyTorch's layouts and back",
        arguments: [StateLayout.plain, .weightNorm, .parametrizations])
    func toPyTorch(layout: StateLayout) throws {
        try withInterchangeFolder("WEIGHTNORM_INTERCHANGE") { folder in
            for type in types {
                for shift in 0..<6 {
                    let network = InterchangeNetwork(.plain, type: type, seed: UInt64(shift))
                    var index = shift
                    network.changeWeights { _, weight, units in
                        defer { index += 1 }
                        // Large enough for the activations to bend: in their straight part some gradients are rounding alone.
                        let initial = weight.value * 8
                        switch index % 6 {
                        case 0: return .normalized(initial, units: units)
                        case 1: return .logNormalized(initial, factor: 3, units: units)
                        case 2: return .scaled(initial, units: units)
                        case 3: return .normalized(initial, units: .whole)
                        case 4: return .logNormalized(initial, units: units)
                        default: return .direct(Parameter(initial))
                        }
                    }
                    network.move(UInt64(shift))
                    let path = folder.appendingPathComponent("\(layout.rawValue)-\(type)-\(shift).safetensors").path
                    try network.write(to: path, layout: layout)

                    let random = Generator(seed: 5)
                    let input = Tensor.normal([4, 4, 8], type: type, from: random)
                    let seed = Tensor.normal([2, 4, 2], type: type, from: random)
                    // Whose parameters are the file's tensors.
                    let copy = InterchangeNetwork(.weight, type: type)
                    let names = try copy.load(from: path, forms: .adopt).namesByPath
                    let originals = network.results(input, seed: seed).prefix(3)
                    let results = copy.results(input, seed: seed)
                    for (original, result) in zip(originals, results) {
                        #expect(relativeDifference(result.value, original.value) <= tolerance(type), "\(original.name)")
                    }
                    var reference = originals + [("input", input), ("seed", seed)]
                    let file = try SafetensorsFile(opening: path)
                    for (name, value) in results.dropFirst(3) {
                        for other in names[String(name.dropFirst(9))] ?? [] {
                            reference.append(("gradient.\(other)", value.reshaped(try file.info(other).shape)))
                        }
                    }
                    #expect(reference.count == 5 + results.count - 3 + 1, "the LSTM's bias has two names")
                    try Safetensors.write(
                        Array(reference), to: path.replacingOccurrences(of: ".safetensors", with: ".reference.safetensors"))
                }
            }
        }
    }
}
