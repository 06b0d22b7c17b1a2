import Training
import WeightNorm

extension Study {
    /// Deep Q-learning (§5.4, Figure 5).
    static func dqn(_ scale: Scale) -> Study {
        let isTiny = scale == .tiny
        let norms = ["normal", "weight"]
        let catchGame = "catch"
        let breakout = "breakout"
        func tuning(_ game: String) -> StudyPlan.Part.Tuning { .init(part: "\(game)-tune", measure: "mean") }
        let parts = [
            StudyPlan.Part(
                "catch-tune", "Tuning on Catch", strata: [catchGame], arms: norms,
                rates: isTiny ? [0.005, 0.01] : [0.002, 0.005, 0.01, 0.02],
                seeds: 1, firstSeed: 0, measures: ["mean"]),
            StudyPlan.Part(
                "catch", "Catch at each norm's best rate", strata: [catchGame], arms: norms, tuning: tuning(catchGame),
                seeds: isTiny ? 2 : 30,
                firstSeed: 100, measures: ["best", "mean", "last"]),
            StudyPlan.Part(
                "breakout-tune", "Tuning on Breakout", strata: [breakout], arms: norms, rates: [0.0001, 0.0003, 0.001, 0.003], seeds: 1,
                firstSeed: 0, measures: ["mean"]),
            StudyPlan.Part(
                "breakout", "Breakout at each norm's best rate", strata: [breakout], arms: norms, tuning: tuning(breakout), seeds: 3,
                firstSeed: 100, measures: ["best", "mean", "last"]),
        ]
        func question(_ claim: String, _ game: String, _ measure: String, _ margin: Double, _ statistic: StudyPlan.Question.Statistic)
            -> StudyPlan.Question
        {
            StudyPlan.Question(
                claim, part: game, StudyPlan.Side("weight", measure), against: StudyPlan.Side("normal", measure), statistic: statistic,
                .above(by: margin), unit: "points")
        }
        let questions = [
            question(
                "On Catch, the mean score over all evaluations is higher with weight normalization.", catchGame, "mean", 0.05,
                .interquartileMean),
            question(
                "On Catch, the score after the last epoch is higher with weight normalization.", catchGame, "last", 0.05, .interquartileMean
            ),
            question("On Breakout, the best score is higher with weight normalization.", breakout, "best", 1, .mean),
            question("On Breakout, the mean score over all evaluations is higher with weight normalization.", breakout, "mean", 1, .mean),
        ]
        let figures = [
            StudyPlan.Figure(
                .curves, "Scores on Catch", summary: "Means over the seeds, with bands from the lowest to the highest.", part: catchGame,
                y: "score", xTitle: "Actions", yTitle: "Mean score of an evaluation"),
            StudyPlan.Figure(
                .curves, "Scores on Breakout", summary: "Means over the seeds, with bands from the lowest to the highest.", part: breakout,
                y: "score", xTitle: "Actions", yTitle: "Mean score of an evaluation"),
            StudyPlan.Figure(
                .dots, "Mean score on Catch", summary: "Over all evaluations of a run.", part: catchGame, y: "mean", yTitle: "Mean score"),
            StudyPlan.Figure(
                .rates, "Score on Breakout against the learning rate",
                summary: "One run each of half the actions: what the rates were chosen by.",
                part: "breakout-tune", y: "mean", xTitle: "Learning rate", yTitle: "Mean score", hasLogarithmicX: true),
        ]
        let plan = StudyPlan(
            name: "dqn", title: "Deep Q-learning",
            claim: "Weight normalization improves the performance of deep Q-learning on most games.", source: "§5.4, Figure 5 and Table 2",
            method: [
                "Catch (a ball falls, a paddle catches it; scores from −1 to 1) with a dense network of 64 units, 40,000 actions; Breakout with the network of Mnih et al., 160,000 actions. Adamax with a momentum of 0.5.",
                "Each norm's rate is the best of four by the mean score over the evaluations of one run with another seed, of half as many actions.",
                "Then 30 other seeds on Catch, three on Breakout. An evaluation follows every eighth of a run. Scores have tails: on Catch the interquartile mean counts.",
            ],
            measures: [
                StudyPlan.Measure("best", "Best score", best: .highest, diverged: -1),
                StudyPlan.Measure("last", "Last score", best: .highest, diverged: -1),
                StudyPlan.Measure("mean", "Mean score", best: .highest, diverged: -1),
            ],
            // The emulator is not to be had everywhere: the small grid does without.
            parts: isTiny ? Array(parts.prefix(2)) : parts, questions: isTiny ? Array(questions.prefix(2)) : questions,
            figures: isTiny ? figures.filter { $0.part == catchGame } : figures,
            limits: [
                "160,000 actions of Breakout where the paper plays 50 million, and one game where it plays four: scores of about 10 where it reaches 400.",
                "Three seeds on Breakout.",
            ],
            isTiny: isTiny)
        return Study(plan, hours: 2) { cell, _ in
            guard var settings = DQNSettings.preset(.quick, forGame: cell.stratum) else {
                throw RunFailure("\(cell.description): expected a game with a preset, found '\(cell.stratum)'")
            }
            settings.setLearningRate(cell.rate ?? .nan)
            if cell.part.hasSuffix("tune") { settings.epochs /= 2 }
            if isTiny {
                (settings.epochs, settings.actionsPerEpoch, settings.evaluationActions, settings.actionsBeforeLearning) = (2, 400, 100, 200)
            }
            return GameWorkload(game: cell.stratum, settings: settings, norm: try cell.normalization(), seed: cell.seed)
        }
    }
}
