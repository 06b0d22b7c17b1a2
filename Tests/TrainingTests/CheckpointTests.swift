import Foundation
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

/// A small training run with everything in it that has a state.
private final class Run {
    let random = Generator(seed: 3)
    let network: Sequential
    let optimizer: any Optimizer
    var step = 0

    static let optimizers: [String: @Sendable (Sequential) -> any Optimizer] = [
        "SGD": { SGD($0.parameters) },
        "SGD with momentum": { SGD($0.parameters, momentum: 0.9) },
        "Adam": { Adam($0.parameters) },
        "Adam as in the paper": { Adam($0.parameters, epsilonPlace: .insideRoot) },
        "Adamax": { Adamax($0.parameters) },
        "groups": { network in
            let rules = [ParameterRule("gains", learningRateFactor: 0.1, weightDecay: .decoupled(0.1)) { $0.hasSuffix("gain") }]
            return GroupedOptimizer(network.parameterGroups(rules)) { Adam($0) }
        },
    ]

    init(_ optimizer: String, seed: UInt64 = 1) {
        let draws = Generator(seed: seed)
        network = Sequential(
            Dense(3, to: 8, normalization: .weightAndMeanOnlyBatch, random: draws), Activation.relu, Dropout(probability: 0.3),
            Dense(8, to: 8, normalization: .batch, random: draws), GaussianNoise(deviation: 0.1),
            Dense(8, to: 2, normalization: .fixedGain, random: draws))
        guard let make = Self.optimizers[optimizer] else { fatalError(optimizer) }
        self.optimizer = make(network)
    }

    func train(to end: Int) {
        while step < end {
            let input = Tensor.normal([16, 3], from: random)
            if let adam = optimizer as? Adam, step == 5 { adam.beta1 = 0.5 }
            optimizer.minimize(network(input, .training(random)).squared().sum(), learningRate: 0.01 / Double(step + 1))
            step += 1
        }
    }

    func checkpoint() throws -> Checkpoint {
        var checkpoint = Checkpoint(kind: "test")
        checkpoint.add(network, as: "network")
        checkpoint.add(optimizer, as: "optimizer")
        checkpoint.add(random, as: "random")
        try checkpoint.add(value: step, as: "step")
        return checkpoint
    }

    func restore(_ checkpoint: Checkpoint) throws {
        try checkpoint.restore(network, from: "network")
        try checkpoint.restore(optimizer, from: "optimizer")
        try checkpoint.restore(random, from: "random")
        step = try checkpoint.value("step")
    }

    /// All numbers, as they are in memory.
    var everything: [[UInt32]] {
        (network.parameters.map { $0.snapshot() } + network.namedBuffers.map(\.value.value) + optimizer.state.tensors.map(\.value))
            .map { $0.elements(as: Float.self).map(\.bitPattern) } + [random.state.map(UInt32.init)]
    }
}

struct CheckpointTests {
    private let path = FileManager.default.temporaryDirectory.appending(path: "checkpoint-\(UUID().uuidString).safetensors").path()

    private func refusal(_ kind: String = "test") -> String {
        do {
            _ = try Checkpoint(reading: path, kind: kind)
            return "nothing"
        } catch {
            return "\(error)"
        }
    }

    private func remove() { try? FileManager.default.removeItem(atPath: path) }

    @Test("a run goes on from its checkpoint bit for bit, in another process's objects", arguments: Run.optimizers.keys.sorted())
    func bitForBit(optimizer: String) throws {
        defer { remove() }
        let undisturbed = Run(optimizer)
        undisturbed.train(to: 4)
        try undisturbed.checkpoint().write(to: path)
        undisturbed.train(to: 9)
        let resumed = Run(optimizer, seed: 77)
        _ = Tensor.normal([5], from: resumed.random)
        try resumed.restore(Checkpoint(reading: path, kind: "test"))
        #expect(resumed.step == 4)
        resumed.train(to: 9)
        #expect(resumed.everything == undisturbed.everything)
    }

