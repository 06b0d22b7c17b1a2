import ArgumentParser
import Experiments
import Foundation
import Training
import WeightNorm

/// `weightnorm sample`: pictures from a finished generative model.
struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw images from a finished run of weightnorm train vae or train draw.",
        discussion: """
            Writes one PNG file with what the model expects for draws of z from the prior; from a run of train draw an animation of how it draws them, which \
            browsers play. The same seed gives the same file.
            """)

    @ArgumentParser.Argument(help: ArgumentHelp("Folder of a run of weightnorm train vae or train draw.", valueName: "run"))
    var source = "runs/vae"

    @Option(help: ArgumentHelp("Norm of the run to draw from; without it the first.", valueName: "name"))
    var norm: String?

    @Option(help: ArgumentHelp("Seed of the run to draw from; without it the first.", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Images to draw.", valueName: "number"))
    var count = 100

    @Option(help: ArgumentHelp("Images in a line.", valueName: "number"))
    var across = 10

    @Option(help: ArgumentHelp("Seed of the draws.", valueName: "number"))
    var draws: UInt64 = 0

    @Flag(help: "Write what is drawn at the end alone, no animation.")
    var still = false

    @Option(help: ArgumentHelp("The PNG file.", valueName: "file"))
    var out = "samples.png"

    func run() throws {
        try require(count, in: 1...10_000, option: "count")
        try require(across, in: 1...1000, option: "across")
        let norm = try norm.map(Command.norm)
        let sampler = try GenerativeSampler(at: source, norm: norm, seed: seed)
        // Every frame of every image is held in memory.
        if sampler.isAnimated, !still, count > 400 {
            throw ValidationError("--count: expected at most 400 for an animation, found \(count); --still draws more")
        }
        try sampler.check(count: count, isAnimation: sampler.isAnimated && !still)
        let animation = still ? nil : sampler.animation(count: count, across: across, seed: draws)
        try AtomicFile.write(animation ?? sampler.picture(count: count, across: across, seed: draws), to: out)
        print("\(count) images are in \(out)\(animation == nil ? "" : ", an animation")")
    }
}
