import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightFiles
import WeightNorm

@Suite struct SnapshotTests {
    /// Two epochs of five steps.
    private func comparison(_ norms: [Normalization] = [.weight], snapshots: [Int] = []) -> Comparison {
        var settings = ClassificationSettings.onePass
        settings.setWidth(0.05)
        (settings.batch, settings.initializationImages, settings.epochs) = (20, 40, 2)
        var comparison = Comparison(settings, normalizations: norms, seeds: [3], thresholds: [], device: .cpu)
        comparison.snapshots = snapshots
        return comparison
    }

    /// A comparison's run in a folder, to its end.
    private func train(_ comparison: Comparison, in folder: String) throws -> (training: ImageSet, path: String) {
        let (training, test) = (rows(100, seed: 1), rows(20, seed: 2))
        try comparison.check(training: training, test: test)
        let configuration = Comparison.Configuration(data: "rows", training: training, test: test, comparison: comparison)
        let plan = comparison.plan(configuration, training: training, test: test, notify: { _ in })
        let run = try plan.start(at: folder)
        try run.run()
        _ = try plan.finish(run)
        return (training, folder)
    }

    @Test("networks are kept at the start and after the epochs that were asked for; the last is the finished network")
    func kept() throws {
        try withFolder { folder in
            let (_, path) = try train(comparison(snapshots: [0, 2]), in: "\(folder)/run")
            let names = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("network-") }.sorted()
            #expect(
                names == [
                    "network-weight-seed3-epoch0.safetensors", "network-weight-seed3-epoch2.safetensors",
                    "network-weight-seed3.safetensors",
                ])
            let values = try names.map { name in
                let file = try SafetensorsFile(openingOwn: "\(path)/\(name)")
                return try file.tensor("output.weight.direction").elements(as: Float.self)
            }
            #expect(values[0] != values[1] && values[1] == values[2])
            let plain = try train(comparison(), in: "\(folder)/plain").path
            #expect(contents("\(plain)/network-weight-seed3.safetensors") == contents("\(path)/network-weight-seed3.safetensors"))
        }
    }

    @Test("an analysis takes a network that was kept, and names the epochs when another is asked for") func analysed() throws {
        try withFolder { folder in
            let (training, path) = try train(comparison(snapshots: [0, 1]), in: "\(folder)/run")
            var analysis = try RunAnalysis(at: path)
            analysis.epoch = 2
            let failure = try #require(throws: NetworkAnalysis.Failure.self) {
                try analysis.check(training: training, data: "rows", norms: [.weight], seed: 3)
            }
            #expect(failure.description == "epoch: expected one of the run's --snapshots, 0, 1, found 2")
            let options = NetworkAnalysis.Options(examples: 30, units: 2, layers: ["output"], seed: 0)
            var cosines: [Double] = []
            for epoch in [0, 1, nil] {
                analysis.epoch = epoch
                try analysis.check(training: training, data: "rows", norms: [.weight], seed: 3)
                let found = try analysis.analyse(.weight, seed: 3, options, training: training, whitening: nil) { _, _ in }
                cosines.append(try #require(found.layers.first?.cosines.first?.median))
            }
            #expect(Set(cosines).count == 3)
        }
    }

    @Test("epochs that the run does not have are refused") func refused() throws {
        for snapshots in [[3], [-1]] {
            #expect(throws: RunFailure.self) { try comparison(snapshots: snapshots).check(training: rows(100, seed: 1)) }
        }
    }

    @Test("gradient descent, with and without momentum, and Adam take different steps, and all learn") func optimizers() throws {
        var losses: [Double] = []
        for (optimizer, rate) in [(ClassificationSettings.OptimizerKind.sgd, 0.01), (.momentum, 0.001), (.adam, 0.003)] {
            var comparison = comparison()
            comparison.settings.optimizer = optimizer
            comparison.settings.epochs = 4
            comparison.settings.setLearningRate(rate)
            let records = try withFolder { folder in
                let images = resident(rows(100, seed: 1), rows(20, seed: 2))
                return try comparison.run(on: images, into: try RunFolder.start(at: "\(folder)/run", config: ["a": 1]), progress: { _ in })
                    .records
            }
            let curve = records.compactMap(\.trainLoss)
            let (first, last) = (try #require(curve.first), try #require(curve.last))
            #expect(last < first, "\(optimizer)")
            losses.append(last)
        }
        #expect(Set(losses).count == 3)
    }
}
