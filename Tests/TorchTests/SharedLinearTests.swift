import Foundation
import Synchronization
import Testing
import Torch

@Suite("Products with a weight that many steps share")
struct SharedLinearTests {
    /// h ← tanh(w·h + b) for some steps, and the gradients of Σ h² with respect to h₀, w and b.
    private func run(_ type: ElementType, isShared: Bool, steps: Int = 5, alsoElsewhere: Bool = false, fixedWeight: Bool = false)
        -> [Tensor]
    {
        let random = Generator(seed: 1)
        func draw(_ shape: [Int]) -> Parameter { Parameter((Tensor.normal(shape, from: random) * 0.5).converted(to: type)) }
        let (start, weight, bias) = (draw([7, 6]), draw([6, 6]), draw([6]))
        let base = fixedWeight ? weight.value.detached() : weight.value
        let (w, b) = isShared ? (base.shared(), bias.value.shared()) : (base, bias.value)
        var state = start.value
        var loss = Tensor.zeros([], type: type)
        for _ in 0..<steps {
            state = (isShared ? state.sharedLinear(weight: w, bias: b) : state.linear(weight: w, bias: b)).tanh()
            loss = loss + state.squared().sum()
        }
        if alsoElsewhere { loss = loss + (w.squared().sum() + b.exp().sum()) }
        return [loss.detached()] + gradients(of: loss, withRespectTo: [start.value, bias.value] + (fixedWeight ? [] : [weight.value]))
    }

    private func difference(_ one: [Tensor], _ other: [Tensor]) -> Double {
        zip(one, other).map { ($0.converted(to: .float64) - $1.converted(to: .float64)).magnitude().maximum().item() }.max() ?? .infinity
    }

    @Test(
        "has the gradients of separate products, for any number of steps and other uses of the weight",
        arguments: [ElementType.float64, .float32, .bfloat16])
    func sums(type: ElementType) {
        let tolerance =
            switch type {
            case .float64: 1e-12;
            case .float32: 1e-4;
            default: 0.5
            }
        for steps in [1, 2, 5] {
            for (alsoElsewhere, fixedWeight) in [(false, false), (true, false), (false, true)] {
                let found = run(type, isShared: true, steps: steps, alsoElsewhere: alsoElsewhere, fixedWeight: fixedWeight)
                let expected = run(type, isShared: false, steps: steps, alsoElsewhere: alsoElsewhere, fixedWeight: fixedWeight)
                #expect(difference(found, expected) < tolerance)
            }
        }
        // No step at all.
        let weight = Parameter(Tensor.ones([2, 2], type: type))
        let loss = weight.value.shared().sum()
        #expect(gradients(of: loss, withRespectTo: [weight])[0].elements(as: Float.self) == [1, 1, 1, 1])
    }

    @Test("two gradients of one graph do not mix, and gradients can be differentiated")
    func repeated() {
        let random = Generator(seed: 2)
        let (input, weight) = (
            Tensor.normal([4, 3], type: .float64, from: random), Parameter(Tensor.normal([2, 3], type: .float64, from: random))
        )
        func outputs(_ isShared: Bool) -> [Tensor] {
            let w = isShared ? weight.value.shared() : weight.value
            return (1...2).map { number in
                let x = input * Double(number)
                return (isShared ? x.sharedLinear(weight: w, bias: nil) : x.linear(weight: w)).squared().sum()
            }
        }
        let (shared, plain) = (outputs(true), outputs(false))
        for index in [0, 1] {
            let found = gradients(of: shared[index], withRespectTo: [weight], createGraph: true)[0]
            let expected = gradients(of: plain[index], withRespectTo: [weight], createGraph: true)[0]
            #expect(difference([found], [expected]) < 1e-12)
            let second = [found, expected].map { gradients(of: $0.squared().sum(), withRespectTo: [weight])[0] }
            #expect(difference([second[0]], [second[1]]) < 1e-9)
        }
        let both = outputs(true)
        let found = gradients(of: both[0], withRespectTo: [weight])[0] + gradients(of: outputs(true)[1], withRespectTo: [weight])[0]
        let expected = outputs(false).map { gradients(of: $0, withRespectTo: [weight])[0] }
        #expect(difference([found], [expected[0] + expected[1]]) < 1e-12)
    }

