import Foundation
import Report
package import Torch
package import Training
package import WeightNorm

extension VAESettings: GenerativeSettings {
    package static let command = "train vae"
    package static let norms = Normalization.allCases

    package var dataDependentInitialization: DataDependentInitialization? {
        DataDependentInitialization(images: initializationImages, targetDeviation: targetDeviation)
    }
    package var evaluationAverage: Double? { averageRate }
    package var maxNorm: Double? { nil }

    package func makeModel(rows: Int, columns: Int, normalization: Normalization, random: Generator) -> any GenerativeModel {
        pixels == .levels
            ? LadderVAE(self, rows: rows, columns: columns, normalization: normalization, random: random)
            : ConvolutionalVAE(self, rows: rows, columns: columns, normalization: normalization, random: random)
    }

    package func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer {
        Adamax(parameters, beta1: beta1, beta2: beta2, epsilon: epsilon, correctsBias: false)
    }

    /// The bounds of the numbers that options can change.
    package enum Limits {
        package static let maps = 1...10_000
        package static let latents = 1...10_000
        package static let flowSteps = 0...100
        package static let depth = 1...100
        package static let freeNats = NumberRange.from(0, to: 1e6, "nats")
        package static let logScale = NumberRange.from(-10, to: 2)
    }

    package func checkNumbers() throws(RunFailure) {
        guard maps.count == 3 else { throw RunFailure("settings: maps: expected three numbers, found \(maps.count)") }
        guard (1...10).contains(depth.count) else {
            throw RunFailure("settings: depth: expected from 1 to 10 scales, found \(depth.count)")
        }
        let counts =
            maps.map { ("maps", $0, Limits.maps.upperBound) } + depth.map { ("depth", $0, Limits.depth.upperBound) } + [
                ("blocks", blocks, 100), ("hidden", hidden, 100_000), ("ladderMaps", ladderMaps, Limits.maps.upperBound),
                ("latents", latents, Limits.latents.upperBound), ("initializationImages", initializationImages, 1_000_000),
            ]
        try SettingsCheck.whole("flowSteps", flowSteps, in: Limits.flowSteps)
        try check(
            counts: counts.map { (name: $0.0, value: $0.1, most: $0.2) },
            numbers: [
                ("freeNats", freeNats, Limits.freeNats), ("initialLogScale", initialLogScale ?? 0, Limits.logScale),
                ("targetDeviation", targetDeviation, .deviation),
                ("averageRate", averageRate, .above(0, atMost: 1)), ("beta1", beta1, .decay), ("beta2", beta2, .decay),
                ("epsilon", epsilon, .epsilon),
            ])
    }

    package func check(channels: Int, rows: Int, columns: Int, images: Int) throws(RunFailure) {
        let part = pixels == .levels ? 1 << depth.count : 4
        guard channels == self.channels, rows > 0, columns > 0, rows.isMultiple(of: part), columns.isMultiple(of: part) else {
            throw RunFailure(
                "images: expected \(self.channels == 1 ? "grey" : "colour") ones whose sides are multiples of \(part), "
                    + "found \(channels == 1 ? "" : "\(channels) × ")\(rows) × \(columns) pixels")
        }
        let (weights, elements) = pixels == .levels ? ladderSize(rows * columns) : residualSize(rows * columns)
        let widest = Double(rows * columns) * (pixels == .levels ? Double(ladderMaps) / 4 : Double(maps[0]))
        try SettingsCheck.size(
            weights: weights, elements: elements, examples: batch, widest: widest, initial: min(initializationImages, images))
    }

    /// The number of weights of the model for binary images, and of an image's intermediate results in its blocks.
    private func residualSize(_ pixels: Int) -> (weights: Double, elements: Double) {
        let (maps, hidden, latents) = (maps.map(Double.init), Double(hidden), Double(latents))
        let features = maps[2] * Double(pixels) / 16
        let convolutions =
            maps.map { 2 * Double(blocks) * 9 * $0 * $0 }.reduce(0, +) + 9 * (maps[0] + maps[0] * maps[1] + maps[1] * maps[2])
        let flow = Double(flowSteps) * hidden * (3 * latents + hidden) + (flowSteps > 0 ? hidden * hidden : 0)
        let elements = 2 * Double(blocks) * Double(pixels) * (maps[0] + maps[1] / 4 + maps[2] / 16)
        return (2 * convolutions + 2 * features * hidden + 3 * hidden * latents + flow, 2 * elements)
    }

    /// The same for the ladder, without its flow.
    private func ladderSize(_ pixels: Int) -> (weights: Double, elements: Double) {
        let (maps, latents) = (Double(ladderMaps), Double(latents))
        let layers = Double(depth.reduce(0, +))
        let places = zip(depth, 1...).map { Double($0) * Double(pixels) / Double(1 << (2 * $1)) }.reduce(0, +)
        let flow = flowSteps > 0 ? 9 * maps * (maps + latents) / 2 : 0
        return (layers * (9 * maps * (3 * maps + 6 * latents) + flow) + 150 * maps, places * (4 * maps + 6 * latents))
    }

    package func description(of data: String) -> ReportedModel {
        let isPhotograph = pixels == .levels
        let entries: [(String, String)] =
            isPhotograph
            ? [
                ("Stochastic layers per scale", depth.map { "\($0)" }.joined(separator: ", ")), ("Maps", "\(ladderMaps)"),
                ("Maps of z", "\(latents)"), ("Flow", flowSteps > 0 ? "one step a layer" : "none"),
                ("Free bits", "\(NumberText.general(freeNats)) nats per map"),
                ("Pixels' scale at the start", NumberText.general(exp(initialLogScale ?? 0))),
            ]
            : [
                ("Maps", maps.map { "\($0)" }.joined(separator: ", ")), ("Residual blocks per sequence", "\(blocks)"),
                ("Dense features", "\(hidden)"), ("z", "\(latents)"), ("Flow steps", "\(flowSteps)"),
            ]
        return ReportedModel(
            title: "Variational autoencoders", figure: 3,
            entries: entries + [("Initial deviation", NumberText.general(targetDeviation))], optimizer: "Adamax",
            paper: { data == "mnist" || data == "cifar10" ? PaperBounds.autoencoders($0, isPhotograph: isPhotograph) : [] })
    }
}
