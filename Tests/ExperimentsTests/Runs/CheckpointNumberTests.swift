import AtomicFiles
import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

/// Changes every number of a checkpoint's values, one at a time, with the checksums made right; each such checkpoint is gone on with by `use`.
private func fuzz(_ folder: String, _ use: (String) throws -> Void) throws -> (refused: Int, used: Int) {
    struct Header: Codable {
        var kind: String
        var values: [String: String]
        var tensors: [String: UInt32]
    }
    let path = "\(folder)/checkpoint.safetensors"
    let file = try SafetensorsFile(opening: path)
    let tensors = try file.names.map { (name: $0, value: try file.tensor($0)) }
    let header = try JSONDecoder().decode(Header.self, from: Data(try #require(file.metadata["checkpoint"]).utf8))
    var (refused, used) = (0, 0)
    let copy = "\(folder)-copy"
    // What the settings say is compared with the configuration's as a whole.
    for (name, text) in header.values.sorted(by: { $0.key < $1.key }) where name != "settings" && !name.hasSuffix("/forms") {
        let mutations = try Mutations(json: text)
        for place in mutations.numbers {
            for json in ["9223372036854775807", "999999999999999", "-1", "1e300"] {
                var changed = header
                changed.values[name] = mutations.document(replacing: place, by: json)
                let text = String(decoding: try JSONEncoder().encode(changed), as: UTF8.self)
                try? FileManager.default.removeItem(atPath: copy)
                try FileManager.default.copyItem(atPath: folder, toPath: copy)
                try Safetensors.write(
                    tensors, metadata: ["format": file.metadata["format"] ?? "", "checkpoint": text, "checksum": "\(CRC32.of(text.utf8))"],
                    to: "\(copy)/checkpoint.safetensors")
                do {
                    try use(copy)
                    used += 1
                } catch {
                    refused += 1
                    #expect(!"\(error)".contains { $0.isNewline } && "\(error)".utf8.count < 1500, "\(name)\(place) \(json): \(error)")
                }
            }
        }
    }
    return (refused, used)
}

/// The same with the numbers of the last of a run's records.
private func fuzzRecords(_ folder: String, _ use: (String) throws -> Void) throws {
    let metrics = String(decoding: try #require(FileManager.default.contents(atPath: "\(folder)/metrics.jsonl")), as: UTF8.self)
    let lines = metrics.split(separator: "\n")
    let copy = "\(folder)-copy"
    let mutations = try Mutations(json: String(try #require(lines.last)))
    for place in mutations.numbers {
        for json in ["999999999999999", "-1", "1e300", "\"nan\""] {
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.copyItem(atPath: folder, toPath: copy)
            let changed = lines.dropLast().map(String.init) + [mutations.document(replacing: place, by: json)]
            try Data((changed.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: "\(copy)/metrics.jsonl"))
            do { try use(copy) } catch { #expect(!"\(error)".contains { $0.isNewline }, "\(place) \(json): \(error)") }
        }
    }
}

/// In processes of their own, since a trap would end the others' tests.
@Suite("every number in a checkpoint or a record, edited")
struct CheckpointNumberTests {
    @Test("of a comparison")
    func comparison() async throws {
        await #expect(processExitsWith: .success) {
            var settings = ClassificationSettings.onePass
            (settings.firstMaps, settings.secondMaps, settings.batch, settings.epochs) = (1, 1, 20, 2)
            let comparison = Comparison(settings, normalizations: [.plain, .weight], seeds: [3, 4], thresholds: [0.8], device: .cpu)
            let images = resident(rows(40, seed: 1), rows(10, seed: 2))
            try withFolder { path in
                do {
                    let training = ComparisonTraining(comparison, images, try RunFiles.start(at: path + "/run", config: ["a": 1]))
                    try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= 6 })
                }
                func goOn(_ path: String) throws {
                    let training = try ComparisonTraining.resume(comparison, images, at: path)
                    try training.run(checkpoints: CheckpointClock(every: 1e9))
                    _ = ComparisonReport(
                        Comparison.Summary(
                            data: "rows", device: .cpu, settings: settings, thresholds: [0.8], runs: training.results,
                            seconds: training.seconds), records: training.records,
                        layers: try RunFiles.records(in: "layers.jsonl", at: path), filters: []
                    ).page.html()
                }
                #expect(try fuzz(path + "/run", goOn).refused > 30)
                try fuzzRecords(path + "/run", goOn)
            }
        }
    }

    @Test("of a sweep in which a run has diverged")
    func sweep() async throws {
        await #expect(processExitsWith: .success) {
            var settings = ClassificationSettings.onePass
            (settings.firstMaps, settings.secondMaps, settings.batch) = (1, 1, 20)
            settings.initializationImages = 40
            let images = resident(rows(100, seed: 1), rows(10, seed: 2))
            let comparison = Comparison(settings, normalizations: [.plain, .batch], seeds: [3], thresholds: [], device: .cpu)
            func experiment() -> ComparisonExperiment { Sweep(comparison, rates: [0.001, 1e10]).experiment(on: images) }
            try withFolder { path in
                do {
                    let run = Run(experiment(), in: try RunFiles.start(at: path + "/run", config: ["a": 1]))
                    // Within the round in which one network has ended and the other has not.
                    try run.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { run.endedAt.contains { $0 != nil } })
                    #expect(run.round == 1 && run.endedAt.count { $0 != nil } == 1)
                }
                let (refused, _) = try fuzz(path + "/run") { path in
                    let run = try Run.resume(experiment(), at: path)
                    try run.run(checkpoints: CheckpointClock(every: 1e9))
                    // Those of the round before are the checkpoint's.
                    #expect(run.results.suffix(2).allSatisfy { (0...5).contains($0.divergedAtStep ?? 0) })
                }
                #expect(refused > 30)
            }
        }
    }

    @Test("of an autoencoder")
    func autoencoder() async throws {
        await #expect(processExitsWith: .success) {
            var settings = VAESettings()
            (settings.maps, settings.blocks, settings.hidden, settings.latents) = ([1, 1, 1], 1, 3, 2)
            (settings.batch, settings.epochs, settings.initializationImages) = (20, 2, 20)
            let experiment = GenerativeSetup<VAESettings>(settings, normalizations: [.weight], seeds: [3, 4], device: .cpu)
            let images = GenerativeImages(training: rows(40, seed: 1), test: rows(10, seed: 2), .dynamic, on: .cpu)
            try withFolder { path in
                do {
                    let training = GenerativeTraining(experiment, images, try RunFiles.start(at: path + "/run", config: ["a": 1]))
                    try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= 6 })
                }
                func goOn(_ path: String) throws {
                    let training = try GenerativeTraining.resume(experiment, images, at: path)
                    try training.run(checkpoints: CheckpointClock(every: 1e9))
                    _ = GenerativeReport(
                        .init(data: "x", dimensions: 144, experiment: experiment, runs: training.results, seconds: training.seconds),
                        records: training.records, pictures: []
                    ).page.html()
                }
                #expect(try fuzz(path + "/run", goOn).refused > 30)
                try fuzzRecords(path + "/run", goOn)
            }
        }
    }

    @Test("of deep Q-learning, and of its replay memory")
    func deepQLearning() async throws {
        await #expect(processExitsWith: .success) {
            var settings = try #require(DQNSettings.preset(.quick, forGame: "catch"))
            (settings.network, settings.games, settings.batch, settings.replayCapacity) = (.dense([3]), 2, 4, 200)
            (settings.actionsBeforeLearning, settings.initializationStates) = (20, 10)
            (settings.epochs, settings.actionsPerEpoch, settings.evaluationActions) = (2, 40, 20)
            let experiment = DQNSetup(game: "catch", settings, normalizations: [.weight], seeds: [3, 4], device: .cpu)
            try withFolder { path in
                do {
                    let training = DQNTraining(
                        experiment, try DQNResources(for: experiment, available: nil),
                        try RunFiles.start(at: path + "/run", config: ["a": 1]),
                        savesReplay: true)
                    try training.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { training.done >= 130 })
                }
                func goOn(_ path: String) throws {
                    let resources = try DQNResources(for: experiment, available: nil)
                    let training = try DQNTraining.resume(experiment, resources, at: path, savesReplay: true)
                    try training.run(checkpoints: CheckpointClock(every: 1e9))
                    let configuration = DQNSetup.Configuration(experiment, resources, preset: "quick", savesReplay: true)
                    let summary = DQNSetup.Summary(
                        configuration, experiment, random: training.randomScore, runs: training.results, seconds: training.seconds,
                        checkpoint: training.checkpointCost)
                    _ = DQNReport(summary, records: training.records).page.html()
                }
                #expect(try fuzz(path + "/run", goOn).refused > 30)
                try fuzzRecords(path + "/run", goOn)

                // The memory's own header, and an action that the game does not have.
                let name = try #require(
                    try FileManager.default.contentsOfDirectory(atPath: path + "/run").first { $0.hasPrefix("replay-") })
                let file = try SafetensorsFile(opening: "\(path)/run/\(name)")
                let tensors = try file.names.map { (name: $0, value: try file.tensor($0)) }
                let mutations = try Mutations(json: try #require(file.metadata["replay"]))
                for place in mutations.numbers {
                    for json in ["9223372036854775807", "-1", "0"] {
                        let text = mutations.document(replacing: place, by: json)
                        let metadata = ["format": file.metadata["format"] ?? "", "replay": text, "checksum": "\(CRC32.of(text.utf8))"]
                        try? FileManager.default.removeItem(atPath: path + "/copy")
                        try FileManager.default.copyItem(atPath: path + "/run", toPath: path + "/copy")
                        try Safetensors.write(tensors, metadata: metadata, to: "\(path)/copy/\(name)")
                        do { try goOn(path + "/copy") } catch { #expect(!"\(error)".contains { $0.isNewline }) }
                    }
                }
            }
        }
    }
}
