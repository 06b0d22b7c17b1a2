import Testing
import Torch
import Training
import WeightNorm

/// Every optimizer's numbers on the CPU, bit for bit as they were when plain and recorded steps were written apart.
@Suite(
    .enabled("the hashes are of libtorch 2.15.0 with AVX2 or AVX-512") {
        Runtime.libtorchVersion == "2.15.0" && ["AVX2", "AVX512"].contains(Runtime.processorCapability)
    })
struct OptimizerBitsTests {
    /// FNV-1a over the bits of the parameters and of the optimizer's state.
    private struct Hash {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325

        mutating func take(_ tensor: Tensor) {
            for number in tensor.elements(as: Double.self) {
                for shift in stride(from: 0, to: 64, by: 8) {
                    value = (value ^ (number.bitPattern >> UInt64(shift)) & 0xff) &* 0x100_0000_01b3
                }
            }
        }
    }

    /// Numbers from −1 to 1 that are no work of libtorch's, each a multiple of 2⁻²⁰.
    private struct Noise {
        var state: UInt64 = 1

        mutating func tensor(_ shape: [Int], _ type: ElementType) -> Tensor {
            let numbers = (0..<shape.reduce(1, *)).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Double(Int64(bitPattern: state) >> 43) * 0x1p-20
            }
            return Tensor(numbers, shape: shape).converted(to: type)
        }
    }

    private enum Kind: String, CaseIterable {
        case sgd, momentum, adam, adamInside, adamax, adamaxUncorrected

        func make(_ parameters: [Parameter]) -> any Optimizer {
            switch self {
            case .sgd: SGD(parameters)
            case .momentum: SGD(parameters, momentum: 0.9)
            case .adam: Adam(parameters)
            case .adamInside: Adam(parameters, epsilonPlace: .insideRoot)
            case .adamax: Adamax(parameters)
            case .adamaxUncorrected: Adamax(parameters, beta1: 0.5, correctsBias: false)
            }
        }
    }

    private func rate(_ step: Int) -> Double { step == 39 ? 0 : 0.01 / (1 + Double(step) / 7) }

    /// 40 steps with ∇ = 2θ + noise, in which nothing but the sum is rounded.
    private func train(_ optimizer: any Optimizer, maxNorm: Double? = nil, step: (any Optimizer, [Tensor], Double) -> Void) -> String {
        var noise = Noise()
        for parameter in optimizer.parameters { parameter.assign(noise.tensor(parameter.value.shape, .float64)) }
        for index in 0..<40 {
            if index == 20 { (optimizer as? Adam)?.beta1 = 0.5 }
            let slopes = withoutGradients {
                optimizer.parameters.map { $0.snapshot() * 2 + noise.tensor($0.value.shape, $0.value.type) }
            }
            step(optimizer, maxNorm.map { clipped(slopes, maxNorm: $0) } ?? slopes, rate(index))
        }
        var hash = Hash()
        for parameter in optimizer.parameters { hash.take(parameter.value.detached()) }
        for (_, tensor) in optimizer.state.tensors { hash.take(tensor) }
        return String(hash.value, radix: 16)
    }

    private func parameters(_ type: ElementType) -> [Parameter] { [[7, 9], [], [5]].map { Parameter(.zeros($0, type: type)) } }

    private func network() -> Dense {
        Dense(9, to: 7, normalization: .weight, random: Generator(seed: 1))
    }

    private func grouped<Base: Optimizer>(_ make: @escaping ([Parameter]) -> Base) -> GroupedOptimizer<Base> {
        GroupedOptimizer(
            network().parameterGroups([
                ParameterRule("v", learningRateFactor: 0.5, weightDecay: .decoupled(0.1)) { $0.hasSuffix("direction") },
                ParameterRule("g", learningRateFactor: 2, weightDecay: .penalty(0.2), decaysEverything: true) { $0.hasSuffix("gain") },
            ]), make)
    }

    /// The hash of every case, by its name.
    private func hashes(_ step: (any Optimizer, [Tensor], Double) -> Void) -> [String: String] {
        var found: [String: String] = [:]
        for kind in Kind.allCases {
            for type in [ElementType.float32, .float64, .bfloat16, .float16] {
                found["\(kind) \(type)"] = train(kind.make(parameters(type)), step: step)
            }
            found["\(kind) clipped"] = train(kind.make(parameters(.float32)), maxNorm: 3, step: step)
        }
        found["groups sgd"] = train(grouped { SGD($0, momentum: 0.9) }, step: step)
        found["groups adam"] = train(grouped { Adam($0) }, step: step)
        found["groups adamInside"] = train(grouped { Adam($0, epsilonPlace: .insideRoot) }, step: step)
        return found
    }

    private func differences(_ step: (any Optimizer, [Tensor], Double) -> Void) -> [String] {
        let found = hashes(step)
        #expect(found.count == Self.expected.count)
        let isExact = Self.hasExactRoot
        return Self.expected.filter { found[$0.key] != $0.value && (isExact || !$0.key.contains("adamInside")) }.map(\.key).sorted()
    }

    /// Whether libtorch's root is rounded correctly. On Intel's processors with AVX-512 it is MKL's, of which one in 150 is a unit in the last place off, and `adamInside` takes it.
    private static let hasExactRoot: Bool = {
        let numbers = (1...10_000).map { Float($0) * 0x1.2345p-12 }
        return Tensor(numbers, shape: [numbers.count]).squareRoot().elements(as: Float.self) == numbers.map { $0.squareRoot() }
    }()

    @Test("plain steps give the bits that they gave when a step was written twice")
    func plain() {
        #expect(differences { $0.step(gradients: $1, learningRate: $2) } == [])
    }

    @Test("so do steps in a step graph")
    func recorded() {
        let graph = StepGraph(on: .cpu)
        let found = differences { optimizer, gradients, learningRate in
            optimizer.prepare(learningRate: learningRate)
            graph.run(key: optimizer.recordingKey) { optimizer.apply(gradients: gradients) }
        }
        #expect(found == [])
    }

    /// Computed before the change, by version 0.1.0's `step(gradients:rate:)`; the same with AVX2 and with AVX-512, where roots are exact. (Without either, products and sums are not fused.)
    private static let expected = [
        "adam bfloat16": "37fa0dbaed31fb8f",
        "adam clipped": "d30e29588912f3a",
        "adam float16": "33c0833efb9cc48d",
        "adam float32": "f26312d7e4952aec",
        "adam float64": "11880ccc315d3d77",
        "adamInside bfloat16": "69433777bccdebb0",
        "adamInside clipped": "1ef0ae8a7588e5b",
        "adamInside float16": "6837a9a43ae16db1",
        "adamInside float32": "663102f149dc2c50",
        "adamInside float64": "7ec272c8e7983ddc",
        "adamax bfloat16": "8387f167ccda9c7c",
        "adamax clipped": "40b9fbc9700adb8c",
        "adamax float16": "d416cf9fdf906225",
        "adamax float32": "7e7aa13316bde063",
        "adamax float64": "d9c98cfac7f7014c",
        "adamaxUncorrected bfloat16": "d21b7f9a72e928c7",
        "adamaxUncorrected clipped": "63caaa268e2d5d49",
        "adamaxUncorrected float16": "16e68e801a52bef5",
        "adamaxUncorrected float32": "e45ce470cae69837",
        "adamaxUncorrected float64": "aceafc051eb228cd",
        "groups adam": "7e30e1932cbd1524",
        "groups adamInside": "f6d8a16508f86504",
        "groups sgd": "cb912006000d61b7",
        "momentum bfloat16": "c9a46397674353d6",
        "momentum clipped": "96070c55ad63225d",
        "momentum float16": "1d02003e36137ed",
        "momentum float32": "884ca6bacff8ce54",
        "momentum float64": "38bc06cd2e40638e",
        "sgd bfloat16": "5fe5fe58cd0d4156",
        "sgd clipped": "afcba92f8f37ee82",
        "sgd float16": "c3f00a01a91f061",
        "sgd float32": "10063a9de48c467c",
        "sgd float64": "ed2b5b9bd6b381a0",
    ]
}
