import ArgumentParser
import Datasets
import Experiments
import WeightNorm

/// `weightnorm train draw`: the paper's §5.3.
struct TrainDRAW: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "draw",
        abstract: "Train DRAW, a recurrent model that draws images glimpse by glimpse (the paper's §5.3, Figure 4).",
        discussion: """
            Grey images are treated as binary. A recurrent encoder and decoder (LSTMs) read and write an image in several glimpses, each of a part of it or of the \
            whole. Writes a folder with report.html (open it in a browser), samples and reconstructions as PNG after every epoch, animations at the end of how \
            they are drawn, summary.json, metrics.jsonl, the trained models, config.json, and checkpoint.safetensors, from which --resume continues bit for \
            bit (on the CPU, with the same number of threads). SIGINT (Ctrl-C) and SIGTERM finish the current step and save. Sample from a finished run with weightnorm sample.
            """)

    @Option(
        help: ArgumentHelp(
            "paper (reads 2 × 2 and writes 5 × 5 filters, 64 glimpses), paper-full-image (whole images, 10 glimpses), or quick for two CPU cores. (default: quick)",
            valueName: "name"), transform: { try choice($0, option: "preset", outOf: DRAWSettings.presets) })
    var preset: DRAWSettings.Preset?

    @Option(help: ArgumentHelp("Glimpses in which an image is drawn.", valueName: "number"))
    var glimpses: Int?

    @Option(help: ArgumentHelp("Hidden units of the encoder and of the decoder.", valueName: "number"))
    var hidden: Int?

    @Option(help: ArgumentHelp("Elements of z per glimpse.", valueName: "number"))
    var latents: Int?

    @Option(
        help: ArgumentHelp(
            "Sides of the reading and the writing grid of filters, separated by a comma; or none, for whole images.", valueName: "sides"),
        transform: attentionSides)
    var attention: [Int]?

    @Option(help: ArgumentHelp("Standard deviation of the initial weights.", valueName: "number"))
    var deviation: Double?

    @OptionGroup var common: GenerativeOptions
    @OptionGroup var rate: LearningRateOption<TrainDRAW>
    @OptionGroup(title: "Run options") var options: RunOptions<TrainDRAW>

    func run() throws {
        try GenerativeRunner<DRAWSettings, TrainDRAW>(model: common, rate: rate, options: options, preset: preset).run(apply: apply)
    }

    private func apply(to settings: inout DRAWSettings) throws {
        typealias Limits = DRAWSettings.Limits
        try Command.apply(glimpses, in: Limits.glimpses, option: "glimpses", to: &settings.glimpses)
        try Command.apply(hidden, in: Limits.hidden, option: "hidden", to: &settings.hidden)
        try Command.apply(latents, in: Limits.latents, option: "latents", to: &settings.latents)
        try Command.apply(deviation, in: Limits.deviation, option: "deviation", to: &settings.deviation)
        if let attention {
            settings.attention = attention.isEmpty ? nil : DRAWSettings.Attention(read: attention[0], write: attention[1])
        }
    }

    /// Two sides; or nothing, for none.
    @Sendable private static func attentionSides(_ text: String) throws -> [Int] {
        if text == "none" { return [] }
        let limits = DRAWSettings.Limits.side
        let sides = try? list(text, option: "attention", expected: "sides", allowingRepetition: true) {
            Int($0).flatMap { limits.contains($0) ? $0 : nil }
        }
        guard let sides, sides.count == 2 else {
            throw ValidationError(
                "--attention: expected two sides from \(limits.lowerBound) to \(limits.upperBound), as 2,5, or none, found '\(text)'")
        }
        return sides
    }
}

extension DRAWSettings: TrainableSettings {
    static var presets: [Preset] { [.quick, .paper, .paperFullImage] }

    static func preset(_ preset: Preset, for images: ImageSet) -> DRAWSettings { .preset(preset) }
}

extension TrainDRAW: RunDefaults {
    static var allowedNorms: [Normalization] { DRAWSettings.norms }
    static let folder = "runs/draw"
}
