import Testing
import Torch
import Training

// The optimizer of the article "Writing an optimizer", as it stands there.

/// Lion (Chen et al., 2023): θ ← θ − rate·sign(β1·m + (1 − β1)·∇),
/// m ← β2·m + (1 − β2)·∇.
final class Lion: Optimizer {
    let parameters: [Parameter]
    private let beta1 = 0.9
    private let beta2 = 0.99
    private let wide: MasterParameters
    private let moments: MutableTensorList
    private let factor: StepNumber

    init(_ parameters: [Parameter]) {
        self.parameters = parameters
        wide = MasterParameters(parameters)
        moments = wide.zeros()
        factor = StepNumber(for: parameters)
    }

    func prepare(learningRate: Double) { factor.set(-learningRate) }

    func apply(gradients: [Tensor]) {
        let gradients = wide.widened(gradients)
        wide.change { parameters in
            let mixed = moments.values.multiplied(by: beta1)
                .adding(gradients, times: 1 - beta1)
            let signs = TensorList(mixed.tensors.map { $0.sign() })
            parameters.add(signs, times: factor)
            moments.move(towards: gradients, by: 1 - beta2)
        }
    }

    var masters: MasterParameters? { wide }

    var state: OptimizerState {
        OptimizerState(
            kind: "Lion", lists: ["moment": moments], masters: wide)
    }

    func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.restore(
            kind: "Lion", lists: ["moment": moments], masters: wide)
    }
}

/// Descent in plain tensors, which keeps its number of steps in a state of its own and refuses a bad one.
private final class Plain: Optimizer {
    let parameters: [Parameter]
    private let factor: StepNumber
    private(set) var stepCount = 0

    init(_ parameters: [Parameter]) {
        self.parameters = parameters
        factor = StepNumber(for: parameters)
    }

    func prepare(learningRate: Double) {
        stepCount += 1
        factor.set(-learningRate)
    }

    func apply(gradients: [Tensor]) {
        withoutGradients {
            for (parameter, slope) in zip(parameters, gradients) { parameter.assign(parameter.value.adding(slope, times: factor)) }
        }
    }

    var state: OptimizerState { OptimizerState(kind: "Plain", numbers: ["stepCount": Double(stepCount)]) }

    func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        guard state.tensors.isEmpty else {
            throw OptimizerStateError("state of Plain: expected no tensors, found \(state.tensors.count)")
        }
        try state.require(kind: "Plain")
        stepCount = try state.count("stepCount")
    }
}

struct WritingAnOptimizerTests {
    @Test("Lion follows its rule, number by number")
    func rule() {
        let parameter = Parameter(Tensor([1.0, -2, 0.5]))
        let lion = Lion([parameter])
        var expected = [1.0, -2, 0.5]
        var moments = [0.0, 0, 0]
        for step in 0..<20 {
            let rate = 0.1 / Double(step + 1)
            lion.minimize(parameter.value.squared().sum(), learningRate: rate)
            for index in expected.indices {
                let slope = 2 * expected[index]
                let mixed = 0.9 * moments[index] + 0.1 * slope
                expected[index] -= rate * (mixed > 0 ? 1 : mixed < 0 ? -1 : 0)
                moments[index] = 0.99 * moments[index] + 0.01 * slope
            }
        }
        #expect(zip(parameter.value.elements(as: Double.self), expected).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test("its steps in halves, in a step graph and with numbers in tensors, its weight decay and its state are the package's own")
    func everything() throws {
        func network() -> Parameter { Parameter(Tensor([1.0, -2, 0.5]).converted(to: .bfloat16)) }
        let (one, two, three) = (network(), network(), network())
        let (plain, halves) = (Lion([one]), Lion([two]))
        let inTensors = StepNumber.$liesInTensors.withValue(true) { Lion([three]) }
        let graph = StepGraph(on: .cpu)
        func slope(_ parameter: Parameter) -> [Tensor] { [parameter.snapshot() * 2] }
        for _ in 0..<100 {
            plain.step(gradients: slope(one), learningRate: 1e-3)
            for (optimizer, parameter) in [(halves, two), (inTensors, three)] {
                optimizer.prepare(learningRate: 1e-3)
                graph.run(key: optimizer.recordingKey) { optimizer.apply(gradients: slope(parameter)) }
            }
        }
        #expect((one.value .== two.value).allTrue() && (one.value .== three.value).allTrue())
        // 16-bit parameters move by steps that they could not hold.
        #expect(one.value.elements(as: Float.self) != [1, -2, 0.5])
        let again = Lion([network()])
        try again.restore(plain.state)
        #expect(again.state.tensors.map(\.name) == ["moment.0", "copy.0"])
        #expect(throws: OptimizerStateError.self) { try again.restore(SGD([network()], momentum: 0.5).state) }
    }

    @Test("an optimizer in plain tensors is recorded by the same code, is grouped, and refuses a bad state in its own words")
    func plain() throws {
        let (one, two) = (Parameter(Tensor([1.0, 2])), Parameter(Tensor([1.0, 2])))
        let own = Plain([one])
        let ours = SGD([two])
        for (optimizer, parameter) in [(own, one), (ours, two)] as [(any Optimizer, Parameter)] {
            for _ in 0..<10 { optimizer.minimize(parameter.value.squared().sum(), learningRate: 0.1, maxNorm: 2) }
        }
        #expect((one.value .== two.value).allTrue())
        let other = Plain([one])
        try other.restore(own.state)
        #expect(other.stepCount == 10)
        let bad = OptimizerState(kind: "Plain", numbers: ["stepCount": 1], tensors: [("moment.0", Tensor([1.0]))])
        let error = #expect(throws: OptimizerStateError.self) { try other.restore(bad) }
        #expect(error?.description == "state of Plain: expected no tensors, found 1")
    }
}
