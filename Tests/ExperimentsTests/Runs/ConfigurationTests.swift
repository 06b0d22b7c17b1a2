import AtomicFiles
import Datasets
import Environments
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

/// What an edit of a `config.json` may put in the place of anything; nil takes it away.
private let nasty: [String?] = [
    "0", "-1", "1", "3", "0.5", "1e-320", "1e39", "1e308", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1000000",
    "100000", "true", "null", "\"\"", "\"nan\"", "\"weight\"", "\"../x\"", "[]", "{}", nil,
]

/// Reads a configuration with every such edit; what is not refused must do what `use` does with it. A trap would end the process.
///
/// What `use` has done once, by the parts of the configuration that it looks at, it does not do again.
private func fuzz<Details: RunDetails>(
    _ configuration: RunConfiguration<Details.Settings, Details>, using parts: (RunConfiguration<Details.Settings, Details>) -> String,
    _ use: (RunConfiguration<Details.Settings, Details>) throws -> Void
) throws -> (refused: Int, used: Int) {
    var (refused, used) = (0, 0)
    var done: Set<String> = []
    try withFolder { folder in
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let mutations = try Mutations(of: configuration)
        for place in mutations.places {
            for json in nasty {
                let text = mutations.document(replacing: place, by: json)
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
                do {
                    let found = try RunConfiguration<Details.Settings, Details>.read(at: folder)
                    if done.insert(parts(found)).inserted { try use(found) }
                    used += 1
                } catch let error where error is FileError || error is RunFailure {
                    refused += 1
                    let line = "\(error)"
                    #expect(
                        !line.contains { $0.isNewline } && line.utf8.count < 1500 && line.contains("config.json")
                            && !line.contains("RunConfiguration"),
                        "\(place) \(json ?? "none"): \(line.prefix(300))")
                }
            }
        }
    }
    return (refused, used)
}

private func images(_ channels: Int, side: Int) -> ImageSet {
    ImageSet(
        images: (0..<4 * channels * side * side).map { UInt8($0 % 251) }, labels: [0, 1, 2, 1], channels: channels, rows: side,
        columns: side)
}

private func smallSettings() -> ClassificationSettings {
    var settings = ClassificationSettings.onePass
    (settings.firstMaps, settings.secondMaps, settings.classes, settings.batch) = (2, 2, 3, 2)
    return settings
}

