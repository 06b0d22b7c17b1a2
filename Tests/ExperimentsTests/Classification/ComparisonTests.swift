import Datasets
import Experiments
import Foundation
import Testing
import Torch
import Training
import WeightNorm

/// Runs the body with a folder that is removed afterwards.
private func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "weightnorm-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// Images of noise in which the brightest row tells the class.
private func rows(_ count: Int, seed: UInt64) -> ImageSet {
    var random = Xoshiro256(seed: seed)
    var images: [UInt8] = []
    let labels = (0..<count).map { UInt8($0 % 10) }
    for label in labels {
        for row in 0..<12 {
            for _ in 0..<12 { images.append(UInt8(random.next(below: 60)) + (row == Int(label) + 1 ? 190 : 0)) }
        }
    }
    return ImageSet(images: images, labels: labels, rows: 12, columns: 12)
}

private func settings(epochs: Int = 2) -> ClassificationSettings {
    var settings = ClassificationSettings.quick
    settings.setWidth(0.05)
    settings.batch = 20
    settings.epochs = epochs
    settings.initializationImages = 100
    return settings
}

@Suite(.serialized)
struct ComparisonTests {
    private func compare(
        _ norms: [Normalization], seeds: [UInt64] = [7], epochs: Int = 2, training: ImageSet, test: ImageSet
    ) throws -> (runs: [Comparison.Run], records: [Comparison.Record], onDisk: [Comparison.Record]) {
        try withFolder { path in
            let folder = try RunFolder.start(at: path, config: ["seed": 1])
            let comparison = Comparison(settings(epochs: epochs), normalizations: norms, seeds: seeds, thresholds: [0.5], device: .cpu)
            let (runs, records) = try comparison.run(training: training, test: test, into: folder) { _, _, _ in }
            return (runs, records, try RunFolder.records(at: path))
        }
    }

    @Test("every norm learns, and what is recorded agrees with the result")
    func learns() throws {
        let found = try compare(Normalization.allCases, epochs: 8, training: rows(400, seed: 1), test: rows(200, seed: 2))
        #expect(found.runs.map(\.norm) == Normalization.allCases.map(\.rawValue))
        for run in found.runs {
            #expect(run.testError < 0.2, "\(run.norm): guessing has an error of 0.9")
            #expect(run.steps == 160 && run.epochs == 8 && run.seed == 7 && run.constantUnits == 0)
            let own = found.records.filter { $0.norm == run.norm }
            #expect(own.last?.testError == run.testError && own.last?.trainError == run.trainError)
            #expect(own.compactMap(\.testError).count == 8 * Comparison.evaluationsPerEpoch)
            #expect(own.compactMap(\.trainError).count == 8 * Comparison.readingsPerEpoch)
            #expect(run.firstEpochUnder["0.5"] == own.first { ($0.testError ?? 1) < 0.5 }?.epoch)
            #expect(run.millisecondsPerStep > 0)
        }
        #expect(found.runs.first { $0.norm == "normal" }?.costRelativeToNormal == 1)
        #expect(found.records.count == found.onDisk.count)
        #expect(Set(found.onDisk.map(\.norm)).count == Normalization.allCases.count)
    }

