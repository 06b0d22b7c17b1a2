public import Torch

/// What a run started with, as in its folder's `config.json`: what all runs have and, in the same JSON object, what only this kind has.
///
/// The details' properties are also the configuration's.
@dynamicMemberLookup
public struct RunConfiguration<Settings: Codable & Equatable & Sendable, Details: Codable & Equatable & Sendable>:
    Codable, Equatable, Sendable
{
    /// The words that start such a run.
    public var command: String
    /// The format of the folder; nil for one from 0.1.0.
    public var format: Int?
    /// The version that started the run; nil for 0.1.0.
    public var version: String?
    /// The names of what is trained.
    public var norms: [String]
    /// The seeds.
    public var seeds: [UInt64]
    /// The device, such as "cpu".
    public var device: String
    /// The threads on the CPU.
    public var threads: Int?
    /// Whether `Runtime.allowsWinograd` was set; nil for a former version, which could not.
    public var winograd: Bool?
    /// The name of the preset that the settings are based on.
    public var preset: String?
    /// All hyperparameters.
    public var settings: Settings
    /// What only this kind of run has.
    public var details: Details

    /// The configuration of a run that starts now, with the present number of threads and `Runtime.allowsWinograd`.
    public init(
        command: String, norms: [String], seeds: [UInt64], device: Device, preset: String? = nil, settings: Settings, details: Details
    ) {
        (self.command, self.norms, self.seeds, self.preset) = (command, norms, seeds, preset)
        (format, version) = (FileFormat.run.number, PackageVersion.current)
        (self.device, threads, winograd) = (device.description, Runtime.threadCount, Runtime.allowsWinograd)
        (self.settings, self.details) = (settings, details)
    }

    /// A property of the details.
    public subscript<Value>(dynamicMember path: WritableKeyPath<Details, Value>) -> Value {
        get { details[keyPath: path] }
        set { details[keyPath: path] = newValue }
    }

    private enum CodingKeys: String, CodingKey {
        case command, format, version, norms, seeds, device, threads, winograd, preset, settings
    }

    /// Reads both parts from one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        command = try container.decode(String.self, forKey: .command)
        format = try container.decodeIfPresent(Int.self, forKey: .format)
        version = try container.decodeIfPresent(String.self, forKey: .version)
        norms = try container.decode([String].self, forKey: .norms)
        seeds = try container.decode([UInt64].self, forKey: .seeds)
        device = try container.decode(String.self, forKey: .device)
        threads = try container.decodeIfPresent(Int.self, forKey: .threads)
        winograd = try container.decodeIfPresent(Bool.self, forKey: .winograd)
        preset = try container.decodeIfPresent(String.self, forKey: .preset)
        settings = try container.decode(Settings.self, forKey: .settings)
        details = try Details(from: decoder)
    }

    /// Writes both parts into one object.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(command, forKey: .command)
        try container.encodeIfPresent(format, forKey: .format)
        try container.encodeIfPresent(version, forKey: .version)
        try container.encode(norms, forKey: .norms)
        try container.encode(seeds, forKey: .seeds)
        try container.encode(device, forKey: .device)
        try container.encodeIfPresent(threads, forKey: .threads)
        try container.encodeIfPresent(winograd, forKey: .winograd)
        try container.encodeIfPresent(preset, forKey: .preset)
        try container.encode(settings, forKey: .settings)
        try details.encode(to: encoder)
    }
}

/// The complete result of a run, as in its folder's `summary.json`: what all runs have and, in the same JSON object, what only this kind has.
///
/// The details' properties are also the summary's.
@dynamicMemberLookup
public struct RunSummary<
    Settings: Codable & Equatable & Sendable, Result: Codable & Equatable & Sendable, Details: Codable & Equatable & Sendable
>: Codable, Equatable, Sendable {
    /// The device, such as "cpu".
    public var device: String
    /// The threads on the CPU.
    public var threads: Int
    /// libtorch's version.
    public var libtorch: String
    /// The vector instructions that libtorch used.
    public var processor: String
    /// All hyperparameters.
    public var settings: Settings
    /// The result of each trainee.
    public var runs: [Result]
    /// Seconds of work.
    public var seconds: Double
    /// What only this kind of run has.
    public var details: Details

    /// The summary of a run that was made in this process.
    public init(device: Device, settings: Settings, runs: [Result], seconds: Double, details: Details) {
        self.device = device.description
        (threads, libtorch, processor) = (Runtime.threadCount, Runtime.libtorchVersion, Runtime.processorCapability)
        (self.settings, self.runs, self.seconds, self.details) = (settings, runs, seconds, details)
    }

    /// A property of the details.
    public subscript<Value>(dynamicMember path: WritableKeyPath<Details, Value>) -> Value {
        get { details[keyPath: path] }
        set { details[keyPath: path] = newValue }
    }

    private enum CodingKeys: String, CodingKey {
        case device, threads, libtorch, processor, settings, runs, seconds
    }

    /// Reads both parts from one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        device = try container.decode(String.self, forKey: .device)
        threads = try container.decode(Int.self, forKey: .threads)
        libtorch = try container.decode(String.self, forKey: .libtorch)
        processor = try container.decode(String.self, forKey: .processor)
        settings = try container.decode(Settings.self, forKey: .settings)
        runs = try container.decode([Result].self, forKey: .runs)
        seconds = try container.decode(Double.self, forKey: .seconds)
        details = try Details(from: decoder)
    }

    /// Writes both parts into one object.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(device, forKey: .device)
        try container.encode(threads, forKey: .threads)
        try container.encode(libtorch, forKey: .libtorch)
        try container.encode(processor, forKey: .processor)
        try container.encode(settings, forKey: .settings)
        try container.encode(runs, forKey: .runs)
        try container.encode(seconds, forKey: .seconds)
        try details.encode(to: encoder)
    }
}