    @Test("a change of the weight has its effect on what is bound, or is told, and never gives wrong numbers")
    func changes() {
        let random = Generator(seed: 3)
        let (weight, bias) = (Parameter(Tensor.normal([40, 33], from: random)), Parameter(Tensor.normal([40], from: random)))
        let (w, b) = (weight.value.shared(), bias.value.shared())
        let x = Tensor.normal([5, 33], from: random)
        for _ in 0..<3 { _ = x.sharedLinear(weight: w, bias: b) }
        weight.assign(weight.snapshot() * 2)
        bias.assign(bias.snapshot() + 1)
        let expected = x.linear(weight: weight.value, bias: bias.value)
        let stale = x.linear(weight: weight.value / 2, bias: bias.value - 1)
        for found in [x.sharedLinear(weight: w, bias: b), withoutGradients { x.sharedLinear(weight: w, bias: b) }] {
            #expect(min(difference([found], [expected]), difference([found], [stale])) < 1e-4)
        }
    }

    @Test("panels: any number of columns and rows, for any number of threads")
    func panels() async {
        await #expect(processExitsWith: .success) {
            for threads in [1, 2, 3] {
                try Runtime.setThreadCount(threads)
                for (rows, inputs, outputs) in [(1, 1, 1), (0, 5, 4), (100, 70, 130), (7, 33, 31), (66, 64, 32), (5, 200, 513)] {
                    let random = Generator(seed: 4)
                    func draw(_ shape: [Int]) -> Parameter { Parameter(Tensor.normal(shape, from: random)) }
                    let (input, weight, bias) = (draw([rows, inputs]), draw([outputs, inputs]), draw([outputs]))
                    func run(_ isShared: Bool) -> [Tensor] {
                        let parameters = [input, weight, bias].map { isShared ? $0.value : $0.value.converted(to: .float64) }
                        let (w, b) = isShared ? (parameters[1].shared(), parameters[2].shared()) : (parameters[1], parameters[2])
                        var loss = Tensor.zeros([], type: parameters[0].type)
                        for step in 1...3 {
                            let x = parameters[0] * Double(step)
                            let y = isShared ? x.sharedLinear(weight: w, bias: b) : x.linear(weight: w, bias: b)
                            loss = loss + (y * Double(step)).sum()
                        }
                        return gradients(of: loss, withRespectTo: [input, weight, bias])
                    }
                    for (found, expected) in zip(run(true), run(false)) where found.count > 0 {
                        let scale = max(1, expected.magnitude().maximum().item())
                        let distance = (found - expected).magnitude().maximum().item()
                        guard distance < 1e-5 * scale else { fatalError("\(rows) \(inputs) \(outputs): \(distance)") }
                    }
                }
            }
        }
    }

    @Test("gradients on several threads at once do not mix")
    func threads() {
        let random = Generator(seed: 5)
        let parameter = Parameter(Tensor.normal([8, 8], type: .float64, from: random))
        let weight = parameter.value
        let inputs = (0..<8).map { _ in Tensor.normal([3, 8], type: .float64, from: random) }
        let shared = weight.shared()
        func loss(_ x: Tensor, _ product: (Tensor) -> Tensor) -> Tensor {
            var state = x
            for _ in 0..<20 { state = product(state).tanh() }
            return state.squared().sum()
        }
        let expected = inputs.map { x in gradients(of: loss(x) { $0.linear(weight: weight) }, withRespectTo: [weight])[0] }
        let losses = inputs.map { x in loss(x) { $0.sharedLinear(weight: shared, bias: nil) } }
        let found = Mutex([Tensor?](repeating: nil, count: inputs.count))
        DispatchQueue.concurrentPerform(iterations: inputs.count) { index in
            let gradient = gradients(of: losses[index], withRespectTo: [weight])[0]
            found.withLock { $0[index] = gradient }
        }
        for (found, expected) in zip(found.withLock { $0 }, expected) {
            #expect(found.map { difference([$0], [expected]) < 1e-10 } == true)
        }
    }

    @Test("oneDNN's products give the same")
    func oneDNN() async {
        await #expect(processExitsWith: .success) {
            Runtime.prefersOneDNNProducts = true
            let tests = SharedLinearTests()
            let found = tests.run(.float32, isShared: true)
            Runtime.prefersOneDNNProducts = false
            guard tests.difference(found, tests.run(.float64, isShared: false)) < 1e-4 else { fatalError("other gradients") }
        }
    }
}
