import Report
package import Torch
package import Training
package import WeightNorm

/// Every hyperparameter of the paper's DRAW and its training (its §5.3), in one place.
///
/// The initial values are those of the implementation that the paper used unchanged (Bornschein's), in its run with attention.
package struct DRAWSettings: Codable, Equatable, Sendable {
    /// The sides of the square grids of filters.
    package struct Attention: Codable, Equatable, Sendable {
        package var read: Int
        package var write: Int

        package init(read: Int, write: Int) {
            self.read = read
            self.write = write
        }
    }

    package var pixels = PixelKind.dynamic
    /// The filters with which parts of the image are read and written; nil for the whole image.
    package var attention: Attention? = Attention(read: 2, write: 5)
    /// Steps in which an image is drawn, T.
    package var glimpses = 64
    /// Hidden units of the encoder and of the decoder.
    package var hidden = 256
    /// Elements of z per glimpse.
    package var latents = 100
    /// The standard deviation of drawn weights.
    package var deviation = 0.01
    package var batch = 100
    package var epochs = 100
    /// Adam's learning rate, constant.
    package var learningRate = 3e-4
    package var beta1 = 0.9
    package var beta2 = 0.999
    package var epsilon = 1e-8
    /// The largest norm of all gradients together.
    package var clippedNorm = 10.0

    package init() {}

    /// Settings that a run can be started with by name.
    package enum Preset: String, CaseIterable, Sendable {
        case paper
        case paperFullImage = "paper-full-image"
        case quick
    }

    package static func preset(_ preset: Preset) -> DRAWSettings {
        var settings = DRAWSettings()
        switch preset {
        case .paper: break
        case .paperFullImage:
            (settings.attention, settings.glimpses, settings.learningRate) = (nil, 10, 1e-3)
        case .quick:
            // Drawing whole images is learned in far fewer epochs than where to look. With initial weights as small as the implementation's, so short
            // a run would hardly make progress.
            (settings.attention, settings.glimpses, settings.deviation) = (nil, 10, 0.05)
            (settings.learningRate, settings.epochs) = (5e-3, 8)
        }
        return settings
    }
}

extension DRAWSettings: GenerativeSettings {
    package var drawingSteps: Int { glimpses }

    package static let command = "train draw"
    /// Those without batch statistics, which differ between the steps of a recurrent network.
    package static let norms = Normalization.allWithoutNormalizer

    /// None: it is not defined for recurrent networks (the paper, §3). g starts at ‖v‖, so that every parameterisation starts as the same function.
    package var dataDependentInitialization: DataDependentInitialization? { nil }
    package var evaluationAverage: Double? { nil }
    package var maxNorm: Double? { clippedNorm }

    package func makeModel(rows: Int, columns: Int, normalization: Normalization, random: Generator) -> any GenerativeModel {
        DRAW(self, rows: rows, columns: columns, normalization: normalization, random: random)
    }

    package func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer {
        Adam(parameters, beta1: beta1, beta2: beta2, epsilon: epsilon)
    }

    /// The bounds of the numbers that options can change.
    package enum Limits {
        package static let glimpses = 1...10_000
        package static let hidden = 1...10_000
        package static let latents = 1...10_000
        package static let side = 1...100
        package static let deviation = NumberRange.above(0, atMost: 10)
    }

    package func checkNumbers() throws(RunFailure) {
        let most = Limits.side.upperBound
        let sides =
            attention.map { [("side of the reading filters", $0.read, most), ("side of the writing filters", $0.write, most)] } ?? []
        let counts = [
            ("glimpses", glimpses, Limits.glimpses.upperBound), ("hidden", hidden, Limits.hidden.upperBound),
            ("latents", latents, Limits.latents.upperBound),
        ]
        try check(
            counts: (sides + counts).map { (name: $0.0, value: $0.1, most: $0.2) },
            numbers: [
                ("deviation", deviation, Limits.deviation), ("clippedNorm", clippedNorm, .above(0, atMost: 1e30)), ("beta1", beta1, .decay),
                ("beta2", beta2, .decay), ("epsilon", epsilon, .epsilon),
            ])
        guard pixels != .levels else { throw RunFailure("settings: pixels: expected dynamic or fixed, found \(pixels.rawValue)") }
    }

    package func check(channels: Int, rows: Int, columns: Int, images: Int) throws(RunFailure) {
        guard channels == 1, rows > 0, columns > 0 else {
            throw RunFailure(
                "images: expected grey ones, found \(channels == 3 ? "colour ones" : "ones") of \(channels == 1 ? "" : "\(channels) × ")\(rows) × \(columns) pixels"
            )
        }
        let (hidden, latents, pixels) = (Double(hidden), Double(latents), Double(rows * columns))
        let read = attention.map { Double($0.read * $0.read) } ?? pixels
        let written = attention.map { Double($0.write * $0.write) } ?? pixels
        let weights = 4 * hidden * (2 * read + 2 * hidden) + 4 * hidden * (latents + hidden) + hidden * (2 * latents + written + 10)
        // The canvas, and the memories with their gates.
        try SettingsCheck.size(weights: weights, elements: Double(glimpses) * (pixels + 12 * hidden + 3 * latents), examples: batch)
    }

    package func description(of data: String) -> ReportedModel {
        ReportedModel(
            title: "DRAW", figure: 4,
            entries: [
                ("Attention", attention.map { "reads \($0.read) × \($0.read), writes \($0.write) × \($0.write)" } ?? "none: whole images"),
                ("Glimpses", "\(glimpses)"), ("Hidden units", "\(hidden) each"), ("z of a glimpse", "\(latents)"),
                ("Initial weights", "N(0, \(NumberText.general(deviation))²)"),
            ], optimizer: "Adam", paper: { data == "mnist" ? PaperBounds.draw($0) : [] })
    }
}
