import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

private func numbers(_ module: some Module) -> [[Double]] {
    module.parameters.map { $0.snapshot().elements(as: Double.self) } + module.namedBuffers.map { $0.value.value.elements(as: Double.self) }
}

private func network(_ normalization: Normalization, seed: UInt64 = 1, type: ElementType = .float32) -> InterchangeNetwork {
    let network = InterchangeNetwork(normalization, type: type, seed: seed)
    network.move(seed)
    return network
}

private let unbatched: [Normalization] = [.plain, .fixedGain, .weight, .logWeight]
private let input = Tensor.normal([4, 4, 8], from: Generator(seed: 3))

/// A layer and one that shares its weight, in a module with a layer that stands at two places.
private final class Shared: Module {
    let encoder: Dense
    let tied: Dense
    let again: Dense
    init(_ normalization: Normalization, seed: UInt64) {
        let random = Generator(seed: seed)
        encoder = Dense(3, to: 3, normalization: normalization, random: random)
        tied = Dense(map: encoder.map, weight: encoder.weight, bias: Parameter(.normal([3], from: random)))
        again = tied
    }
}

/// All that PyTorch's LSTM lacks, and a name of two words.
private final class Decoder: Module {
    let outputScale = Parameter(Tensor([2, 3] as [Float]))
    let innerLSTM = LSTM(2, hidden: 2, peepholes: true, trainableStart: true, random: Generator(seed: 1))
}

@Suite struct ModuleFileTests {
    @Test(
        "the native layout keeps every form exactly, buffers and types too", arguments: unbatched,
        [ElementType.float32, .float64, .bfloat16])
    func native(normalization: Normalization, type: ElementType) throws {
        try withFile { path in
            let before = network(normalization, type: type)
            try before.write(to: path, metadata: ["epoch": "7"])
            let after = network(normalization, seed: 9, type: type)
            #expect(numbers(after) != numbers(before))
            let report = try after.load(from: path)
            #expect(numbers(after) == numbers(before) && report.weights.allSatisfy { $0.isExact })
            let file = try SafetensorsFile(opening: path)
            #expect(file.metadata["epoch"] == "7" && file.metadata["weightnorm.layout"] == "native")
            let names = before.namedParameters.map(\.path) + before.namedBuffers.map(\.path)
            #expect(Set(file.names) == Set(names) && file.names.count == names.count)
        }
    }

    @Test("a file of any form loads into every form as the same function", arguments: unbatched, unbatched)
    func acrossForms(from: Normalization, to: Normalization) throws {
        try withFile { path in
            let before = network(from, type: .float64)
            let input = input.converted(to: .float64)
            try before.write(to: path)
            let after = network(to, seed: 9, type: .float64)
            let report = try after.load(from: path)
            #expect(relativeDifference(after(input, .inference), before(input, .inference)) < 1e-12)
            #expect(report.weights.allSatisfy { $0.isExact == (from == to) })
            try after.load(from: path, forms: .adopt)
            #expect(numbers(after) == numbers(before))
        }
    }

    @Test("the factor of a logarithmic gain goes with the file")
    func factor() throws {
        try withFile { path in
            func layer(_ factor: Double, _ seed: UInt64) -> Dense {
                let weight = Weight.logNormalized(.normal([3, 2], type: .float64, from: Generator(seed: seed)), factor: factor)
                return Dense(map: DenseMap(inputs: 2, outputs: 3), weight: weight, bias: nil)
            }
            try layer(3, 1).write(to: path)
            for factor in [1.0, 3] {
                let other = layer(factor, 2)
                try other.load(from: path)
                #expect(relativeDifference(other.weight.value, layer(3, 1).weight.value) < 1e-14, "into a factor of \(factor)")
            }
        }
    }

    @Test("after loading nothing is stale, whatever is called next (pytorch #30754, #47588)")
    func notStale() throws {
        try withFile { path in
            let source = network(.weight)
            try source.write(to: path, layout: .parametrizations)
            let target = network(.weight, seed: 9)
            _ = target(input, .inference)
            let bound = target.lstm.bound()
            try target.load(from: path)
            #expect(relativeDifference(target.lstm.inputWeight.value, source.lstm.inputWeight.value) == 0)
            #expect(relativeDifference(target.lstm.bound().stateWeight, source.lstm.bound().stateWeight) == 0)
            #expect(relativeDifference(bound.stateWeight, source.lstm.bound().stateWeight) > 0.01, "a binding is of its moment")
            #expect(relativeDifference(target(input, .inference), source(input, .inference)) < 1e-5)
        }
    }

