import ArgumentParser
import Datasets
import Experiments
import WeightNorm

/// `weightnorm train vae`: the paper's §5.2.
struct TrainVAE: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vae",
        abstract: "Train the paper's variational autoencoders (§5.2, Figure 3).",
        discussion: """
            Grey images (mnist) are treated as binary and modelled with a residual encoder and decoder, colour images (cifar10) with a ladder of stochastic layers; \
            in both, the posterior is an inverse autoregressive flow. Writes a folder with report.html (open it in a browser), samples and reconstructions as PNG after \
            every epoch, summary.json, metrics.jsonl, the trained models, config.json, and checkpoint.safetensors, from which --resume continues bit for bit (on the \
            CPU, with the same number of threads). SIGINT (Ctrl-C) and SIGTERM finish the current step and save. Sample from a finished run with weightnorm sample.
            """)

    @Option(
        help: ArgumentHelp("paper, or quick for two CPU cores. (default: quick)", valueName: "name"),
        transform: { try choice($0, option: "preset", outOf: VAESettings.presets) })
    var preset: VAESettings.Preset?

    @Option(help: ArgumentHelp("Elements of z; in the ladder, maps of z in each layer.", valueName: "number"))
    var latents: Int?

    @Option(help: ArgumentHelp("Steps of inverse autoregressive flow; 0 leaves a diagonal normal distribution.", valueName: "number"))
    var flowSteps: Int?

    @Option(
        help: ArgumentHelp("Stochastic layers at each scale of the ladder, finest first, separated by commas.", valueName: "list"),
        transform: {
            let limits = VAESettings.Limits.depth
            return try list(
                $0, option: "depth", expected: "numbers from \(limits.lowerBound) to \(limits.upperBound)", allowingRepetition: true
            ) {
                Int($0).flatMap { limits.contains($0) ? $0 : nil }
            }
        })
    var depth: [Int]?

    @Option(help: ArgumentHelp("Maps of the ladder's convolutions.", valueName: "number"))
    var maps: Int?

    @Option(
        help: ArgumentHelp(
            "Free bits: the divergence, in nats, up to which a map of the ladder's latents is not penalized.", valueName: "nats"))
    var freeNats: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Logarithm of the scale of the ladder's pixels at the start, as a fraction of their range; 0 as in Kingma's code.",
            valueName: "number"))
    var initialLogScale: Double?

    @OptionGroup var common: GenerativeOptions
    @OptionGroup var rate: LearningRateOption<TrainVAE>
    @OptionGroup(title: "Run options") var options: RunOptions<TrainVAE>

    func run() throws {
        try GenerativeRunner<VAESettings, TrainVAE>(model: common, rate: rate, options: options, preset: preset).run(apply: apply)
    }

    private func apply(to settings: inout VAESettings) throws {
        typealias Limits = VAESettings.Limits
        let ladder = [
            ("depth", depth != nil), ("maps", maps != nil), ("free-nats", freeNats != nil), ("initial-log-scale", initialLogScale != nil),
        ]
        if settings.pixels != .levels, let (option, _) = ladder.first(where: \.1) {
            throw ValidationError("--\(option): expected colour images, whose model has a ladder, found grey ones")
        }
        try Command.apply(latents, in: Limits.latents, option: "latents", to: &settings.latents)
        let flowLimits = settings.pixels == .levels ? 0...1 : Limits.flowSteps
        try Command.apply(flowSteps, in: flowLimits, option: "flow-steps", to: &settings.flowSteps)
        try Command.apply(maps, in: Limits.maps, option: "maps", to: &settings.ladderMaps)
        try Command.apply(freeNats, in: Limits.freeNats, option: "free-nats", to: &settings.freeNats)
        if let initialLogScale {
            try require(initialLogScale, in: Limits.logScale, option: "initial-log-scale")
            settings.initialLogScale = initialLogScale
        }
        if let depth { settings.depth = depth }
    }
}

extension VAESettings: TrainableSettings {
    static var presets: [Preset] { [.quick, .paper] }

    static func preset(_ preset: Preset, for images: ImageSet) -> VAESettings {
        .preset(preset, isPhotograph: images.channels == 3)
    }
}

extension TrainVAE: RunDefaults {
    static var allowedNorms: [Normalization] { VAESettings.norms }
    static let folder = "runs/vae"
}
