import Foundation
import Testing
import Torch
import Training

/// The update rules as written in the papers, number by number.
private struct Reference {
    var value: Double
    var first = 0.0
    var second = 0.0
    var infinity = 0.0
}

struct OptimizerTests {
    private let start = [1.0, -2, 0.5, 3]
    private let rates = (0..<25).map { 0.1 / Double($0 + 1) }

    /// ∇ of Σ (θ² + sin 3θ), which changes sign along the way.
    private func slope(_ value: Double) -> Double { 2 * value + 3 * cos(3 * value) }

    @Test("gradients longer than the largest norm are scaled down to it together; shorter ones and zeros stay")
    func clipping() {
        let gradients = [Tensor([3.0, 0], shape: [2, 1]), Tensor([4.0])]
        let found = clipped(gradients, maxNorm: 2.5)
        #expect(found.map { $0.elements(as: Double.self) } == [[1.5, 0], [2]] && found[0].shape == [2, 1])
        #expect(clipped(gradients, maxNorm: 5).map { $0.elements(as: Double.self) } == [[3, 0], [4]])
        #expect(clipped([Tensor([0.0, 0])], maxNorm: 1)[0].elements(as: Double.self) == [0, 0])
        #expect(clipped([], maxNorm: 1).isEmpty)
        let parameter = Parameter(Tensor([30.0, 40]))
        // ∇ of ½‖θ‖² is θ, of length 50.
        SGD([parameter]).minimize(parameter.value.squared().sum() * 0.5, learningRate: 1, maxNorm: 10)
        let moved = parameter.value.elements(as: Double.self)
        #expect(abs(moved[0] - 24) < 1e-12 && abs(moved[1] - 32) < 1e-12)
    }

    private func run(_ optimizer: (Parameter) -> any Optimizer, change: (any Optimizer, Int) -> Void = { _, _ in }) -> [Double] {
        let parameter = Parameter(Tensor(start))
        let other = Parameter(Tensor([7.0, 8, 9]))
        _ = other
        let optimizer = optimizer(parameter)
        for (step, rate) in rates.enumerated() {
            change(optimizer, step)
            let value = parameter.value
            // sin through cosine keeps to the public operators: −cos(3θ + π/2) = sin 3θ.
            optimizer.minimize((value.squared() - (value * 3 + Double.pi / 2).cos()).sum(), learningRate: rate)
        }
        return parameter.snapshot().elements()
    }

    private func expect(_ found: [Double], _ update: (inout Reference, Double, Double, Int) -> Void) {
        for (index, number) in start.enumerated() {
            var reference = Reference(value: number)
            for (step, rate) in rates.enumerated() { update(&reference, slope(reference.value), rate, step) }
            #expect(abs(found[index] - reference.value) < 1e-10)
        }
    }

    @Test("SGD, with and without momentum", arguments: [0, 0.9])
    func sgd(momentum: Double) {
        expect(run { SGD([$0], momentum: momentum) }) { state, slope, rate, _ in
            state.first = momentum * state.first + slope
            state.value -= rate * state.first
        }
    }

    @Test("Adam, with ε inside and beside the root, while β1 changes", arguments: [Adam.EpsilonPlace.insideRoot, .besideRoot])
    func adam(place: Adam.EpsilonPlace) {
        // A large ε, so that its place is seen.
        let epsilon = 0.1
        let found = run {
            Adam([$0], epsilon: epsilon, epsilonPlace: place)
        } change: { optimizer, step in
            if step == 10 { (optimizer as? Adam)?.beta1 = 0.5 }
        }
        expect(found) { state, slope, rate, step in
            let beta1 = step < 10 ? 0.9 : 0.5
            state.first = beta1 * state.first + (1 - beta1) * slope
            state.second = 0.999 * state.second + 0.001 * slope * slope
            let first = state.first / (1 - pow(beta1, Double(step + 1)))
            let second = state.second / (1 - pow(0.999, Double(step + 1)))
            state.value -= rate * first / (place == .insideRoot ? sqrt(second + epsilon) : sqrt(second) + epsilon)
        }
    }

    @Test("Adamax, with and without bias correction", arguments: [true, false])
    func adamax(corrects: Bool) {
        expect(run { Adamax([$0], beta1: 0.5, epsilon: 0.01, correctsBias: corrects) }) { state, slope, rate, step in
            state.first = 0.5 * state.first + 0.5 * slope
            state.infinity = max(0.999 * state.infinity, abs(slope) + 0.01)
            state.value -= rate / (corrects ? 1 - pow(0.5, Double(step + 1)) : 1) * state.first / state.infinity
        }
    }

    @Test("parameters of different shapes are stepped together, and a snapshot before stays")
    func several() {
        let parameters = [Parameter(.ones([2, 3])), Parameter(.ones([])), Parameter(.ones([4]))]
        let before = parameters.map { $0.snapshot() }
        let optimizer = Adam(parameters)
        optimizer.step(gradients: before.map { $0 * 2 }, learningRate: 0.5)
        for (parameter, old) in zip(parameters, before) {
            #expect((parameter.value - 0.5).magnitude().maximum().item() < 1e-6)
            #expect(old.minimum().item() == 1)
        }
    }

    @Test("no parameters at all are no mistake")
    func nothing() {
        for optimizer in [SGD([]), SGD([], momentum: 0.9), Adam([]), Adamax([])] as [any Optimizer] {
            optimizer.step(gradients: [], learningRate: 1)
        }
    }

    @Test("the wrong number of gradients traps")
    func wrongCount() async {
        await #expect(processExitsWith: .failure) { SGD([Parameter(.ones([1]))]).step(gradients: [], learningRate: 1) }
    }

    @Test("warm-up, cosine and one-cycle schedules pass through the numbers that they are made of")
    func shapedSchedules() {
        func near(_ left: Double, _ right: Double) -> Bool { abs(left - right) < 1e-15 }
        let warm = Schedule.constant(0.1).warmedUp(over: 5, from: 0.2)
        #expect(near(warm(0), 0.02) && near(warm(2.5), 0.06) && near(warm(5), 0.1) && near(warm(9), 0.1))
        let cosine = Schedule.cosine(1, to: 0.1, epochs: 10)
        #expect(near(cosine(0), 1) && near(cosine(5), 0.55) && near(cosine(10), 0.1) && near(cosine(12), 0.1))
        let both = Schedule.cosine(1, epochs: 10).warmedUp(over: 5)
        #expect(near(both(2.5), 0.5 * Schedule.cosine(1, epochs: 10)(2.5)) && near(both(5), 0.5))
        // torch.optim.lr_scheduler.OneCycleLR: initial_lr = max_lr/25, min_lr = initial_lr/1e4.
        let cycle = Schedule.oneCycle(0.5, epochs: 10)
        #expect(
            near(cycle(0), 0.02) && near(cycle(1.5), 0.26) && near(cycle(3), 0.5) && near(cycle(6.5), 0.250001) && near(cycle(10), 2e-6))
    }

    @Test("the paper's schedule: rate × min(2 − epoch/100, 1) over 200 epochs")
    func schedule() {
        let rate = Schedule.constantThenLinear(0.003, epochs: 200)
        for (epoch, factor) in [(0, 1), (100, 1), (150, 0.5), (199, 0.01), (200, 0)] as [(Double, Double)] {
            #expect(abs(rate(epoch) - 0.003 * factor) < 1e-15)
        }
        let beta = Schedule.step(0.9, then: 0.5, at: 100)
        #expect(beta(99.9) == 0.9 && beta(100) == 0.5)
    }
}
