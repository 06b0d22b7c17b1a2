import ArgumentParser
import AtomicFiles
import Experiments
import Foundation
import Report
import Training
import WeightNorm

/// `weightnorm play`: a game by a trained network.
struct Play: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Play a game with a network trained by weightnorm train dqn.",
        discussion: """
            Plays one game with the network of the run's best evaluation – the run need not be finished – and writes it as an animated PNG that browsers play. It shows what \
            the network sees, the score, and the value it gives to each action; actions taken at random are orange. The same --draws give the same game.
            """)

    @Argument(help: ArgumentHelp("Folder of a weightnorm train dqn run.", valueName: "run"))
    var source = "runs/dqn"

    @Option(help: ArgumentHelp("Norm of the run to play with. (default: the first)", valueName: "name"), transform: singleNorm)
    var norm: Normalization?

    @Option(help: ArgumentHelp("Seed of the run to play with. (default: the first)", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Probability of a random action. (default: that of the run's evaluations)", valueName: "probability"))
    var exploration: Double?

    @Option(help: ArgumentHelp("Maximum number of actions; 15 make a second.", valueName: "number"))
    var actions = 1800

    @Option(help: ArgumentHelp("Seed of the game and of the random actions.", valueName: "number"))
    var draws: UInt64 = 0

    @Option(help: ArgumentHelp("The PNG file to write.", valueName: "file"))
    var out = "play.png"

    func run() throws {
        try require(actions, in: 1...100_000, option: "actions")
        try requireOutside(out, option: "out")
        if let exploration {
            try require(exploration, in: .probability, option: "exploration")
        }
        // One state at a time: threads would wait for each other longer than they work.
        try prepareProcessor(threads: 1)
        let player = try DQNPlayer(at: source, norm: norm, seed: seed)
        // A signal ends it between two actions or pictures, so that nothing is left behind.
        let interruption = Interruption()
        func check() throws { if let code = interruption.exitCode { throw ExitCode(code) } }
        let game = try player.play(exploration: exploration, seed: draws, most: actions) { interruption.received != nil }
        try check()
        try AtomicFile.write(GameAnimation(game).file(check: check), to: out)
        let end = game.isOver ? "to the end of the game" : "and stopped there"
        print("\(player.game), \(player.norm): \(NumberText.general(game.score)) points in \(game.moments.count) actions, \(end)")
        print("The game is in \(out), an animation")
    }
}
