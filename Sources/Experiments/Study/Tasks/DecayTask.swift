import Datasets
import Foundation
import Report
import Torch
import Training
import WeightNorm

/// Weight decay on the directions v, whose length the network does not depend on: against no decay with a rate that grows so that the effective rate
/// is the same (van Laarhoven 2017; Hoffer et al. 2018).
///
/// With gradient descent v ← (1 − ηλ)·v − η·∇, and ∇ of c·v is ∇/c: so v·(1 − ηλ)^−t goes the same way without decay at the rate η·(1 − ηλ)^−(2t+1).
struct DecayTask: StudyTask {
    enum Treatment: String, Codable, CaseIterable {
        /// No decay, constant rate.
        case none
        /// λ on v.
        case decay
        /// No decay, and a rate for v that grows as the effective rate does under decay.
        case matched
    }

    var treatment: Treatment
    var data: String
    var images: Int
    var learningRate: Double
    /// λ.
    var decay: Double
    var hidden = 64
    var batch = 100
    var steps = 1200
    var readings = 12

    static let kind = "weight decay"

    typealias Source = TaskImages

    func check() throws(RunFailure) {
        for (name, value) in [("hidden", hidden), ("batch", batch), ("steps", steps), ("images", images)] {
            try SettingsCheck.whole(name, value, in: 1...10_000_000)
        }
        try SettingsCheck.whole("readings", readings, in: 1...1000)
        try SettingsCheck.number("learningRate", learningRate, in: .rate)
        try SettingsCheck.number("decay", decay, in: .from(0, below: 1 / learningRate))
    }

    func makeSource(seed: UInt64, data source: StudyData) throws -> TaskImages {
        TaskImages(try source.parts(of: data, images: images, heldOut: nil), batch: batch, seed: seed)
    }

    func makeTrainee(seed: UInt64, source: Source) -> ModelTrainee<Sequential, (Tensor, Tensor)> {
        let random = Generator(seed: seed)
        let network = Sequential(
            Flatten(), Dense(source.features, to: hidden, random: random), Activation.relu, Dense(hidden, to: 10, random: random))
        let first = source.minibatch(0).0
        withoutGradients { _ = network(first, .initializing(random)) }
        let optimizer = DirectionDecay(network, treatment, decay: decay)
        return ModelTrainee(network, optimizer: optimizer, random: random) { _ in
            learningRate
        } loss: { network, batch, random in
            network(batch.0, .training(random)).softmaxCrossEntropy(labels: batch.1)
        }
    }

    func input(step: Int, source: Source) -> (Tensor, Tensor) { source.minibatch(step) }

    func values(of network: Sequential, step: Int, source: Source) -> [String: Double] {
        // v is (1 − ηλ)^−t as long as under decay.
        let growth = treatment == .matched ? pow(1 - learningRate * decay, -Double(2 * step)) : 1
        // rate/‖v‖², which alone decides how fast the direction turns: the gradient in v is 1/‖v‖ of that in v/‖v‖.
        let rates = network.namedWeights.flatMap { named -> [Double] in
            let lengths: [Double] = named.value.vector.norm(over: [1]).elements()
            return lengths.map { log(learningRate * growth / ($0 * $0)) }
        }
        return ["testError": source.test.error { network($0, .inference) }, "effectiveRate": exp(Statistics.mean(rates))]
    }
}

/// Gradient descent whose weight decay, or growing rate in its place, concerns the directions of normalized weights alone.
final class DirectionDecay: Optimizer {
    let parameters: [Parameter]
    private let isDirection: [Bool]
    private let treatment: DecayTask.Treatment
    private let decay: Double
    private var rate = 0.0
    private var stepCount = 0

    init(_ network: some Module, _ treatment: DecayTask.Treatment, decay: Double) {
        let named = network.namedParameters
        parameters = named.map(\.value)
        isDirection = named.map { $0.path.hasSuffix(".direction") }
        (self.treatment, self.decay) = (treatment, decay)
    }

    func prepare(learningRate: Double) {
        rate = learningRate
        stepCount += 1
    }

    func apply(gradients: [Tensor]) {
        withoutGradients {
            for ((parameter, gradient), isDirection) in zip(zip(parameters, gradients), isDirection) {
                var (step, rate) = (gradient, rate)
                if isDirection, treatment == .decay { step = step + parameter.value * decay }
                if isDirection, treatment == .matched { rate *= pow(1 - rate * decay, -Double(2 * (stepCount - 1) + 1)) }
                parameter.assign(parameter.value - step * rate)
            }
        }
    }

    var state: OptimizerState { OptimizerState(kind: "DirectionDecay", numbers: ["steps": Double(stepCount)]) }

    func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        try state.require(kind: "DirectionDecay")
        stepCount = try state.count("steps")
    }
}
