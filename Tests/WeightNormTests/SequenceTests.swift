import Foundation
import Testing
import Torch
import WeightNorm

/// Loops over whole sequences on the CPU, which have their own way through the products: against the same steps one by one.
struct SequenceTests {
    struct Size: CustomTestStringConvertible {
        var time = 5
        var batch = 3
        var inputs = 4
        var hidden = 6
        var testDescription: String { "\(time) × \(batch), \(inputs) to \(hidden)" }
    }

    static let sizes = [
        Size(), Size(time: 1), Size(batch: 1, hidden: 1), Size(time: 2, batch: 0), Size(time: 7, batch: 33, inputs: 40, hidden: 70),
        Size(time: 3, batch: 9, inputs: 1, hidden: 33),
    ]

    /// The gradients of a loss that depends on all that a layer gives, with respect to the sequence and the layer's parameters; then what it gives.
    private func results(_ size: Size, _ type: ElementType, peepholes: Bool, byStep: Bool) -> [Tensor] {
        let random = Generator(seed: 3)
        // Drawn in one type, so that all types have the same numbers.
        func moved(_ module: some Module) {
            for parameter in module.parameters {
                parameter.assign(Tensor.normal(parameter.value.shape, type: .float32, from: random).converted(to: type) * 0.3)
            }
        }
        let lstm = LSTM(size.inputs, hidden: size.hidden, peepholes: peepholes, trainableStart: true, type: type, random: random)
        let gru = GRU(size.inputs, hidden: size.hidden, trainableStart: true, type: type, random: random)
        moved(lstm)
        moved(gru)
        (lstm.hasSecondDerivatives, gru.hasSecondDerivatives) = (byStep, byStep)
        func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float32, from: random).converted(to: type) }
        let input = Parameter(draw([size.time, size.batch, size.inputs]))
        let (found, units) = (lstm(input.value, .inference), gru(input.value, .inference))
        let given = [found.outputs, found.last.output, found.last.cell, units.outputs, units.last]
        let loss = given.reduce(Tensor.zeros([], type: type)) { $0 + ($1 * draw($1.shape)).sum() }
        return given + gradients(of: loss, withRespectTo: [input] + lstm.parameters + gru.parameters)
    }

    @Test("values and gradients are those of the steps, in every size", arguments: sizes, [false, true])
    func steps(size: Size, peepholes: Bool) {
        let expected = results(size, .float64, peepholes: peepholes, byStep: true)
        for (type, tolerance) in [(ElementType.float64, 1e-12), (.float32, 2e-5)] {
            let found = results(size, type, peepholes: peepholes, byStep: false)
            #expect(found.count == expected.count)
            for (found, expected) in zip(found, expected) where expected.count > 0 {
                #expect(found.shape == expected.shape)
                #expect(difference(found.converted(to: .float64), expected) < tolerance * max(1, expected.magnitude().maximum().item()))
            }
        }
    }

    @Test("unrecorded sequences have the same values, bit for bit, and with this library's products one thread has the same bits as two")
    func bits() async {
        await #expect(processExitsWith: .success) {
            let random = Generator(seed: 4)
            let (lstm, gru) = (LSTM(40, hidden: 70, random: random), GRU(40, hidden: 70, random: random))
            let input = Tensor.normal([7, 33, 40], from: random)
            let (ofLSTM, ofGRU) = (Tensor.normal([7, 33, 280], from: random), Tensor.normal([7, 33, 210], from: random))
            let start = Tensor.normal([33, 70], from: random)
            func values() -> [Float] {
                let (found, units) = (lstm(input, .inference), gru(input, .inference))
                return [found.outputs, found.last.cell, units.outputs].flatMap { $0.elements(as: Float.self) }
            }
            // From the inputs' products on: those are libtorch's.
            func recurrence() -> [Float] {
                let found = ofLSTM.longShortTermMemorySequence(
                    output: start, cell: start, stateWeight: lstm.stateWeight.value, peepholes: nil)
                let units = ofGRU.gatedRecurrentUnitSequence(
                    state: start, stateWeight: gru.stateWeight.value, stateBias: gru.stateBias.value)
                return [found.outputs, found.cell, units.outputs].flatMap { $0.elements(as: Float.self) }
            }
            try? Runtime.setThreadCount(1)
            guard values() == withoutGradients(values) else { exit(2) }
            guard ["AVX2", "AVX512"].contains(Runtime.processorCapability) else { return }
            let one = recurrence()
            try? Runtime.setThreadCount(2)
            guard recurrence() == one else { exit(3) }
        }
    }

    private func expectSameWithinAutocast(_ make: () -> (loss: Tensor, parameters: [Parameter])) {
        func slopes(_ type: ElementType) -> [Float] {
            let (loss, parameters) = make()
            return withAutocast(type, on: .cpu) { gradients(of: loss, withRespectTo: parameters) }.flatMap {
                #expect($0.type == .float32)
                return $0.elements(as: Float.self)
            }
        }
        #expect(slopes(.float32) == slopes(.bfloat16))
    }

    @Test("gradients are the same when they are taken within autocast")
    func autocast() {
        let random = Generator(seed: 5)
        let (lstm, gru) = (LSTM(5, hidden: 6, random: random), GRU(5, hidden: 6, random: random))
        let input = Tensor.normal([4, 3, 5], from: random)
        expectSameWithinAutocast {
            let loss = lstm(input, .inference).outputs.squared().sum() + gru(input, .inference).outputs.squared().sum()
            // What the sequence's operator gives: the inputs' product is libtorch's.
            let named = (lstm.namedParameters + gru.namedParameters).filter { $0.path.hasPrefix("stateWeight") }
            return (loss, named.map(\.value))
        }
    }

    @Test("so are those of single steps")
    func stepsWithinAutocast() {
        let random = Generator(seed: 5)
        let (lstm, gru) = (LSTM(5, hidden: 6, random: random), GRU(5, hidden: 6, random: random))
        let input = Tensor.normal([3, 5], from: random)
        expectSameWithinAutocast {
            let (boundLSTM, boundGRU) = (lstm.bound(), gru.bound())
            var (one, other) = (boundLSTM.start(batch: 3), boundGRU.start(batch: 3))
            for _ in 0..<3 { (one, other) = (boundLSTM.step(input, from: one), boundGRU.step(input, from: other)) }
            return (one.output.squared().sum() + other.squared().sum(), lstm.parameters + gru.parameters)
        }
    }

    @Test("gradients of gradients through a whole sequence trap with what to do")
    func secondDerivatives() async {
        await #expect(processExitsWith: .failure) {
            let input = Parameter(Tensor.normal([2, 1, 3], from: Generator(seed: 0)))
            let outputs = LSTM(3, hidden: 2, random: Generator(seed: 0))(input.value, .inference).outputs
            _ = gradients(of: outputs.sum(), withRespectTo: [input])
            _ = gradients(of: outputs.sum(), withRespectTo: [input], createGraph: true)
        }
        await #expect(processExitsWith: .failure) {
            let input = Parameter(Tensor.normal([2, 1, 3], from: Generator(seed: 0)))
            let outputs = GRU(3, hidden: 2, random: Generator(seed: 0))(input.value, .inference).outputs
            _ = gradients(of: outputs.sum(), withRespectTo: [input])
            _ = gradients(of: outputs.sum(), withRespectTo: [input], createGraph: true)
        }
    }
}
