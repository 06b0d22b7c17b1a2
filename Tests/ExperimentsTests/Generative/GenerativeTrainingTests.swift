import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

private func experiment(_ pixels: VAESettings.Pixels = .dynamic, rate: Double = 0.002) -> GenerativeSetup<VAESettings> {
    var settings = VAESettings()
    (settings.maps, settings.blocks, settings.hidden, settings.latents) = ([2, 3, 4], 1, 12, 5)
    (settings.ladderMaps, settings.depth) = (4, [1, 1])
    (settings.batch, settings.epochs, settings.initializationImages, settings.averageRate) = (20, 2, 40, 0.05)
    settings.pixels = pixels
    settings.learningRate = rate
    return GenerativeSetup<VAESettings>(settings, normalizations: [.plain, .weight], seeds: [3, 4], importanceDraws: 3, device: .cpu)
}

private func images(_ experiment: GenerativeSetup<VAESettings>) -> GenerativeImages {
    func colour(_ set: ImageSet) -> ImageSet {
        ImageSet(
            images: (0..<set.count).flatMap { image in (0..<3).flatMap { _ in set.images[image * 144..<image * 144 + 144] } },
            labels: set.labels, channels: 3, rows: 12, columns: 12)
    }
    let (training, test) = (rows(100, seed: 1), rows(40, seed: 2))
    return experiment.settings.pixels == .levels
        ? GenerativeImages(training: colour(training), test: colour(test), experiment.settings.pixels, on: .cpu)
        : GenerativeImages(training: training, test: test, experiment.settings.pixels, on: .cpu)
}

@Suite(.serialized)
struct GenerativeTrainingTests {
    @Test(
        "a training that is stopped and killed ends as one that is not: the same numbers and pictures",
        arguments: [VAESettings.Pixels.dynamic, .levels])
    func resumes(pixels: VAESettings.Pixels) throws {
        let experiment = experiment(pixels)
        // Beside two records: three files of each norm and seed.
        try resumes(experiment, images(experiment), files: 2 + 3 * 4)
    }

    @Test("so does DRAW's, animations included", arguments: [true, false])
    func drawResumes(hasAttention: Bool) throws {
        var settings = DRAWSettings()
        (settings.glimpses, settings.hidden, settings.latents, settings.batch, settings.epochs) = (3, 8, 4, 20, 2)
        if !hasAttention { settings.attention = nil }
        let experiment = GenerativeSetup<DRAWSettings>(
            settings, normalizations: [.plain, .weight], seeds: [3, 4], importanceDraws: 3, device: .cpu)
        try resumes(
            experiment, GenerativeImages(training: rows(100, seed: 1), test: rows(40, seed: 2), .dynamic, on: .cpu), files: 2 + 5 * 4,
            noise: 0.5)
    }

