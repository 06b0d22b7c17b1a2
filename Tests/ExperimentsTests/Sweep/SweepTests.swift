import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Training
import WeightNorm

/// A finished run of which only norm, rate, seed and error matter.
private func run(_ norm: String, _ rate: Double, _ seed: UInt64, _ error: Double) throws -> Comparison.Run {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .words
    let json = """
        {"norm":"\(norm)","seed":\(seed),"epochs":1,"steps":1,"parameters":1,"learningRate":\(rate),"trainError":0,"trainLoss":0,\
        "testError":\(error.isNaN ? "\"nan\"" : "\(error)"),"millisecondsPerStep":1,"firstEpochUnder":{},"constantUnits":0}
        """
    return try decoder.decode(Comparison.Run.self, from: Data(json.utf8))
}

@Suite(.serialized)
struct SweepTests {
    @Test("the best rate is that of the lowest mean error, and the good rates are the unbroken row around it")
    func best() throws {
        let rates = [0.001, 0.01, 0.1, 1, 10]
        let errors: [(Double, Double)] = [(0.2, 0.22), (0.3, 0.3), (0.21, 0.23), (0.20, 0.2), (0.21, .nan)]
        let runs = try zip(rates, errors).flatMap { [try run("weight", $0, 1, $1.0), try run("weight", $0, 2, $1.1)] }
        let result = Sweep.NormResult("weight", rates: rates, runs: runs, within: 0.025)
        #expect(result.bestRate == 1 && result.bestError == 0.2)
        #expect(result.goodFrom == 0.1 && result.goodTo == 1, "0.001 is good too, but 0.01 lies between; at 10 a seed diverged")
        #expect(result.errors[4] == nil && abs((result.errors[0] ?? 0) - 0.21) < 1e-15)
        let lost = Sweep.NormResult("normal", rates: [1], runs: [try run("normal", 1, 0, .nan)], within: 0.1)
        #expect(lost.bestRate == nil && lost.goodFrom == nil && lost.errors == [nil])
    }

    @Test("a sweep that is stopped again and again ends as one that is not, runs that diverge included")
    func resumes() throws {
        let (training, test) = (rows(100, seed: 1), rows(20, seed: 2))
        var settings = ClassificationSettings.onePass
        settings.setWidth(0.05)
        (settings.batch, settings.initializationImages) = (20, 100)
        let comparison = Comparison(settings, normalizations: [.plain, .weight], seeds: [7], thresholds: [], device: .cpu)
        func experiment() -> ComparisonExperiment {
            Sweep(comparison, rates: [1e25, 0.003]).experiment(on: resident(training, test))
        }
        func words(_ run: Run<ComparisonExperiment>) -> [String] {
            run.results.map { "\($0.norm) \($0.learningRate) \($0.steps) \($0.divergedAtStep ?? 0) \($0.testError) \($0.trainLoss)" }
        }
        try withFolder { path in
            let whole = Run(experiment(), in: try RunFolder.start(at: path + "/whole", config: ["a": 1]))
            try whole.run()
            #expect(whole.results.count == 4 && whole.results.contains { $0.divergedAtStep != nil })
            var holder: Run<ComparisonExperiment>? = Run(experiment(), in: try RunFolder.start(at: path + "/stopped", config: ["a": 1]))
            for place in 0..<whole.total {
                try holder?.run(checkpoints: CheckpointClock(every: 1e9), shouldStop: { holder?.done ?? 0 >= place })
                holder = nil
                holder = try Run.resume(experiment(), at: path + "/stopped")
            }
            try holder?.run(checkpoints: CheckpointClock(every: 1e9))
            #expect(holder.map(words) == words(whole))
            let (expected, found) = try (
                String(contentsOfFile: path + "/whole/metrics.jsonl", encoding: .utf8),
                String(contentsOfFile: path + "/stopped/metrics.jsonl", encoding: .utf8)
            )
            #expect(found == expected)
        }
    }

