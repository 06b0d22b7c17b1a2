import Foundation
import Report
import Torch
import Training
import WeightNorm

// A training of one's own as a run: two networks take turns, with checkpoints, resuming, Ctrl-C, progress, a report and a chart.
//     swift run -c release OwnRun [--resume]

struct Hyperparameters: Codable, Equatable { var (steps, width, learningRate) = (400, 64, 0.003) }
struct Reading: Codable { var norm: String, step: Int, loss: Double }
struct Outcome: Codable { var norm: String, wrong: Int }

struct Spirals: Experiment {
    typealias Record = Reading  // a line of metrics.jsonl
    let kind = "spirals"
    let settings = Hyperparameters()
    let normalizations: [Normalization] = [.plain, .weight]
    let x: Tensor, y: Tensor

    init() {
        let turns = (0..<400).map { Float($0 / 2) / 200 * 9 + 1 }
        let points = turns.enumerated().flatMap { index, turn in
            [turn * cos(turn + (index % 2 == 0 ? 0 : .pi)) / 10, turn * sin(turn + (index % 2 == 0 ? 0 : .pi)) / 10]
        }
        (x, y) = (Tensor(points, shape: [400, 2]), Tensor((0..<400).map { $0 % 2 }))
    }

    var names: [String] { normalizations.map(\.rawValue) }
    var stepsPerRound: Int { settings.steps }

    func makeTrainees(round: Int) -> [ModelTrainee<Sequential, Void>] {
        normalizations.map { norm in
            let random = Generator(seed: seeds[round])
            let network = Sequential(
                Dense(2, to: settings.width, normalization: norm, random: random), Activation.relu,
                Dense(settings.width, to: 2, normalization: norm, random: random))
            return ModelTrainee(
                network, optimizer: Adam(network.parameters), random: random, learningRate: { _ in settings.learningRate },
                loss: { network, _, random in network(x, .training(random)).softmaxCrossEntropy(labels: y) })
        }
    }

    func initialize(_ run: Run<Spirals>) {
        for trainee in run.trainees { trainee.initialize { $0(x, $1) } }
    }

    func input(for run: Run<Spirals>) {}

    func didStep(_ run: Run<Spirals>) throws {
        guard run.step % 20 == 0 else { return }
        for (name, trainee) in zip(names, run.trainees) {
            try run.record(Reading(norm: name, step: run.step, loss: trainee.losses.read() ?? .nan))
        }
    }

    func finishRound(of run: Run<Spirals>) -> [Outcome] {
        zip(names, run.trainees).map { name, trainee in
            let wrong = withoutGradients { (trainee.model(x, .inference).indexOfMaximum(along: 1) .!= y).sum().item() }
            return Outcome(norm: name, wrong: Int(wrong))
        }
    }
}

let (path, experiment) = ("runs/spirals", Spirals())
let run =
    try CommandLine.arguments.contains("--resume")
    ? Run.resume(experiment, at: path) : Run(experiment, in: .start(at: path, config: experiment.settings))
if let code = try run.runInTerminal(label: "spirals", savingEvery: 5) { exit(code) }
let curves = experiment.names.map { name in
    Series(name, points: run.records.filter { $0.norm == name }.map { .init(Double($0.step), $0.loss) })
}
let chart = Chart("Loss", x: Axis("step"), y: Axis("loss", scale: .logarithmic), series: curves)
let columns: [Table.Column<Outcome>] = [.init("Norm", isNumeric: false) { .text($0.norm) }, .init("Wrong") { .text("\($0.wrong)") }]
let table = Table("Points on the wrong side, of 400", of: run.results, columns: columns)
let page = Page(
    "Two spirals", lead: "Two networks, trained in turn.", sections: [.init("Results", [.chart(chart), .table(table)])], footer: "")
try run.folder.write(Array(page.html().utf8), named: "report.html")
print(table.lines.joined(separator: "\n"))
