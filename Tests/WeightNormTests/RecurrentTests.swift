import Foundation
import Testing
import Torch
import WeightNorm

private typealias Vector = [Double]
private typealias Matrix = [[Double]]

/// The rows of a tensor of two dimensions.
private func rows(_ tensor: Tensor) -> Matrix {
    let numbers = tensor.elements(as: Double.self)
    let length = tensor.shape[1]
    return (0..<tensor.shape[0]).map { Vector(numbers[($0 * length)..<(($0 + 1) * length)]) }
}

private func dot(_ left: Vector, _ right: Vector) -> Double { zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } }

private func sigmoid(_ number: Double) -> Double { 1 / (1 + exp(-number)) }

/// One example's way through an LSTM, number by number, as the formulas stand in its documentation.
private func scalarLSTM(_ layer: LSTM, _ sequence: Matrix) -> (outputs: Matrix, cell: Vector) {
    let (inputWeight, stateWeight) = (rows(layer.inputWeight.value), rows(layer.stateWeight.value))
    let bias = layer.bias.value.elements(as: Double.self)
    let count = layer.hidden
    let peepholes = layer.peepholes.map { rows($0.value) } ?? Matrix(repeating: Vector(repeating: 0, count: count), count: 3)
    var output = layer.initialState?.value.elements(as: Double.self) ?? Vector(repeating: 0, count: count)
    var cell = layer.initialCell?.value.elements(as: Double.self) ?? Vector(repeating: 0, count: count)
    var outputs: Matrix = []
    for input in sequence {
        let gates = (0..<(4 * count)).map { dot(inputWeight[$0], input) + dot(stateWeight[$0], output) + bias[$0] }
        for unit in 0..<count {
            let before = cell[unit]
            let inGate = sigmoid(gates[unit] + peepholes[0][unit] * before)
            let forgetGate = sigmoid(gates[count + unit] + peepholes[1][unit] * before)
            cell[unit] = forgetGate * before + inGate * tanh(gates[2 * count + unit])
            output[unit] = sigmoid(gates[3 * count + unit] + peepholes[2][unit] * cell[unit]) * tanh(cell[unit])
        }
        outputs.append(output)
    }
    return (outputs, cell)
}

/// One example's way through a GRU, number by number.
private func scalarGRU(_ layer: GRU, _ sequence: Matrix) -> Matrix {
    let (inputWeight, stateWeight) = (rows(layer.inputWeight.value), rows(layer.stateWeight.value))
    let (inputBias, stateBias) = (layer.inputBias.value.elements(as: Double.self), layer.stateBias.value.elements(as: Double.self))
    let count = layer.hidden
    var output = layer.initialState?.value.elements(as: Double.self) ?? Vector(repeating: 0, count: count)
    return sequence.map { input in
        let new = (0..<(3 * count)).map { dot(inputWeight[$0], input) + inputBias[$0] }
        let old = (0..<(3 * count)).map { dot(stateWeight[$0], output) + stateBias[$0] }
        output = (0..<count).map { unit in
            let reset = sigmoid(new[unit] + old[unit])
            let update = sigmoid(new[count + unit] + old[count + unit])
            let candidate = tanh(new[2 * count + unit] + reset * old[2 * count + unit])
            return (1 - update) * candidate + update * output[unit]
        }
        return output
    }
}

private let unbatched: [Normalization] = [.plain, .fixedGain, .weight, .logWeight]

/// A layer in double, all of whose parameters, zeros too, have been moved at random.
private func layer(_ normalization: Normalization, peepholes: Bool, trainableStart: Bool = true, hidden: Int = 3) -> LSTM {
    let layer = LSTM(
        4, hidden: hidden, normalization: normalization, peepholes: peepholes, trainableStart: trainableStart, type: .float64,
        random: Generator(seed: 5))
    move(layer)
    return layer
}

private func unit(_ normalization: Normalization, trainableStart: Bool = true) -> GRU {
    let layer = GRU(
        4, hidden: 3, normalization: normalization, trainableStart: trainableStart, type: .float64, random: Generator(seed: 5))
    move(layer)
    return layer
}

