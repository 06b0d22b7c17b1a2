import Report
import Torch
import Training
import WeightNorm

/// One layer with weight normalization and one with batch normalization, from the same draws, trained on the same data by gradient descent: on
/// whitened input they are the same (the paper, §2.2).
struct WhiteningTask: StudyTask {
    /// Whether the input has mean 0 and covariance 1.
    var whitens: Bool
    var learningRate = 0.1
    var features = 10
    var units = 5
    var examples = 200
    var steps = 100
    var readings = 10

    static let kind = "whitened input"

    struct Source {
        let inputs: Tensor
        let targets: Tensor
    }

    func check() throws(RunFailure) {
        for (name, value) in [("features", features), ("units", units), ("examples", examples), ("steps", steps)] {
            try SettingsCheck.whole(name, value, in: 1...1_000_000)
        }
        try SettingsCheck.whole("readings", readings, in: 1...1000)
        try SettingsCheck.number("learningRate", learningRate, in: .rate)
    }

    func makeSource(seed: UInt64, data: StudyData) -> Source {
        withoutGradients {
            let random = Generator(seed: seed)
            func normal(_ shape: [Int]) -> Tensor { .normal(shape, type: .float64, from: random) }
            var inputs = normal([examples, features]).matrixProduct(normal([features, features])) + normal([1, features])
            let targets = normal([examples, units])
            if whitens {
                let centred = inputs - inputs.mean(over: [0])
                let (values, vectors) = (centred.transposed().matrixProduct(centred) * (1 / Double(examples))).symmetricEigen()
                inputs = centred.matrixProduct(vectors) / values.squareRoot()
            }
            return Source(inputs: inputs, targets: targets)
        }
    }

    func makeTrainee(seed: UInt64, source: Source) -> ModelTrainee<LayerPair, Tensor> {
        let pair = LayerPair(self, seed: seed)
        let targets = source.targets
        return ModelTrainee(pair, optimizer: SGD(pair.parameters), random: Generator(seed: seed)) { _ in
            learningRate
        } loss: {
            pair, inputs, random in
            // The layers share nothing: each has the gradients of its own term.
            let terms = pair.outputs(inputs, .training(random)).map { ($0 - targets).squared().mean() }
            return terms[0] + terms[1]
        }
    }

    func input(step: Int, source: Source) -> Tensor { source.inputs }

    func values(of pair: LayerPair, step: Int, source: Source) -> [String: Double] {
        let outputs = pair.outputs(source.inputs, .training(Generator(seed: 0)))
        let scale = outputs[1].squared().mean().item().squareRoot()
        return ["difference": (outputs[0] - outputs[1]).squared().mean().item().squareRoot() / scale]
    }
}

/// A layer with weight normalization, and one with batch normalization.
struct LayerPair: Module {
    private let weight: Dense
    private let batch: Dense

    init(_ task: WhiteningTask, seed: UInt64) {
        let map = DenseMap(inputs: task.features, outputs: task.units)
        func draw() -> Tensor { .normal(map.weightShape, type: .float64, from: Generator(seed: seed)) }
        // g = 1, b = 0 in both.
        let unit = withoutGradients { draw() / draw().norm(over: [1], keeping: true) }
        weight = Dense(
            map: map, weight: Normalization.weight.makeWeight(unit, units: map.units), bias: Parameter(.zeros([task.units], type: .float64))
        )
        batch = Dense(
            map: map, weight: Normalization.plain.makeWeight(unit, units: map.units), bias: nil,
            normalizer: Normalization.batch.normalizer(features: map.outputs, axis: map.featureAxis, type: .float64, device: .cpu))
    }

    func outputs(_ inputs: Tensor, _ pass: Pass) -> [Tensor] { [weight(inputs, pass), batch(inputs, pass)] }
}
