import Datasets
import Report
import Torch
import Training
import WeightNorm

/// Images read row by row by a simple recurrent network, h ← tanh(W·[x, h] + b): batch normalization then has other statistics at every row, which
/// one running average cannot hold.
struct RowsTask: StudyTask {
    var norm: String
    var data: String
    /// The number of training images; nil for all.
    var images: Int?
    var heldOut: Int?
    var learningRate: Double
    var hidden = 64
    var batch = 100
    var steps = 1200
    var readings = 12

    static let kind = "rows"

    typealias Source = TaskImages

    func check() throws(RunFailure) {
        for (name, value) in [("hidden", hidden), ("batch", batch), ("steps", steps)] {
            try SettingsCheck.whole(name, value, in: 1...10_000_000)
        }
        try SettingsCheck.whole("readings", readings, in: 1...1000)
        try SettingsCheck.number("learningRate", learningRate, in: .rate)
    }

    func makeSource(seed: UInt64, data source: StudyData) throws -> TaskImages {
        TaskImages(try source.parts(of: data, images: images, heldOut: heldOut), batch: batch, seed: seed)
    }

    func makeTrainee(seed: UInt64, source: Source) throws -> ModelTrainee<RowNetwork, (Tensor, Tensor)> {
        guard let norm = Normalization(rawValue: norm) else { throw RunFailure("norm: expected one, found '\(norm)'") }
        let random = Generator(seed: seed)
        let network = RowNetwork(columns: source.columns, hidden: hidden, norm, random: random)
        return ModelTrainee(network, optimizer: Adam(network.parameters), random: random) { _ in
            learningRate
        } loss: { network, batch, random in
            network(batch.0, .training(random)).softmaxCrossEntropy(labels: batch.1)
        }
    }

    func input(step: Int, source: Source) -> (Tensor, Tensor) { source.minibatch(step) }

    func values(of network: RowNetwork, step: Int, source: Source) -> [String: Double] {
        ["testError": source.test.error { network($0, .inference) }]
    }
}

/// A recurrent network of one layer with a readout of its last state.
struct RowNetwork: Module {
    private let step: Dense
    private let readout: Dense
    private let hidden: Int

    init(columns: Int, hidden: Int, _ norm: Normalization, random: Generator) {
        self.hidden = hidden
        // Columns of length about 1, so that a state neither dies nor grows at the start. g begins at ‖v‖: there is no data-dependent initialization of
        // recurrent networks (the paper, §3), and with batch normalization none is needed.
        let map = DenseMap(inputs: columns + hidden, outputs: hidden)
        step = Dense(map: map, normalization: norm, deviation: 1 / Double(columns + hidden).squareRoot(), random: random)
        readout = Dense(hidden, to: 10, normalization: .plain, random: random)
    }

    /// `[batch, 10]` for images `[batch, channels, rows, columns]`.
    func callAsFunction(_ images: Tensor, _ pass: Pass) -> Tensor {
        let rows = images.permuted([2, 0, 1, 3]).flattened(from: 2)
        var state = Tensor.zeros([images.shape[0], hidden], on: images.device)
        for row in 0..<rows.shape[0] {
            state = step(.concatenated([rows.selected(row, along: 0), state], along: 1), pass).tanh()
        }
        return readout(state, pass)
    }
}