private func move(_ module: some Module) {
    let random = Generator(seed: 6)
    for parameter in module.parameters {
        parameter.assign(parameter.snapshot() + 0.5 * .normal(parameter.value.shape, type: .float64, from: random))
    }
}

private func sequence(_ time: Int, batch: Int = 2) -> Tensor { .normal([time, batch, 4], type: .float64, from: Generator(seed: 7)) * 2 }

struct RecurrentTests {
    @Test("an LSTM computes its formulas, element by element", arguments: unbatched, [(false, false), (false, true), (true, false)])
    func definition(normalization: Normalization, kind: (full: Bool, second: Bool)) {
        let layer = layer(normalization, peepholes: kind.full, trainableStart: kind.full)
        layer.hasSecondDerivatives = kind.second
        let input = sequence(6)
        let (outputs, last) = layer(input, .inference)
        #expect(outputs.shape == [6, 2, 3])
        for example in 0..<2 {
            let expected = scalarLSTM(layer, rows(input.selected(example, along: 1)))
            #expect(difference(outputs.selected(example, along: 1), Tensor(expected.outputs.flatMap(\.self), shape: [6, 3])) < 1e-14)
            #expect(difference(last.cell.selected(example, along: 0), Tensor(expected.cell)) < 1e-14)
        }
        #expect(difference(last.output, outputs.selected(5, along: 0)) == 0)
    }

    @Test("a GRU computes its formulas, element by element", arguments: unbatched, [(false, false), (false, true), (true, false)])
    func gruDefinition(normalization: Normalization, kind: (trainableStart: Bool, second: Bool)) {
        let layer = unit(normalization, trainableStart: kind.trainableStart)
        layer.hasSecondDerivatives = kind.second
        let input = sequence(6)
        let (outputs, last) = layer(input, .inference)
        #expect(outputs.shape == [6, 2, 3])
        for example in 0..<2 {
            let expected = scalarGRU(layer, rows(input.selected(example, along: 1)))
            #expect(difference(outputs.selected(example, along: 1), Tensor(expected.flatMap(\.self), shape: [6, 3])) < 1e-14)
        }
        #expect(difference(last, outputs.selected(5, along: 0)) == 0)
    }

    @Test("gradients of every parameter agree with finite differences", arguments: unbatched, [false, true])
    func finiteDifferences(normalization: Normalization, composed: Bool) {
        let input = sequence(4)
        let seed = Tensor.normal([4, 2, 3], type: .float64, from: Generator(seed: 8))
        let (lstm, gru) = (layer(normalization, peepholes: composed), unit(normalization))
        gru.hasSecondDerivatives = composed
        func check(_ module: some Module, _ loss: () -> Tensor) {
            let found = gradients(of: loss(), withRespectTo: module.parameters)
            for (named, gradient) in zip(module.namedParameters, found) {
                #expect(difference(gradient, numericGradient(named.value, of: loss)) < 1e-8, "\(named.path)")
                #expect(gradient.magnitude().maximum().item() > 1e-4, "\(named.path) has a part in the loss")
            }
        }
        check(lstm) {
            let (outputs, last) = lstm(input, .training(Generator(seed: 0)))
            return (outputs * seed).sum() + last.cell.squared().sum()
        }
        check(gru) { (gru(input, .training(Generator(seed: 0))).outputs * seed).sum() }
    }

    @Test(
        "the fast loops over a sequence and the steps agree, in values and gradients",
        arguments: [ElementType.float32, .bfloat16, .float64])
    func fastLoops(type: ElementType) {
        let random = Generator(seed: 5)
        let lstm = LSTM(4, hidden: 8, trainableStart: true, deviation: 0.5, type: type, random: random)
        let gru = GRU(4, hidden: 8, trainableStart: true, deviation: 0.5, type: type, random: random)
        for parameter in lstm.parameters + gru.parameters {
            parameter.assign(parameter.snapshot() + Tensor.normal(parameter.value.shape, type: type, from: random) * 0.3)
        }
        let input = Tensor.normal([6, 3, 4], type: type, from: random)
        func results() -> [Tensor] {
            let (outputs, last) = lstm(input, .training(random))
            let (unitOutputs, unitLast) = gru(input, .training(random))
            let loss = outputs.sum() + last.cell.sum() * 2 + unitOutputs.sum() + unitLast.sum() * 2
            return [outputs, last.output, last.cell, unitOutputs, unitLast]
                + gradients(of: loss, withRespectTo: lstm.parameters + gru.parameters)
        }
        let fast = results()
        (lstm.hasSecondDerivatives, gru.hasSecondDerivatives) = (true, true)
        let tolerance = type == .float64 ? 1e-13 : type == .float32 ? 2e-6 : 0.03
        for (found, expected) in zip(fast, results()) {
            #expect(found.type == type)
            #expect(difference(found.converted(to: .float64), expected.converted(to: .float64)) < tolerance)
        }
    }