    @Test("an optimizer made before loading into the module's own units trains what was loaded; g too (flax #5577)")
    func optimizer() throws {
        try withFile { path in
            // In float64: for the first layers' gradients of this network float32 has too few digits.
            try network(.weight, type: .float64).write(to: path, layout: .weightNorm)
            let target = network(.weight, seed: 9, type: .float64)
            let adam = Adam(target.parameters)
            // The file cannot name the units of a transposed convolution with groups.
            try target.load(from: path, forms: .keep)
            let before = target.namedParameters.map { ($0.path, $0.value.snapshot()) }
            adam.minimize(target(input.converted(to: .float64), .training(Generator(seed: 0))).squared().sum(), learningRate: 0.01)
            for (named, (path, old)) in zip(target.namedParameters, before) {
                #expect(relativeDifference(named.value.value, old) > 0, "\(path) was trained")
            }
        }
    }

    @Test("initializing after loading has its effect (hifi-gan #145)")
    func initializationAfterLoading() throws {
        try withFile { path in
            try Dense(5, to: 4, random: Generator(seed: 1)).write(to: path, layout: .weightNorm)
            for forms in [LoadedForms.keep, .adopt] {
                let layer = Dense(5, to: 4, normalization: .plain, random: Generator(seed: 2))
                try layer.load(from: path, forms: forms)
                let batch = Tensor.normal([64, 5], from: Generator(seed: 4)) * 3 + 1
                _ = layer(batch, .initializing(Generator(seed: 0)))
                let (variance, mean) = layer(batch, .inference).detached().varianceAndMean(over: [0])
                #expect((variance - 1).magnitude().maximum().item() < 1e-4 && mean.magnitude().maximum().item() < 1e-5)
            }
        }
    }

    @Test("v = 0, which PyTorch divides by, is written as g = 0 with a v of ones", arguments: [StateLayout.weightNorm, .parametrizations])
    func zeroDirection(layout: StateLayout) throws {
        try withFile { path in
            let plain = Tensor([0, 0, 3, 4] as [Float], shape: [2, 2])
            let weight = Weight.normalized(
                direction: Parameter(plain), gain: Parameter(Tensor([7, 10] as [Float], shape: [2, 1])), units: .axis(0))
            let layer = Dense(map: DenseMap(inputs: 2, outputs: 2), weight: weight, bias: nil)
            try layer.write(to: path, layout: layout)
            let file = try SafetensorsFile(opening: path)
            let values = try file.names.map { try file.tensor($0).elements(as: Float.self) }
            #expect(values == [[0, 10], [1, 1, 3, 4]])
            try layer.load(from: path)
            #expect(layer.weight.value.detached().elements(as: Float.self) == [0, 0, 6, 8])
        }
    }

