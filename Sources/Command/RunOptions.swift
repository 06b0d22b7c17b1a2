import ArgumentParser
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// What a command's runs are where their options don't say.
protocol RunDefaults {
    /// The norms that such a run can have.
    static var allowedNorms: [Normalization] { get }
    static var norms: [Normalization] { get }
    /// What an epoch is, for help.
    static var epoch: String { get }
    /// Where numbers come from that are not given, for help.
    static var origin: RunOrigin { get }
    /// Seconds between two checkpoints.
    static var checkpointInterval: Double { get }
    static var folder: String { get }
}

extension RunDefaults {
    static var allowedNorms: [Normalization] { Normalization.allCases }
    static var norms: [Normalization] { [.weight] }
    static var epoch: String { "each over all training images" }
    static var origin: RunOrigin { RunOrigin() }
    static var checkpointInterval: Double { 60 }
}

/// Words for the numbers that a run has without options: its preset's, unless its command has none.
struct RunOrigin {
    var epochs = "the preset's"
    var batch = "the preset's"
    var learningRate = "the preset's"
    var width = "the preset's"
    var dropout = "the preset's"
    var whitening = "the preset's"
}

extension RunOrigin {
    /// Of `compare` and `sweep`, which have one set of numbers.
    static let onePass: RunOrigin = {
        let settings = ClassificationSettings.onePass
        return RunOrigin(
            epochs: "\(settings.epochs)", batch: "\(settings.batch)", learningRate: "\(settings.learningRate(.weight)) for every norm",
            width: "0.1667, which is \(settings.firstMaps) and \(settings.secondMaps) maps", dropout: "\(settings.dropout)",
            whitening: "only with --data cifar10")
    }()
}

/// The options of everything that trains. What is not given is that of the run that is resumed, or else the preset's.
struct RunOptions<Defaults: RunDefaults>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Norms, separated by commas: \(words(Defaults.allowedNorms)). (default: \(words(Defaults.norms, by: ",")))", valueName: "list"))
    var norm: String?

    @Option(name: .customLong("norms"), help: .hidden)
    var formerNorm: String?

    @Option(help: ArgumentHelp("Seeds, separated by commas; the run is repeated with each. (default: 0)", valueName: "list"))
    var seeds: String?

    @Option(help: ArgumentHelp("Epochs, \(Defaults.epoch). (default: \(Defaults.origin.epochs))", valueName: "number"))
    var epochs: Int?

    @Option(help: ArgumentHelp("Examples in a minibatch. (default: \(Defaults.origin.batch))", valueName: "number"))
    var batch: Int?

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX. (default: cpu)", valueName: "name"))
    var device: String?

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Option(help: ArgumentHelp("Seconds of work between checkpoints; 0 saves one after every step.", valueName: "seconds"))
    var checkpointEvery = Defaults.checkpointInterval

    @Flag(
        help: """
            Resume the run in the folder from its last checkpoint, or start it if there is none. Options may be left out; those given must match the run's, \
            except where the images are, --device (of the same kind) and --threads.
            """)
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Folder for the results: new, empty, or an earlier run's, which is replaced unless it is resumed.", valueName: "folder"))
    var out = Defaults.folder

    /// The configuration of the run to resume; nil if there is none.
    func stored<Details: RunDetails>(command: String) throws -> RunConfiguration<Details.Settings, Details>? {
        try require(checkpointEvery, option: "checkpoint-every", expected: "seconds from 0 up") { $0 >= 0 }
        return try resume ? storedConfiguration(in: out, command: command) : nil
    }

    /// The norms that are given, or else those of the run that is resumed.
    func norms(stored: [Normalization]?) throws -> [Normalization] {
        try Command.norms(norm, former: formerNorm, outOf: Defaults.allowedNorms) ?? stored ?? Defaults.norms
    }

    /// The seeds that are given, or else those of the run that is resumed.
    func seeds(stored: [UInt64]?) throws -> [UInt64] { try seeds.map(Command.seeds) ?? stored ?? [0] }

    /// Puts the numbers that are given into settings.
    func apply(to epochs: inout Int, _ batch: inout Int, most: ClosedRange<Int> = SettingsLimits.batch) throws {
        try Command.apply(self.epochs, in: SettingsLimits.epochs, option: "epochs", to: &epochs)
        try Command.apply(self.batch, in: most, option: "batch", to: &batch)
    }

    /// Gets the processor and the device ready.
    func device(stored: String?, threads storedThreads: Int?) throws -> Device {
        try prepareProcessor(threads: threads ?? storedThreads)
        return try Device(named: device ?? stored ?? "cpu")
    }
}

/// The option of all runs but sweeps, which have several.
struct LearningRateOption<Defaults: RunDefaults>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Learning rate, for every norm; a classification's falls to 0 in the second half of its run. (default: \(Defaults.origin.learningRate))",
            valueName: "number"))
    var learningRate: Double?

    /// The rate that is given; throws if no run can have it.
    func checked() throws -> Double? {
        if let learningRate { try require(learningRate, in: .rate, option: "learning-rate") }
        return learningRate
    }
}

/// Norms in words.
func words(_ norms: [Normalization], by separator: String = ", ") -> String { norms.map(\.rawValue).joined(separator: separator) }