    @Test("gradients of gradients can be had through a sequence when asked for")
    func secondDerivatives() {
        let input = sequence(3)
        let (lstm, gru) = (layer(.weight, peepholes: false), unit(.weight))
        (lstm.hasSecondDerivatives, gru.hasSecondDerivatives) = (true, true)
        func check(_ module: some Module, _ loss: () -> Tensor) {
            let parameters = module.parameters
            func slope(recording: Bool) -> Tensor {
                let first = gradients(of: loss(), withRespectTo: parameters, createGraph: recording)
                return first.dropFirst().reduce(first[0].squared().sum()) { $0 + $1.squared().sum() }
            }
            let found = gradients(of: slope(recording: true), withRespectTo: parameters)
            for (parameter, gradient) in zip(parameters, found) {
                #expect(difference(gradient, numericGradient(parameter) { withGradients { slope(recording: false) } }) < 1e-7)
            }
        }
        check(lstm) { lstm(input, .inference).outputs.power(2).sum() }
        check(gru) { gru(input, .inference).outputs.power(2).sum() }
    }

    @Test("a step with its input in parts is the step with the parts joined, in values and gradients")
    func parts() {
        let random = Generator(seed: 8)
        let layer = LSTM(7, hidden: 3, peepholes: true, trainableStart: true, deviation: 0.5, type: .float64, random: random)
        let inputs = [2, 4, 1].map { Tensor.normal([5, $0], type: .float64, from: random) }
        let extra = Tensor.normal([5, 12], type: .float64, from: random)
        func results(joined: Bool) -> [Tensor] {
            let bound = layer.bound()
            var state = bound.start(batch: 5)
            let columns = joined ? [] : bound.inputColumns([2, 4, 1])
            for _ in 0..<2 {
                state =
                    joined
                    ? bound.step(.concatenated(inputs, along: 1), preactivation: extra, from: state)
                    : bound.step(parts: zip(inputs, columns).map { ($0, $1) }, preactivation: extra, from: state)
            }
            return [state.output, state.cell] + gradients(of: (state.output + state.cell).power(2).sum(), withRespectTo: layer.parameters)
        }
        for (found, expected) in zip(results(joined: false), results(joined: true)) { #expect(difference(found, expected) < 1e-13) }
    }

    @Test("wrapped and plain layers of one weight are the same function: g starts at ‖v‖")
    func sameFunction() {
        let input = sequence(6)
        let outputs = unbatched.map { normalization -> [Tensor] in
            let random = Generator(seed: 9)
            let lstm = LSTM(4, hidden: 3, normalization: normalization, deviation: 0.7, type: .float64, random: random)
            let gru = GRU(4, hidden: 3, normalization: normalization, deviation: 0.7, type: .float64, random: random)
            return [lstm(input, .inference).outputs, gru(input, .inference).outputs]
        }
        #expect(outputs[0].allSatisfy { $0.magnitude().maximum().item() > 0.1 })
        for wrapped in outputs.dropFirst() {
            for (found, expected) in zip(wrapped, outputs[0]) { #expect(difference(found, expected) < 1e-14) }
        }
    }

    @Test("steps are the sequence, in one piece or in two")
    func steps() {
        let input = sequence(5)
        let (lstm, gru) = (layer(.weight, peepholes: true), unit(.weight))
        let (whole, wholeUnit) = (lstm(input, .inference), gru(input, .inference))
        let (cell, bound) = (lstm.bound(), gru.bound())
        var (state, unitState) = (cell.start(batch: 2), bound.start(batch: 2))
        for time in 0..<5 {
            state = cell.step(input.selected(time, along: 0), from: state)
            unitState = bound.step(input.selected(time, along: 0), from: unitState)
            #expect(difference(state.output, whole.outputs.selected(time, along: 0)) < 1e-14)
            #expect(difference(unitState, wholeUnit.outputs.selected(time, along: 0)) < 1e-14)
        }
        #expect(difference(state.cell, whole.last.cell) < 1e-14)
        let half = lstm(input.sliced(0..<2, along: 0), .inference)
        let rest = lstm(input.sliced(2..<5, along: 0), .inference, from: half.last)
        #expect(difference(rest.outputs, whole.outputs.sliced(2..<5, along: 0)) < 1e-14)
        #expect(difference(rest.last.cell, whole.last.cell) < 1e-14)
        let unitHalf = gru(input.sliced(0..<2, along: 0), .inference)
        let unitRest = gru(input.sliced(2..<5, along: 0), .inference, from: unitHalf.last)
        #expect(difference(unitRest.outputs, wholeUnit.outputs.sliced(2..<5, along: 0)) < 1e-14)
    }

    @Test("products of parts, added, stand for the product of the parts joined")
    func preactivation() {
        let (lstm, gru) = (layer(.weight, peepholes: true).bound(), unit(.weight).bound())
        let input = sequence(1).selected(0, along: 0)
        let (left, right) = (input.sliced(0..<1, along: 1), input.sliced(1..<4, along: 1))
        func parts(_ weight: Tensor) -> [Tensor] {
            [left.linear(weight: weight.sliced(0..<1, along: 1)), right.linear(weight: weight.sliced(1..<4, along: 1))]
        }
        let (start, products) = (lstm.start(batch: 2), parts(lstm.inputWeight))
        let expected = lstm.step(input, from: start)
        for found in [
            lstm.step(preactivation: products[0] + products[1], from: start),
            lstm.step(preactivation: lstm.inputProduct(input), from: start),
            lstm.step(.zeros([2, 4], type: .float64), preactivation: products[0] + products[1], from: start),
        ] {
            #expect(difference(found.output, expected.output) < 1e-14)
            #expect(difference(found.cell, expected.cell) < 1e-14)
        }
        let (unitStart, unitProducts) = (gru.start(batch: 2), parts(gru.inputWeight))
        let unitExpected = gru.step(input, from: unitStart)
        for found in [
            gru.step(preactivation: unitProducts[0] + unitProducts[1], from: unitStart),
            gru.step(preactivation: gru.inputProduct(input), from: unitStart),
            gru.step(.zeros([2, 4], type: .float64), preactivation: unitProducts[0] + unitProducts[1], from: unitStart),
        ] {
            #expect(difference(found, unitExpected) < 1e-14)
        }
        let nothing = Tensor.zeros([2, 4], type: .float64)
        #expect(difference(lstm.step(from: start).output, lstm.step(nothing, from: start).output) < 1e-14)
        #expect(difference(gru.step(from: unitStart), gru.step(nothing, from: unitStart)) < 1e-14)
    }

    @Test("parameters have the names of properties, those that are left out none")
    func names() {
        #expect(
            layer(.weight, peepholes: true).namedParameters.map(\.path) == [
                "inputWeight.direction", "inputWeight.gain", "stateWeight.direction", "stateWeight.gain", "bias", "peepholes",
                "initialState", "initialCell",
            ])
        #expect(
            layer(.plain, peepholes: false, trainableStart: false).namedParameters.map(\.path) == ["inputWeight", "stateWeight", "bias"])
        #expect(layer(.fixedGain, peepholes: false).namedBuffers.map(\.path) == ["inputWeight.scale", "stateWeight.scale"])
        #expect(
            unit(.weight).namedParameters.map(\.path) == [
                "inputWeight.direction", "inputWeight.gain", "stateWeight.direction", "stateWeight.gain", "inputBias", "stateBias",
                "initialState",
            ])
        let shapes = layer(.weight, peepholes: true).parameters.map(\.value.shape)
        #expect(shapes == [[12, 4], [12, 1], [12, 3], [12, 1], [12], [3, 3], [3], [3]], "a norm for every gate of every unit")
    }
}
