import Report
import Torch
import Training
import WeightNorm

/// Deep Q-learning of a game with one norm.
struct GameWorkload: StudyWorkload {
    var game: String
    var settings: DQNSettings
    var norm: Normalization
    var seed: UInt64

    var total: Int { settings.epochs * settings.actionsPerEpoch }

    func run(_ course: StudyCourse) throws -> StudyMeasurements? {
        let setup = DQNSetup(game: game, settings, normalizations: [norm], seeds: [seed], device: .cpu)
        try setup.check()
        let resources = try DQNResources(for: setup)
        try settings.checkNetwork(
            rows: resources.training.rows, columns: resources.training.columns, actions: resources.training.actions.count)
        let configuration = DQNSetup.Configuration(setup, resources, preset: "study", savesReplay: true)
        // A checkpoint holds more than a gigabyte of replay memory.
        return try course.perform(setup.plan(configuration, resources, forgetsReplay: false), savingEvery: 600) { run in
            // The first record is that of play at random.
            let epochs = run.records.filter { $0.norm == norm.rawValue }
            var values: [String: Double] = [:]
            if let result = run.results.first {
                let scores = epochs.map(\.score.mean)
                values = ["best": result.best.mean, "last": result.last.mean, "mean": Statistics.mean(scores)]
            }
            return StudyMeasurements(values, curves: ["score": epochs.map { [Double($0.actions), $0.score.mean] }])
        }
    }
}
