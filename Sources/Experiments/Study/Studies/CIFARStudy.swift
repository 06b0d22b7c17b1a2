import Training
import WeightNorm

extension Study {
    /// CIFAR-10 (§5.1, Figure 1 and Table 1).
    static func cifar(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight", "batch", "mean-only-batch", "weight+mean-only-batch"]
        let both = "weight+mean-only-batch"
        func test(_ other: String) -> StudyPlan.Question {
            StudyPlan.Question(
                "Weight normalization with mean-only batch normalization has a lower test error than \(other).", part: "main",
                StudyPlan.Side(both, "testError"), against: StudyPlan.Side(other, "testError"), .below(by: 0.003), unit: "points",
                factor: 100)
        }
        func cost(_ claim: String, _ norm: String, _ rule: StudyPlan.Rule) -> StudyPlan.Question {
            StudyPlan.Question(
                claim, part: "cost", StudyPlan.Side("all", "cost.\(norm)"), number: 1, isRatio: true, rule, unit: "times", decimals: 3)
        }
        let plan = StudyPlan(
            name: "cifar", title: "CIFAR-10",
            claim: """
                Weight normalization is ahead of plain weights in training error at every epoch and level with them in test error; together with \
                mean-only batch normalization it has the best test error; a step costs no more, where batch normalization's does.
                """,
            source: "§5.1, Figure 1 and Table 1",
            method: [
                "The paper's network at a quarter of its width (24 and 48 maps) and with dropout 0.1, on whitened CIFAR-10, in minibatches of 100; Adam, the rate constant for half of the run and then falling linearly to 0, β1 from 0.9 to 0.5 at half.",
                "Each norm's rate is the best of four by the error on 10,000 held-out training images, after four epochs on the other 40,000, with one seed.",
                "Then 16 epochs on all 50,000 with three other seeds. Runs of the same seed start from the same draws and see the same minibatches.",
                "Training errors are those of the minibatches as trained, with noise and dropout. A run that diverged counts with 90 %.",
                "The cost of a step is its median time relative to that of plain weights at the same step, with all norms taking turns, in five repetitions.",
            ],
            measures: [
                .error("testError", "Test error"), .error("trainError", "Training error"),
                .error("meanTrainError", "Training error, mean over the epochs"),
            ] + norms.map { StudyPlan.Measure("cost.\($0)", "Cost of a step, \($0)", decimals: 3) },
            parts: [
                StudyPlan.Part(
                    "tune", "Tuning: held-out error after four epochs", arms: norms,
                    rates: isTiny ? [0.001, 0.01] : [0.0003, 0.001, 0.003, 0.01],
                    seeds: 1, firstSeed: 0, measures: ["testError"]),
                StudyPlan.Part(
                    "main", "16 epochs at each norm's best rate", arms: norms, tuning: .init(part: "tune", measure: "testError"),
                    seeds: isTiny ? 2 : 3, firstSeed: 100, measures: ["testError", "trainError", "meanTrainError"]),
                StudyPlan.Part(
                    "cost", "The cost of a step", arms: ["all"], seeds: isTiny ? 2 : 5, firstSeed: 200,
                    measures: norms.dropFirst().map { "cost.\($0)" }),
            ],
            questions: [
                StudyPlan.Question(
                    "Weight normalization has a lower training error than plain weights, on average over the epochs.", part: "main",
                    StudyPlan.Side("weight", "meanTrainError"), against: StudyPlan.Side("normal", "meanTrainError"), .below(by: 0.005),
                    unit: "points", factor: 100),
                StudyPlan.Question(
                    "Weight normalization is level with plain weights in test error.", part: "main", StudyPlan.Side("weight", "testError"),
                    against: StudyPlan.Side("normal", "testError"), .level(within: 0.005), unit: "points", factor: 100),
                test("normal"), test("weight"), test("batch"),
                cost("A step with weight normalization costs no more than one with plain weights.", "weight", .notAbove(by: 1.03)),
                cost("A step with batch normalization costs more than one with plain weights.", "batch", .above(by: 1.05)),
            ],
            figures: [
                StudyPlan.Figure(
                    .curves, "Training error", summary: "Means over the seeds, with bands from the lowest to the highest.", part: "main",
                    y: "trainError", xTitle: "Epoch", yTitle: "Training error", hasLogarithmicY: true),
                StudyPlan.Figure(
                    .curves, "Test error", summary: "Means over the seeds, with bands from the lowest to the highest.", part: "main",
                    y: "testError", xTitle: "Epoch", yTitle: "Test error", hasLogarithmicY: true),
                StudyPlan.Figure(
                    .rates, "Held-out error against the learning rate", summary: "One seed, four epochs: what the rates were chosen by.",
                    part: "tune", y: "testError", xTitle: "Learning rate", yTitle: "Held-out error", hasLogarithmicX: true,
                    hasLogarithmicY: true),
            ],
            limits: [
                "The paper's network has 16 times the weights and is trained for twelve times as many epochs with dropout 0.5: what shows late, or only in wide networks, does not show here.",
                "The training error here includes noise and dropout; the paper does not say whether its does.",
                "The cost of a step is this program's on these processors: what a norm costs on a GPU is another question.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 4.5) { cell, data in
            var settings = ClassificationSettings.quick
            settings.setWidth(0.25)
            settings.epochs = cell.part == "main" ? 16 : cell.part == "tune" ? 4 : 1
            if let rate = cell.rate { settings.setLearningRate(rate) }
            if isTiny { settings.makeTiny() }
            let isCost = cell.part == "cost"
            return ClassificationWorkload(
                settings: settings, norms: isCost ? norms.compactMap { Normalization(rawValue: $0) } : [try cell.normalization()],
                seed: cell.seed, data: isTiny ? StudyData.drawn : "cifar10", images: isCost && !isTiny ? 10_000 : nil,
                heldOut: cell.part == "tune" ? (isTiny ? 60 : 10_000) : nil, source: data,
                more: isCost ? ClassificationWorkload.costs : { _ in StudyMeasurements() })
        }
    }
}
