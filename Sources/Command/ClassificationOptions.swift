import ArgumentParser
import Datasets
import Experiments
import Torch
import Training
import WeightNorm

/// The defaults of a classification's options.
protocol ClassificationDefaults: RunDefaults {
    static var data: String { get }
}

/// The options of `compare`, `sweep` and `train classification` besides those of all runs.
struct ClassificationOptions<Defaults: ClassificationDefaults>: ParsableArguments {
    @Option(help: ArgumentHelp("\(dataHelp) (default: \(Defaults.data))", valueName: "name-or-folder"))
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Width of the network, as a fraction of the paper's 96 and 192 maps. (default: \(Defaults.origin.width))", valueName: "factor"))
    var width: Double?

    @Option(
        help: ArgumentHelp(
            "Dropout probability after each pooling layer; the paper's wide network uses 0.5. (default: \(Defaults.origin.dropout))",
            valueName: "probability"))
    var dropout: Double?

    @Option(
        help: ArgumentHelp(
            "\(alternatives(ClassificationSettings.OptimizerKind.allCases.map(\.rawValue))), gradient descent with a momentum of 0.9. (default: adam)",
            valueName: "name"),
        transform: { try choice($0, option: "optimizer", outOf: ClassificationSettings.OptimizerKind.allCases) })
    var optimizer: ClassificationSettings.OptimizerKind?

    @Option(
        help: ArgumentHelp(
            "Training images to hold out and measure the error on, instead of the test images: for tuning. The paper held out 10000.",
            valueName: "number"))
    var heldOut: Int?

    @Flag(
        inversion: .prefixedNo,
        help: ArgumentHelp("Whiten the images (ZCA, fitted to those trained on). (default: \(Defaults.origin.whitening))"))
    var whiten: Bool?

    @Option(
        help: ArgumentHelp(
            "Height and width to which pictures in folders are fitted: scaled to cover it, and the middle cut out. (default: their own, which must be the same for all)",
            valueName: "pixels"))
    var pictureSize: Int?

    /// Applies the given options to the settings.
    func apply(_ run: RunOptions<Defaults>, learningRate: LearningRateOption<Defaults>? = nil, to settings: inout ClassificationSettings)
        throws
    {
        try run.apply(to: &settings.epochs, &settings.batch, most: ClassificationSettings.Limits.batch)
        if let optimizer { settings.optimizer = optimizer == .adam ? nil : optimizer }
        if let width {
            try require(width, in: ClassificationSettings.Limits.width, option: "width")
            settings.setWidth(width)
        }
        try Command.apply(dropout, in: .dropout, option: "dropout", to: &settings.dropout)
        settings.whitens = whiten ?? settings.whitens
        if let rate = try learningRate?.checked() { settings.setLearningRate(rate) }
    }

    /// The images for training and for measuring the error, from the given data set or else that of the resumed run.
    func images(stored: (data: String, heldOut: Int?, pictureSize: Int?)?) throws -> ClassificationData {
        let (data, heldOut) = (data ?? stored?.data ?? Defaults.data, heldOut ?? stored?.heldOut)
        let size = pictureSize ?? stored?.pictureSize
        if let size { try require(size, in: SettingsLimits.pictureSize, option: "picture-size") }
        let (training, test) = try classificationImages(data, heldOut: heldOut, pictureSize: size)
        return ClassificationData(name: data, heldOut: heldOut, pictureSize: size, training: training, test: test)
    }
}

/// The images of a classification, with the options that chose them.
struct ClassificationData {
    let name: String
    let heldOut: Int?
    let pictureSize: Int?
    let training: ImageSet
    let test: ImageSet
}

/// The test errors for which `compare` and `train classification` report the first time below them.
struct ThresholdOption<Defaults: ThresholdDefaults>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Test errors, separated by commas; the report says when the error first fell below each. (default: \(Defaults.thresholds.map { "\($0)" }.joined(separator: ",")))",
            valueName: "list"), transform: thresholdList)
    var under: [Double]?

    func thresholds(stored: [Double]?) -> [Double] { under ?? stored ?? Defaults.thresholds }
}

/// The option of `compare` and `train classification` to keep networks on the way.
struct SnapshotOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Epochs after which to write the networks too, separated by commas; 0 is the start. For weightnorm analyze --epoch.",
            valueName: "list"),
        transform: { try list($0, option: "snapshots", expected: "whole numbers from 0 up") { Int($0).flatMap { $0 >= 0 ? $0 : nil } } })
    var snapshots: [Int]?
}

/// The default thresholds.
protocol ThresholdDefaults {
    static var thresholds: [Double] { get }
}
