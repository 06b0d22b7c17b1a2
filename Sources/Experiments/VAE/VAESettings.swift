/// Every hyperparameter of the paper's variational autoencoders and their training, in one place.
///
/// The initial values are those of the paper's §5.2; where it states none, those of Kingma's later code for the same models (his `iaf` repository);
/// and where that differs too much in kind, choices that the documentation lists.
package struct VAESettings: Codable, Equatable, Sendable {
    package typealias Pixels = PixelKind

    package var pixels = Pixels.dynamic

    // -- The model of binary images ------------------------------------------------------------------------------------------------------
    /// Maps in each of the three sequences of residual blocks.
    package var maps = [16, 32, 32]
    /// Residual blocks in a sequence.
    package var blocks = 2
    /// Features of the dense layers.
    package var hidden = 450

    // -- The ladder ----------------------------------------------------------------------------------------------------------------------
    /// Stochastic layers at each scale, from the finest.
    package var depth = [2, 2]
    /// Maps of the ladder's convolutions.
    package var ladderMaps = 160
    /// The minimum divergence counted for each map of latents, in nats.
    package var freeNats = 0.25

    /// The logarithm of the pixels' scale at the start, as a fraction of their range; nil for Kingma's 0.
    package var initialLogScale: Double?

    // -- Both ----------------------------------------------------------------------------------------------------------------------------
    /// Elements of z; in the ladder, maps in each layer's z.
    package var latents = 32
    /// Steps of inverse autoregressive flow; 0 is the diagonal normal distribution. The ladder has one per layer or none.
    package var flowSteps = 2
    /// The deviation that data-dependent initialization gives to pre-activations.
    package var targetDeviation = 0.1
    /// The number of images used for data-dependent initialization.
    package var initializationImages = 100

    // -- Training ------------------------------------------------------------------------------------------------------------------------
    package var batch = 100
    package var epochs = 300
    /// Adamax's learning rate, constant.
    package var learningRate = 0.002
    package var beta1 = 0.9
    package var beta2 = 0.999
    package var epsilon = 1e-8
    /// The rate of the parameters' exponential average, with which the bound is evaluated: 0.001 averages over about the last 1000 steps.
    package var averageRate = 0.001

    package init() {}

    /// Settings that a run can be started with by name.
    package enum Preset: String, CaseIterable, Sendable {
        case paper
        case quick
    }

    /// The preset for binary images or photographs.
    package static func preset(_ preset: Preset, isPhotograph: Bool) -> VAESettings {
        var settings = VAESettings()
        if isPhotograph {
            settings.pixels = .levels
            settings.batch = 16
            settings.flowSteps = 1
            // With 50,000 images in minibatches of 16: as many as the paper's figure shows.
            settings.epochs = 450
        }
        if preset == .quick {
            settings.epochs = isPhotograph ? 1 : 8
            // A run this short must forget its start sooner.
            settings.averageRate = 0.005
            if isPhotograph {
                settings.ladderMaps = 32
                settings.latents = 8
                settings.depth = [1, 1]
                // From 1, the whole range, the scale takes thousands of steps to get where it matters.
                settings.initialLogScale = -3
            }
        }
        return settings
    }
}
