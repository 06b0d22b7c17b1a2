package import Datasets
import Foundation
package import Torch
package import Training
package import WeightNorm

package typealias VAEExperiment = GenerativeExperiment<VAESettings>
package typealias VAETraining = GenerativeTraining<VAESettings>
package typealias VAETrainer = GenerativeTrainer<VAESettings>

extension VAESettings: GenerativeSettings {
    package static let command = "train vae"
    package static let norms = Normalization.allCases

    package var dataDependentInitialization: DataDependentInitialization? {
        DataDependentInitialization(images: initializationImages, targetDeviation: targetDeviation)
    }
    package var evaluationAverage: Double? { averageRate }
    package var largestGradientNorm: Double? { nil }

    package func makeModel(rows: Int, columns: Int, normalization: Normalization, random: Generator) -> any GenerativeModel {
        pixels == .levels
            ? LadderVAE(self, rows: rows, columns: columns, normalization: normalization, random: random)
            : ConvolutionalVAE(self, rows: rows, columns: columns, normalization: normalization, random: random)
    }

    package func makeOptimizer(_ parameters: [Parameter]) -> any Optimizer {
        Adamax(parameters, beta1: beta1, beta2: beta2, epsilon: epsilon, correctsBias: false)
    }

    package func checkNumbers() throws(RunFailure) {
        let counts =
            maps.map { ("maps", $0, 10_000) } + depth.map { ("depth", $0, 100) } + [
                ("blocks", blocks, 100), ("hidden", hidden, 100_000), ("ladderMaps", ladderMaps, 10_000), ("latents", latents, 10_000),
                ("initializationImages", initializationImages, 1_000_000),
                ("number of maps", maps.count, 3),
                ("number of scales", depth.count, 10),
            ]
        guard maps.count == 3 else { throw RunFailure("settings: maps: expected three numbers, found \(maps.count)") }
        try check(
            counts: counts.map { (name: $0.0, value: $0.1, most: $0.2) },
            numbers: [
                ("flowSteps", Double(flowSteps), "a number from 0 to 100", (0...100).contains(flowSteps)),
                ("freeNats", freeNats, "nats from 0 up", freeNats >= 0),
                ("targetDeviation", targetDeviation, "a number above 0", targetDeviation > 0),
                ("averageRate", averageRate, "a number above 0 and at most 1", averageRate > 0 && averageRate <= 1),
                ("beta1", beta1, "a number from 0 to below 1", (0..<1).contains(beta1)),
                ("beta2", beta2, "a number from 0 to below 1", (0..<1).contains(beta2)),
                ("epsilon", epsilon, "a number above 0", epsilon > 0),
            ])
    }

    package func check(_ images: ImageSet) throws(RunFailure) {
        let (channels, part) = pixels == .levels ? (3, 1 << depth.count) : (1, 4)
        guard images.channels == channels, images.rows.isMultiple(of: part), images.columns.isMultiple(of: part) else {
            throw RunFailure(
                "images: expected \(channels == 1 ? "grey" : "colour") ones whose sides are multiples of \(part), found \(images.size)")
        }
    }

    package func description(of data: String) -> ReportedModel {
        let isPhotograph = pixels == .levels
        let entries: [(String, String)] =
            isPhotograph
            ? [
                ("Stochastic layers a scale", depth.map { "\($0)" }.joined(separator: ", ")), ("Maps", "\(ladderMaps)"),
                ("Maps of z", "\(latents)"), ("Flow", flowSteps > 0 ? "one step a layer" : "none"),
                ("Free bits", "\(NumberText.general(freeNats)) nats a map"),
            ]
            : [
                ("Maps", maps.map { "\($0)" }.joined(separator: ", ")), ("Residual blocks a sequence", "\(blocks)"),
                ("Dense features", "\(hidden)"), ("z", "\(latents)"), ("Flow steps", "\(flowSteps)"),
            ]
        return ReportedModel(
            title: "Variational autoencoders", figure: 3,
            entries: entries + [("Initial deviation", NumberText.general(targetDeviation))], optimizer: "Adamax",
            paper: { data == "mnist" || data == "cifar10" ? PaperBounds.autoencoders($0, isPhotograph: isPhotograph) : [] })
    }
}
