import Testing
import Torch
import WeightNorm

private func parameter() -> Parameter { Parameter(.zeros([1])) }

private class Base: Module {
    private let inherited = parameter()
}

private enum Choice {
    case one(Parameter)
    case pair(left: Parameter, right: Parameter)
    case nothing
}

private struct Inner: Module {
    let weight = parameter()
    let average = Buffer(.zeros([2]))
}

private final class Everything: Base {
    private let hidden = parameter()
    let present: Parameter? = parameter()
    let absent: Parameter? = nil
    let list = [Inner(), Inner()]
    let existential: any Module = Inner()
    let tuple = (first: parameter(), second: parameter())
    let choice = Choice.pair(left: parameter(), right: parameter())
    let single = Choice.one(parameter())
    let nothing = Choice.nothing
    lazy var late = parameter()
    let settings = ["rate": 1.0]
    weak var owner: Everything?
    let shared: Parameter
    let sharedAgain: Parameter
    override init() {
        shared = parameter()
        sharedAgain = shared
        super.init()
        owner = self
    }
}

private struct Ambiguous: Module {
    let _weight = parameter()
    let weight = parameter()
}

private struct Unordered: Module {
    let parts = ["a": Inner(), "b": Inner()]
}

/// A weight in a type that does not let its form be changed.
private final class Closed: Module {
    let inner = Dense(2, to: 3, normalization: .plain, random: Generator(seed: 1))
    let own = Weight.normalized(.ones([2, 2]))
}

private final class Tied: HoldsWeights, Module {
    private(set) var encoder: Weight
    private(set) var decoder: Weight
    init(_ weight: Weight) {
        encoder = weight
        decoder = weight
    }
    func changeWeights(_ change: (String, Weight, OutputUnits) -> Weight) {
        encoder = change("encoder", encoder, .axis(0))
        decoder = change("decoder", decoder, .axis(0))
    }
}

private struct Network: Module {
    let first: Dense? = Dense(2, to: 3, normalization: .batch, random: Generator(seed: 1))
    let rest = [LSTM(3, hidden: 2, random: Generator(seed: 2))]
    let tied = Tied(.normalized(.ones([2, 2])))
}

struct ModuleTests {
    @Test("weights and modules are found with their paths, each once")
    func weightsAndModules() {
        let network = Network()
        #expect(
            network.namedWeights.map(\.path) == ["first.weight", "rest.0.inputWeight", "rest.0.stateWeight", "tied.encoder"],
            "the decoder's is the encoder's")
        #expect(network.namedModules.map(\.path) == ["", "first", "first.normalizer", "rest.0", "tied"])
        var changed: [String] = []
        network.changeWeights { path, weight, _ in
            changed.append(path)
            return weight
        }
        #expect(changed == network.namedWeights.map(\.path))
    }

    @Test("a weight that two layers share is folded once and stays shared")
    func tied() {
        let tied = Tied(.normalized(.ones([2, 2])))
        tied.foldWeights()
        #expect(tied.namedParameters.map(\.path) == ["encoder"])
        tied.normalizeWeights()
        #expect(tied.namedParameters.map(\.path) == ["encoder.direction", "encoder.gain"])
    }

    @Test("weights that share v and have a gain each are folded apart")
    func sharedDirection() {
        let direction = Parameter(.ones([2, 2]))
        func dense(_ gain: Double) -> Dense {
            let weight = Weight.normalized(direction: direction, gain: Parameter(.full([2, 1], gain)), units: .axis(0))
            return Dense(map: DenseMap(inputs: 2, outputs: 2), weight: weight, bias: nil)
        }
        let (one, five) = (dense(1), dense(5))
        let both = Sequential(one, five)
        #expect(both.namedWeights.map(\.path) == ["0.weight", "1.weight"])
        let before = [one, five].map { $0(.ones([1, 2]), .inference).elements(as: Float.self) }
        both.foldWeights()
        #expect([one, five].map { $0(.ones([1, 2]), .inference).elements(as: Float.self) } == before)
    }

    @Test("removal is never silently ineffective: folding traps at a weight that it cannot reach (waveglow PR 21, TFA #763)")
    func unreachable() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Closed().foldWeights() })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("weight 'own'"))
    }

    @Test("parameters are found wherever they are stored, under dotted names of properties")
    func everything() {
        let module = Everything()
        _ = module.late
        #expect(
            module.namedParameters.map(\.path) == [
                "inherited", "hidden", "present", "list.0.weight", "list.1.weight", "existential.weight", "tuple.first", "tuple.second",
                "choice.pair.left", "choice.pair.right", "single.one", "late", "shared",
            ])
        #expect(module.namedBuffers.map(\.path) == ["list.0.average", "list.1.average", "existential.average"])
    }

    @Test("parameters in a dictionary, which has no order, trap")
    func dictionary() async {
        await #expect(processExitsWith: .failure) { _ = Unordered().parameters }
    }

    @Test("two parameters of one path trap: paths are keys of files")
    func samePath() async {
        await #expect(processExitsWith: .failure) { _ = Ambiguous().parameters }
    }

    @Test("g and v are found as parameters of a layer, and g is trained")
    func gainIsTrained() {
        let random = Generator(seed: 1)
        let layer = Dense(2, to: 3, random: random)
        #expect(layer.namedParameters.map(\.path) == ["weight.direction", "weight.gain", "bias"])
        let found = gradients(of: layer(.ones([4, 2]), .training(random)).squared().sum(), withRespectTo: layer.parameters)
        #expect(found.allSatisfy { $0.magnitude().sum().item() > 0 })
        let network = Sequential(layer, Activation.relu, Dense(3, to: 1, normalization: .batch, random: random))
        #expect(
            network.namedParameters.map(\.path) == [
                "0.weight.direction", "0.weight.gain", "0.bias", "2.weight", "2.normalizer.gain", "2.normalizer.bias",
            ])
        #expect(Dense(2, to: 3, normalization: .fixedGain, random: random).namedBuffers.map(\.path) == ["weight.scale"])
    }

    @Test("the weight is derived on read: it follows its parameters at once, whoever changed them")
    func neverStale() {
        let layer = Dense(2, to: 1, bias: false, random: Generator(seed: 1))
        guard let form = layer.weight.form as? NormalizedWeight else { Issue.record("form"); return }
        let (direction, gain) = (form.direction, form.gain)
        direction.assign(Tensor([3.0, 4], shape: [1, 2]))
        gain.assign(Tensor([10.0], shape: [1, 1]))
        #expect(difference(layer(Tensor([1, 1] as [Float], shape: [1, 2]), .inference), Tensor([14], shape: [1, 1])) < 1e-6)
    }
}