/// In processes of their own, since a trap would end the others' tests.
@Suite("every number, string, list and object of every config.json, edited")
struct ConfigurationTests {
    @Test("of a comparison")
    func comparison() async throws {
        await #expect(processExitsWith: .success) {
            let set = images(1, side: 12)
            let comparison = Comparison(
                smallSettings(), normalizations: [.weight, .batch], seeds: [1, 2], thresholds: [0.5], device: .cpu)
            let configuration = Comparison.Configuration(
                data: "x", training: set, test: set, heldOut: 2, preset: "quick", comparison: comparison)
            let (refused, used) = try fuzz(configuration, using: { "\($0.settings)\($0.norms)\($0.seeds)" }) { found in
                let settings = found.settings
                for norm in [Normalization.weight, .batch] where found.normalizations.contains(norm) {
                    let trainer = ClassificationTrainer(
                        settings, normalization: norm, seed: found.seeds[0], channels: 1, stepsPerEpoch: 2, device: .cpu)
                    // Images with more classes than the settings have are refused by the comparison.
                    let fitting = ImageSet(
                        images: set.images, labels: set.labels.map { min($0, UInt8(clamping: settings.classes - 1)) }, rows: 12, columns: 12
                    )
                    let resident = ResidentImages(fitting)
                    trainer.initialize(resident.batch(0..<4).0)
                    trainer.step((Tensor([0, 1, 2, 3] as [Int64]), resident))
                    _ = trainer.readWeights()
                }
            }
            #expect(refused > 300 && used > 50)
        }
    }

    @Test("of a sweep")
    func sweep() async throws {
        await #expect(processExitsWith: .success) {
            let comparison = Comparison(smallSettings(), normalizations: [.weight], seeds: [1], thresholds: [], device: .cpu)
            let sweep = Sweep(comparison, rates: [0.001, 0.1])
            let (refused, used) = try fuzz(
                Sweep.Configuration(data: "x", training: images(1, side: 12), heldOut: 2, sweep: sweep), using: { "\($0.settings)" }
            ) { _ in }
            #expect(refused > 300 && used > 50)
        }
    }

    @Test("of autoencoders, of both kinds", arguments: [PixelKind.dynamic, .levels])
    func autoencoders(pixels: PixelKind) async throws {
        await #expect(processExitsWith: .success) { [pixels = pixels.rawValue as String] in
            var settings = VAESettings()
            settings.pixels = try #require(PixelKind(rawValue: pixels))
            (settings.maps, settings.blocks, settings.hidden, settings.latents) = ([2, 2, 2], 1, 4, 2)
            (settings.ladderMaps, settings.depth, settings.flowSteps, settings.batch) = (2, [1, 1], 1, 2)
            try generative(settings)
        }
    }

    @Test("of DRAW")
    func draw() async throws {
        await #expect(processExitsWith: .success) {
            var settings = DRAWSettings()
            (settings.attention, settings.glimpses, settings.hidden, settings.latents, settings.batch) = (
                .init(read: 2, write: 3), 2, 4, 2, 2
            )
            try generative(settings)
        }
    }

    @Test("of deep Q-learning, with both kinds of network", arguments: [true, false])
    func deepQLearning(isDense: Bool) async throws {
        await #expect(processExitsWith: .success) { [isDense = isDense as Bool] in
            var settings = try #require(DQNSettings.preset(.quick, forGame: "catch"))
            settings.network = isDense ? .dense([4, 3]) : .convolutional
            (settings.batch, settings.initializationStates) = (2, 2)
            let experiment = DQNSetup(game: "catch", settings, normalizations: [.weight, .plain], seeds: [1, 2], device: .cpu)
            var configuration = DQNSetup.Configuration(
                experiment, try DQNResources(for: experiment, available: nil), preset: "quick", savesReplay: true)
            if !isDense { (configuration.rows, configuration.columns) = (40, 40) }
            let (refused, used) = try fuzz(configuration, using: { "\($0.settings)\($0.norms)\($0.rows)\($0.columns)\($0.actions.count)" })
            { found in
                let settings = found.settings
                let agent = DQNAgent(
                    settings, normalization: found.normalizations[0], seed: found.seeds[0], rows: found.rows, columns: found.columns,
                    actions: found.actions.count, device: .cpu)
                agent.initialize(.ones([2, settings.depth, found.rows, found.columns], type: .uint8))
                _ = agent.act(
                    in: .ones([2, settings.depth, found.rows, found.columns], type: .uint8), exploration: settings.exploration.last)
                if settings.replayCapacity <= 1_000_000 {
                    _ = try ReplayMemory(
                        capacity: settings.replayCapacity, games: settings.games, rows: found.rows, columns: found.columns,
                        depth: settings.depth, lostLifeEndsEpisode: true, available: nil)
                }
            }
            #expect(refused > 300 && used > 50)
        }
    }

    @Test("settings that once trapped or took tens of gigabytes are refused by name, in presets' place too")
    func named() throws {
        func refusal(_ change: (inout ClassificationSettings) -> Void) -> String? {
            var settings = smallSettings()
            change(&settings)
            do { try settings.check(norms: [.weight]) } catch { return error.description }
            return nil
        }
        #expect(refusal { $0.dropout = 1 } == "settings: dropout: expected a probability from 0 to below 1, found 1.0")
        #expect(refusal { $0.beta1 = 1e39 } == "settings: beta1: expected a number from 0 to below 1, found 1e+39")
        #expect(refusal { $0.inputNoise = 1e39 }?.hasPrefix("settings: inputNoise: expected a number from 0 to 1000, found ") == true)
        #expect(refusal { $0.learningRates["weight"] = 1e39 }?.contains("learningRates of 'weight': expected a number above 0") == true)
        #expect(refusal { $0.learningRates = [:] } == "settings: learningRates: expected one for weight, found none")
        #expect(refusal { ($0.firstMaps, $0.secondMaps) = (3072, 3072) }?.contains("expected at most 400 million weights") == true)
        for preset in ClassificationSettings.Preset.allCases {
            #expect(throws: Never.self) { try preset.settings.check(norms: Normalization.allCases) }
        }
        let few = Comparison(smallSettings(), normalizations: [.weight], seeds: [1], thresholds: [], device: .cpu)
        #expect { try few.check(training: rows(20, seed: 1)) } throws: {
            "\($0)" == "settings: classes: expected more than the largest label of the images, 9, found 3"
        }
        var large = VAESettings()
        large.hidden = 100_000
        #expect { try large.check(channels: 1, rows: 28, columns: 28, images: 100) } throws: {
            "\($0)".contains("expected at most 400 million weights")
        }
        for preset in [VAESettings.Preset.paper, .quick] {
            for isPhotograph in [true, false] {
                let settings = VAESettings.preset(preset, isPhotograph: isPhotograph)
                #expect(throws: Never.self) {
                    try settings.checkNumbers()
                    try settings.check(
                        channels: isPhotograph ? 3 : 1, rows: isPhotograph ? 32 : 28, columns: isPhotograph ? 32 : 28, images: 1)
                }
            }
        }
        for rows in [0, 3, 6] {
            #expect { try VAESettings().check(channels: 1, rows: rows, columns: 4, images: 1) } throws: {
                "\($0)".contains("multiples of 4")
            }
        }
        for preset in [DRAWSettings.Preset.paper, .paperFullImage, .quick] {
            #expect(throws: Never.self) {
                try DRAWSettings.preset(preset).checkNumbers()
                try DRAWSettings.preset(preset).check(channels: 1, rows: 28, columns: 28, images: 1)
            }
        }
    }
}

