import Training
import WeightNorm

extension Study {
    /// DRAW (§5.3, Figure 4).
    static func draw(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight"]
        let seeds = isTiny ? 2 : 3
        func question(_ claim: String, _ part: String, _ measure: String) -> StudyPlan.Question {
            StudyPlan.Question(
                claim, part: part, StudyPlan.Side("weight", measure), against: StudyPlan.Side("normal", measure), .above(by: 1),
                unit: "nats")
        }
        let plan = StudyPlan(
            name: "draw", title: "DRAW",
            claim: "DRAW's bound on MNIST rises much faster with weight normalization, with nothing else changed.",
            source: "§5.3, Figure 4",
            method: [
                "DRAW on MNIST, drawing whole images in 10 glimpses, for 8 epochs of 60,000 images in minibatches of 100; Adam. g starts at ‖v‖, so that both norms start as the same function.",
                "Once with the settings of the implementation that the paper used (rate 0.001, weights drawn from N(0, 0.01²)), and once with weights drawn from N(0, 0.05²) at each norm's best of four rates, by the bound on 10,000 held-out training images after 2 epochs of 20,000 others, with one seed.",
                "Three other seeds each. Runs of the same seed start from the same draws and see the same minibatches.",
            ],
            measures: [
                StudyPlan.Measure("bound", "Bound (nats)", unit: "nats", best: .highest, diverged: -543.43),
                StudyPlan.Measure("meanBound", "Bound, mean over the epochs (nats)", unit: "nats", best: .highest, diverged: -543.43),
            ],
            parts: [
                StudyPlan.Part(
                    "own", "The implementation's own settings", arms: norms, seeds: seeds, firstSeed: 100, measures: ["bound", "meanBound"]),
                StudyPlan.Part(
                    "tune", "Tuning: held-out bound", arms: norms, rates: isTiny ? [0.001, 0.01] : [0.001, 0.0025, 0.005, 0.01], seeds: 1,
                    firstSeed: 0, measures: ["bound"]),
                StudyPlan.Part(
                    "best", "Each norm's best rate", arms: norms, tuning: .init(part: "tune", measure: "bound"), seeds: seeds,
                    firstSeed: 200,
                    measures: ["bound", "meanBound"]),
            ],
            questions: [
                question(
                    "With the implementation's own settings, the bound after the last epoch is higher with weight normalization.", "own",
                    "bound"),
                question("With the implementation's own settings, the bound is higher on average over the epochs.", "own", "meanBound"),
                question("At each norm's best rate, the bound after the last epoch is higher with weight normalization.", "best", "bound"),
                question("At each norm's best rate, the bound is higher on average over the epochs.", "best", "meanBound"),
            ],
            figures: [
                StudyPlan.Figure(
                    .curves, "Test bound, the implementation's settings",
                    summary: "Means over the seeds, with bands from the lowest to the highest.", part: "own", y: "bound", xTitle: "Epoch",
                    yTitle: "Test bound (nats)"),
                StudyPlan.Figure(
                    .curves, "Test bound, best rates", summary: "Means over the seeds, with bands from the lowest to the highest.",
                    part: "best", y: "bound", xTitle: "Epoch", yTitle: "Test bound (nats)"),
                StudyPlan.Figure(
                    .rates, "Held-out bound against the learning rate", summary: "One short run each: what the rates were chosen by.",
                    part: "tune", y: "bound", xTitle: "Learning rate", yTitle: "Held-out bound (nats)", hasLogarithmicX: true),
            ],
            limits: [
                "Eight epochs where the paper's figure shows a hundred, and whole images, where the paper may have used attention in 64 glimpses.",
                "Three seeds.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 1.2) { cell, data in
            let isTuning = cell.part == "tune"
            var settings = DRAWSettings.preset(cell.part == "own" ? .paperFullImage : .quick)
            settings.epochs = isTuning ? 2 : 8
            if let rate = cell.rate { settings.learningRate = rate }
            if isTiny { (settings.hidden, settings.latents, settings.glimpses, settings.batch, settings.epochs) = (8, 4, 3, 60, 2) }
            return GenerativeWorkload(
                settings: settings, norm: try cell.normalization(), seed: cell.seed, data: isTiny ? StudyData.drawn : "mnist",
                images: isTuning && !isTiny ? 20_000 : nil, heldOut: isTuning ? (isTiny ? 60 : 10_000) : nil, source: data)
        }
    }
}
