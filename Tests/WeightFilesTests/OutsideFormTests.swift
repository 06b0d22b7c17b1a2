import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

private func difference(_ found: Tensor, _ expected: Tensor) -> Double {
    withoutGradients { (found - expected).magnitude().maximum().item() }
}

/// One layer of each kind, with all parameters moved away from where they start.
private final class Network: Layer {
    let dense: Dense
    let convolution: Convolution
    let up: TransposedConvolution
    let masked: MaskedDense
    let lstm: LSTM
    let gru: GRU

    init(_ normalization: Normalization, seed: UInt64) {
        let random = Generator(seed: seed)
        let type = ElementType.float64
        dense = Dense(4, to: 12, normalization: normalization, type: type, random: random)
        convolution = Convolution(3, to: 4, kernel: [2], normalization: normalization, type: type, random: random)
        up = TransposedConvolution(4, to: 6, kernel: [2], groups: 2, normalization: normalization, type: type, random: random)
        let map = MaskedMap(
            DenseMap(inputs: 4, outputs: 5), mask: AutoregressiveMask.dense(inputs: [1, 2, 3, 4], outputs: [1, 2, 3, 4, 4], strict: false))
        masked = MaskedDense(map: map, normalization: normalization, type: type, random: random)
        lstm = LSTM(5, hidden: 3, normalization: normalization, type: type, random: random)
        gru = GRU(3, hidden: 2, normalization: normalization, type: type, random: random)
        for parameter in parameters { parameter.assign(parameter.snapshot() + Tensor.normal(parameter.value.shape, from: random) * 0.1) }
    }

    /// `[time, batch, 2]` of `[batch, 4]`.
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor {
        let maps = up(convolution(dense(input, pass).reshaped([-1, 3, 4]), pass), pass)
        let sequence = masked(maps.permuted([1, 0, 2]), pass)
        return gru(lstm(sequence, pass).outputs, pass).outputs
    }
}

struct OutsideFormTests {
    private let input = Tensor.normal([5, 4], type: .float64, from: Generator(seed: 9))
    private static let forms: [Normalization] = [.adapted, .bounded]

    @Test("every layer has it, under its parts' names, with gradients that agree with finite differences", arguments: forms)
    func layers(normalization: Normalization) {
        let network = Network(normalization, seed: 1)
        let parts = normalization.form.partNames
        let trained = normalization == .adapted ? ["left", "right", "gain"] : parts
        #expect(network.namedWeights.count == 8)
        #expect(network.namedParameters.map(\.path).filter { $0.hasPrefix("gru.stateWeight") } == trained.map { "gru.stateWeight.\($0)" })
        let parameters = network.parameters
        let found = gradients(of: network(input, .inference).squared().sum(), withRespectTo: parameters)
        for (parameter, gradient) in zip(parameters, found) {
            let start = parameter.snapshot()
            let direction = Tensor.normal(start.shape, type: .float64, from: Generator(seed: 2))
            func loss(_ step: Double) -> Double {
                parameter.assign(start + direction * step)
                return withoutGradients { network(input, .inference).squared().sum().item() }
            }
            let slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
            parameter.assign(start)
            #expect(abs(slope - (gradient * direction).sum().item()) < 1e-6 * max(1, abs(slope)))
        }
    }

    @Test("a form that notes down its use in training does so in every layer, once a pass")
    func passes() {
        let network = Network(.adapted, seed: 1)
        for pass in [Pass.training(Generator(seed: 1)), .inference, .training(Generator(seed: 1))] { _ = network(input, pass) }
        let uses = network.namedWeights.compactMap { $0.value.form as? AdaptedWeight }.map { $0.uses.value.item() }
        #expect(uses == [Double](repeating: 2, count: 8))
    }

