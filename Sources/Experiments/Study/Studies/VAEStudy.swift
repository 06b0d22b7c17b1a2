import Training
import WeightNorm

extension Study {
    /// The convolutional variational autoencoders (§5.2, Figure 3).
    static func vae(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight"]
        let (mnist, cifar) = ("mnist", "cifar10")
        let seeds = isTiny ? 2 : 5
        func question(_ claim: String, _ part: String, _ measure: String, _ rule: StudyPlan.Rule, unit: String, decimals: Int)
            -> StudyPlan.Question
        {
            StudyPlan.Question(
                claim, part: part, StudyPlan.Side("weight", measure), against: StudyPlan.Side("normal", measure), rule, unit: unit,
                decimals: decimals)
        }
        let rates = isTiny ? [0.002, 0.004] : [0.0005, 0.001, 0.002, 0.004, 0.008]
        let plan = StudyPlan(
            name: "vae", title: "Variational autoencoders",
            claim: "With weight normalization, the models' bounds rise faster and end higher, on MNIST and on CIFAR-10.",
            source: "§5.2, Figure 3",
            method: [
                "MNIST: the paper's residual encoder and decoder with a posterior of two steps of inverse autoregressive flow, 8 epochs of 60,000 images in minibatches of 100. CIFAR-10: a ladder of 1 + 1 stochastic layers of 32 maps, 4 epochs of 50,000 images in minibatches of 16, with the pixels' scale starting at e⁻³ of their range (Kingma's starts at the whole range, from which so short a run would not return). Adamax.",
                "Each norm's rate is the best of five by the bound on 10,000 held-out training images: after 2 epochs of the other 50,000 on MNIST, after one of 20,000 on CIFAR-10, with one seed.",
                "Then five other seeds on all training images. Runs of the same seed start from the same draws and see the same minibatches. Bounds are those on the test images, with averaged parameters and one draw of z per image.",
            ],
            measures: [
                // Diverged: as good as an even chance for every pixel, −784·log 2 nats or 8 bits.
                StudyPlan.Measure("bound", "Bound (nats)", unit: "nats", best: .highest, diverged: -543.43),
                StudyPlan.Measure("meanBound", "Bound, mean over the epochs (nats)", unit: "nats", best: .highest, diverged: -543.43),
                StudyPlan.Measure("bits", "Bits per dimension", decimals: 4, best: .lowest, diverged: 8),
            ],
            parts: [
                StudyPlan.Part(
                    "mnist-tune", "Tuning on MNIST: held-out bound", strata: [mnist], arms: norms, rates: rates, seeds: 1, firstSeed: 0,
                    measures: ["bound"]),
                StudyPlan.Part(
                    "mnist", "MNIST at each norm's best rate", strata: [mnist], arms: norms,
                    tuning: .init(part: "mnist-tune", measure: "bound"), seeds: seeds,
                    firstSeed: 100, measures: ["bound", "meanBound"]),
                StudyPlan.Part(
                    "cifar-tune", "Tuning on CIFAR-10: held-out bound", strata: [cifar], arms: norms, rates: rates, seeds: 1, firstSeed: 0,
                    measures: ["bits"]),
                StudyPlan.Part(
                    "cifar", "CIFAR-10 at each norm's best rate", strata: [cifar], arms: norms,
                    tuning: .init(part: "cifar-tune", measure: "bits"), seeds: seeds,
                    firstSeed: 100, measures: ["bits"]),
            ],
            questions: [
                question(
                    "On MNIST, the bound after the last epoch is higher with weight normalization.", "mnist", "bound", .above(by: 0.2),
                    unit: "nats", decimals: 2),
                question(
                    "On MNIST, the bound is higher on average over the epochs.", "mnist", "meanBound", .above(by: 0.2), unit: "nats",
                    decimals: 2),
                question(
                    "On CIFAR-10, the bits per dimension after the last epoch are fewer with weight normalization.", "cifar", "bits",
                    .below(by: 0.02), unit: "bits", decimals: 4),
            ],
            figures: [
                StudyPlan.Figure(
                    .curves, "Test bound on MNIST", summary: "Means over the seeds, with bands from the lowest to the highest.",
                    part: "mnist", y: "bound", xTitle: "Epoch", yTitle: "Test bound (nats)"),
                StudyPlan.Figure(
                    .dots, "Bits per dimension on CIFAR-10", summary: "After the last epoch.", part: "cifar", y: "bits",
                    yTitle: "Bits per dimension"),
                StudyPlan.Figure(
                    .rates, "Held-out bound against the learning rate", summary: "One short run each: what the rates were chosen by.",
                    part: "mnist-tune", y: "bound", xTitle: "Learning rate", yTitle: "Held-out bound (nats)", hasLogarithmicX: true),
                StudyPlan.Figure(
                    .rates, "Held-out bits against the learning rate", summary: "One short run each: what the rates were chosen by.",
                    part: "cifar-tune", y: "bits", xTitle: "Learning rate", yTitle: "Held-out bits per dimension", hasLogarithmicX: true),
            ],
            limits: [
                "The paper's figures begin where these runs end: it trains for 300 and 450 epochs, and the CIFAR-10 model here has 2 of its 4 layers and a fifth of its maps.",
                "The smallest effects that count are about what the paper's curves differ by at their ends (0.5 nats and 0.06 bits), halved and more for so short runs.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 3.2) { cell, data in
            let isPhotograph = cell.stratum == cifar
            let isTuning = cell.part.hasSuffix("tune")
            var settings = VAESettings.preset(.quick, isPhotograph: isPhotograph)
            settings.epochs = isPhotograph ? (isTuning ? 1 : 4) : isTuning ? 2 : 8
            settings.learningRate = cell.rate ?? .nan
            if isTiny { settings.makeTiny() }
            return GenerativeWorkload(
                settings: settings, norm: try cell.normalization(), seed: cell.seed,
                data: isTiny ? (isPhotograph ? StudyData.drawnInColour : StudyData.drawn) : cell.stratum,
                images: !isTiny && isTuning && isPhotograph ? 20_000 : nil, heldOut: isTuning ? (isTiny ? 60 : 10_000) : nil, source: data)
        }
    }
}

extension VAESettings {
    /// For grids that only show that a study works.
    mutating func makeTiny() {
        (maps, hidden, ladderMaps, latents, batch) = ([2, 4, 4], 16, 4, 2, 60)
        (initializationImages, epochs) = (20, min(epochs, 2))
    }
}
