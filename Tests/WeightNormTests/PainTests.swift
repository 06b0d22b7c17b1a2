import Testing
import Torch
import WeightNorm

// What users of weight normalization have suffered in other libraries: a test for each, named after it, with the place where it was reported. Those about
// files are in WeightFilesTests.

struct PainTests {
    private func dense(_ normalization: Normalization = .weight, seed: UInt64 = 1, type: ElementType = .float64) -> Dense {
        Dense(4, to: 3, normalization: normalization, type: type, random: Generator(seed: seed))
    }

    private let input = Tensor.normal([8, 4], type: .float64, from: Generator(seed: 2))

    @Test("a copied model shares or loses the derived weight (pytorch #28594, #102981)", arguments: [Normalization.weight, .logWeight])
    func copied(normalization: Normalization) {
        let (online, target) = (dense(normalization), dense(normalization, seed: 9))
        target.copyValues(from: online)
        let before = target(input, .inference)
        #expect(difference(before, online(input, .inference)) == 0)
        for parameter in online.parameters { parameter.assign(parameter.snapshot() * 2 + 1) }
        #expect(difference(target(input, .inference), before) == 0)
        // The copy is no frozen result either: its own parameters still reach its weight.
        for parameter in target.parameters { parameter.assign(parameter.snapshot() * 2 + 1) }
        #expect(difference(target(input, .inference), online(input, .inference)) == 0)
    }

    @Test(
        "the derived weight goes stale when parameters change or another entry point than the forward pass is called (pytorch #30754, #47588)"
    )
    func stale() {
        let layer = dense()
        let (before, weight) = (layer(input, .inference), layer.weight.value.detached().copied())
        guard let gain = (layer.weight.form as? NormalizedWeight)?.gain else { Issue.record("form"); return }
        gain.assign(gain.snapshot() * 5)
        // `weight` is read without a forward pass in between, and the other way round.
        #expect(difference(layer.weight.value, weight * 5) < 1e-15)
        #expect(difference(layer(input, .inference), before * 5) < 1e-15, "b is 0")
        let lstm = LSTM(4, hidden: 3, type: .float64, random: Generator(seed: 1))
        let sequence = input.reshaped([2, 4, 4])
        _ = lstm(sequence, .inference)
        for parameter in lstm.parameters { parameter.assign(parameter.snapshot() + 0.3) }
        let fresh = LSTM(4, hidden: 3, type: .float64, random: Generator(seed: 2))
        fresh.copyValues(from: lstm)
        let expected = fresh(sequence, .inference).outputs
        #expect(difference(lstm(sequence, .inference).outputs, expected) == 0)
        let bound = lstm.bound()
        let step = bound.step(sequence.selected(0, along: 0), from: bound.start(batch: 4))
        #expect(difference(step.output, expected.selected(0, along: 0)) < 1e-15)
    }

    @Test("g is not found as a parameter, so it is never trained; the normalized weight is written back into v (flax #5577, #5576)")
    func gainIsParameter() throws {
        let layer = dense()
        #expect(layer.namedParameters.map(\.path) == ["weight.direction", "weight.gain", "bias"])
        guard let form = layer.weight.form as? NormalizedWeight else { Issue.record("form"); return }
        let (direction, gain) = (form.direction, form.gain)
        let (v, g) = (direction.snapshot(), gain.snapshot())
        gain.assign(g * 7)
        _ = layer(input, .training(Generator(seed: 3)))
        #expect(difference(direction.value, v) == 0, "a forward pass leaves v alone")
        let found = gradients(of: layer(input, .training(Generator(seed: 3))).squared().sum(), withRespectTo: layer.parameters)
        #expect(found.allSatisfy { $0.magnitude().minimum().item() > 0 })
    }

    @Test("wrapping an existing weight changes it: g starts at 1, not ‖v‖ (flax #4138)", arguments: LayerCase.all)
    func wrapped(layerCase: LayerCase) {
        let input = Tensor.normal(layerCase.inputShape, type: .float64, from: Generator(seed: 2))
        let layer = layerCase.make(.plain, .float64, Generator(seed: 1))
        let before = layer(input, .inference)
        layer.normalizeWeights()
        #expect(layer.namedParameters.contains { $0.path == "weight.gain" })
        #expect(difference(layer(input, .inference), before) < 1e-14)
    }

