import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

private func settings(epochs: Int = 2) -> ClassificationSettings {
    var settings = ClassificationSettings.onePass
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
    ) throws -> (runs: [Comparison.Run], records: [Comparison.Record], onDisk: [Comparison.Record], layers: [Comparison.LayerRecord]) {
        try withFolder { path in
            let folder = try RunFolder.start(at: path, config: ["seed": 1])
            let comparison = Comparison(settings(epochs: epochs), normalizations: norms, seeds: seeds, thresholds: [0.5], device: .cpu)
            let (runs, records) = try comparison.run(on: resident(training, test), into: folder) { _ in }
            return (runs, records, try RunFolder.records(at: path), try RunFolder.records(in: "layers.jsonl", at: path))
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
            #expect(own.compactMap(\.testError).count == 8 * Comparison.Pace.fine.evaluations)
            #expect(own.compactMap(\.trainError).count == 8 * Comparison.Pace.fine.readings)
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

    @Test("readings of every weight and the finished networks are kept, and an analysis of the folder finds them", arguments: [1, 300])
    func networks(epochs: Int) throws {
        let (training, test) = (rows(100, seed: 1), rows(50, seed: 2))
        let norms: [Normalization] = [.plain, .weight, .weightAndMeanOnlyBatch, .batch, .fixedGain, .logWeight]
        guard epochs == 1 else {
            // A long run takes fewer readings a pass: one, and one at the start.
            var settings = settings(epochs: epochs)
            settings.batch = 100
            try withFolder { path in
                let comparison = Comparison(settings, normalizations: [.weight], seeds: [7], thresholds: [], device: .cpu)
                _ = try comparison.run(
                    on: resident(training, rows(10, seed: 2)), into: RunFolder.start(at: path, config: ["a": 1])
                ) { _ in }
                let layers = try RunFolder.records(Comparison.LayerRecord.self, in: "layers.jsonl", at: path)
                #expect(layers.count == 10 * (epochs + 1))
            }
            return
        }
        try withFolder { path in
            let comparison = Comparison(settings(epochs: epochs), normalizations: norms, seeds: [7], thresholds: [], device: .cpu)
            let folder = try RunFolder.start(
                at: path, config: Comparison.Configuration(data: "rows", training: training, comparison: comparison))
            let (runs, _) = try comparison.run(on: resident(training, test), into: folder) { _ in }

            let layers = try RunFolder.records(Comparison.LayerRecord.self, in: "layers.jsonl", at: path)
            #expect(layers.count == norms.count * 10 * 6, "10 weights, at the start and after each of the 5 steps")
            for layer in layers {
                #expect((layer.reading.angle == nil) == (layer.step == 0))
                #expect(layer.step == 0 || (layer.reading.angle?.mean ?? 0) > 0, "every weight turns in every step")
            }
            let plain = layers.filter { $0.norm == "normal" && $0.step == 1 }
            #expect(plain.count == 10 && plain.allSatisfy { abs($0.reading.effectiveStep.mean / 0.003 - 1) < 1e-14 })

            // A loaded network answers as the trained one did.
            for (norm, run) in zip(norms, runs) {
                let network = ClassificationNetwork(settings(), channels: 1, normalization: norm, random: Generator(seed: 99))
                try NetworkFile.load("\(path)/\(NetworkFile.name(norm: norm.rawValue, seed: 7))", into: network)
                let batch = Batches.inOrder(test, size: 50)[0]
                let answers = withoutGradients { network(ResidentImages.scaled(batch.images), .inference).indexOfMaximum(along: 1) }
                #expect((answers .!= batch.labels).sum().item() / 50 == run.testError, "\(norm)")
            }
            let analysis = try RunAnalysis(at: path)
            #expect(analysis.normalizations == norms)
            try analysis.check(training: training, data: "rows", norms: norms, seed: 7)
            let options = NetworkAnalysis.Options(examples: 60, units: 3, layers: nil, seed: 7)
            for norm in norms {
                let found = try analysis.analyse(norm, seed: 7, options, training: training, whitening: nil) { _, _ in }
                #expect(
                    found.layers.count == 10 && found.layers.allSatisfy { $0.improvementOfLargest.map { $0.lower >= 1 - 1e-9 } ?? true })
            }
            #expect { try analysis.check(training: test, data: "others", norms: [.weight], seed: 7) } throws: {
                "\($0)".contains("others: expected the run's training images, 100 images of 12 × 12 pixels")
            }
            #expect { try analysis.check(training: training, data: "rows", norms: [.meanOnlyBatch], seed: 7) } throws: {
                "\($0)".contains("found 'mean-only-batch'")
            }
            #expect { try analysis.check(training: training, data: "rows", norms: [.weight], seed: 8) } throws: {
                "\($0)".contains("7, found 8")
            }
        }
    }

    @Test("a file of another network is refused with everything that does not fit, and nothing is changed")
    func wrongNetwork() throws {
        try withFolder { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let file = "\(path)/x.safetensors"
            let dense = Dense(2, to: 3, random: Generator(seed: 1))
            try Safetensors.write(
                [("weight.direction", .ones([3, 2])), ("weight.gain", .ones([3])), ("extra", .ones([1])), ("bias", Tensor([1, 2, 3]))],
                to: file)
            #expect { try NetworkFile.load(file, into: dense) } throws: {
                let message = "\($0)"
                return message.contains("extra 'extra'")
                    && message.contains("misshapen 'weight.gain': expected [3, 1], [1, 2] or [], found [3]")
                    && message.contains("mistyped 'bias'")
            }
            try Safetensors.write([("weight.direction", .ones([3, 2]))], to: file)
            #expect { try NetworkFile.load(file, into: dense) } throws: {
                "\($0)".contains("missing 'weight.gain'") && "\($0)".contains("missing 'bias'")
            }
            #expect(dense.weight.vector.elements(as: Float.self) != [Float](repeating: 1, count: 6))
        }
    }

    @Test("a loss that is not finite stops the comparison and says where")
    func notFinite() throws {
        try withFolder { path in
            var settings = settings()
            settings.setLearningRate(1e30)
            let folder = try RunFolder.start(at: path, config: ["seed": 1])
            let comparison = Comparison(settings, normalizations: [.plain], seeds: [3], thresholds: [], device: .cpu)
            #expect {
                try comparison.run(on: resident(rows(200, seed: 1), rows(20, seed: 2)), into: folder) { _ in }
            } throws: {
                "\($0)".contains("norm normal, seed 3: the loss is") && "\($0)".contains("at step")
            }
        }
    }

    /// In a process of its own: the suites that run beside this one have tensors too.
    @Test("memory does not grow over 500 steps: neither handles nor resident size")
    func memory() async {
        await #expect(processExitsWith: .success) {
            for normalization in [Normalization.weight, .batch, .weightAndMeanOnlyBatch] { ComparisonTests().checkMemory(normalization) }
        }
    }

    private func checkMemory(_ normalization: Normalization) {
        let set = ResidentImages(rows(400, seed: 1))
        var settings = settings()
        settings.epochs = 26
        let trainer = ClassificationTrainer(settings, normalization: normalization, seed: 0, channels: 1, stepsPerEpoch: 20, device: .cpu)
        func pass(_ epoch: Int) {
            let order = set.order(size: 20, seed: 0, epoch: epoch)
            for index in 0..<20 { trainer.step((order.selected(index, along: 0), set)) }
            _ = trainer.readTraining()
        }
        (0..<3).forEach(pass)
        let (handles, resident) = (Runtime.liveTensorCount, residentBytes())
        (0..<25).forEach(pass)
        #expect(trainer.stepCount == 560)
        // A leak of one handle a step would be 500.
        #expect(Runtime.liveTensorCount - handles < 50)
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
        let norms: [Normalization] = [.plain, .weight, .weightAndMeanOnlyBatch]
        let found = try compare(norms, seeds: [1, 2], training: rows(200, seed: 1), test: rows(100, seed: 2))
        let summary = Comparison.Summary(
            data: "rows", device: .cpu, settings: settings(), thresholds: [0.5, 0.25], runs: found.runs, seconds: 1)
        let report = ComparisonReport(summary, records: found.records, layers: found.layers)
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try report.page.write(to: file)
        for scheme in [BrowserCheck.Scheme.light, .dark] {
            let seen = try await BrowserCheck.inspect(file, scheme: scheme)
            #expect(seen.errors.isEmpty && seen.requests.isEmpty)
            for chart in ["Test error", "Training error", "Length of v", "Angle", "Length of v by layer"] {
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

    @Test(
        "on CIFAR-10 the report has the paper's figure, table and the filters, and opens in a browser without errors",
        .enabled(if: BrowserCheck.executable != nil, "no Chromium in PATH"), arguments: [200, 4])
    func paperInBrowser(epochs: Int) async throws {
        var settings = ClassificationSettings()
        settings.epochs = epochs
        let norms = ["weight", "batch"]
        let records = norms.flatMap { norm in
            (1...epochs).map { epoch in
                var record = Comparison.Record(norm: norm, seed: 0, step: epoch, epoch: Double(epoch))
                (record.trainError, record.testError) = (0.5 / Double(epoch), 0.6 / Double(epoch))
                return record
            }
        }
        let runs = try norms.map { norm in
            try JSONDecoder().decode(
                Comparison.Run.self,
                from: Data(
                    """
                    {"norm":"\(norm)","seed":0,"epochs":1,"steps":1,"parameters":1,"learningRate":0.003,"trainError":0.01,"trainLoss":0.1,\
                    "testError":0.0712,"millisecondsPerStep":1,"firstEpochUnder":{},"constantUnits":0}
                    """.utf8))
        }
        let summary = Comparison.Summary(
            command: "train classification", data: "cifar10", isCIFAR10: true, pace: .everyEpoch, device: .cpu, settings: settings,
            thresholds: [0.1], runs: runs, seconds: 1)
        let picture = FilterPicture.png(of: .normal([5, 3, 3, 3], from: Generator(seed: 1)))
        let html = ComparisonReport(summary, records: records, filters: [("weight", picture)]).page.html()
        #expect(html.contains(epochs == 200 ? "These are the paper" : "epochs 4 instead of 200"))
        #expect(
            html.contains("8.46 %") && html.contains("8.05 %") && html.contains("7.12 %")
                && html.contains("weightnorm train classification"))
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).html")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(html.utf8).write(to: file)
        let seen = try await BrowserCheck.inspect(file, scheme: .light)
        #expect(seen.errors.isEmpty && seen.requests.isEmpty)
        let curves = seen.curves.filter { $0.chart.contains(": Figure 1: training error.") }
        #expect(Set(curves.map(\.series)) == Set(norms + PaperResults.cifar10.keys.map { "\($0), the paper" }))
        #expect(curves.allSatisfy { $0.length > 0 && $0.isInside })

        // Other images have no section of it.
        let other = Comparison.Summary(data: "rows", device: .cpu, settings: settings, thresholds: [], runs: runs, seconds: 1)
        #expect(!ComparisonReport(other, records: records).page.html().contains("Compared with the paper"))
    }

    @Test("held-out images are drawn by the seed, once each, and the others are trained on")
    func holdingOut() {
        let set = ImageSet(images: (0..<50).map { UInt8($0) }, labels: (0..<50).map { UInt8($0 % 10) }, rows: 1, columns: 1)
        let (training, heldOut) = set.holdingOut(20)
        #expect(training.count == 30 && heldOut.count == 20)
        #expect(Set(training.images + heldOut.images).count == 50)
        #expect(
            zip(heldOut.images, heldOut.labels).allSatisfy { $0 % 10 == $1 }
                && zip(training.images, training.labels).allSatisfy { $0 % 10 == $1 })
        #expect(set.holdingOut(20).heldOut == heldOut && set.holdingOut(20, seed: 1).heldOut != heldOut)
    }

    @Test("departures from the paper's settings are told one by one")
    func departures() {
        var settings = ClassificationSettings()
        #expect(settings.departures(from: ClassificationSettings(), norms: ["weight"]) == [])
        settings.epochs = 10
        settings.whitens = false
        settings.setLearningRate(0.01)
        #expect(
            settings.departures(from: ClassificationSettings(), norms: ["weight", "normal"]) == [
                "epochs 10 instead of 200", "images that are not whitened", "learning rate of weight 0.01 instead of 0.003",
                "learning rate of normal 0.01 instead of 0.0003",
            ])
    }
}
