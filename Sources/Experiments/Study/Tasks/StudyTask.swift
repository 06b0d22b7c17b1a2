import Report
import Torch
import Training
import WeightNorm

/// A small experiment of a study, with a model and data of its own: it holds its settings, and says what is trained, on what, and what is measured.
protocol StudyTask: Codable, Equatable, Sendable {
    /// What is trained.
    associatedtype Model: Module
    /// What one step takes.
    associatedtype Input
    /// What a run's inputs and measurements are made from.
    associatedtype Source

    /// The name of such runs, such as "adding".
    static var kind: String { get }
    var steps: Int { get }
    /// How often in a run the values are read, at equal intervals; always at the end.
    var readings: Int { get }
    /// Throws unless the settings are possible: they may come from a file.
    func check() throws(RunFailure)

    func makeSource(seed: UInt64, data: StudyData) throws -> Source
    func makeTrainee(seed: UInt64, source: Source) throws -> ModelTrainee<Model, Input>
    func input(step: Int, source: Source) -> Input
    /// What is measured, by name; a pass over test data may take its time.
    func values(of model: Model, step: Int, source: Source) -> [String: Double]
}

/// A task in training: one trainee, one seed.
final class TaskExperiment<Task: StudyTask>: Experiment, LimitsWholeNumbers {
    struct Record: Codable, Sendable {
        var step: Int
        var values: [String: Double]
    }

    typealias Learner = ModelTrainee<Task.Model, Task.Input>
    typealias Result = [String: Double]

    let settings: Task
    let seeds: [UInt64]
    private let source: Task.Source
    private let readings: Milestones

    init(_ task: Task, seed: UInt64, data: StudyData) throws {
        (settings, seeds) = (task, [seed])
        source = try task.makeSource(seed: seed, data: data)
        readings = Milestones(steps: task.steps, parts: min(task.readings, task.steps))
    }

    var kind: String { Task.kind }
    var stepsPerRound: Int { settings.steps }

    func makeTrainees(round: Int) throws -> [Learner] { [try settings.makeTrainee(seed: seeds[round], source: source)] }

    func initialize(_ run: Run<TaskExperiment>) throws { try record(run) }

    func input(for run: Run<TaskExperiment>) -> Task.Input { settings.input(step: run.step, source: source) }

    func didStep(_ run: Run<TaskExperiment>) throws {
        if readings.contains(run.step) { try record(run) }
    }

    private func record(_ run: Run<TaskExperiment>) throws {
        guard run.trainees[0].divergedAt == nil else { return }
        let values = withoutGradients { settings.values(of: run.trainees[0].model, step: run.step, source: source) }
        try run.record(Record(step: run.step, values: values))
    }

    func finishRound(of run: Run<TaskExperiment>) -> [[String: Double]] { run.records.last.map { [$0.values] } ?? [] }
}

/// What only a task's run has in its `config.json`.
struct TaskDetails<Task: StudyTask>: RunDetails {
    var task: String

    var identity: [(what: String, value: String?)] { [("task", task)] }

    static func check(_ configuration: RunConfiguration<Task, TaskDetails>) throws(RunFailure) { try configuration.settings.check() }
}

/// The report of a task's run: its values at the end and on the way.
struct TaskReport: RunReport {
    let kind: String
    let records: [(step: Int, values: [String: Double])]

    private var table: Table {
        let last = records.last?.values.sorted { $0.key < $1.key } ?? []
        return Table(
            "At the end", of: last,
            columns: [
                .init("Measure", terminal: "measure", isNumeric: false) { .text($0.key) },
                .init("Value") { .text(NumberText.general($0.value)) },
            ])
    }

    var text: String { table.lines.joined(separator: "\n") }

    var page: Page {
        let names = records.last?.values.keys.sorted() ?? []
        let charts: [Page.Block] = names.map { name in
            let points = records.compactMap { record in record.values[name].map { Series.Point(Double(record.step), $0) } }
            return .chart(Chart(name, x: Axis("Step", minimum: 0), y: Axis(name), series: [Series(name, points: points)]))
        }
        return Page(
            kind, lead: "One run of a study.", sections: [Page.Section("Results", [.table(table)] + charts)],
            footer: "Made by \(code: "weightnorm study run").")
    }
}

/// A task as a cell of a study.
struct TaskWorkload<Task: StudyTask>: StudyWorkload {
    let task: Task
    let seed: UInt64
    let source: StudyData

    /// The summary of a task's run.
    private struct Summary: Encodable {
        var task: Task
        var seed: UInt64
        var values: [String: Double]
    }

    var total: Int { task.steps }

    func run(_ course: StudyCourse) throws -> StudyMeasurements? {
        try task.check()
        let configuration = RunConfiguration<Task, TaskDetails<Task>>(
            command: "study run", norms: [Task.kind], seeds: [seed], device: .cpu, settings: task, details: TaskDetails(task: Task.kind))
        let plan = RunPlan(configuration, introduction: []) { _ in
            try TaskExperiment(task, seed: seed, data: source)
        } outcome: { run in
            (
                Summary(task: task, seed: seed, values: run.results.first ?? [:]),
                TaskReport(kind: Task.kind, records: run.records.map { ($0.step, $0.values) })
            )
        }
        return try course.perform(plan) { run in
            let names = Set(run.records.flatMap(\.values.keys))
            let curves = names.map { name in
                (name, run.records.compactMap { record in record.values[name].map { [Double(record.step), $0] } })
            }
            var values = run.results.first ?? [:]
            // Less noisy than the last readings alone.
            let late = run.records.filter { 2 * $0.step > task.steps }
            for name in names { values["late.\(name)"] = Statistics.mean(late.compactMap { $0.values[name] }) }
            return StudyMeasurements(values, curves: Dictionary(uniqueKeysWithValues: curves))
        }
    }
}
