import ArgumentParser
import AtomicFiles
import Experiments
import Foundation
import Training
import WeightNorm

/// `weightnorm sample`: pictures from a finished generative model.
struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sample images from a finished run of weightnorm train vae or train draw.",
        discussion: """
            Draws z from the prior and writes the mean images to one PNG file; for a run of train draw, that is an animation of how they are drawn, which \
            browsers play. The same --draws give the same file.
            """)

    @Argument(help: ArgumentHelp("Folder of a weightnorm train vae or train draw run.", valueName: "run"))
    var source = "runs/vae"

    @Option(help: ArgumentHelp("Norm of the run to sample from. (default: the first)", valueName: "name"), transform: singleNorm)
    var norm: Normalization?

    @Option(help: ArgumentHelp("Seed of the run to sample from. (default: the first)", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Number of images.", valueName: "number"))
    var count = 100

    @Option(help: ArgumentHelp("Images per row.", valueName: "number"))
    var across = 10

    @Option(help: ArgumentHelp("Seed of the draws.", valueName: "number"))
    var draws: UInt64 = 0

    @Flag(help: "Write only the finished images, without an animation.")
    var still = false

    @Option(help: ArgumentHelp("The PNG file to write.", valueName: "file"))
    var out = "samples.png"

    func run() throws {
        try require(count, in: 1...10_000, option: "count")
        try require(across, in: 1...1000, option: "across")
        try requireOutside(out, option: "out")
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