    private func resumes<Settings>(
        _ experiment: GenerativeSetup<Settings>, _ images: GenerativeImages, files count: Int, noise: Double = 0
    ) throws {
        try withFolder { path in
            let whole = GenerativeTraining(experiment, images, try RunFolder.start(at: path + "/whole", config: ["a": 1]))
            try whole.run()
            var holder: GenerativeTraining<Settings>? = GenerativeTraining(
                experiment, images, try RunFolder.start(at: path + "/stopped", config: ["a": 1]))
            for place in [0, 3, 10, 12] {
                if place == 3 {
                    #expect(throws: Killed.self) {
                        try holder?.run(checkpoints: CheckpointClock(every: 0), progress: { if $0.done > place { throw Killed() } })
                    }
                } else {
                    try holder?.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { holder?.done ?? 0 >= place })
                    #expect(holder?.done == place)
                }
                holder = nil
                holder = try GenerativeTraining.resume(experiment, images, at: path + "/stopped")
            }
            try holder?.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(holder?.records == whole.records && whole.records.count == 8)
            for (one, other) in zip(holder?.results ?? [], whole.results) {
                #expect(one.testBound == other.testBound && one.logLikelihood == other.logLikelihood && one.norm == other.norm)
            }
            let (expected, found) = (try files(at: path + "/whole"), try files(at: path + "/stopped"))
            #expect(expected.count == count && found == expected)
            // What stands in the records is a bound: the estimate of more draws is above it, but for the noise of the draws where the two are close.
            for run in whole.results { #expect((run.logLikelihood ?? -.infinity) > run.testBound - noise && run.testBound.isFinite) }
        }
    }

    @Test("training raises the bound, for both norms and both kinds of pixels")
    func learns() throws {
        for pixels in [VAESettings.Pixels.fixed, .levels] {
            let experiment = experiment(pixels, rate: 0.01)
            let images = images(experiment)
            for normalization in experiment.normalizations {
                let trainer = GenerativeTrainer<VAESettings>(
                    experiment.settings, normalization: normalization, seed: 1, rows: 12, columns: 12, device: .cpu)
                let all = images.training.pixels(.range(0..<100))
                trainer.initialize(all, targetDeviation: experiment.settings.targetDeviation)
                trainer.step(all)
                let first = trainer.readLoss()
                for _ in 0..<40 { trainer.step(all) }
                _ = trainer.readLoss()
                trainer.step(all)
                #expect(trainer.readLoss() < first - 5, "\(pixels), \(normalization)")
            }
        }
    }

    @Test("training raises DRAW's bound, for both norms, with attention and without", arguments: [true, false])
    func drawLearns(hasAttention: Bool) {
        var settings = DRAWSettings()
        (settings.glimpses, settings.hidden, settings.latents, settings.learningRate, settings.pixels) = (4, 16, 4, 0.01, .fixed)
        if !hasAttention { settings.attention = nil }
        let images = GenerativeImages(training: rows(100, seed: 1), test: rows(40, seed: 2), .fixed, on: .cpu)
        let all = images.training.pixels(.range(0..<100))
        for normalization in [Normalization.plain, .weight] {
            let trainer = GenerativeTrainer<DRAWSettings>(
                settings, normalization: normalization, seed: 1, rows: 12, columns: 12, device: .cpu)
            trainer.step(all)
            let first = trainer.readLoss()
            for _ in 0..<40 { trainer.step(all) }
            _ = trainer.readLoss()
            trainer.step(all)
            #expect(trainer.readLoss() < first - 5, "\(normalization)")
        }
    }

    @Test("a loss that is not finite stops the run and names step, norms and checkpoint")
    func notFinite() throws {
        try withFolder { path in
            let experiment = experiment(rate: 1e25)
            let training = GenerativeTraining<VAESettings>(experiment, images(experiment), try RunFolder.start(at: path, config: ["a": 1]))
            #expect {
                try training.run(checkpoints: CheckpointClock(every: 0))
            } throws: {
                let message = "\($0)"
                return message.contains(#/norm (normal|weight), seed 3: the loss or the bound is not finite at step \d/#)
                    && message.contains("encoder.0.weight")
                    && message.contains("the last good checkpoint is from step ")
            }
        }
    }

    @Test("images are made binary with the grey level as probability, the same for the same seed")
    func binarised() {
        let grey = ImageSet(images: [UInt8](repeating: 64, count: 20_000) + [0, 255], labels: [0, 1], rows: 1, columns: 10_001)
        let binary = grey.binarised(seed: 5)
        #expect(Set(binary.images) == [0, 255] && binary == grey.binarised(seed: 5) && binary != grey.binarised(seed: 6))
        let share = Double(binary.images.dropLast(2).count { $0 == 255 }) / 20_000
        #expect(abs(share - 64 / 255) < 0.015)
        #expect(binary.images.suffix(2) == [0, 255])
    }

    @Test("images that do not fit the model are refused with numbers")
    func doesNotFit() {
        #expect {
            try experiment().check(
                training: ImageSet(
                    images: [UInt8](repeating: 0, count: 20 * 30), labels: [UInt8](repeating: 0, count: 20), rows: 5, columns: 6))
        } throws: {
            "\($0)".contains("expected grey ones whose sides are multiples of 4, found 5 × 6 pixels")
        }
        #expect { try experiment(.levels).check(training: rows(100, seed: 1)) } throws: { "\($0)".contains("expected colour ones") }
        #expect { try experiment().check(training: rows(10, seed: 1)) } throws: {
            "\($0)".contains("at most the 10 training images, found 20")
        }
    }

    @Test(
        "the report has the paper's curves under the run's and the pictures",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"), arguments: ["mnist", "cifar10"])
    func report(data: String) async throws {
        let experiment = experiment(data == "mnist" ? .dynamic : .levels)
        let runs = experiment.normalizations.flatMap { norm in
            experiment.seeds.map { seed in
                GenerativeRun(
                    norm: norm.rawValue, seed: seed, steps: 1, parameters: 7, trainBound: -90, testBound: -95 - Double(seed),
                    logLikelihood: -93,
                    importanceDraws: 3, millisecondsPerStep: 1, constantUnits: 0)
            }
        }
        let records = runs.flatMap { run in
            (1...300).map { epoch in
                GenerativeRecord(
                    norm: run.norm, seed: run.seed, step: epoch, epoch: Double(epoch), trainBound: -80 - 100 / Double(epoch),
                    testBound: -85 - 100 / Double(epoch))
            }
        }
        let summary = GenerativeSetup<VAESettings>.Summary(data: data, dimensions: 784, experiment: experiment, runs: runs, seconds: 1)
        let picture = GenerativePictures.grid(.uniform([5, 1, 4, 4], from: Generator(seed: 1)), across: 3)
        let report = GenerativeReport(
            summary, records: records,
            pictures: [GenerativePictures(norm: "weight", samples: picture, reconstructions: picture, drawnSamples: picture)])
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(report.page.html().utf8).write(to: file)
        let seen = try await BrowserCheck.inspect(file, scheme: .dark)
        #expect(seen.errors.isEmpty && seen.requests.isEmpty)
        #expect(Set(seen.curves.map(\.series)) == ["normal", "weight", "normal, the paper", "weight, the paper"])
        #expect(seen.curves.allSatisfy { $0.length > 0 && $0.isInside })
        #expect(report.text.contains("−98.50 ± 0.71"))
        // 9148 nats of a density are 3.70 bits per dimension, 9277 are 3.64.
        #expect(PaperBounds.autoencoders("normal", isPhotograph: true).last.map { abs($0.value - 3.70) < 0.005 } == true)
        #expect(PaperBounds.autoencoders("weight", isPhotograph: true).last.map { abs($0.value - 3.64) < 0.005 } == true)
    }
}
