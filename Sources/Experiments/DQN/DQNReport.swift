package import Report

/// The report of a deep Q-learning run: a table for the terminal, a page for the browser.
package struct DQNReport: RunReport {
    private let summary: DQNSetup.Summary
    private let records: [DQNRecord]
    private let norms: [String]
    private let seeds: [UInt64]

    package init(_ summary: DQNSetup.Summary, records: [DQNRecord]) {
        self.summary = summary
        self.records = records
        (norms, seeds) = (summary.runs.norms, summary.runs.seeds)
    }

    /// One line about an evaluation, for the terminal.
    package static func line(of record: DQNRecord) -> String {
        let score = record.score
        let cut = score.unfinished > 0 ? " (\(score.unfinished) not ended)" : ""
        let games = "\(score.games) \(score.games == 1 ? "game" : "games")\(cut)"
        let mean = NumberText.fixed(score.mean, decimals: 2)
        guard record.norm != DQNRecord.random else { return "play at random: mean score \(mean) in \(games)" }
        return
            "\(record.norm), seed \(record.seed), epoch \(record.epoch): mean score \(mean) in \(games), the best \(NumberText.general(score.highest))"
    }

    private func paper(_ player: String) -> Double? { PaperScores.best(summary.game)?[player] }

    // MARK: - The table

    /// Whether the paper has scores for the game.
    private var isPapers: Bool { PaperScores.best(summary.game) != nil }

    /// A row of the table: a norm's runs, or what is below them on the page.
    private struct Row {
        var name: String
        var best = Table.Cell.missing
        var epoch = Table.Cell.missing
        var games = Table.Cell.missing
        var last = Table.Cell.missing
        var speed = Table.Cell.missing
    }

    private func row(_ norm: String) -> Row {
        let runs = summary.runs.filter { $0.norm == norm }
        return Row(
            name: norm, best: .over(runs.map(\.best.mean), decimals: 2).noted(1),
            epoch: .text(runs.map { "\($0.bestEpoch)" }.joined(separator: ", ")),
            games: .text(runs.map { "\($0.best.games)" }.joined(separator: ", ")),
            last: .over(runs.map(\.last.mean), decimals: 2),
            speed: .number(Statistics.median(runs.map(\.actionsPerSecond)), decimals: 0))
    }

    private var columns: [Table.Column<Row>] {
        var columns: [Table.Column<Row>] = [
            .init("Norm", terminal: "norm", isNumeric: false) { .text($0.name) },
            .init("Best score", terminal: "best score", best: .highest) { $0.best }, .init("After epoch", terminal: "epoch") { $0.epoch },
            .init("Games", terminal: "games") { $0.games }, .init("Last score", terminal: "last score", best: .highest) { $0.last },
        ]
        if isPapers {
            columns.append(
                .init("The paper’s best", terminal: "the paper") { row in paper(row.name).map { .number($0, decimals: 0) } ?? .missing })
        }
        return columns + [.init("Actions per second", terminal: "actions/s") { $0.speed }]
    }

    /// The table as lines of text.
    package var text: String {
        var lines = Table(of: norms.map(row), columns: columns).lines + [""]
        lines.append(
            "Scores: the mean over the complete games of an evaluation, in the game's own points; the best is the highest of \(evaluations)."
        )
        if let random = summary.random {
            lines.append("Play at random: \(NumberText.fixed(random.mean, decimals: 2)) in \(random.games) games.")
        }
        if let cost = summary.checkpoint {
            let seconds = NumberText.fixed(cost.seconds, decimals: 1)
            lines.append("The last checkpoint with its replay memory took \(NumberText.bytes(cost.bytes)) and \(seconds) s.")
        }
        return lines.joined(separator: "\n")
    }

    /// The number of games, over all evaluations, counted before their end.
    private var cutGames: Int { records.reduce(0) { $0 + $1.score.unfinished } }

    private var evaluations: String { summary.settings.epochs == 1 ? "one evaluation" : "the run’s \(summary.settings.epochs) evaluations" }

    private var table: Table {
        var rows = norms.map(row)
        if let random = summary.random {
            rows.append(
                Row(
                    name: "play at random", best: .text(NumberText.fixed(random.mean, decimals: 2)), games: .text("\(random.games)")))
        }
        if paper(PaperScores.mnih) != nil { rows.append(Row(name: PaperScores.mnih)) }
        return Table(
            "Scores in \(summary.game)", of: rows, columns: columns,
            footnotes: [
                """
                A score is the mean over whole games of an evaluation, in the game’s own points. Best: the highest of \(evaluations)\
                \(isPapers ? ", as in the paper, whose runs took 50 million actions" : "")\
                \(cutGames > 0 ? ". Of the games, \(cutGames) had not ended after \(DQNEvaluation.longestGame) actions or more, and count as they were then" : "")\
                \(seeds.count > 1 ? "; with several seeds the mean over seeds, with the standard deviation" : "").
                """
            ])
    }

    // MARK: - The page

    /// The page.
    package var page: Page {
        var charts: [Page.Block] = [.chart(scores)]
        if let besides { charts.append(.chart(besides)) }
        return Page(
            "Deep Q-learning of \(summary.game)" + (norms.count == 1 ? " with the norm “\(norms[0])”" : ""),
            lead: """
                An agent that learns to play \(summary.game) from its frames, trained \
                \(norms.count == 1 ? "in one parameterisation" : "in \(norms.count) parameterisations") of its network's weights.
                """,
            sections: [
                Page.Section("Results", [.table(table)] + charts),
                Page.Section("How it learned", [.chart(actionValues), .chart(losses), .chart(trainingScores)]),
                Page.Section("What was trained", [.row([.settings(.init("Training", training)), .settings(.init("Machine", machine))])]),
            ],
            footer: """
                Made by \(code: "weightnorm \(DQNSetup.command)"), after Salimans & Kingma, \
                \(link: "Weight Normalization", to: "https://arxiv.org/abs/1602.07868") (2016), Figure 5 and its table.
                """)
    }

    /// A curve for each norm: the mean over seeds.
    private func curves(scale: Double = 1, _ value: (DQNRecord) -> Double?) -> [Series] {
        norms.enumerated().map { index, norm in
            Series(
                norm,
                meanOf: seeds.map { seed in
                    records.filter { $0.norm == norm && $0.seed == seed }
                        .compactMap { record in value(record).map { Series.Point(Double(record.epoch) * scale, $0) } }
                }, colour: .slot(index))
        }
    }

    private var epochs: Axis {
        Axis("Epochs of \(NumberText.fixed(Double(summary.settings.actionsPerEpoch), decimals: 0)) actions", minimum: 0)
    }

    private var spread: String { seeds.count > 1 ? "The mean over seeds, with a band from the lowest to the highest. " : "" }

    private var scores: Chart {
        var series = curves { $0.score.mean }
        if let random = summary.random {
            series.append(horizontal("play at random", random.mean, to: Double(summary.settings.epochs), colour: .muted, style: .solid))
        }
        return Chart(
            "Score",
            summary: """
                \(spread)The mean score of the games that were begun within \(NumberText.fixed(Double(summary.settings.evaluationActions), decimals: 0)) actions, \
                of which \(NumberText.general(summary.settings.evaluationExploration * 100)) % are at random.
                """,
            x: epochs, y: Axis("Mean score of an evaluation"), series: series, height: 360)
    }

    private func horizontal(_ name: String, _ value: Double, to end: Double, colour: Series.Colour, style: Series.Style) -> Series {
        Series(name, points: [Series.Point(0, value), Series.Point(end, value)], colour: colour, style: style, markers: .none)
    }

    /// The same scores in the paper's epochs, with the paper's values; nil for a game that it does not have.
    private var besides: Chart? {
        guard let best = PaperScores.best(summary.game) else { return nil }
        let scale = Double(summary.settings.actionsPerEpoch) / Double(PaperScores.actionsPerEpoch)
        var series = curves(scale: scale) { $0.score.mean }
        var text = "Solid: this run. "
        for (index, norm) in ["normal", "weight"].enumerated() {
            let colour = Series.Colour.slot(norms.firstIndex(of: norm) ?? norms.count + index)
            let curve = PaperScores.curve(summary.game, norm)
            if !curve.isEmpty {
                series.append(
                    Series(
                        "\(norm), the paper", points: curve.map { Series.Point($0.epoch, $0.value) }, colour: colour, style: .dashed,
                        markers: .all))
            }
            if let value = best[norm] {
                series.append(
                    horizontal("\(norm), the paper’s best", value, to: Double(PaperScores.epochs), colour: colour, style: .dashed))
            }
        }
        if let value = best[PaperScores.mnih] {
            series.append(horizontal(PaperScores.mnih, value, to: Double(PaperScores.epochs), colour: .muted, style: .dashed))
        }
        text += "Dashed: the paper’s best scores"
        text +=
            PaperScores.curve(summary.game, "weight").isEmpty
            ? "; it has no curve for this game." : " and means over parts of its curves, digitised from Figure 5."
        return Chart(
            "Compared with the paper", summary: "\(text)", x: Axis("Epochs of 250\u{202F}000 actions", minimum: 0),
            y: Axis("Mean score of an evaluation", minimum: 0),
            series: series, height: 360)
    }

    private var actionValues: Chart {
        Chart(
            "Action values",
            summary: """
                \(spread)The mean over the states of an evaluation of the highest value that the network gives to an action: the rewards that it expects, \
                discounted\(summary.settings.clipsRewards ? " and limited to −1…1" : "").
                """,
            x: epochs, y: Axis("Mean of the highest action value"), series: curves(\.score.meanValue))
    }

    private var losses: Chart {
        Chart(
            "Loss",
            summary: "\(spread)Huber’s loss, summed over a minibatch of \(summary.settings.batch): the mean over an epoch’s updates.",
            x: epochs,
            y: Axis("Mean loss"), series: curves(\.loss))
    }

    private var trainingScores: Chart {
        Chart(
            "Score in training",
            summary: "\(spread)The mean score of the games that ended in an epoch’s training, with its actions at random.", x: epochs,
            y: Axis("Mean score in training"), series: curves(\.trainingScore))
    }

    private var training: [(name: String, value: String)] {
        let settings = summary.settings
        func number(_ value: Int) -> String { NumberText.fixed(Double(value), decimals: 0) }
        let network =
            switch settings.network {
            case .convolutional: "convolutions 8×8/4, 4×4/2, 3×3 (32, 64, 64 maps), dense 512"
            case .dense(let sizes): "dense \(sizes.map { "\($0)" }.joined(separator: ", "))"
            }
        let exploration = settings.exploration
        return [
            ("Game", "\(summary.game), \(summary.player)"), ("Games side by side", "\(settings.games)"), ("Network", network),
            ("Frames in a state", "\(settings.depth)"),
            ("Parameters", summary.runs.first.map { "\(number($0.parameters)) (\($0.norm))" } ?? "–"),
            ("Actions", summary.runs.first.map { number($0.actions) } ?? "–"),
            ("Updates", summary.runs.first.map { number($0.updates) } ?? "–"),
            ("Actions before learning", number(settings.actionsBeforeLearning)), ("Actions per update", "\(settings.actionsPerUpdate)"),
            ("Updates of a target network", number(settings.updatesPerTarget)), ("Transitions remembered", number(settings.replayCapacity)),
            ("Minibatch", "\(settings.batch)"), ("Discount γ", NumberText.general(settings.discount)),
            (
                "ε",
                "\(NumberText.general(exploration.first)) to \(NumberText.general(exploration.last)) over \(number(exploration.actions)) actions"
            ),
            ("ε of evaluations", NumberText.general(settings.evaluationExploration)),
            (
                "Optimizer",
                "Adamax (\(NumberText.general(settings.beta1)), \(NumberText.general(settings.beta2))), rate "
                    + norms.map { "\(NumberText.general(settings.learningRates[$0] ?? .nan)) (\($0))" }.joined(separator: ", ")
            ),
            ("A lost life", settings.lostLifeEndsEpisode ? "ends a training episode" : "ends no episode"),
            ("Rewards", settings.clipsRewards ? "limited to −1…1 in training" : "as they are"),
            ("Repeated actions", settings.stickiness == 0 ? "none" : "with probability \(NumberText.general(settings.stickiness)) a frame"),
            ("Seeds", seeds.map { "\($0)" }.joined(separator: ", ")),
        ]
    }

    private var machine: [(name: String, value: String)] {
        var entries = [
            ("Device", summary.device), ("Threads", "\(summary.threads)"), ("Vector instructions", summary.processor),
            ("libtorch", summary.libtorch), ("Total time", NumberText.fixed(summary.seconds / 60, decimals: 1) + " min"),
        ]
        if let cost = summary.checkpoint {
            let seconds = NumberText.fixed(cost.seconds, decimals: 1)
            entries.append(("Last checkpoint", "\(NumberText.bytes(cost.bytes)) in \(seconds) s"))
        }
        return entries.map { (name: $0.0, value: $0.1) }
    }
}
