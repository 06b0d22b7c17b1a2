import Training
import WeightNorm

extension Study {
    /// Beside batch normalization (§2.2, §4).
    static func batchNorm(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let sizes = isTiny ? [2, 4] : [2, 4, 8]
        let strata = sizes.map { "batch of \($0)" }
        let small = ["normal", "weight", "batch", "weight+mean-only-batch"]
        let recurrent = ["normal", "weight", "batch"]
        let rates = isTiny ? [0.001, 0.01] : [0.0001, 0.0003, 0.001, 0.003, 0.01]
        func question(_ claim: String, _ part: String, _ strata: [String]?, against: String = "batch", _ margin: Double)
            -> StudyPlan.Question
        {
            StudyPlan.Question(
                claim, part: part, strata: strata, StudyPlan.Side("weight", "testError"), against: StudyPlan.Side(against, "testError"),
                .below(by: margin), unit: "points", factor: 100)
        }
        let plan = StudyPlan(
            name: "batchnorm", title: "Beside batch normalization",
            claim: """
                For one layer on whitened input, weight normalization and batch normalization are the same; and it works where batch normalization does \
                not: with very small minibatches and in recurrent networks.
                """,
            source: "§1, §2.2",
            method: [
                "Whitened input: one layer of 5 units on 200 drawn examples of 10 features, in float64, with weight normalization and with batch normalization, from the same draws, after 100 steps of gradient descent: the root mean square difference of their outputs, relative to the outputs'. Once on whitened input, once on input with other means and covariances. Ten seeds.",
                "Small minibatches: the network of the five-way comparison on 20,000 images of Fashion-MNIST, one epoch, in minibatches of 2, 4 and 8, with Adam. Each norm's rate is the best of five for each size, by the error on 10,000 held-out images after training on 10,000 others, one seed; then three other seeds.",
                "Recurrent: a simple recurrent network of 64 units that reads the digits of MNIST row by row, 1200 minibatches of 100, Adam. Batch normalization of the pre-activation has the statistics of its row in training and one running average at test time. Each norm's rate is the best of five by the error on 10,000 held-out images after training on the other 50,000, one seed; then five other seeds.",
            ],
            measures: [.error("testError", "Test error"), StudyPlan.Measure("difference", "Relative difference", decimals: 6)],
            parts: [
                StudyPlan.Part(
                    "white", "One layer", strata: ["whitened", "not whitened"], arms: ["both"], seeds: isTiny ? 2 : 10, firstSeed: 100,
                    measures: ["difference"]),
                StudyPlan.Part(
                    "rows-tune", "Tuning the recurrent network: held-out error", arms: recurrent, rates: rates, seeds: 1, firstSeed: 0,
                    measures: ["testError"]),
                StudyPlan.Part(
                    "rows", "The recurrent network at each norm's best rate", arms: recurrent,
                    tuning: .init(part: "rows-tune", measure: "testError"), seeds: isTiny ? 2 : 5, firstSeed: 100, measures: ["testError"]),
                StudyPlan.Part(
                    "small-tune", "Tuning with small minibatches: held-out error", strata: strata, arms: small, rates: rates, seeds: 1,
                    firstSeed: 0, measures: ["testError"]),
                StudyPlan.Part(
                    "small", "Small minibatches at each norm's best rate", strata: strata, arms: small,
                    tuning: .init(part: "small-tune", measure: "testError"), seeds: isTiny ? 2 : 3, firstSeed: 100, measures: ["testError"]),
            ],
            questions: [
                StudyPlan.Question(
                    "On whitened input, the two layers stay the same.", part: "white", strata: ["whitened"],
                    StudyPlan.Side("both", "difference"), .level(within: 0.001), decimals: 6),
                StudyPlan.Question(
                    "On other input, they do not.", part: "white", strata: ["not whitened"], StudyPlan.Side("both", "difference"),
                    .above(by: 0.01), decimals: 6),
            ]
                + strata.map {
                    question(
                        "In minibatches: \($0), weight normalization has a lower test error than batch normalization.", "small", [$0], 0.01)
                } + [
                    question(
                        "In a recurrent network, weight normalization has a lower test error than batch normalization.", "rows", nil, 0.01),
                    question(
                        "In a recurrent network, weight normalization has a lower test error than plain weights.", "rows", nil,
                        against: "normal", 0.003),
                ],
            figures: [
                StudyPlan.Figure(
                    .dots, "Test error by the size of the minibatch", summary: "At each norm's best rate.", part: "small", y: "testError",
                    yTitle: "Test error"),
                StudyPlan.Figure(
                    .dots, "Test error of the recurrent network", summary: "At each norm's best rate.", part: "rows", y: "testError",
                    yTitle: "Test error"),
            ],
            limits: [
                "In a convolution, batch normalization takes its statistics over all positions too: a minibatch of 2 images then has hundreds of samples, but for the last layers.",
                "The recurrent network shares one normalizer between all rows; later work gives each time step its own.",
                "Where minibatches are small, a run takes more steps than with large ones, so that errors of different sizes do not compare.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 0.6) { cell, data in
            switch cell.part {
            case "white":
                return TaskWorkload(task: WhiteningTask(whitens: cell.stratum == "whitened"), seed: cell.seed, source: data)
            case "rows", "rows-tune":
                let heldOut = cell.part == "rows-tune" ? (isTiny ? 60 : 10_000) : nil
                var task = RowsTask(
                    norm: cell.arm, data: isTiny ? StudyData.drawn : "mnist", images: nil, heldOut: heldOut, learningRate: cell.rate ?? .nan
                )
                if isTiny { (task.hidden, task.batch, task.steps) = (8, 20, 10) }
                return TaskWorkload(task: task, seed: cell.seed, source: data)
            default:
                var settings = ClassificationSettings.onePass
                settings.setLearningRate(cell.rate ?? .nan)
                if isTiny { settings.makeTiny() }
                settings.batch = zip(strata, sizes).first { $0.0 == cell.stratum }?.1 ?? 0
                let isTuning = cell.part == "small-tune"
                return ClassificationWorkload(
                    settings: settings, norms: [try cell.normalization()], seed: cell.seed,
                    data: isTiny ? StudyData.drawn : "fashion-mnist",
                    images: isTiny ? 40 : isTuning ? 10_000 : 20_000, heldOut: isTuning ? (isTiny ? 60 : 10_000) : nil,
                    pace: Comparison.Pace(evaluations: 1, readings: 20),
                    source: data)
            }
        }
    }
}
