import Foundation
import Testing
import Torch
import WeightNorm

/// The numbers that `Scripts/reference/recurrent.py` gives PyTorch's parameters, bit for bit.
private func pattern(_ offset: Int, _ shape: Int...) -> Tensor {
    let numbers = (0..<shape.reduce(1, *)).map { Double((37 * ($0 + offset) + 11) % 101 - 50) / 100 }
    return Tensor(numbers, shape: shape)
}

/// The memory that the process holds, in bytes.
@Sendable private func residentMemory() throws -> Int {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

struct RecurrentBindingTests {
    @Test("an LSTM is PyTorch's, with the sum of its two biases")
    func pyTorchLSTM() {
        let layer = LSTM(
            inputWeight: .direct(Parameter(pattern(0, 8, 3))), stateWeight: .direct(Parameter(pattern(100, 8, 2))),
            bias: Parameter(pattern(200, 8) + pattern(300, 8)), initialState: Parameter(pattern(500, 2)),
            initialCell: Parameter(pattern(600, 2)))
        let sequence = Parameter(pattern(400, 3, 2, 3) * 4)
        let (outputs, last) = layer(sequence.value, .training(Generator(seed: 0)))
        let found =
            [outputs, last.cell]
            + gradients(of: (outputs * pattern(700, 3, 2, 2)).sum(), withRespectTo: [sequence] + layer.parameters)
        let expected = [
            LSTMReference.outputs, LSTMReference.lastCell, LSTMReference.sequenceGradient, LSTMReference.inputWeightGradient,
            LSTMReference.stateWeightGradient, LSTMReference.inputBiasGradient, LSTMReference.initialStateGradient,
            LSTMReference.initialCellGradient,
        ]
        #expect(found.count == expected.count)
        for (one, other) in zip(found, expected) { #expect(difference(one.flattened(), Tensor(other)) < 1e-14) }
    }

    @Test("a GRU is PyTorch's")
    func pyTorchGRU() {
        let layer = GRU(
            inputWeight: .direct(Parameter(pattern(0, 6, 3))), stateWeight: .direct(Parameter(pattern(100, 6, 2))),
            inputBias: Parameter(pattern(200, 6)), stateBias: Parameter(pattern(300, 6)), initialState: Parameter(pattern(500, 2)))
        let sequence = Parameter(pattern(400, 3, 2, 3) * 4)
        let outputs = layer(sequence.value, .training(Generator(seed: 0))).outputs
        let found =
            [outputs] + gradients(of: (outputs * pattern(700, 3, 2, 2)).sum(), withRespectTo: [sequence] + layer.parameters)
        let expected = [
            GRUReference.outputs, GRUReference.sequenceGradient, GRUReference.inputWeightGradient, GRUReference.stateWeightGradient,
            GRUReference.inputBiasGradient, GRUReference.stateBiasGradient, GRUReference.initialStateGradient,
        ]
        #expect(found.count == expected.count)
        for (one, other) in zip(found, expected) { #expect(difference(one.flattened(), Tensor(other)) < 1e-14) }
    }

    @Test("a bound layer reads the weights once: what changes afterwards is seen by the next binding alone (pytorch #2176)")
    func boundOnce() {
        let random = Generator(seed: 1)
        let (lstm, gru) = (LSTM(4, hidden: 3, random: random), GRU(4, hidden: 3, random: random))
        let input = Tensor.normal([50, 2, 4], from: random)
        let (cell, unit) = (lstm.bound(), gru.bound())
        let before = [cell(input).outputs, unit(input).outputs]
        for layer in [lstm, gru] as [any Module] {
            for named in layer.namedParameters where named.path.contains("Weight") { named.value.assign(named.value.snapshot() * 2) }
        }
        for (found, expected) in zip([cell(input).outputs, unit(input).outputs], before) { #expect(difference(found, expected) == 0) }
        for (found, old) in zip([lstm(input, .inference).outputs, gru(input, .inference).outputs], before) {
            #expect((found - old).magnitude().maximum().item() > 1e-3, "bound anew")
        }
    }

    @Test("a bound layer of one weight over input and state steps as one of its columns does, and gives the weight its gradient")
    func joint() {
        let random = Generator(seed: 4)
        let gates = Dense(4 + 3, to: 4 * 3, type: .float64, random: random)
        let weight = gates.weight.value
        let lstm = LSTM(
            inputWeight: .direct(Parameter(weight.sliced(0..<4, along: 1))),
            stateWeight: .direct(Parameter(weight.sliced(4..<7, along: 1))),
            bias: Parameter(.normal([12], type: .float64, from: random)))
        let (joint, apart) = (BoundLSTM(joint: weight, bias: lstm.bias.value), lstm.bound())
        let input = Tensor.normal([2, 4], type: .float64, from: random)
        let states = [joint, apart].map { $0.step(input, from: $0.step(input, from: $0.start(batch: 2))) }
        #expect(difference(states[0].output, states[1].output) < 1e-15)
        #expect(difference(states[0].cell, states[1].cell) < 1e-15)
        let found = gradients(of: states[0].output.sum(), withRespectTo: [weight])[0]
        let parts = gradients(of: states[1].output.sum(), withRespectTo: lstm.parameters)
        #expect(difference(found, .concatenated([parts[0], parts[1]], along: 1)) < 1e-14)
    }

    @Test("a sequence ten times as long leaves no more tensors behind (pytorch #2176)")
    func liveTensors() async {
        // In a process of its own: other tests hold tensors too.
        await #expect(processExitsWith: .success) {
            let random = Generator(seed: 1)
            let (lstm, gru) = (LSTM(4, hidden: 3, peepholes: true, random: random), GRU(4, hidden: 3, random: random))
            func held(_ time: Int) -> Int {
                let input = Tensor.normal([time, 2, 4], from: random)
                let before = Runtime.liveTensorCount
                let (one, other) = (lstm(input, .training(random)), gru(input, .training(random)))
                let found = gradients(of: one.outputs.sum() + other.outputs.sum(), withRespectTo: lstm.parameters + gru.parameters)
                return withExtendedLifetime((one, other, found)) { Runtime.liveTensorCount - before }
            }
            // Outputs, last states and gradients: 2 + 3 and 6 + 6 handles.
            let (short, long) = (held(5), held(50))
            if short != long || short > 17 { fatalError("expected at most 17 tensors for 5 and for 50 steps, found \(short) and \(long)") }
        }
    }

    #if os(Linux)
        @Test("the recorded graph holds one weight, not one for each time step (pytorch #2176)")
        func graphMemory() async {
            await #expect(processExitsWith: .success) {
                let random = Generator(seed: 1)
                let (lstm, gru) = (LSTM(512, hidden: 512, random: random), GRU(512, hidden: 512, random: random))
                func run(_ time: Int) -> [Tensor] {
                    let input = Tensor.normal([time, 1, 512], from: random)
                    return [lstm(input, .training(random)).outputs, gru(input, .training(random)).outputs]
                }
                let short = run(5)
                let before = try residentMemory()
                let long = run(50)
                let grown = try withExtendedLifetime((short, long)) { try residentMemory() - before }
                // The weights have 4·2 + 3·2 MB: one of each for every step would be 700 MB; a second set and the steps' own numbers are 16.
                if grown > 100 << 20 { fatalError("expected at most 100 MB for 50 steps, found \(grown >> 20)") }
            }
        }
    #endif

    @Test("a folded layer is the same function, bit for bit, with plain weights alone", arguments: [Normalization.weight, .fixedGain])
    func folding(normalization: Normalization) {
        let random = Generator(seed: 1)
        let lstm = LSTM(4, hidden: 3, normalization: normalization, peepholes: true, random: random)
        let gru = GRU(4, hidden: 3, normalization: normalization, random: random)
        let input = Tensor.normal([5, 2, 4], from: random)
        let before = [lstm(input, .inference).outputs, gru(input, .inference).outputs]
        lstm.foldWeights()
        gru.foldWeights()
        for (found, expected) in zip([lstm(input, .inference).outputs, gru(input, .inference).outputs], before) {
            #expect(difference(found, expected) == 0)
        }
        #expect(lstm.namedParameters.map(\.path) == ["inputWeight", "stateWeight", "bias", "peepholes"])
        #expect(gru.namedParameters.map(\.path) == ["inputWeight", "stateWeight", "inputBias", "stateBias"])
        #expect(lstm.namedBuffers.isEmpty && gru.namedBuffers.isEmpty)
        lstm.normalizeWeights()
        #expect(
            lstm.namedParameters.map(\.path).prefix(4) == [
                "inputWeight.direction", "inputWeight.gain", "stateWeight.direction", "stateWeight.gain",
            ])
        #expect(difference(lstm(input, .inference).outputs, before[0]) < 1e-6)
    }

    /// What a program that ends says, from a closure that must end it.
    private func message(_ result: ExitTest.Result?) -> String {
        String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    }

    @Test("an initializing pass is refused, with the reason")
    func initializing() async {
        let reason = "data-dependent initialization is not defined for recurrent layers: call with .training"
        let lstm = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let random = Generator(seed: 1)
            _ = LSTM(4, hidden: 3, random: random)(.zeros([5, 2, 4]), .initializing(random))
        }
        #expect(message(lstm).contains(reason))
        let gru = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let random = Generator(seed: 1)
            _ = GRU(4, hidden: 3, random: random)(.zeros([5, 2, 4]), .initializing(random))
        }
        #expect(message(gru).contains(reason))
    }

    @Test("batch statistics are refused, with the reason", arguments: ["batch", "mean-only-batch", "weight+mean-only-batch"])
    func batchStatistics(name: String) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [name] in
            _ = LSTM(4, hidden: 3, normalization: try #require(Normalization(rawValue: name)), random: Generator(seed: 1))
        }
        #expect(
            message(result).contains(
                "normalization of a recurrent layer: expected one of normal, fixed-gain, weight, log-weight, found \(name), "
                    + "which takes statistics that differ from one time step to the next"))
    }

    @Test("shapes that do not fit trap, and say what was expected")
    func badShapes() async {
        let state = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            // Broadcasting would let a state of one example through for a batch of two.
            let layer = LSTM(4, hidden: 3, random: Generator(seed: 1))
            _ = layer(.zeros([5, 2, 4]), .inference, from: LSTM.State(output: .zeros([1, 3]), cell: .zeros([1, 3])))
        }
        #expect(message(state).contains("output in the state of an LSTM: expected shape [2, 3], found [1, 3]"))
        let unitState = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = GRU(4, hidden: 3, random: Generator(seed: 1))(.zeros([5, 2, 4]), .inference, from: .zeros([1, 3]))
        }
        #expect(message(unitState).contains("state of a GRU: expected shape [2, 3], found [1, 3]"))
        let term = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let cell = LSTM(4, hidden: 3, random: Generator(seed: 1)).bound()
            _ = cell.step(preactivation: .zeros([12]), from: cell.start(batch: 2))
        }
        #expect(message(term).contains("preactivation of an LSTM's step: expected shape [2, 12], found [12]"))
        let joint = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = BoundLSTM(joint: .zeros([12, 3]), bias: .zeros([12]))
        }
        #expect(
            message(joint).contains(
                "weight of an LSTM over input and state: expected shape [4·hidden, inputs + hidden], found [12, 3]"))
        let sequence = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = GRU(4, hidden: 3, random: Generator(seed: 1))(.zeros([0, 2, 4]), .inference)
        }
        #expect(
            message(sequence).contains(
                "sequence of a GRU: expected shape [time, batch, 4] of at least one time step, found [0, 2, 4]"))
        let peepholes = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = LSTM(
                inputWeight: .normalized(.ones([12, 4])), stateWeight: .normalized(.ones([12, 3])), bias: Parameter(.zeros([12])),
                peepholes: Parameter(.zeros([3])))
        }
        #expect(message(peepholes).contains("peepholes of an LSTM: expected shape [3, 3], found [3]"))
        let weight = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = GRU(
                inputWeight: .normalized(.ones([8, 4])), stateWeight: .normalized(.ones([9, 3])), inputBias: Parameter(.zeros([9])),
                stateBias: Parameter(.zeros([9])))
        }
        #expect(message(weight).contains("inputWeight of a GRU: expected shape [9, inputs], found [8, 4]"))
        let units = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = LSTM(
                inputWeight: .normalized(.ones([12, 4])),
                stateWeight: .normalized(direction: Parameter(.ones([12, 3])), gain: Parameter(.ones([1, 1, 1])), units: .axis(2)),
                bias: Parameter(.zeros([12])))
        }
        #expect(message(units).contains("units of an LSTM's stateWeight: expected axes of a weight of [12, 3], found axis 2"))
        await #expect(processExitsWith: .failure) { _ = LSTM(0, hidden: 3, random: Generator(seed: 1)) }
    }
}
