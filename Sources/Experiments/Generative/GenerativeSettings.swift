package import Datasets
package import Torch
package import Training
package import WeightNorm

/// What the pixels of images are taken for.
package enum PixelKind: String, Codable, CaseIterable, Sendable {
    /// Binary, drawn anew for every minibatch with the grey level as probability (Salakhutdinov & Murray, 2008); drawn once for the test images.
    case dynamic
    /// Binary, drawn once.
    case fixed
    /// One of 256 levels, with a discretized logistic likelihood.
    case levels
}

/// Every hyperparameter of a generative model and its training: what a ``GenerativeTraining`` must know.
package protocol GenerativeSettings: Codable, Equatable, Sendable {
    /// The words behind `weightnorm` that start such a run.
    static var command: String { get }

    /// The norms that such a model can have.
    static var norms: [Normalization] { get }

    var pixels: PixelKind { get }
    var batch: Int { get }
    var epochs: Int { get }
    /// The learning rate, constant.
    var learningRate: Double { get }
    /// How data-dependent initialization is done; nil where it is not defined, as for recurrent networks (the paper, §3).
    var dataDependentInitialization: DataDependentInitialization? { get }
    /// The rate of the parameters' exponential average with which the model is evaluated; nil if it is evaluated as it is.
    var evaluationAverage: Double? { get }
    /// The largest norm of all gradients together that a step takes; longer ones are scaled down to it.
    var largestGradientNorm: Double? { get }

    /// A model with drawn weights.
    func makeModel(rows: Int, columns: Int, normalization: Normalization, random: Generator) -> any GenerativeModel
    func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer

    /// Throws unless every number is one that a model can be made and trained with: settings may come from a file.
    func checkNumbers() throws(RunFailure)

    /// Throws unless the images fit the model.
    func check(_ images: ImageSet) throws(RunFailure)

    /// What a report says of such a model.
    func description(of data: String) -> ReportedModel
}

extension GenerativeSettings {
    /// Throws unless the counts are from 1 to 10,000, or to another bound, and the other numbers are as they must be.
    func check(
        counts: [(name: String, value: Int, most: Int)], numbers: [(name: String, value: Double, expected: String, isValid: Bool)]
    ) throws(RunFailure) {
        for (name, value, most) in counts + [("batch", batch, 10_000), ("epochs", epochs, 100_000)] where !(1...most).contains(value) {
            throw RunFailure("settings: \(name): expected a number from 1 to \(most), found \(value)")
        }
        let rate = (
            name: "learningRate", value: learningRate, expected: "a number above 0 and at most 1000",
            isValid: learningRate > 0 && learningRate <= 1000
        )
        for (name, value, expected, isValid) in numbers + [rate] where !isValid {
            throw RunFailure("settings: \(name): expected \(expected), found \(value)")
        }
    }
}

/// How data-dependent initialization is done.
package struct DataDependentInitialization: Equatable, Sendable {
    /// The first images of the first pass, so many.
    package let images: Int
    /// The deviation that it gives to pre-activations.
    package let targetDeviation: Double

    package init(images: Int, targetDeviation: Double) {
        self.images = images
        self.targetDeviation = targetDeviation
    }
}

/// What a report says of a kind of model.
package struct ReportedModel {
    /// Such as "Variational autoencoders".
    package let title: String
    /// The figure of the paper that shows the same.
    package let figure: Int
    /// Rows of the list of settings.
    package let entries: [(name: String, value: String)]
    package let optimizer: String
    /// The paper's test bound of a norm by passes, in the report's unit; empty where the images are others than the paper's.
    package let paper: (_ norm: String) -> [(epoch: Double, value: Double)]

    package init(
        title: String, figure: Int, entries: [(name: String, value: String)], optimizer: String,
        paper: @escaping (_ norm: String) -> [(epoch: Double, value: Double)]
    ) {
        self.title = title
        self.figure = figure
        self.entries = entries
        self.optimizer = optimizer
        self.paper = paper
    }
}