    @Test("initialization gives units mean 0 and deviation 1, or mean 0 alone where there is no scale; in parts as at once")
    func initialization() {
        for normalization in Self.forms + [.centred] {
            func layer() -> Dense { Dense(4, to: 3, normalization: normalization, type: .float64, random: Generator(seed: 3)) }
            let (one, other) = (layer(), layer())
            let output = one(input, .initializing(Generator(seed: 1)))
            let (variance, mean) = output.varianceAndMean(over: [0])
            #expect(mean.magnitude().maximum().item() < 1e-14)
            let isScaled = normalization != .bounded
            #expect(((variance - 1).magnitude().maximum().item() < 1e-12) == isScaled)
            other.initialize(fromParts: [input.sliced(0..<2, along: 0), input.sliced(2..<5, along: 0)], random: Generator(seed: 1))
            for (one, other) in zip(one.parameters, other.parameters) { #expect(difference(one.value, other.value) < 1e-13) }
        }
    }

    @Test("‖v‖, g, the step and the angle are measured", arguments: forms)
    func measured(normalization: Normalization) throws {
        let layer = Dense(4, to: 3, normalization: normalization, type: .float64, random: Generator(seed: 3))
        let observer = WeightObserver(layer)
        _ = observer.read(learningRate: 0.1)
        for parameter in layer.parameters { parameter.assign(parameter.snapshot() + 0.5) }
        let reading = try #require(observer.read(learningRate: 0.1).first)
        let w = withoutGradients { layer.weight.value }
        #expect(abs(reading.gain.largest - w.norm(over: [1]).maximum().item()) < 1e-12)
        #expect(abs(reading.directionNorm.largest - layer.weight.vector.norm(over: [1]).maximum().item()) < 1e-12)
        #expect(abs(reading.effectiveStep.mean - 0.1) < 1e-12 || normalization == .adapted)
        #expect((reading.angle?.smallest ?? 0) > 0.01)
    }

    @Test("a checkpoint restores it, and refuses it with other settings", arguments: forms)
    func checkpoint(normalization: Normalization) throws {
        try withFile { path in
            let (network, other) = (Network(normalization, seed: 1), Network(normalization, seed: 2))
            var checkpoint = Checkpoint(kind: "test")
            checkpoint.add(network, as: "network")
            try checkpoint.write(to: path)
            let read = try Checkpoint(reading: path, kind: "test")
            try read.restore(other, from: "network")
            #expect(difference(other(input, .inference), network(input, .inference)) == 0)
            guard normalization == .adapted else { return }
            let narrow = Network(Normalization("narrow", form: AdaptedWeight.self), seed: 1)
            #expect(throws: CheckpointError.self) { try read.restore(narrow, from: "network") }
        }
    }

    @Test("a value or another weight is taken over, its own parts as they are", arguments: forms)
    func assignment(normalization: Normalization) {
        let value = Tensor.normal([3, 4], type: .float64, from: Generator(seed: 4)) * 0.3
        let (ours, theirs) = (
            normalization.makeWeight(value, units: .axis(0)), normalization.makeWeight(value * 0.5 + 0.1, units: .axis(0))
        )
        for part in theirs.form.parts { part.assign(part.value + 0.25) }
        #expect(ours.assign(theirs))
        for (one, other) in zip(ours.form.parts, theirs.form.parts) { #expect(difference(one.value, other.value) == 0) }
        ours.assign(value)
        #expect(difference(ours.value, value) < 1e-14)
        for other in Normalization.allCases.map({ $0.makeWeight(value * -0.7, units: .axis(0)) }) {
            #expect(!ours.assign(other))
            #expect(difference(ours.value, value * -0.7) < 1e-14)
            other.assign(theirs)
            #expect(difference(other.value, theirs.value) < 1e-14)
        }
    }

    @Test("folding leaves the plain weight that it was", arguments: forms)
    func folding(normalization: Normalization) throws {
        let network = Network(normalization, seed: 1)
        let before = network(input, .inference)
        try withFile { path in
            try network.write(to: path, layout: .plain)
            let plain = Network(.plain, seed: 2)
            try plain.load(from: path)
            #expect(difference(plain(input, .inference), before) < 1e-13)
        }
        network.foldWeights()
        #expect(difference(network(input, .inference), before) < 1e-13)
        #expect(network.namedWeights.allSatisfy { $0.value.plain != nil })
    }

    @Test("the native layout keeps it: for the same form as it is, for another as the same function, or adopted", arguments: forms)
    func native(normalization: Normalization) throws {
        try withFile { path in
            let network = Network(normalization, seed: 1)
            let before = network(input, .inference)
            try network.write(to: path)
            let same = Network(normalization, seed: 2)
            let report = try same.load(from: path)
            #expect(report.weights.allSatisfy { $0.isExact && $0.layout == .native })
            #expect(difference(same(input, .inference), before) == 0)
            for other in [Normalization.plain, .weight, .fixedGain, .adapted] where other != normalization {
                let network = Network(other, seed: 2)
                #expect(throws: ModuleFileError.self) { try network.load(from: path) }
                try network.load(from: path, knowing: [normalization.form])
                #expect(difference(network(input, .inference), before) < 1e-12)
                try network.load(from: path, forms: .adopt, knowing: [normalization.form])
                #expect(network.namedWeights.allSatisfy { $0.value.form.summary == same.namedWeights[0].value.form.summary })
                #expect(network.namedWeights.map(\.value.units) == same.namedWeights.map(\.value.units))
                #expect(difference(network(input, .inference), before) == 0)
            }
        }
    }

    @Test("what a file says that is not so is told")
    func defects() throws {
        try withFile { (path: String) throws in
            func defects(_ key: String, _ value: String) throws -> [String] {
                let layer = Dense(4, to: 3, normalization: .adapted, bias: false, random: Generator(seed: 1))
                try layer.write(to: path, metadata: [key: value])
                let error = try #require(throws: ModuleFileError.self) { try layer.load(from: path) }
                return error.defects.map(\.description)
            }
            let known = "direct, scaled, normalized, log-normalized, adapted"
            #expect(
                try defects("weightnorm.form.weight", "odd") == ["unknown 'weight': expected a form among \(known), found 'odd'"])
            #expect(
                try defects("weightnorm.rank.weight", "0").last
                    == "contradictory 'weight': expected a rank of at least 1 in the file's metadata, found '0'")
            #expect(
                try defects("weightnorm.units.weight", "axis") == [
                    "contradictory 'weight': expected units such as axis 0 in the file's metadata, found 'axis'"
                ])
            #expect(
                try defects("weightnorm.units.weight", "axis 1") == ["misshapen 'weight.gain': expected [1, 4], found [3, 1]"])
            #expect(
                try defects("weightnorm.rank.weight", "3") == [
                    "misshapen 'weight.left': expected [3, 3], found [3, 2]", "misshapen 'weight.right': expected [3, 4], found [2, 4]",
                ])
        }
    }

    @Test("a file of weights is folded and converted by the forms that are known, and else refused")
    func weightFile() throws {
        try withFile { path in
            let layer = Dense(4, to: 3, normalization: .bounded, bias: false, type: .float64, random: Generator(seed: 1))
            let adapted = Dense(4, to: 3, normalization: .adapted, bias: false, type: .float64, random: Generator(seed: 2))
            let network = Sequential(layer, adapted)
            let expected = network.namedWeights.map { $0.value.value }
            try network.write(to: path)
            let out = path + ".out"
            defer { try? FileManager.default.removeItem(atPath: out) }
            #expect(throws: ModuleFileError.self) { try WeightFile(opening: path).convert(to: .plain, path: out) }
            let forms: [any WeightForm.Type] = [AdaptedWeight.self, BoundedWeight.self]
            let file = WeightFile(try SafetensorsFile(opening: path), knowing: forms)
            #expect(file.defects.isEmpty && file.others.isEmpty && file.weights.map(\.shape) == [[3, 4], [3, 4]])
            for weight in file.weights { #expect(try file.norms(of: weight).notFinite == 0) }
            _ = try file.convert(to: .plain, path: out)
            let plain = try SafetensorsFile(opening: out)
            #expect(plain.names == ["0.weight", "1.weight"] && plain.metadata == ["format": "pt"])
            for (name, value) in zip(plain.names, expected) { #expect(difference(try plain.tensor(name), value) == 0) }
            let outcome = try file.convert(to: .weightNorm, path: out)
            #expect(outcome.changed == ["0.weight", "1.weight"] && outcome.computed.isEmpty)
            #expect(try SafetensorsFile(opening: out).names == ["0.weight_raw", "1.weight"])
        }
    }

    @Test("names that a form, a normalizer and a layer have in PyTorch are those they say, there and back")
    func pyTorchNames() throws {
        try withFile { path in
            func network(_ seed: UInt64) -> Sequential {
                let random = Generator(seed: seed)
                return Sequential(
                    Dense(4, to: 3, normalization: .bounded, bias: false, random: random),
                    Dense(3, to: 2, normalization: .centred, random: random))
            }
            let (one, other) = (network(1), network(2))
            try one.write(to: path, layout: .parametrizations)
            #expect(
                Set(try SafetensorsFile(opening: path).names) == [
                    "0.weight_raw", "1.weight", "1.normalizer.shift", "1.normalizer.count", "1.normalizer.num_batches",
                ])
            try other.load(from: path)
            let input = Tensor.normal([5, 4], from: Generator(seed: 3))
            #expect(difference(one(input, .inference), other(input, .inference)) < 1e-5)
        }
    }
}