/// Edits of the configuration of a generative model; those that are taken make a model, a step of training, and a picture.
private func generative<Settings: GenerativeSettings>(_ settings: Settings) throws {
    let set = images(settings.pixels == .levels ? 3 : 1, side: 8)
    let experiment = GenerativeSetup(settings, normalizations: [.weight, .plain], seeds: [1, 2], importanceDraws: 2, device: .cpu)
    let configuration = GenerativeSetup<Settings>.Configuration(
        data: "x", training: set, test: set, preset: "quick", experiment: experiment)
    let (refused, used) = try fuzz(configuration, using: { "\($0.settings)\($0.norms)\($0.rows)\($0.columns)" }) { found in
        let settings = found.settings
        let trainer = GenerativeTrainer(
            settings, normalization: found.normalizations[0], seed: found.seeds[0], rows: found.rows, columns: found.columns, device: .cpu)
        let pixels = Tensor.ones([2, settings.pixels == .levels ? 3 : 1, found.rows, found.columns], type: .uint8)
        if let initialization = settings.dataDependentInitialization {
            trainer.initialize(pixels, targetDeviation: initialization.targetDeviation)
        }
        trainer.step(pixels)
        _ = trainer.samples(1, seed: 1)
    }
    #expect(refused > 300 && used > 50)
}

@Suite("resuming a run as itself")
struct ContinuationTests {
    private static func configuration(
        _ settings: ClassificationSettings = smallSettings(), norms: [Normalization] = [.weight], seeds: [UInt64] = [1],
        thresholds: [Double] = [0.5], heldOut: Int? = nil, training: ImageSet = images(1, side: 12), preset: String? = "quick"
    ) -> Comparison.Configuration {
        let comparison = Comparison(settings, normalizations: norms, seeds: seeds, thresholds: thresholds, device: .cpu)
        return Comparison.Configuration(
            data: "x", training: training, test: images(1, side: 12), heldOut: heldOut, preset: preset, comparison: comparison)
    }

    @Test("the first difference is named, and of settings all")
    func differences() throws {
        let stored = Self.configuration()
        #expect(try stored.difference(from: stored) == nil)
        func expect(_ found: Comparison.Configuration, _ what: String, _ before: String, _ now: String) throws {
            let difference = try #require(try found.difference(from: stored))
            #expect([difference.what, difference.expected, difference.found] == [what, before, now])
        }
        try expect(Self.configuration(norms: [.weight, .plain]), "norms", "weight", "weight, normal")
        try expect(Self.configuration(seeds: [2]), "seeds", "1", "2")
        try expect(Self.configuration(preset: nil), "preset", "quick", "none")
        try expect(Self.configuration(thresholds: [0.5, 0.25]), "thresholds of --under", "0.5", "0.5, 0.25")
        try expect(Self.configuration(heldOut: 2), "held-out images", "0", "2")
        let other = images(1, side: 11)
        try expect(
            Self.configuration(training: other), "training images", "\(ImageSummary(images(1, side: 12)))", "\(ImageSummary(other))")
        var settings = smallSettings()
        (settings.epochs, settings.batch) = (3, 1)
        try expect(Self.configuration(settings), "settings", "batch 2, epochs 1", "batch 1, epochs 3")
    }

    @Test("what a former version did not store may be anything, as may the machine and the data's folder")
    func unknown() throws {
        var stored = Self.configuration()
        (stored.test, stored.threads, stored.device, stored.data) = (nil, 100, "cuda:1", "y")
        #expect(try Self.configuration().difference(from: stored) == nil)
    }
}

@Suite("files that runs write")
struct RunFilesTests {
    @Test("every norm's networks and pictures are theirs, and no other file is")
    func names() {
        for norm in Normalization.allCases {
            for (start, end) in [("network", "safetensors"), ("filters", "png"), ("samples", "png"), ("drawn-reconstructions", "png")] {
                #expect(RunFiles.isOne("network-\(norm.rawValue)-seed7-epoch12.safetensors"))
                #expect(RunFiles.isOne("\(start)-\(norm.rawValue)-seed18446744073709551615.\(end)"))
            }
        }
        for name in [
            "network-weight-seed0.png", "network-weight-seed.safetensors", "network-weight-seed-1.safetensors",
            "network-weight-seed+3.safetensors",
            "samples-weight-seed007.png",
            "network-weights-seed0.safetensors",
            "holiday-weight-seed0.png", "network-weight-seed0.safetensors.png", "weight-seed0.png", "-weight-seed0.png", "notes.txt",
            "config.json.old",
        ] { #expect(!RunFiles.isOne(name), "\(name)") }
    }
}
