package import Datasets
import Report
package import WeightNorm

/// Every hyperparameter of the paper's classification network and its training, in one place.
///
/// The initial values are the paper's, for CIFAR-10 (its §5.1 and table 3); a preset's definition sets what differs.
package struct ClassificationSettings: Codable, Equatable, Sendable {
    // -- The images ----------------------------------------------------------------------------------------------------------------------
    /// Whether the images are whitened by a map fitted to the training images; otherwise they become (raw − 127.5)/128.
    package var whitens = true

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
    /// The number of images, from the permuted training set, used for data-dependent initialization.
    package var initializationImages = 500

    // -- Training ------------------------------------------------------------------------------------------------------------------------
    /// Images in a minibatch.
    package var batch = 100
    /// What takes the steps; nil, as in files of earlier versions, for the paper's Adam.
    package var optimizer: OptimizerKind?
    /// Passes over the whole training set.
    package var epochs = 200
    /// Adam's β1 in the first half of the run.
    package var beta1 = 0.9
    /// Adam's β1 in the second half of the run.
    package var laterBeta1 = 0.5
    /// Adam's β2.
    package var beta2 = 0.999
    /// Adam's ε, inside the root.
    package var epsilon = 1e-8
    /// The learning rate of the first half of the run, by norm; it falls linearly to zero over the second. In the paper these were the best on
    /// CIFAR-10 among 0.0003, 0.001, 0.003 and 0.01, by the error on 10,000 held-out training images.
    package var learningRates = Normalization.allCases.learningRates(plain: 0.0003, normalized: 0.003)

    // -- Arithmetic ----------------------------------------------------------------------------------------------------------------------
    /// Whether CUDA may round the factors of products and convolutions to 10 bits of fraction (TF32).
    package var usesTF32 = false
    /// Whether products and convolutions are done in bfloat16, with parameters, sums and the loss in float32.
    package var usesBfloat16 = false

    package init() {}

    /// An optimizer by name.
    package enum OptimizerKind: String, Codable, CaseIterable, Sendable {
        case adam
        /// Gradient descent.
        case sgd
        /// Gradient descent with a momentum of ``ClassificationSettings/beta1``.
        case momentum
    }

    /// The learning rate of a norm.
    package func learningRate(_ normalization: Normalization) -> Double { learningRates[normalization.rawValue] ?? .nan }

    /// The same learning rate for all norms.
    package mutating func setLearningRate(_ rate: Double) { learningRates = learningRates.mapValues { _ in rate } }

    /// As many classes as the images have, where these have names.
    package mutating func setClasses(of images: ImageSet) { classes = images.classNames?.count ?? classes }

    /// Scales the numbers of maps; 1 is the paper's network.
    package mutating func setWidth(_ factor: Double) {
        firstMaps = max(1, Int((96 * factor).rounded()))
        secondMaps = max(1, Int((192 * factor).rounded()))
    }
}

extension ClassificationSettings {
    /// Settings that a run can be started with by name.
    package enum Preset: String, CaseIterable, Sendable {
        /// The paper's.
        case paper
        /// For two CPU cores.
        case quick

        package var settings: ClassificationSettings { self == .paper ? ClassificationSettings() : .quick }
    }

    /// For two CPU cores and a quarter of an hour: a sixth of the width, all images, and little dropout (a network this narrow learns far more slowly
    /// with the paper's 0.5). One learning rate for all norms: the paper's 0.0003 for plain weights is for 200 epochs.
    package static let quick: ClassificationSettings = {
        var settings = ClassificationSettings()
        settings.setWidth(1.0 / 6)
        settings.dropout = 0.1
        settings.epochs = 10
        settings.setLearningRate(0.003)
        return settings
    }()

    /// For a first look in a few minutes: like ``quick``, but one epoch on images that are not whitened, and with constant β1: with 0.5 and Adam's
    /// long memory of gradients, one unusual gradient in so short and fast a run can cause a step many times the learning rate.
    package static let onePass: ClassificationSettings = {
        var settings = quick
        settings.whitens = false
        settings.epochs = 1
        settings.laterBeta1 = settings.beta1
        return settings
    }()

    /// How the settings differ from others, in words such as `epochs 10 instead of 200`; only learning rates of the given norms are included.
    package func departures(from other: ClassificationSettings, norms: [String]) -> [String] {
        var words: [String] = []
        func note(_ name: String, _ expected: some Equatable, _ found: some Equatable) {
            let (expected, found) = ("\(expected)", "\(found)")
            if expected != found { words.append("\(name) \(found) instead of \(expected)") }
        }
        note("maps", "\(other.firstMaps) and \(other.secondMaps)", "\(firstMaps) and \(secondMaps)")
        note("epochs", other.epochs, epochs)
        note("minibatch", other.batch, batch)
        note("dropout", NumberText.general(other.dropout), NumberText.general(dropout))
        note("optimizer", (other.optimizer ?? .adam).rawValue, (optimizer ?? .adam).rawValue)
        note("input noise", NumberText.general(other.inputNoise), NumberText.general(inputNoise))
        note("β1 in the second half", NumberText.general(other.laterBeta1), NumberText.general(laterBeta1))
        if whitens != other.whitens { words.append(whitens ? "whitened images" : "images that are not whitened") }
        for norm in norms {
            note(
                "learning rate of \(norm)", NumberText.general(other.learningRates[norm] ?? .nan),
                NumberText.general(learningRates[norm] ?? .nan))
        }
        if usesTF32 { words.append("TF32") }
        if usesBfloat16 { words.append("bfloat16") }
        return words
    }
}
