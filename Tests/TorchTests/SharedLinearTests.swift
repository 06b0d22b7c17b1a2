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