    @Test("names: prefixes, whole names, and what PyTorch spells otherwise")
    func renaming() throws {
        try withFile { path in
            let random = Generator(seed: 1)
            func network() -> Sequential {
                Sequential(
                    Dense(2, to: 3, normalization: .batch, random: random), Recurrent(LSTM(3, hidden: 2, random: random)),
                    Recurrent(LSTM(2, hidden: 2, random: random)))
            }
            let names: Renaming = [
                "0": "fc1", "0.normalizer": "bn1", "1.inner": "rnn", "2.inner.weight_ih_l0": "rnn.weight_ih_l1",
                "2.inner.weight_hh_l0": "rnn.weight_hh_l1", "2.inner.bias_ih_l0": "rnn.bias_ih_l1", "2.inner.bias_hh_l0": "rnn.bias_hh_l1",
            ]
            let (one, two) = (network(), network())
            try one.write(to: path, layout: .weightNorm, renaming: names)
            let expected =
                ["fc1.weight"] + ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map { "bn1.\($0)" }
                + [0, 1].flatMap { layer in
                    ["weight_ih", "weight_hh"].flatMap { ["rnn.\($0)_l\(layer)_g", "rnn.\($0)_l\(layer)_v"] }
                        + ["rnn.bias_ih_l\(layer)", "rnn.bias_hh_l\(layer)"]
                }
            #expect(try SafetensorsFile(opening: path).names.sorted() == expected.sorted())
            try two.load(from: path, renaming: names)
            #expect(numbers(two) == numbers(one))
            #expect(throws: ModuleFileError.self) { try two.load(from: path) }
            // Two of the module's tensors in one place.
            #expect(throws: SafetensorsError.self) {
                try one.write(to: path, layout: .plain, renaming: ["1.inner": "rnn", "2.inner": "rnn"])
            }
            #expect(throws: ModuleFileError.self) { try two.load(from: path, renaming: Renaming { _ in "fc1.weight" }) }
        }
    }

    @Test("camelCase becomes snake_case in PyTorch's layouts, and either is read")
    func snakeCase() throws {
        try withFile { path in
            let module = Decoder()
            try module.write(to: path, layout: .plain)
            let names = try SafetensorsFile(opening: path).names
            let inner = ["bias_hh_l0", "bias_ih_l0", "initial_cell", "initial_state", "peepholes", "weight_hh_l0", "weight_ih_l0"]
            #expect(names.sorted() == inner.map { "inner_lstm.\($0)" } + ["output_scale"])
            let other = Decoder()
            for parameter in other.parameters { parameter.assign(parameter.snapshot() + 1) }
            try other.load(from: path)
            #expect(relativeDifference(other.innerLSTM.inputWeight.value, module.innerLSTM.inputWeight.value) < 1e-6)
            #expect(other.outputScale.value.detached().elements(as: Float.self) == [2, 3])
            let file = try SafetensorsFile(opening: path)
            try Safetensors.write(
                names.map { ($0.replacingOccurrences(of: "inner_lstm", with: "innerLSTM"), try file.tensor($0)) }, to: path)
            try other.load(from: path)
        }
    }

    @Test(
        "what is shared stays shared, stands at every path for PyTorch, and must be the same in a file",
        arguments: [Normalization.plain, .weight])
    func shared(normalization: Normalization) throws {
        try withFile { path in
            let (one, two) = (Shared(normalization, seed: 1), Shared(normalization, seed: 2))
            try one.write(to: path, layout: .weightNorm)
            let file = try SafetensorsFile(opening: path)
            let perWeight = normalization == .plain ? 1 : 2
            #expect(file.names.count == 3 * perWeight + 3)
            try two.load(from: path)
            #expect(numbers(two) == numbers(one))
            try two.load(from: path, forms: .adopt)
            #expect(numbers(two) == numbers(one) && two.parameters.count == perWeight + 2)

            // One of them alone is enough, under any of its names.
            let all = try file.names.map { ($0, try file.tensor($0)) }
            for name in ["encoder", "tied", "again"] {
                try Safetensors.write(
                    all.filter { $0.0.hasPrefix("\(name).weight") || $0.0 == "encoder.bias" || $0.0 == "again.bias" }, to: path)
                let three = Shared(normalization, seed: 3)
                try three.load(from: path)
                #expect(numbers(three) == numbers(one))
            }
            // As `safetensors.torch.save_model` leaves duplicates out.
            var metadata: [String: String] = [:]
            for (name, _) in all where !name.hasPrefix("again") && name != "encoder.bias" {
                metadata[name] = "again.\(name.split(separator: ".")[1])"
            }
            try Safetensors.write(all.filter { $0.0.hasPrefix("again") || $0.0 == "encoder.bias" }, metadata: metadata, to: path)
            let four = Shared(normalization, seed: 4)
            try four.load(from: path)
            #expect(numbers(four) == numbers(one))

            try Safetensors.write(all.map { ($0, $0.hasPrefix("tied.weight") ? $1 + 1 : $1) }, to: path)
            let error = try #require(throws: ModuleFileError.self) { try two.load(from: path) }
            #expect(error.defects.allSatisfy { $0.kind == .contradictory && $0.name.hasPrefix("tied.weight") } && !error.defects.isEmpty)
        }
    }
}

/// A module that holds a layer which is no `Layer`.
private struct Recurrent: Layer {
    let inner: LSTM
    init(_ inner: LSTM) { self.inner = inner }
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { inner(input, pass).outputs }
}