    @Test("the norm is taken over the wrong axis for a transposed convolution, or wrongly for a grouped one (pytorch #7865, iaf #7)")
    func transposed() {
        let layer = TransposedConvolution(4, to: 6, kernel: [3], groups: 2, bias: false, type: .float64, random: Generator(seed: 1))
        let input = Tensor.normal([2, 4, 5], type: .float64, from: Generator(seed: 2))
        let before = layer(input, .inference)
        guard let gain = (layer.weight.form as? NormalizedWeight)?.gain else { Issue.record("form"); return }
        #expect(gain.value.count == 6)
        // What g belongs to: twice the gain of output channel 4 is twice that channel, and nothing else.
        for channel in 0..<6 {
            let start = gain.snapshot()
            let factors = Tensor((0..<6).map { $0 == channel ? 2.0 : 1 })
            gain.assign(start * factors.reshaped(start.shape))
            #expect(difference(layer(input, .inference), before * factors.reshaped([1, 6, 1])) < 1e-14)
            gain.assign(start)
        }
    }

    @Test(
        "‖v‖ = 0 gives NaN gradients; an ε that vanishes in half precision (pytorch #19126, #32137; peft #2049)",
        arguments: [ElementType.float64, .float32, .bfloat16, .float16])
    func zero(type: ElementType) {
        // Below a half's smallest square lie all of the second unit's squares, and beside them any ε above 1e-8 would count.
        let v = Tensor([0, 0, 0, 0, 3e-4, 4e-4, 0, 0] as [Float], shape: [2, 4]).converted(to: type)
        for form in [Normalization.weight, .logWeight] {
            let weight = form.makeWeight(v, units: .axis(0))
            let found = weight.value.converted(to: .float64)
            let rounding = type == .float64 || type == .float32 ? 1e-6 : 0.02
            #expect(difference(found / 5e-4, v.converted(to: .float64) / 5e-4) < rounding)
            let holder = Dense(map: DenseMap(inputs: 4, outputs: 2), weight: weight, bias: nil)
            let slopes = gradients(of: (weight.value * 2).sum(), withRespectTo: holder.parameters)
            #expect(slopes.allSatisfy { $0.isFinite().allTrue() })
        }
    }

    @Test(
        "half and bfloat16: the norm must be accumulated in float32 (pytorch #80599, #107914)", arguments: [ElementType.float16, .bfloat16])
    func halves(type: ElementType) {
        let v = Tensor.normal([2, 50_000], from: Generator(seed: 4)) * 4
        let half = v.converted(to: type)
        let gain = Tensor([3, 5] as [Float], shape: [2, 1]).converted(to: type)
        let weight = OutputUnits.axis(0).normalize(half, gain: gain).converted(to: .float64)
        // The sum of squares is 800,000, far beyond float16's largest number, 65,504.
        #expect(difference(weight.norm(over: [1]), Tensor([3.0, 5])) < 0.005)
    }

    @Test("data-dependent initialization is missing (pytorch #1945; TFA #1276, #2500)", arguments: [ElementType.float32, .bfloat16])
    func initialization(type: ElementType) {
        let layer = Dense(4, to: 3, type: type, random: Generator(seed: 1))
        let batch = (Tensor.normal([4096, 4], from: Generator(seed: 2)) * 7 + 3).converted(to: type)
        _ = layer(batch, .initializing(Generator(seed: 3)))
        let (variance, mean) = layer(batch, .inference).converted(to: .float64).varianceAndMean(over: [0])
        #expect(mean.magnitude().maximum().item() < 0.05)
        #expect((variance - 1).magnitude().maximum().item() < 0.05)
    }