    @Test("a checkpoint holds copies: what is trained on afterwards does not change it")
    func copies() throws {
        defer { remove() }
        let run = Run("Adam")
        run.train(to: 2)
        let checkpoint = try run.checkpoint()
        let before = run.everything
        run.train(to: 4)
        try checkpoint.write(to: path)
        try run.restore(Checkpoint(reading: path, kind: "test"))
        #expect(run.everything == before)
    }

    @Test("a checkpoint with any bit turned over is refused, or reads as it was")
    func damaged() throws {
        defer { remove() }
        let run = Run("Adam")
        run.train(to: 2)
        try run.checkpoint().write(to: path)
        let whole = try Data(contentsOf: URL(filePath: path))
        var refused = 0
        let places = (0..<400).map { $0 * 7919 % (whole.count * 8) } + [0, 70, whole.count * 8 - 1]
        for place in places {
            var bytes = whole
            bytes[place / 8] ^= 1 << (place % 8)
            try bytes.write(to: URL(filePath: path))
            guard let read = try? Checkpoint(reading: path, kind: "test") else {
                refused += 1
                continue
            }
            // What is left over is the padding of the header.
            let again = Run("Adam", seed: 5)
            try again.restore(read)
            #expect(again.everything == run.everything, "bit \(place)")
        }
        #expect(refused > places.count * 9 / 10)
        try whole.prefix(whole.count - 1).write(to: URL(filePath: path))
        #expect(refusal() != "nothing")
    }

