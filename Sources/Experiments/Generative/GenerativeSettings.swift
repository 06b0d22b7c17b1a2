package import Torch
package import Training
package import WeightNorm

/// How the pixels of images are interpreted.
package enum PixelKind: String, Codable, CaseIterable, Sendable {
    /// Binary, redrawn for every minibatch with the grey level as probability (Salakhutdinov & Murray, 2008); drawn once for the test images.
    case dynamic
    /// Binary, drawn once.
    case fixed
    /// One of 256 levels, with a discretized logistic likelihood.
    case levels
}

/// Every hyperparameter of a generative model and its training: what a ``GenerativeTraining`` must know.
package protocol GenerativeSettings: Codable, Equatable, Sendable {
    /// The subcommand of `weightnorm` that starts such a run.
    static var command: String { get }

    /// The norms that such a model can have.
    static var norms: [Normalization] { get }

    var pixels: PixelKind { get }
    var batch: Int { get }
    var epochs: Int { get }
    /// The learning rate, constant.
    var learningRate: Double { get }
    /// How data-dependent initialization is done; nil if it is not defined, as for recurrent networks (the paper, §3).
    var dataDependentInitialization: DataDependentInitialization? { get }
    /// The rate of the parameters' exponential average used for evaluation; nil if the parameters themselves are used.
    var evaluationAverage: Double? { get }
    /// The largest norm of all gradients together; longer gradients are scaled down to it.
    var maxNorm: Double? { get }

    /// A model with drawn weights.
    func makeModel(rows: Int, columns: Int, normalization: Normalization, random: Generator) -> any GenerativeModel
    func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer

    /// Throws unless a model can be made and trained with these numbers: settings may come from a file.
    func checkNumbers() throws(RunFailure)

    /// Throws unless there can be such a model for images of this size, and minibatches fit into memory; the numbers must have been checked.
    func check(channels: Int, rows: Int, columns: Int, images: Int) throws(RunFailure)

    /// The steps in which such a model draws an image; 1 for one that draws it at once.
    var drawingSteps: Int { get }

    /// What a report says about such a model.
    func description(of data: String) -> ReportedModel
}

extension GenerativeSettings {
    /// Throws unless the counts are from 1 to their bounds, and the other numbers, including those of all such settings, in their ranges.
    func check(
        counts: [(name: String, value: Int, most: Int)], numbers: [(name: String, value: Double, range: NumberRange)]
    ) throws(RunFailure) {
        let common = [("batch", batch, SettingsLimits.batch.upperBound), ("epochs", epochs, SettingsLimits.epochs.upperBound)]
        for (name, value, most) in counts + common { try SettingsCheck.whole(name, value, in: 1...most) }
        for (name, value, range) in numbers + [("learningRate", learningRate, .rate)] { try SettingsCheck.number(name, value, in: range) }
    }

    package var drawingSteps: Int { 1 }

    /// The number of channels of the images.
    var channels: Int { pixels == .levels ? 3 : 1 }
}

/// How data-dependent initialization is done.
package struct DataDependentInitialization: Equatable, Sendable {
    /// The number of images, taken from the start of the first epoch.
    package let images: Int
    /// The standard deviation that it gives to pre-activations.
    package let targetDeviation: Double

    package init(images: Int, targetDeviation: Double) {
        self.images = images
        self.targetDeviation = targetDeviation
    }
}

/// What a report says about a kind of model.
package struct ReportedModel {
    /// Such as "Variational autoencoders".
    package let title: String
    /// The corresponding figure in the paper.
    package let figure: Int
    /// Rows of the list of settings.
    package let entries: [(name: String, value: String)]
    package let optimizer: String
    /// The paper's test bound for a norm by epoch, in the report's unit; empty unless the images are the paper's.
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