    @Test("data-dependent initialization is done twice, or gives NaN where σ = 0 (TFA #1276, #2500)")
    func initializationTwice() {
        let layer = dense()
        _ = layer(input, .initializing(Generator(seed: 3)))
        let once = layer.parameters.map { $0.snapshot() }
        _ = layer(input, .initializing(Generator(seed: 3)))
        _ = layer(input, .training(Generator(seed: 3)))
        for (parameter, before) in zip(layer.parameters, once) { #expect(difference(parameter.value, before) < 1e-14) }
        let report = InitializationReport()
        _ = layer(.zeros([8, 4], type: .float64), .initializing(Generator(seed: 3), report: report))
        #expect(report.constantUnitCount == 3)
        for (parameter, before) in zip(layer.parameters, once) { #expect(difference(parameter.value, before) < 1e-14) }
    }

    @Test("initializing after normalizing has no effect (hifi-gan #145; TCN #1)", arguments: Normalization.forms)
    func initializedAfterwards(form: Normalization) {
        let layer = Dense(
            map: DenseMap(inputs: 4, outputs: 3), weight: form.makeWeight(.ones([3, 4], type: .float64), units: .axis(0)), bias: nil)
        let drawn = Tensor.normal([3, 4], type: .float64, from: Generator(seed: 5)) * 0.01
        let objects = layer.parameters.map(ObjectIdentifier.init)
        layer.weight.assign(drawn)
        #expect(difference(layer(input, .inference), input.linear(weight: drawn)) < 1e-16)
        #expect(layer.parameters.map(ObjectIdentifier.init) == objects, "an optimizer that holds them goes on")
    }

    @Test(
        "removal of the normalization is missing, silently ineffective, or not the exact inverse (waveglow PR 21; TFA #763; pytorch #125064; peft #3531)",
        arguments: LayerCase.all)
    func removal(layerCase: LayerCase) {
        let input = Tensor.normal(layerCase.inputShape, type: .float64, from: Generator(seed: 2))
        for normalization in [Normalization.weight, .logWeight, .fixedGain] {
            let layer = layerCase.make(normalization, .float64, Generator(seed: 1))
            for parameter in layer.parameters { parameter.assign(parameter.snapshot() * 1.5 + 0.25) }
            let before = layer(input, .inference)
            layer.foldWeights()
            #expect(difference(layer(input, .inference), before) == 0)
            #expect(layer.namedParameters.map(\.path) == ["weight", "bias"])
            #expect(layer.namedBuffers.isEmpty)
            // The plain weight is trained on its own now, and the function follows it.
            layer.parameters[0].assign(layer.parameters[0].snapshot() * 2)
            #expect(difference(layer(input, .inference), before) > 1e-3)
        }
    }

    @Test("recurrent nets normalize again in every time step: slow, and memory grows (pytorch #2176)")
    func recurrent() {
        let bound = LSTM(4, hidden: 3, type: .float64, random: Generator(seed: 1)).bound()
        var state = bound.start(batch: 8)
        for _ in 0..<5 { state = bound.step(input, from: state) }
        // One derived weight for all steps: the gradient with respect to it is that of the whole sequence.
        let found = gradients(of: state.output.sum(), withRespectTo: [bound.inputWeight, bound.stateWeight])
        #expect(found.allSatisfy { $0.magnitude().sum().item() > 0 })
    }

    @Test("replicas: start fails, or statistics differ between replicas (pytorch #61470)", arguments: Normalization.allCases)
    func replicas(normalization: Normalization) {
        let shards = [0..<3, 3..<8].map { input.sliced($0, along: 0) }
        let (single, first, second) = (dense(normalization), dense(normalization, seed: 5), dense(normalization, seed: 6))
        _ = single(input, .initializing(Generator(seed: 3)))
        first.copyValues(from: dense(normalization))
        first.initialize(fromParts: shards, random: Generator(seed: 3))
        second.copyValues(from: first)
        for replica in [first, second] {
            for (found, expected) in zip(replica.parameters, single.parameters) {
                #expect(difference(found.value, expected.value) < 1e-13)
            }
        }
        // The replicas' gradients, each of its shard, add up to the whole batch's where no statistics of the batch are in it.
        guard [.plain, .fixedGain, .weight, .logWeight].contains(normalization) else { return }
        func slopes(_ layer: Dense, _ input: Tensor) -> [Tensor] {
            gradients(of: layer(input, .training(Generator(seed: 3))).power(3).sum(), withRespectTo: layer.parameters)
        }
        let sums = zip(slopes(first, shards[0]), slopes(second, shards[1])).map { $0 + $1 }
        for (found, expected) in zip(sums, slopes(single, input)) { #expect(difference(found, expected) < 1e-13) }
    }

    @Test("export: the operator is unknown outside (pytorch #112086, #130644)")
    func export() {
        let network = Sequential(
            dense(.weight), Activation.relu,
            Dense(3, to: 4, normalization: .logWeight, type: .float64, random: Generator(seed: 7)))
        let before = network(input, .inference)
        network.foldWeights()
        // What is left are plain arrays and a product, which any program can do.
        let arrays = Dictionary(uniqueKeysWithValues: network.namedParameters.map { ($0.path, $0.value.snapshot()) })
        #expect(Set(arrays.keys) == ["0.weight", "0.bias", "2.weight", "2.bias"])
        func product(_ input: Tensor, _ layer: String) -> Tensor {
            input.matrixProduct(arrays["\(layer).weight"]!.transposed()) + arrays["\(layer).bias"]!
        }
        #expect(difference(product(product(input, "0").relu(), "2"), before) < 1e-14)
    }
}
