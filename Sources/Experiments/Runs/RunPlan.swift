package import Report
package import Training

/// The report of a finished run.
package protocol RunReport {
    /// The table for a terminal, with what it needs to be understood.
    var text: String { get }
    /// The page for a browser.
    var page: Page { get }
}

/// A run from its start to its report, whatever starts it. It is made once everything has been checked, and before any file is touched.
package struct RunPlan<E: Experiment, Details: RunDetails> where Details.Settings == E.Settings {
    /// A finished run's `summary.json`, and its report.
    package typealias Outcome = (summary: any Encodable, report: any RunReport)

    /// What the run starts with.
    package let configuration: RunConfiguration<E.Settings, Details>
    /// What is trained on what, in lines for the user.
    package let introduction: [String]
    /// A line for the user about a record; nil for none.
    package let line: (E.Record) -> String?
    private let makeExperiment: (_ resuming: String?) throws -> E
    private let outcome: (Run<E>) throws -> Outcome

    /// A plan.
    ///
    /// - Parameters:
    ///   - configuration: what the run starts with.
    ///   - introduction: what is trained on what, in lines for the user.
    ///   - line: a line for the user about a record; nil for none.
    ///   - experiment: makes the experiment, which may take a minute; it gets the folder of a run that is resumed.
    ///   - outcome: the summary and report of a finished run.
    init(
        _ configuration: RunConfiguration<E.Settings, Details>, introduction: [String],
        line: @escaping (E.Record) -> String? = { _ in nil },
        experiment: @escaping (_ resuming: String?) throws -> E, outcome: @escaping (Run<E>) throws -> Outcome
    ) {
        (self.configuration, self.introduction, self.line) = (configuration, introduction, line)
        (makeExperiment, self.outcome) = (experiment, outcome)
    }

    /// Starts the run in a folder, where it replaces an earlier one, or resumes the one that is there.
    ///
    /// The folder is made before the experiment, so that a run that is killed in between can be resumed.
    package func begin(
        at path: String, resuming resumes: Bool = false, sinks: [any RecordSink] = [], introduce: ([String]) -> Void = { _ in }
    ) throws -> Run<E> {
        let folder = resumes ? nil : try RunFiles.start(at: path, config: configuration)
        introduce(introduction)
        let experiment = try makeExperiment(resumes ? path : nil)
        return try folder.map { Run(experiment, in: $0, sinks: sinks) } ?? Run.resume(experiment, at: path, sinks: sinks)
    }

    /// Writes `summary.json` and `report.html` of a finished run.
    ///
    /// - Returns: the report as text.
    package func finish(_ run: Run<E>) throws -> String {
        let (summary, report) = try outcome(run)
        try run.folder.write(json: summary, named: "summary.json")
        try run.folder.write(Array(report.page.html().utf8), named: "report.html")
        return report.text
    }
}
