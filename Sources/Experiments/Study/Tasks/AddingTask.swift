import Report
import Torch
import Training
import WeightNorm

/// The adding problem: of two channels, one holds numbers in [0, 1], the other marks two of them, and their sum is asked for. The network is the
/// temporal convolutional one of Bai, Kolter & Koltun (2018), with and without its weight normalization.
struct AddingTask: StudyTask {
    enum Start: String, Codable {
        /// U(−1/√fan-in, 1/√fan-in): PyTorch's own draws, which the released network trains from.
        case usual
        /// N(0, 0.01²): what its code asks for, which its weight normalization then overrules.
        case small
    }

    var norm: String
    var start: Start
    var learningRate: Double
    /// Numbers in a sequence.
    var length = 200
    var channels = 24
    var kernel = 7
    /// Blocks, each with twice the dilation of the one before.
    var levels = 5
    var batch = 32
    var steps = 1500
    var readings = 30
    /// Sequences that the error is measured on, and the seed that they are drawn from.
    var testCount = 1000
    var testSeed: UInt64 = 1

    static let kind = "adding"

    struct Source {
        /// The source of the training sequences, which depend only on the seed and the step.
        let seed: UInt64
        let test: (Tensor, Tensor)
    }

    func check() throws(RunFailure) {
        let numbers = [
            ("length", length), ("channels", channels), ("kernel", kernel), ("batch", batch), ("steps", steps), ("testCount", testCount),
        ]
        for (name, value) in numbers { try SettingsCheck.whole(name, value, in: 1...1_000_000) }
        try SettingsCheck.whole("levels", levels, in: 1...20)
        try SettingsCheck.whole("readings", readings, in: 1...1000)
        try SettingsCheck.number("learningRate", learningRate, in: .rate)
    }

    /// Sequences, `[count, 2, length]`, and their sums, `[count, 1]`.
    private func sequences(_ count: Int, from random: Generator) -> (Tensor, Tensor) {
        let numbers = Tensor.uniform([count, length], from: random)
        // One mark in either half.
        let half = length / 2
        let places = [Tensor.integers(in: 0..<half, [count, 1], from: random), .integers(in: half..<length, [count, 1], from: random)]
        let range = Tensor.range(0..<length)
        let marks = places.map { (range .== $0).converted(to: .float32) }.reduce(Tensor.zeros([count, length])) { $0 + $1 }
        return (.stacked([numbers, marks], along: 1), (numbers * marks).sum(over: [1], keeping: true))
    }

    func makeSource(seed: UInt64, data: StudyData) -> Source {
        Source(seed: seed, test: withoutGradients { sequences(testCount, from: Generator(seed: testSeed &+ 0x7E57)) })
    }

    func makeTrainee(seed: UInt64, source: Source) throws -> ModelTrainee<TemporalNetwork, (Tensor, Tensor)> {
        guard let norm = Normalization(rawValue: norm) else { throw RunFailure("norm: expected one, found '\(norm)'") }
        let random = Generator(seed: seed)
        let network = TemporalNetwork(self, norm, random: random)
        return ModelTrainee(network, optimizer: Adam(network.parameters), random: random) { _ in
            learningRate
        } loss: { network, batch, _ in
            (network(batch.0) - batch.1).squared().mean()
        }
    }

    func input(step: Int, source: Source) -> (Tensor, Tensor) {
        sequences(batch, from: Generator(seed: source.seed &* 1_000_003 &+ UInt64(step) &+ 1))
    }

    func values(of network: TemporalNetwork, step: Int, source: Source) -> [String: Double] {
        let error = (network(source.test.0) - source.test.1).squared().mean().item()
        // Answering 1 always leaves 1/6.
        return ["squaredError": error, "solved": error < 0.01 ? 1 : 0]
    }
}

/// Residual blocks of two causal convolutions, and a linear readout of the last place.
struct TemporalNetwork: Module {
    private let blocks: [Block]
    private let readout: Dense

    private struct Block: Module {
        let first: Convolution
        let second: Convolution
        /// To the block's number of channels, where it differs.
        let shortcut: Convolution?
        let reach: Int

        func callAsFunction(_ input: Tensor) -> Tensor {
            let inner = second(padded(first(padded(input), .inference).relu()), .inference).relu()
            return (inner + (shortcut.map { $0(input, .inference) } ?? input)).relu()
        }

        /// With as many zeros before the sequence as the kernel reaches back, so that no output knows the future.
        private func padded(_ input: Tensor) -> Tensor {
            .concatenated([.zeros([input.shape[0], input.shape[1], reach]), input], along: 2)
        }
    }

    init(_ task: AddingTask, _ norm: Normalization, random: Generator) {
        func usual(_ shape: [Int], fanIn: Int) -> Tensor { (.uniform(shape, from: random) * 2 - 1) * (1 / Double(fanIn).squareRoot()) }
        func draw(_ shape: [Int], _ start: AddingTask.Start) -> Tensor {
            switch start {
            case .usual: usual(shape, fanIn: shape.dropFirst().reduce(1, *))
            case .small: .normal(shape, from: random) * 0.01
            }
        }
        func convolution(_ inputs: Int, kernel: Int, dilation: Int, _ norm: Normalization, _ start: AddingTask.Start) -> Convolution {
            let map = ConvolutionMap(inputs: inputs, outputs: task.channels, kernel: [kernel], dilation: [dilation])
            return Convolution(
                map: map, weight: norm.makeWeight(draw(map.weightShape, start), units: map.units),
                bias: Parameter(usual([task.channels], fanIn: inputs * kernel)))
        }
        blocks = (0..<task.levels).map { level in
            let inputs = level == 0 ? 2 : task.channels
            return Block(
                first: convolution(inputs, kernel: task.kernel, dilation: 1 << level, norm, task.start),
                second: convolution(task.channels, kernel: task.kernel, dilation: 1 << level, norm, task.start),
                // As released: the shortcut and the readout are plain, and so start as small as its code asks for.
                shortcut: level == 0 ? convolution(inputs, kernel: 1, dilation: 1, .plain, .small) : nil, reach: (task.kernel - 1) << level)
        }
        let map = DenseMap(inputs: task.channels, outputs: 1)
        readout = Dense(
            map: map, weight: Normalization.plain.makeWeight(draw(map.weightShape, .small), units: map.units),
            bias: Parameter(usual([1], fanIn: task.channels)))
    }

    /// `[batch, 1]` for sequences `[batch, 2, length]`.
    func callAsFunction(_ sequences: Tensor) -> Tensor {
        let outputs = blocks.reduce(sequences) { $1($0) }
        return readout(outputs.selected(outputs.shape[2] - 1, along: 2), .inference)
    }
}
