package import WeightNorm

/// Every hyperparameter of the paper's classification network and its training, in one place.
///
/// The initial values are the paper's, for CIFAR-10 (its §5.1 and table 3); what differs in a preset is set in its function.
package struct ClassificationSettings: Codable, Equatable, Sendable {
    // -- The network ---------------------------------------------------------------------------------------------------------------------
    /// Maps of the first three convolutions.
    package var firstMaps = 96
    /// Maps of the other six convolutions.
    package var secondMaps = 192
    /// σ of the Gaussian noise on the input.
    package var inputNoise = 0.15
    /// The probability of a zero after each of the two poolings.
    package var dropout = 0.5
    /// The slope of the leaky ReLU below zero.
    package var leakySlope = 0.1
    /// The number of classes.
    package var classes = 10

    // -- Initialization ------------------------------------------------------------------------------------------------------------------
    /// σ of the draws for v.
    package var initialDeviation = 0.05
    /// Images of the permuted training set on which data-dependent initialization is done.
    package var initializationImages = 500

    // -- Training ------------------------------------------------------------------------------------------------------------------------
    /// Images in a minibatch.
    package var batch = 100
    /// Passes over the training set.
    package var epochs = 200
    /// Adam's β1 in the first half of the run; 0.5 in the second.
    package var beta1 = 0.9
    /// Adam's β1 in the second half of the run.
    package var laterBeta1 = 0.5
    /// Adam's β2.
    package var beta2 = 0.999
    /// Adam's ε, inside the root.
    package var epsilon = 1e-8
    /// The learning rate of the first half of the run, by norm; it falls linearly to zero over the second. The paper found these best on CIFAR-10.
    package var learningRates: [String: Double] = [
        Normalization.normal.rawValue: 0.0003, Normalization.fixedGain.rawValue: 0.0003, Normalization.weight.rawValue: 0.003,
        Normalization.logWeight.rawValue: 0.003,
        Normalization.batch.rawValue: 0.003, Normalization.meanOnlyBatch.rawValue: 0.003,
        Normalization.weightAndMeanOnlyBatch.rawValue: 0.003,
    ]

    package init() {}

    /// The learning rate of a norm.
    package func learningRate(_ normalization: Normalization) -> Double { learningRates[normalization.rawValue] ?? .nan }

    /// The same learning rate for all norms.
    package mutating func setLearningRate(_ rate: Double) { learningRates = learningRates.mapValues { _ in rate } }

    /// For two slow CPU cores: a sixth of the width, one pass over the images, little dropout (so narrow a network learns far more slowly with the
    /// paper's 0.5), and β1 kept: with 0.5 and Adam's long memory of gradients, one unusual gradient in so short and fast a run can make a step many
    /// times the learning rate.
    package static let quick: ClassificationSettings = {
        var settings = ClassificationSettings()
        settings.setWidth(1.0 / 6)
        settings.dropout = 0.1
        settings.epochs = 1
        settings.laterBeta1 = settings.beta1
        settings.setLearningRate(0.003)
        return settings
    }()

    /// Scales the numbers of maps; 1 is the paper's network.
    package mutating func setWidth(_ factor: Double) {
        firstMaps = max(1, Int((96 * factor).rounded()))
        secondMaps = max(1, Int((192 * factor).rounded()))
    }
}