    @Test("damaged elements are named")
    func damagedElement() throws {
        defer { remove() }
        var checkpoint = Checkpoint(kind: "test")
        checkpoint.add(Tensor([1.0, 2, 3]), as: "numbers")
        try checkpoint.write(to: path)
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(filePath: path))
        #expect(refusal() == "\(path): expected undamaged tensors, found another checksum in 'numbers'")
    }

    @Test("a foreign file is refused, with what it is")
    func foreign() throws {
        defer { remove() }
        try Safetensors.write([("w", Tensor([1.0]))], to: path)
        #expect(refusal() == "\(path): expected a checkpoint of swift-weightnorm, found another safetensors file")
        try Checkpoint(kind: "draw").write(to: path)
        #expect(refusal() == "\(path): expected the checkpoint of a run of 'test', found one of 'draw'")
        try Safetensors.write([("w", Tensor([1.0]))], metadata: ["format": "swift-weightnorm checkpoint 1"], to: path)
        #expect(
            refusal()
                == "\(path): expected a 'swift-weightnorm checkpoint 2', found a 'swift-weightnorm checkpoint 1', which a state of it before 0.1.0 reads"
        )
        try Safetensors.write(
            [("w", Tensor([1.0]))], metadata: ["format": "swift-weightnorm checkpoint 3", "version": "9.1.0\n"], to: path)
        #expect(
            refusal()
                == "\(path): expected a 'swift-weightnorm checkpoint 2', found a 'swift-weightnorm checkpoint 3', which swift-weightnorm '9.1.0\\u{a}' reads"
        )
        try Safetensors.write([("w", Tensor([1.0]))], metadata: ["format": "swift-weightnorm checkpoint x"], to: path)
        #expect(refusal() == "\(path): expected a 'swift-weightnorm checkpoint 2', found a 'swift-weightnorm checkpoint x'")
        try Data("hello".utf8).write(to: URL(filePath: path))
        #expect(refusal().contains("expected at least 8 bytes"))
        remove()
        #expect(refusal() == "cannot read \(path): No such file or directory")
    }

    @Test("a checkpoint of another network or optimizer is refused with all that differs, and nothing is changed")
    func otherStructure() throws {
        let checkpoint = try Run("Adam").checkpoint()
        let random = Generator(seed: 1)
        let other = Sequential(Dense(3, to: 7, random: random), Dense(7, to: 2, normalization: .plain, type: .float64, random: random))
        let before = other.parameters.map { $0.snapshot().converted(to: .float64).elements(as: Double.self) }
        let error = #expect(throws: CheckpointError.self) { try checkpoint.restore(other, from: "network") }
        let text = error?.description ?? ""
        #expect(text.contains("'network/parameters/0.weight.direction': expected float32[7, 3], found float32[8, 3]"))
        #expect(text.contains("'network/parameters/1.weight': expected float64[2, 7], found none"))
        #expect(text.contains("'network/buffers/5.weight.scale': expected none, found one"))
        #expect(other.parameters.map { $0.snapshot().converted(to: .float64).elements(as: Double.self) } == before)
        for (name, make) in Run.optimizers where name != "Adam" {
            let run = Run(name)
            let optimizer = make(run.network)
            #expect(throws: CheckpointError.self, "\(name)") { try checkpoint.restore(optimizer, from: "optimizer") }
        }
        #expect(throws: CheckpointError.self) { try checkpoint.restore(Adam(other.parameters), from: "optimizer") }
        #expect(throws: CheckpointError.self) { try checkpoint.restore(random, from: "network/parameters/0.weight.gain") }
        #expect(throws: CheckpointError.self) { let _: String = try checkpoint.value("step") }
        #expect(throws: CheckpointError.self) { let _: Int = try checkpoint.value("epoch") }
    }

    @Test("a weight whose numbers would mean something else is refused")
    func otherMeaning() {
        func dense(_ factor: Double, _ units: OutputUnits) -> Dense {
            Dense(
                map: DenseMap(inputs: 1, outputs: 1), weight: .logNormalized(Tensor([3.0], shape: [1, 1]), factor: factor, units: units),
                bias: nil)
        }
        var checkpoint = Checkpoint(kind: "test")
        checkpoint.add(dense(3, .axis(0)), as: "network")
        #expect(throws: Never.self) { try checkpoint.restore(dense(3, .axis(0)), from: "network") }
        let error = #expect(throws: CheckpointError.self) { try checkpoint.restore(dense(1, .axis(0)), from: "network") }
        #expect(
            error?.problem
                == "weight 'weight': expected it log-normalized by 1.0 along axis 0, found it log-normalized by 3.0 along axis 0; make the layer with that "
                + "normalization and those units, as loading the weights' file before the optimizer is made does"
        )
        #expect(throws: CheckpointError.self) { try checkpoint.restore(dense(3, .whole), from: "network") }
    }

    @Test("numbers that no optimizer has are refused before anything is changed")
    func badNumbers() {
        let parameter = Parameter(Tensor([1.0]))
        let adam = Adam([parameter], epsilonPlace: .insideRoot)
        adam.step(gradients: [Tensor([2.0])], learningRate: 0.1)
        let good = adam.state
        for (name, number) in [("stepCount", Double.nan), ("stepCount", -1), ("stepCount", 0.5), ("beta1", 2), ("beta1", .nan)] {
            let bad = OptimizerState(
                kind: good.kind, numbers: good.numbers.merging([name: number]) { $1 },
                tensors: good.tensors.map { ($0.name, $0.value * 7) })
            #expect(throws: OptimizerStateError.self, "\(name) \(number)") { try adam.restore(bad) }
            #expect(adam.state.tensors[0].value.elements() == good.tensors[0].value.elements(as: Double.self))
            #expect(adam.stepCount == 1)
        }
    }

    @Test("values come back as they were; one that JSON has no word for is refused when it is added")
    func values() throws {
        defer { remove() }
        struct Settings: Codable, Equatable {
            var name = "a \"quoted\" näme\n"
            var rate = 0.1 + 0.2
            var list = [1, 2, Int.max]
        }
        var checkpoint = Checkpoint(kind: "test")
        try checkpoint.add(value: Settings(), as: "settings")
        try checkpoint.add(value: UInt64.max, as: "seed")
        #expect(throws: EncodingError.self) { try checkpoint.add(value: Double.nan, as: "loss") }
        try checkpoint.write(to: path)
        let read = try Checkpoint(reading: path, kind: "test")
        #expect(try read.value("settings") == Settings())
        #expect(try read.value("seed") == UInt64.max)
    }
}
