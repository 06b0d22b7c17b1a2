import Foundation
import Testing
import Torch

private let functions: [ActivationFunction] = [.relu, .leakyRelu(slope: 0.1), .leakyRelu(slope: 0), .elu, .tanh, .sigmoid]

/// The function in double precision, from its definition.
private func value(_ function: ActivationFunction, _ x: Double) -> Double {
    switch function {
    case .relu: x < 0 ? 0 : x
    case .leakyRelu(let slope): x > 0 ? x : slope * x
    case .elu: x > 0 ? x : expm1(x)
    case .tanh: tanh(x)
    case .sigmoid: 1 / (1 + exp(-x))
    }
}

private func slope(_ function: ActivationFunction, _ x: Double) -> Double {
    switch function {
    case .relu: x > 0 ? 1 : 0
    case .leakyRelu(let slope): x > 0 ? 1 : slope
    case .elu: x > 0 ? 1 : exp(x)
    case .tanh: 1 - tanh(x) * tanh(x)
    case .sigmoid: 1 / (2 + exp(x) + exp(-x))
    }
}

/// The largest error, in units of the expected value's last place in float32 or, near 0, of `floor`.
private func error(_ found: [Float], _ expected: [Double], floor: Double) -> Double {
    zip(found, expected).map { abs(Double($0) - $1) / max(abs($1) * 0x1p-23, floor) }.max() ?? 0
}

@Suite("Activations with gradients from their value")
struct ActivationTests {
    private static let numbers: [Float] = {
        let random = Generator(seed: 1)
        let small = Tensor.normal([1003], from: random).elements(as: Float.self)
        return small + small.map { $0 * 20 } + small.map { $0 * 1e-4 } + [
            0, -0.0, 1e-38, -1e-38, -.leastNonzeroMagnitude, -17, -79, -81, -88, -104, -1e30, 88, 1e30,
        ]
    }()

