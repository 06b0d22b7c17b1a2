import ArgumentParser
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

/// The defaults of a command's run options.
protocol RunDefaults: SendableMetatype {
    /// The norms that such a run can have.
    static var allowedNorms: [Normalization] { get }
    static var norms: [Normalization] { get }
    /// What an epoch is, for the help text.
    static var epoch: String { get }
    /// Where default numbers come from, for the help text.
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

/// Describes the default numbers of a run: its preset's, unless its command has no presets.
struct RunOrigin {
    var epochs = "the preset's"
    var batch = "the preset's"
    var learningRate = "the preset's"
    var width = "the preset's"
    var dropout = "the preset's"
    var whitening = "the preset's"
}

extension RunOrigin {
    /// For `compare` and `sweep`, which have only one set of numbers.
    static let onePass: RunOrigin = {
        let settings = ClassificationSettings.onePass
        return RunOrigin(
            epochs: "\(settings.epochs)", batch: "\(settings.batch)", learningRate: "\(settings.learningRate(.weight)) for every norm",
            width: "0.1667, which is \(settings.firstMaps) and \(settings.secondMaps) maps", dropout: "\(settings.dropout)",
            whitening: "only with --data cifar10")
    }()
}

/// The options of every command that trains. Defaults come from the run that is resumed, or else from the preset.
struct RunOptions<Defaults: RunDefaults>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Norms, separated by commas: \(words(Defaults.allowedNorms)). (default: \(words(Defaults.norms, by: ",")))", valueName: "list"),
        transform: { try normList($0, outOf: Defaults.allowedNorms) })
    var norm: [Normalization]?

    @Option(name: .customLong("norms"), help: .hidden, transform: { try normList($0, outOf: Defaults.allowedNorms) })
    var formerNorm: [Normalization]?

    @Option(
        help: ArgumentHelp("Seeds, separated by commas; the run is repeated with each. (default: 0)", valueName: "list"),
        transform: seedList)
    var seeds: [UInt64]?

    @Option(help: ArgumentHelp("Epochs, \(Defaults.epoch). (default: \(Defaults.origin.epochs))", valueName: "number"))
    var epochs: Int?

    @Option(help: ArgumentHelp("Examples in a minibatch. (default: \(Defaults.origin.batch))", valueName: "number"))
    var batch: Int?

    @Option(help: ArgumentHelp("cpu, cuda or cuda:INDEX. (default: cpu)", valueName: "name"))
    var device: String?

    @Option(help: ArgumentHelp("Threads on the CPU. (default: one per core)", valueName: "number"))
    var threads: Int?

    @Flag(
        inversion: .prefixedNo,
        help: """
            Compute 3×3 convolutions on the CPU with a quarter of the multiplications (Winograd's), which differs in rounding. (default: --no-winograd)
            """)
    var winograd: Bool?

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

    mutating func validate() throws {
        if let threads { try require(threads, in: SettingsLimits.threads, option: "threads") }
        try require(checkpointEvery, option: "checkpoint-every", expected: "seconds from 0 up") { $0 >= 0 }
    }

    /// The configuration of the run to resume; nil if there is none.
    func stored<Details: RunDetails>(command: String) throws -> RunConfiguration<Details.Settings, Details>? {
        try resume ? storedConfiguration(in: out, command: command) : nil
    }

    /// The given norms, or else those of the resumed run.
    func norms(stored: [Normalization]?) throws -> [Normalization] {
        try currentNorms(norm, former: formerNorm) ?? stored ?? Defaults.norms
    }

    /// The given seeds, or else those of the resumed run.
    func seeds(stored: [UInt64]?) -> [UInt64] { seeds ?? stored ?? [0] }

    /// Applies the given numbers to the settings.
    func apply(to epochs: inout Int, _ batch: inout Int, most: ClosedRange<Int> = SettingsLimits.batch) throws {
        try Command.apply(self.epochs, in: SettingsLimits.epochs, option: "epochs", to: &epochs)
        try Command.apply(self.batch, in: most, option: "batch", to: &batch)
    }

    /// Prepares the processor and the device, for a run that starts or continues.
    func device<Settings, Details>(continuing stored: RunConfiguration<Settings, Details>?) throws -> Device {
        try prepareProcessor(threads: threads ?? stored?.threads)
        // A former version's run goes on as it began.
        Runtime.allowsWinograd = winograd ?? stored.map { $0.winograd ?? false } ?? false
        guard let device else { return try Device(named: stored?.device ?? "cpu") }
        do { return try Device(named: device) } catch { throw ValidationError("--device: \(error)") }
    }
}

/// The option of all runs except sweeps, which have several rates.
struct LearningRateOption<Defaults: RunDefaults>: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Learning rate, for every norm; a classification's falls to 0 in the second half of its run. (default: \(Defaults.origin.learningRate))",
            valueName: "number"))
    var learningRate: Double?

    /// The given rate; throws if it is out of range.
    func checked() throws -> Double? {
        if let learningRate { try require(learningRate, in: .rate, option: "learning-rate") }
        return learningRate
    }
}

/// Norms in words.
func words(_ norms: [Normalization], by separator: String = ", ") -> String { norms.map(\.rawValue).joined(separator: separator) }