    @Test("the same seed gives the same result, times aside; another seed another, and other norms beside it change nothing")
    func determinism() throws {
        let (training, test) = (rows(200, seed: 1), rows(100, seed: 2))
        let first = try compare([.weight, .batch], training: training, test: test).records
        #expect(try compare([.weight, .batch], training: training, test: test).records == first)
        #expect(try compare([.weight], training: training, test: test).records == first.filter { $0.norm == "weight" })
        #expect(
            try compare([.weight, .batch], seeds: [8], training: training, test: test).records.map(\.trainLoss) != first.map(\.trainLoss))
    }

    @Test("a minibatch that the images do not fill and images too small for the network are refused with numbers")
    func doesNotFit() {
        let comparison = Comparison(settings(), normalizations: [.weight], seeds: [0], thresholds: [], device: .cpu)
        #expect { try comparison.check(training: rows(10, seed: 1)) } throws: {
            "\($0)".contains("expected at most the 10 training images, found 20")
        }
        let small = ImageSet(images: [UInt8](repeating: 0, count: 100 * 64), labels: [UInt8](repeating: 0, count: 100), rows: 8, columns: 8)
        #expect { try comparison.check(training: small) } throws: { "\($0)".contains("found 8 × 8") }
    }

    @Test("a loss that is not finite stops the comparison and says where")
    func notFinite() throws {
        try withFolder { path in
            var settings = settings()
            settings.setLearningRate(1e30)
            let folder = try RunFolder.start(at: path, config: ["seed": 1])
            let comparison = Comparison(settings, normalizations: [.normal], seeds: [3], thresholds: [], device: .cpu)
            #expect {
                try comparison.run(training: rows(200, seed: 1), test: rows(20, seed: 2), into: folder) { _, _, _ in }
            } throws: {
                "\($0)".contains("norm normal, seed 3: the loss is") && "\($0)".contains("at step")
            }
        }
    }

    @Test(
        "memory does not grow over 500 steps: neither handles nor resident size",
        arguments: [Normalization.weight, .batch, .weightAndMeanOnlyBatch])
    func memory(normalization: Normalization) throws {
        let set = rows(400, seed: 1)
        var settings = settings()
        settings.epochs = 26
        let trainer = ClassificationTrainer(settings, normalization: normalization, seed: 0, channels: 1, stepsPerEpoch: 20, device: .cpu)
        func pass(_ epoch: Int) {
            for batch in Batches.shuffled(set, size: 20, seed: 0, epoch: epoch) {
                trainer.step(ClassificationTrainer.input(batch), labels: batch.labels)
            }
            _ = trainer.readTraining()
        }
        (0..<3).forEach(pass)
        let (handles, resident) = (Runtime.liveTensorCount, residentBytes())
        (0..<25).forEach(pass)
        #expect(trainer.stepCount == 560)
        // Other suites run beside this one: a leak of one handle a step would be 500.
        #expect(Runtime.liveTensorCount - handles < 250)
        if let resident, let after = residentBytes() {
            // A leak of one minibatch's smallest activation (20 × 5 × 12 × 12 floats) a step would be 28 MB.
            #expect(after - resident < 24 << 20)
        }
    }

    /// The resident set of this process, from Linux's /proc; nil elsewhere.
    private func residentBytes() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 4096 }
    }

    @Test(
        "the report of a comparison opens in a browser without errors, with every curve drawn",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"))
    func reportInBrowser() async throws {
        let norms: [Normalization] = [.normal, .weight, .weightAndMeanOnlyBatch]
        let found = try compare(norms, seeds: [1, 2], training: rows(200, seed: 1), test: rows(100, seed: 2))
        let summary = Comparison.Summary(
            data: "rows", device: .cpu, settings: settings(), thresholds: [0.5, 0.25], runs: found.runs, seconds: 1)
        let report = ComparisonReport(summary, records: found.records)
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try report.page.write(to: file)
        for scheme in [BrowserCheck.Scheme.light, .dark] {
            let seen = try await BrowserCheck.inspect(file, scheme: scheme)
            #expect(seen.errors.isEmpty && seen.requests.isEmpty)
            for chart in ["Test error", "Training error"] {
                let curves = seen.curves.filter { $0.chart.contains(": \(chart).") }
                #expect(Set(curves.map(\.series)) == Set(norms.map(\.rawValue)))
                #expect(curves.allSatisfy { $0.length > 0 && $0.isInside })
            }
        }
        // The terminal's table has a row of the same width for every norm.
        let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false).prefix(2 + norms.count)
        #expect(Set(lines.map(\.count)).count == 1)
        #expect(lines.dropFirst(2).map { $0.prefix { $0 != " " } } == norms.map { Substring($0.rawValue) })
    }

    @Test("the median of odd and even counts")
    func median() {
        #expect(Comparison.median([3, 1, 2]) == 2)
        #expect(Comparison.median([4, 1, 2, 3]) == 2.5)
        #expect(Comparison.median([5]) == 5)
        #expect(Comparison.median([]).isNaN)
    }
}
