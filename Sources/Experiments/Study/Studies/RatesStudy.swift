import Training
import WeightNorm

extension Study {
    /// Robustness to the learning rate (§2.1).
    static func rates(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let optimizers = ["sgd", "momentum", "adam"]
        let (grid, others) = ("grid", "others")
        func question(_ claim: String, _ strata: [String]?, margin: Double = 0.25) -> StudyPlan.Question {
            StudyPlan.Question(
                claim, part: grid, strata: strata, StudyPlan.Side("weight", "testError"), against: StudyPlan.Side("normal", "testError"),
                derivation: .plateau(within: 0.02), .above(by: margin), unit: "decades")
        }
        let plan = StudyPlan(
            name: "rates", title: "Robustness to the learning rate",
            claim: """
                Weight normalization makes training robust to the learning rate: if it is too large, ‖v‖ grows until the effective step fits, and the \
                larger the rate, the more it grows.
                """,
            source: "§2.1",
            method: [
                "The network of the five-way comparison (16 and 32 maps, dropout 0.1) is trained for one epoch of 50,000 images of Fashion-MNIST in minibatches of 100; the rate is constant for half of the run and then falls linearly to 0. Errors are those on the other 10,000 training images, so that rates can be chosen by them.",
                "Plain weights and weight normalization, each with gradient descent, with a momentum of 0.9, and with Adam, at seven rates half a decade apart, from 0.0001 to 0.1, with five seeds. Runs of the same seed start from the same draws and see the same minibatches. The other norms with Adam alone and two seeds.",
                "The plateau is the range of rates around the best one at which the error is at most 2 points above the best, in decades, with straight lines between the rates that were run. A run that diverged counts with an error of 90 %.",
                "The effective rate is the rate of plain weights that would move w as far at right angles to itself: rate·g²/‖v‖² for gradient descent, whose steps in v are g/‖v‖ times those in w and move w by g/‖v‖ again; rate·g/‖v‖ for Adam, whose steps do not depend on the length of the gradient. It is the geometric mean over the layers, where the rate begins to fall. The growth is that of ‖v‖ from the first step to the last.",
            ],
            measures: [
                .error("testError", "Held-out error"), .error("trainError", "Training error"),
                StudyPlan.Measure("growth", "Growth of ‖v‖", decimals: 2),
                StudyPlan.Measure("effectiveRate", "Effective rate", decimals: 5),
            ],
            parts: [
                StudyPlan.Part(
                    grid, "Each norm at each rate", strata: optimizers, arms: ["normal", "weight"],
                    ratesOfStrata: isTiny
                        ? ["sgd": [0.01, 0.1, 1], "momentum": [0.001, 0.01, 0.1], "adam": [0.001, 0.01, 0.1]]
                        : Dictionary(uniqueKeysWithValues: optimizers.map { ($0, [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]) }),
                    // Those from 0 were of the first grid.
                    seeds: isTiny ? 2 : 5, firstSeed: isTiny ? 0 : 100, measures: ["testError", "trainError", "growth", "effectiveRate"]),
                StudyPlan.Part(
                    others, "The other norms", strata: ["adam"],
                    arms: ["batch", "mean-only-batch", "weight+mean-only-batch", "fixed-gain", "log-weight"],
                    rates: isTiny ? [0.001, 0.01] : [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], seeds: isTiny ? 1 : 2, firstSeed: 0,
                    measures: ["testError", "trainError", "growth", "effectiveRate"]),
            ],
            questions: [
                question("The plateau of weight normalization is wider than that of plain weights, over all three optimizers.", nil),
                question("The plateau of weight normalization is wider with gradient descent.", ["sgd"]),
                question("The plateau of weight normalization is wider with momentum.", ["momentum"]),
                question("The plateau of weight normalization is wider with Adam.", ["adam"]),
                StudyPlan.Question(
                    "At each one's best rate, weight normalization is level with plain weights in error.", part: grid,
                    StudyPlan.Side("weight", "testError"), against: StudyPlan.Side("normal", "testError"), derivation: .best,
                    .level(within: 0.01), unit: "points", factor: 100),
                StudyPlan.Question(
                    "‖v‖ grows more, the larger the rate: the slope of its growth over the rate, both as logarithms, is above 0.",
                    part: grid,
                    StudyPlan.Side("weight", "growth"), derivation: .slope, .above(by: 0.1)),
                StudyPlan.Question(
                    "The effective rate corrects itself: its slope over the rate, both as logarithms, is below the 1 that it would be if ‖v‖ did not grow.",
                    part: grid, StudyPlan.Side("weight", "effectiveRate"), number: 1, derivation: .slope, .below(by: 0.1)),
            ],
            figures: [
                StudyPlan.Figure(
                    .rates, "Error against the learning rate", summary: "A wide valley means that the rate matters little.",
                    part: grid, y: "testError", xTitle: "Learning rate", yTitle: "Held-out error", hasLogarithmicX: true,
                    hasLogarithmicY: true),
                StudyPlan.Figure(
                    .scatter, "Error against the effective rate",
                    summary: "Each mark is a run. If only the effective rate mattered, the marks of both norms would lie on one curve.",
                    part: grid, y: "testError", x: "effectiveRate", xTitle: "Effective rate", yTitle: "Held-out error",
                    hasLogarithmicX: true, hasLogarithmicY: true),
                StudyPlan.Figure(
                    .rates, "Error of the other norms against the learning rate", summary: "With Adam, two seeds.", part: others,
                    y: "testError", xTitle: "Learning rate", yTitle: "Held-out error", hasLogarithmicX: true, hasLogarithmicY: true),
                StudyPlan.Figure(
                    .rates, "Growth of ‖v‖ against the learning rate", summary: "Of plain weights it is ‖w‖ that grows.", part: grid,
                    y: "growth", xTitle: "Learning rate", yTitle: "‖v‖ at the end / at the start", hasLogarithmicX: true,
                    hasLogarithmicY: true),
            ],
            limits: [
                "A first grid, of other seeds, began at 0.003 for gradient descent and at 0.0003 with momentum and went up to 3 and 0.3: most runs diverged in their first steps, and with gradient descent the lowest rate was the best of weight normalization, so that the width of its plateau was cut off. This grid was chosen after seeing that; the questions and rules are the first ones.",
                "One small network, one data set, one epoch of 500 steps: a long run can recover from what a short one cannot.",
                "Slopes leave out the rates at which a run diverged: it has no ‖v‖ to compare.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 1.7) { cell, data in
            var settings = ClassificationSettings.onePass
            settings.optimizer = ClassificationSettings.OptimizerKind(rawValue: cell.stratum)
            settings.setLearningRate(cell.rate ?? .nan)
            if isTiny { settings.makeTiny() }
            return ClassificationWorkload(
                settings: settings, norms: [try cell.normalization()], seed: cell.seed, data: isTiny ? StudyData.drawn : "fashion-mnist",
                heldOut: isTiny ? 60 : 10_000, pace: Comparison.Pace(evaluations: 1, readings: 20), source: data,
                more: ClassificationWorkload.weightMeasures)
        }
    }
}

extension ClassificationSettings {
    /// For grids that only show that a study works.
    mutating func makeTiny() {
        (firstMaps, secondMaps, batch, initializationImages) = (4, 4, 20, 40)
        (whitens, epochs) = (false, min(epochs, 2))
    }
}