    @Test("agree with double precision, in float32 to four units in the last place", arguments: functions)
    func accuracy(function: ActivationFunction) {
        let x = Parameter(Tensor(Self.numbers, shape: [Self.numbers.count]))
        let y = x.value.activated(function)
        // Also for views, which may not be dense.
        let strided = Tensor(Self.numbers.flatMap { [$0, 7] }, shape: [Self.numbers.count, 2]).selected(0, along: 1)
        let exact = Self.numbers.map { value(function, Double($0)) }
        let smallest = 0x1p-126
        #expect(error(y.elements(as: Float.self), exact, floor: smallest) <= 4)
        #expect(error(strided.activated(function).elements(as: Float.self), exact, floor: smallest) <= 4)
        let gradient = gradients(of: y.sum(), withRespectTo: [x])[0].elements(as: Float.self)
        // 1 − y² and y(1 − y) of a value near 1 have the rounding of that.
        let isSaturating = function == .tanh || function == .sigmoid
        #expect(
            error(gradient, Self.numbers.map { slope(function, Double($0)) }, floor: isSaturating || function == .elu ? 0x1p-23 : 0x1p-126)
                <= 4)
    }

    @Test("keep what is not a number, and the limits", arguments: functions)
    func limits(function: ActivationFunction) {
        let y = Tensor([Float.nan, -.infinity, .infinity, -.nan, .nan, .infinity, -.infinity, 1, .nan], shape: [9]).activated(function)
        let found = y.elements(as: Float.self)
        #expect([0, 3, 4, 8].allSatisfy { found[$0].isNaN })
        if function != .sigmoid {
            let zeros = Tensor([0, -0.0] as [Float], shape: [2]).activated(function).elements(as: Float.self)
            #expect(zeros == [0, 0] && zeros[0].sign == .plus && (function == .relu || zeros[1].sign == .minus))
        }
        if function != .leakyRelu(slope: 0) { #expect(found[1] == Float(value(function, -.infinity))) }
        #expect(found[2] == Float(value(function, .infinity)))
    }

    @Test("have every type, layout, shape and second derivative", arguments: functions)
    func kinds(function: ActivationFunction) {
        let random = Generator(seed: 2)
        for type in [ElementType.float64, .float32, .bfloat16, .float16] {
            let x = Tensor.normal([2, 3, 5, 7], from: random).channelsLast().converted(to: type)
            let y = x.activated(function)
            #expect(y.type == type && y.strides == x.strides)
            let exact = x.converted(to: .float64).elements(as: Double.self).map { value(function, $0) }
            let rounding: Double =
                switch type {
                case .float64: 1e-12;
                case .float32: 1e-6;
                case .float16: 2e-3;
                default: 2e-2
                }
            #expect(zip(y.converted(to: .float64).elements(as: Double.self), exact).allSatisfy { abs($0 - $1) <= rounding })
        }
        for shape in [[0], [0, 3], [], [1], [1, 1, 1, 1]] { #expect(Tensor.full(shape, 0.5).activated(function).shape == shape) }
        // Against finite differences of the gradient.
        let x = Parameter(Tensor.normal([11], type: .float64, from: random))
        func slope(at tensor: Tensor) -> Tensor {
            let parameter = Parameter(tensor)
            return gradients(of: parameter.value.activated(function).sum(), withRespectTo: [parameter])[0]
        }
        let first = gradients(of: x.value.activated(function).sum(), withRespectTo: [x], createGraph: true)[0]
        guard function == .elu || function == .tanh || function == .sigmoid else { return }
        let second = gradients(of: first.sum(), withRespectTo: [x])[0]
        let step = 1e-6
        let expected = (slope(at: x.value.detached() + step) - slope(at: x.value.detached() - step)) / (2 * step)
        #expect((second - expected).magnitude().maximum().item() < 1e-6)
    }
}

/// An operator with an activation of its own, and the same in two.
private struct Fused: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var input: [Int]
    var weight: [Int]
    var outputs: Int
    var call: @Sendable (_ input: Tensor, _ weight: Tensor, _ bias: Tensor?, _ function: ActivationFunction?) -> Tensor

    static func convolution(_ name: String, _ input: [Int], _ weight: [Int], transposed: Bool = false) -> Fused {
        let ones = weight.dropFirst(2).map { _ in 1 }
        return Fused(testDescription: name, input: input, weight: weight, outputs: weight[transposed ? 1 : 0]) {
            $0.convolved(with: $1, bias: $2, stride: ones, padding: ones, dilation: ones, transposed: transposed, activation: $3)
        }
    }

    static func linear(_ name: String, _ input: [Int], outputs: Int) -> Fused {
        Fused(testDescription: name, input: input, weight: [outputs, input.last ?? 0], outputs: outputs) {
            $0.linear(weight: $1, bias: $2, activation: $3)
        }
    }

    static let all: [Fused] = [
        linear("dense", [7, 5], outputs: 9), linear("dense of three dimensions", [3, 4, 5], outputs: 6),
        linear("dense of a vector", [5], outputs: 3),
        linear("dense of nothing", [0, 5], outputs: 3), linear("dense without inputs", [2, 3, 0], outputs: 4),
        linear("dense, one by one", [1, 1], outputs: 1),
        convolution("1-d", [2, 3, 9], [4, 3, 3]), convolution("2-d", [2, 3, 6, 7], [4, 3, 3, 3]),
        convolution("3-d", [2, 3, 4, 5, 3], [4, 3, 3, 3, 3]),
        convolution("2-d, 1×1", [2, 3, 6, 7], [4, 3, 1, 1]), convolution("2-d, large", [8, 16, 16, 16], [16, 16, 3, 3]),
        convolution("transposed 1-d", [2, 3, 9], [3, 4, 3], transposed: true),
        convolution("transposed 2-d", [2, 3, 6, 7], [3, 4, 3, 3], transposed: true),
        convolution("transposed 3-d", [2, 3, 4, 5, 3], [3, 4, 3, 3, 3], transposed: true),
    ]

    /// The value and all gradients.
    func run(_ function: ActivationFunction?, type: ElementType, isFused: Bool, hasBias: Bool = true, isChannelsLast: Bool) -> [Tensor] {
        let random = Generator(seed: 3)
        func draw(_ shape: [Int]) -> Parameter { Parameter(Tensor.normal(shape, from: random).converted(to: type)) }
        let (input, weight, bias) = (draw(input), draw(weight), draw([outputs]))
        let x = isChannelsLast && input.value.rank == 4 ? input.value.channelsLast() : input.value
        let added = hasBias ? bias.value : nil
        var result = call(x, weight.value, added, isFused ? function : nil)
        if !isFused, let function { result = result.activated(function) }
        let cotangent = draw(result.shape).value.detached()
        return [result.detached()]
            + gradients(of: result, cotangent: cotangent, withRespectTo: [input.value, weight.value] + (hasBias ? [bias.value] : []))
    }

    /// The largest difference of one operator from two, and of the operator without activation from float64, relative to what is largest, over every way
    /// to call it.
    ///
    /// With activation only the same type is compared: where a pre-activation is almost 0, its rounding decides about a gradient.
    func differences(_ type: ElementType) -> (ofFused: Double, ofExact: Double) {
        func largest(_ found: [Tensor], _ expected: [Tensor]) -> Double {
            zip(found, expected).map { found, expected in
                guard found.shape == expected.shape else { return .infinity }
                guard found.count > 0 else { return 0 }
                let (found, expected) = (found.converted(to: .float64), expected.converted(to: .float64))
                return (found - expected).magnitude().maximum().item() / max(1, expected.magnitude().maximum().item())
            }.max() ?? .infinity
        }
        var (ofFused, ofExact) = (0.0, 0.0)
        for (isChannelsLast, hasBias) in [(true, true), (true, false), (false, true), (false, false)] {
            func run(_ function: ActivationFunction?, _ type: ElementType, isFused: Bool) -> [Tensor] {
                self.run(function, type: type, isFused: isFused, hasBias: hasBias, isChannelsLast: isChannelsLast)
            }
            ofExact = max(ofExact, largest(run(nil, type, isFused: true), run(nil, .float64, isFused: false)))
            for function in functions {
                ofFused = max(ofFused, largest(run(function, type, isFused: true), run(function, type, isFused: false)))
            }
        }
        return (ofFused, ofExact)
    }
}

