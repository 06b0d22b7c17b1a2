import Datasets
import Experiments
import Foundation
import TestSupport
import Testing
import Torch
import Training
import WeightNorm

@Suite struct TrainedNetworkTests {
    /// A run of two epochs, and the test error that it reports for each norm.
    private func train(whitens: Bool, in folder: String) throws -> (test: ImageSet, training: ImageSet, errors: [String: Double]) {
        var settings = ClassificationSettings.onePass
        settings.setWidth(0.05)
        (settings.batch, settings.initializationImages, settings.epochs, settings.whitens) = (20, 40, 2, whitens)
        let comparison = Comparison(settings, normalizations: [.weight, .batch], seeds: [3], thresholds: [], device: .cpu)
        let (training, test) = (rows(100, seed: 1), rows(40, seed: 2))
        let configuration = Comparison.Configuration(data: "rows", training: training, test: test, comparison: comparison)
        let plan = comparison.plan(configuration, training: training, test: test, notify: { _ in })
        let run = try plan.start(at: folder)
        try run.run()
        let runs = run.results
        _ = try plan.finish(run)
        return (test, training, Dictionary(uniqueKeysWithValues: runs.map { ($0.norm, $0.testError) }))
    }

    @Test(
        "a finished run's network does on images what the run found, whitened or not, without the training images",
        arguments: [false, true])
    func sameError(whitens: Bool) throws {
        try withFolder { folder in
            let (test, _, errors) = try train(whitens: whitens, in: "\(folder)/run")
            for norm in ["weight", "batch"] {
                let network = try TrainedNetwork(at: "\(folder)/run", norm: norm)
                let found = try network.evaluate(test, data: "rows")
                #expect(found.error == errors[norm] && found.images == 40 && found.classes.map(\.images) == [Int](repeating: 4, count: 10))
                #expect(found.errors == found.classes.reduce(0) { $0 + $1.errors } && found.loss > 0)
                // The same as pictures, one by one, grey or with all colours alike.
                for index in [0, 17] {
                    let pixels = Array(test.images[index * 144..<(index + 1) * 144])
                    let picture = Picture(pixels: pixels, channels: 1, rows: 12, columns: 12)
                    let logits = network.logits(of: [picture, picture.with(channels: 3)])
                    let expected = network.logits(of: test)[index..<index + 1]
                    #expect((logits - expected).magnitude().maximum().item() < 1e-4)
                }
            }
            #expect(try TrainedNetwork(at: "\(folder)/run").norm == "weight")
            #expect(exists("\(folder)/run/whitening.safetensors") == whitens)
        }
    }

    @Test("what is no such run, has no such network, or does not fit is refused in one line")
    func refused() throws {
        try withFolder { folder in
            let (test, _, _) = try train(whitens: true, in: "\(folder)/run")
            func problem(_ body: () throws -> Void) -> String { (#expect(throws: (any Error).self) { try body() }).map { "\($0)" } ?? "" }
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/none") }.contains("expected the folder of a run of weightnorm"))
            #expect(
                problem { _ = try TrainedNetwork(at: "\(folder)/run", norm: "normal") }.contains("expected one of the run's, weight, batch")
            )
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/run", norm: "x") }.contains("expected one of the run's, weight, batch"))
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/run", seed: 1) }.contains("seed: expected one of the run's, 3"))
            let network = try TrainedNetwork(at: "\(folder)/run")
            let small = ImageSet(images: [UInt8](repeating: 0, count: 121), labels: [0], rows: 11, columns: 11)
            #expect(
                problem { _ = try network.evaluate(small, data: "small") }.contains("expected images of 1 × 12 × 12 pixels, found 11 × 11"))
            let strange = ImageSet(images: [UInt8](repeating: 0, count: 144), labels: [10], rows: 12, columns: 12)
            #expect(
                problem { _ = try network.evaluate(strange, data: "strange") }.contains(
                    "expected classes below the network's 10, found class 10"))
            // A whitening of another size, or none where the training images are not either.
            let whitening = "\(folder)/run/whitening.safetensors"
            try Data("x".utf8).write(to: URL(fileURLWithPath: whitening))
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/run") }.contains("whitening.safetensors: expected at least 8 bytes"))
            try FileManager.default.removeItem(atPath: whitening)
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/run") }.contains("rows: expected"))
            try FileManager.default.removeItem(atPath: "\(folder)/run/network-weight-seed3.safetensors")
            #expect(problem { _ = try TrainedNetwork(at: "\(folder)/run") }.contains("expected the network of a finished run, found none"))
            _ = test
        }
    }
}