    @Test("a sweep's runs are those of comparisons at each rate; one that diverges is recorded, and the others go on")
    func agrees() throws {
        let (training, test) = (rows(200, seed: 1), rows(100, seed: 2))
        func settings(_ rate: Double) -> ClassificationSettings {
            var settings = ClassificationSettings.onePass
            settings.setWidth(0.05)
            settings.batch = 20
            settings.initializationImages = 100
            settings.setLearningRate(rate)
            return settings
        }
        func comparison(_ rate: Double) -> Comparison {
            Comparison(settings(rate), normalizations: [.plain, .weight], seeds: [7], thresholds: [], device: .cpu)
        }
        try withFolder { path in
            let sweep = Sweep(comparison(1), rates: [1e25, 0.003])
            let folder = try RunFolder.start(at: path, config: Sweep.Configuration(data: "rows", training: training, sweep: sweep))
            var last = (0, 0)
            let runs = try sweep.run(on: resident(training, test), into: folder) { last = ($0.done, $0.total) }
            #expect(last.1 == 20 && last.0 <= 20)
            #expect(
                runs.map(\.learningRate) == [0.003, 0.003, 1e25, 1e25] && runs.map(\.norm) == ["normal", "weight", "normal", "weight"])
            #expect(runs[2].testError.isNaN)
            #expect((1...10).contains(runs[2].divergedAtStep ?? 0))
            let (alone, _) = try withFolder { path in
                try comparison(0.003).run(on: resident(training, test), into: RunFolder.start(at: path, config: ["a": 1])) { _ in }
            }
            for (one, other) in zip(runs, alone) {
                #expect(one.testError == other.testError && one.trainLoss == other.trainLoss && one.divergedAtStep == nil)
            }
            // Neither networks nor readings: only the metrics, with the rate in every record.
            let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
            #expect(names == [".weightnorm-run", "config.json", "metrics.jsonl"])
            let records = try RunFolder.records(Comparison.Record.self, at: path)
            #expect(Set(records.map(\.learningRate)) == [0.003, 1e25])
            #expect(records.contains { $0.trainLoss?.isFinite == false }, "the loss that was not finite is on record")
            let summary = Sweep.Summary(sweep: sweep, data: "rows", images: 200, within: 0.02, runs: runs, seconds: 1)
            try folder.write(json: summary, named: "summary.json")
            let read = try RunFolder.read(Sweep.Summary.self, named: "summary.json", at: path)
            #expect(try Sweep.bestRates(at: path)["normal"] == 0.003)
            #expect(read.results == summary.results && read.results[0].bestRate == 0.003 && read.results[0].errors[1] == nil)
        }
    }

    @Test(
        "the report opens in a browser with every curve drawn, diverged runs among them",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"))
    func reportInBrowser() async throws {
        let path = NSTemporaryDirectory() + "\(UUID().uuidString).html"
        let sweep = Sweep(
            Comparison(.onePass, normalizations: [.plain, .weight], seeds: [1, 2], thresholds: [], device: .cpu), rates: [0.01, 0.1, 1])
        let runs = try [("normal", 0.1), ("weight", 0.2)].flatMap { norm, error in
            try [0.01, 0.1, 1].flatMap { rate in
                [try run(norm, rate, 1, error + rate / 9), try run(norm, rate, 2, rate == 1 ? .nan : error)]
            }
        }
        let summary = Sweep.Summary(sweep: sweep, data: "rows", images: 40, within: 0.02, runs: runs, seconds: 100)
        let report = SweepReport(summary)
        try report.page.html().write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        for scheme in [BrowserCheck.Scheme.light, .dark] {
            let seen = try await BrowserCheck.inspect(URL(fileURLWithPath: path), scheme: scheme)
            #expect(seen.errors.isEmpty && seen.requests.isEmpty)
            #expect(Set(seen.curves.map(\.series)) == ["normal", "weight", "normal, diverged", "weight, diverged"])
            #expect(seen.curves.allSatisfy { $0.isInside })
        }
        let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false).prefix(4)
        #expect(Set(lines.map(\.count)).count == 1)
    }

    @Test("a sample is drawn by its seed, without repetition, with the labels of its images")
    func sample() {
        let all = rows(100, seed: 3)
        let some = all.sample(30, seed: 5)
        #expect(some.count == 30 && some == all.sample(30, seed: 5) && some != all.sample(30, seed: 6) && all.sample(100, seed: 5) == all)
        func pairs(_ set: ImageSet) -> [[UInt8]] { (0..<set.count).map { Array(set.images[$0 * 144..<($0 + 1) * 144]) + [set.labels[$0]] } }
        #expect(Set(pairs(some)).isSubset(of: Set(pairs(all))) && Set(pairs(some)).count == 30)
    }

    @Test("some images of a set in colour keep all their channels and their classes")
    func colourSample() {
        let images = (0..<9).flatMap { [UInt8](repeating: UInt8($0), count: 12) }
        let colour = ImageSet(images: images, labels: [UInt8](0..<9), channels: 3, rows: 2, columns: 2)
        let some = colour.sample(4, seed: 1)
        #expect((some.count, some.channels, some.rows, some.columns) == (4, 3, 2, 2) && Set(some.labels).count == 4)
        #expect(some.images == some.labels.flatMap { [UInt8](repeating: $0, count: 12) })
    }
}