@Suite("Operators with an activation of their own")
struct FusedActivationTests {
    @Test("agree with the two one after the other", arguments: Fused.all)
    fileprivate func agreement(fused: Fused) {
        for (type, tolerance) in [(ElementType.float64, 1e-12), (.float32, 1e-5)] {
            let (ofFused, ofExact) = fused.differences(type)
            #expect(ofFused < tolerance && ofExact < tolerance)
        }
    }

    @Test("agree with oneDNN's products and with fewer multiplications")
    func otherWays() async {
        await #expect(processExitsWith: .success) {
            Runtime.prefersOneDNNProducts = true
            Runtime.allowsWinograd = true
            // A bias with gaps, and one number for all.
            let (x, weight) = (Tensor.normal([4, 5], from: Generator(seed: 1)), Tensor.normal([30, 5], from: Generator(seed: 2)))
            for bias in [
                Tensor.normal([60], from: Generator(seed: 3)).sliced(0..<60, along: 0, step: 2), Tensor.full([1], 3).expanded([30]),
            ] {
                let found = x.linear(weight: weight, bias: bias) - bias
                guard (found - x.linear(weight: weight)).magnitude().maximum().item() < 1e-5 else { fatalError("a bias with gaps") }
            }
            guard Runtime.prefersOneDNNProducts else { exit(0) }
            var all = Fused.all
            for (rows, inputs, outputs) in [(100, 512, 1024), (64, 3136, 512), (33, 17, 1), (1, 100, 7)] {
                all.append(.linear("dense, \(rows)×\(inputs) to \(outputs)", [rows, inputs], outputs: outputs))
            }
            for threads in [1, 2] {
                try Runtime.setThreadCount(threads)
                for fused in all {
                    let (ofFused, ofExact) = fused.differences(.float32)
                    guard ofFused < 1e-5, ofExact < 1e-5 else { fatalError("\(fused.testDescription): \(ofFused), \(ofExact)") }
                }
            }
        }
    }

    @Test("write their gradient over no tensor that anyone else has")
    func gradientsOfOthers() {
        let random = Generator(seed: 6)
        let (input, weight) = (Parameter(Tensor.normal([32, 24], from: random)), Parameter(Tensor.normal([24, 24], from: random)))
        let given = Tensor.normal([32, 24], from: random)
        let before = given.elements(as: Float.self)
        for function in functions {
            // The one who asks keeps the gradient that is given, also where a view of it is.
            let y = input.value.linear(weight: weight.value, activation: function)
            _ = gradients(of: y, cotangent: given, withRespectTo: [input.value])
            _ = gradients(
                of: input.value.activated(function).transposed(), cotangent: given.transposed(), withRespectTo: [input.value])
            #expect(given.elements(as: Float.self) == before)
            // A sum gives both of its terms the same gradient; and one term's is asked for too.
            func slopes(_ type: ElementType) -> [Tensor] {
                let x = Parameter(input.value.detached().converted(to: type))
                let (one, other) = (x.value.activated(function), (x.value * 2).activated(function))
                let sum = one + other
                return gradients(of: sum.squared().sum(), withRespectTo: [x.value, one, other, sum])
            }
            for (found, expected) in zip(slopes(.float32), slopes(.float64)) {
                #expect((found.converted(to: .float64) - expected).magnitude().maximum().item() < 1e-5)
            }
        }
    }

    @Test("have second derivatives, and leave what others hold as it is")
    func safety() async {
        await #expect(processExitsWith: .success) {
            for prefers in [false, true] {
                Runtime.prefersOneDNNProducts = prefers
                Runtime.allowsWinograd = prefers
                for fused in Fused.all where fused.input.allSatisfy({ $0 > 0 }) {
                    func second(_ type: ElementType, isFused: Bool) -> [Tensor] {
                        let random = Generator(seed: 3)
                        func draw(_ shape: [Int]) -> Parameter { Parameter(Tensor.normal(shape, from: random).converted(to: type)) }
                        let (input, weight, bias) = (draw(fused.input), draw(fused.weight), draw([fused.outputs]))
                        let x = input.value.rank == 4 ? input.value.channelsLast() : input.value
                        let result =
                            isFused
                            ? fused.call(x, weight.value, bias.value, .tanh) : fused.call(x, weight.value, bias.value, nil).activated(.tanh)
                        let first = gradients(of: result.squared().sum(), withRespectTo: [input.value, weight.value], createGraph: true)
                        return gradients(
                            of: first[0].squared().sum() + first[1].squared().sum(), withRespectTo: [input.value, weight.value])
                    }
                    for (one, two) in zip(second(.float32, isFused: true), second(.float64, isFused: false)) {
                        let distance = (one.converted(to: .float64) - two).magnitude().maximum().item()
                        guard distance <= 1e-4 * max(1, two.magnitude().maximum().item()) else {
                            fatalError("\(fused.testDescription): \(distance)")
                        }
                    }
                }
            }
        }
        let x = Tensor([-1, 2] as [Float], shape: [1, 2])
        let identity = Tensor([1, 0, 0, 1] as [Float], shape: [2, 2])
        #expect(x.linear(weight: identity, activation: .relu).elements(as: Float.self) == [0, 2])
        #expect(x.elements(as: Float.self) == [-1, 2])
    }

    @Test("GELU, SiLU, softplus and erf are what their formulas say, and so are their gradients")
    func withoutValueForm() {
        let x = Parameter(Tensor([-40, -3, -0.5, 0, 1e-3, 0.7, 2, 40] as [Double]))
        func check(_ name: String, _ found: (Tensor) -> Tensor, _ expected: (Double) -> Double) {
            let value = found(x.value)
            let slopes = gradients(of: value.sum(), withRespectTo: [x])[0].elements(as: Double.self)
            for (index, number) in x.snapshot().elements(as: Double.self).enumerated() {
                #expect(abs(value.detached()[index].item() - expected(number)) < 1e-12 * max(1, abs(number)), "\(name) of \(number)")
                let step = 1e-5
                let slope = (expected(number + step) - expected(number - step)) / (2 * step)
                #expect(abs(slopes[index] - slope) < 1e-6, "\(name)'s slope at \(number)")
            }
        }
        check("GELU", { $0.gelu() }) { $0 * (1 + Foundation.erf($0 / 2.0.squareRoot())) / 2 }
        check("GELU by tanh", { $0.gelu(.tanh) }) {
            $0 * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) / 2
        }
        check("SiLU", { $0.silu() }) { $0 / (1 + Foundation.exp(-$0)) }
        check("softplus", { $0.softplus() }) { max($0, 0) + Foundation.log1p(Foundation.exp(-abs($0))) }
        check("erf", { $0.erf() }) { Foundation.erf($0) }
    }
}
