import Training
import WeightNorm

extension Study {
    /// What later work says about weight normalization.
    static func bias(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight"]
        let seeds = isTiny ? 2 : 10
        let starts = isTiny ? [1.0] : [0.5, 1, 2]
        let startNames = starts.map { "start of length \($0 == $0.rounded() ? "\(Int($0))" : "\($0)")" }
        let draws = ["usual start", "small start"]
        let plan = StudyPlan(
            name: "bias", title: "What came after",
            claim: """
                With weight normalization, gradient descent finds solutions of nearly the smallest norm even from starts that are not small; weight decay only \
                sets the effective learning rate; and, as users of the temporal convolutional network report, the adding problem is not learned without it.
                """,
            source: "Wu et al. 2020; van Laarhoven 2017, Hoffer et al. 2018; the network of Bai, Kolter & Koltun 2018",
            method: [
                "Smallest norm: least squares of 20 drawn equations in 50 unknowns, in float64, by 10,000 steps of gradient descent at the rate 0.01 from starts of 0.5, 1 and 2 times the length of the smallest solution; the excess is how much longer the solution found is. With weight normalization ‖v‖ = 1 at the start and g and v have the same rate. For the flow of the gradient, theory has the part of w that no equation sees shrink where g starts below its final value, and grow where it starts above.",
                "Weight decay: a network of 64 hidden units on Fashion-MNIST, 1200 minibatches of 100, gradient descent at the rate 0.05, every layer with weight normalization. Once without decay, once with a decay of 0.01 on v, and once without decay but with a rate for v that grows as (1 − ηλ)^−(2t+1), which gives the same effective rates. The effective rate is rate/‖v‖², the geometric mean over the layers; the test error is the mean of six readings in the second half.",
                "Adding problem: the temporal convolutional network of Bai et al. (5 levels of 24 channels, kernels of 7) on sequences of 200 numbers, 1500 minibatches of 32, Adam. Its released code asks for weights from N(0, 0.01²), which its weight normalization overrules, so that they come from PyTorch's usual draws: here both norms have both starts. Shortcut and readout, which are plain, start at N(0, 0.01²) in both. Each one's rate is the best of four with another seed and other test sequences. It is solved if the mean squared error is below 0.01; answering 1 always leaves 0.167.",
                "Ten seeds each.",
            ],
            measures: [
                StudyPlan.Measure("excess", "Excess length", unit: "%", factor: 100, best: .lowest),
                StudyPlan.Measure("residual", "Residual", decimals: 9), .error("late.testError", "Test error"),
                StudyPlan.Measure("effectiveRate", "Effective rate", decimals: 4),
                StudyPlan.Measure("squaredError", "Mean squared error", decimals: 4, best: .lowest, diverged: 1),
                StudyPlan.Measure("solved", "Solved", unit: "%", factor: 100, decimals: 0, best: .highest, diverged: 0),
            ],
            parts: [
                StudyPlan.Part(
                    "minimum", "Least squares", strata: startNames, arms: norms, seeds: seeds, firstSeed: 100,
                    measures: ["excess", "residual"]),
                StudyPlan.Part(
                    "decay", "Weight decay", arms: DecayTask.Treatment.allCases.map(\.rawValue), seeds: seeds, firstSeed: 100,
                    measures: ["late.testError", "effectiveRate"]),
                StudyPlan.Part(
                    "adding-tune", "Tuning on the adding problem", strata: draws, arms: norms,
                    rates: isTiny ? [0.001, 0.004] : [0.0005, 0.001, 0.002, 0.004], seeds: 1, firstSeed: 0, measures: ["squaredError"]),
                StudyPlan.Part(
                    "adding", "The adding problem at each one's best rate", strata: draws, arms: norms,
                    tuning: .init(part: "adding-tune", measure: "squaredError"), seeds: seeds, firstSeed: 100,
                    measures: ["squaredError", "solved"]),
            ],
            questions: startNames.map {
                StudyPlan.Question(
                    "From a \($0), the solution found with weight normalization is nearly the smallest.", part: "minimum", strata: [$0],
                    StudyPlan.Side("weight", "excess"), .level(within: 0.05), unit: "points", factor: 100)
            }
                + startNames.map {
                    StudyPlan.Question(
                        "From a \($0), weight normalization finds a solution whose excess length is smaller than that of plain gradient descent.",
                        part: "minimum", strata: [$0], StudyPlan.Side("weight", "excess"), against: StudyPlan.Side("normal", "excess"),
                        .below(by: 0.05), unit: "points", factor: 100)
                } + [
                    StudyPlan.Question(
                        "Weight decay, and a rate that gives the same effective rates without decay, are level in test error.",
                        part: "decay",
                        StudyPlan.Side("decay", "late.testError"), against: StudyPlan.Side("matched", "late.testError"),
                        .level(within: 0.005),
                        unit: "points", factor: 100),
                    StudyPlan.Question(
                        "Weight decay makes the effective rate at the end larger than without.", part: "decay",
                        StudyPlan.Side("decay", "effectiveRate"), against: StudyPlan.Side("none", "effectiveRate"), isRatio: true,
                        .above(by: 1.2),
                        unit: "times"),
                ]
                + draws.map {
                    StudyPlan.Question(
                        "With the \($0), the adding problem is solved more often with weight normalization.", part: "adding", strata: [$0],
                        StudyPlan.Side("weight", "solved"), against: StudyPlan.Side("normal", "solved"), statistic: .share,
                        .above(by: 0.25), unit: "points",
                        factor: 100, decimals: 0)
                },
            figures: [
                StudyPlan.Figure(
                    .dots, "Excess length of the solution", summary: "0 is the smallest solution; each start by itself.", part: "minimum",
                    y: "excess", yTitle: "Excess length"),
                StudyPlan.Figure(
                    .curves, "Effective rate under weight decay",
                    summary: "The rate that grows instead of the decay gives the same curve.", part: "decay", y: "effectiveRate",
                    xTitle: "Step",
                    yTitle: "rate/‖v‖²", hasLogarithmicY: true),
                StudyPlan.Figure(
                    .curves, "The adding problem", summary: "Means over the seeds, with bands from the lowest to the highest.",
                    part: "adding",
                    y: "squaredError", xTitle: "Step", yTitle: "Mean squared error", hasLogarithmicY: true),
            ],
            limits: [
                "Small problems, chosen because the claims were made for the like of them.",
                "Least squares is the case of the theory; in networks there is no single solution of smallest norm. Wu et al. also treat variants in which g is learned more slowly or after v, which are not run here.",
                "1500 steps of sequences of 200 numbers, where Bai et al. train for ten times as many on up to 600.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 0.6) { cell, data in
            switch cell.part {
            case "minimum":
                let start = zip(startNames, starts).first { $0.0 == cell.stratum }?.1 ?? .nan
                var task = MinimumNormTask(norm: cell.arm, startLength: start, learningRate: 0.01)
                if isTiny { task.steps = 2000 }
                return TaskWorkload(task: task, seed: cell.seed, source: data)
            case "decay":
                guard let treatment = DecayTask.Treatment(rawValue: cell.arm) else {
                    throw RunFailure("\(cell.description): expected a treatment, found '\(cell.arm)'")
                }
                var task = DecayTask(
                    treatment: treatment, data: isTiny ? StudyData.drawn : "fashion-mnist", images: isTiny ? 240 : 60_000,
                    learningRate: 0.05,
                    decay: 0.01)
                if isTiny { (task.hidden, task.batch, task.steps) = (8, 20, 12) }
                return TaskWorkload(task: task, seed: cell.seed, source: data)
            default:
                var task = AddingTask(norm: cell.arm, start: cell.stratum == draws[0] ? .usual : .small, learningRate: cell.rate ?? .nan)
                if cell.part == "adding-tune" { task.testSeed = 0 }
                if isTiny { (task.length, task.channels, task.levels, task.batch, task.steps, task.testCount) = (20, 4, 2, 8, 8, 20) }
                return TaskWorkload(task: task, seed: cell.seed, source: data)
            }
        }
    }
}
