package import Report
package import Training

/// The report of a finished run.
package protocol RunReport {
    /// The table for a terminal, with what it needs to be understood.
    var text: String { get }
    /// The page for a browser.
    var page: Page { get }
}

extension RunFolder {
    /// Writes a summary as JSON, and its report as a page, under names without endings.
    package func write(summary: some Encodable, as summaryName: String, report: some RunReport, as reportName: String) throws {
        try write(json: summary, named: "\(summaryName).json")
        try write(Array(report.page.html().utf8), named: "\(reportName).html")
    }
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
    /// What the user should know once the run has stopped.
    package let notices: (E) -> [String]
    private let makeExperiment: (_ resumed: String?) throws -> E
    private let outcome: (Run<E>) throws -> Outcome

    /// A plan.
    ///
    /// - Parameters:
    ///   - configuration: what the run starts with.
    ///   - introduction: what is trained on what, in lines for the user.
    ///   - line: a line for the user about a record; nil for none.
    ///   - notices: what the user should know once the run has stopped.
    ///   - experiment: makes the experiment, which may take a minute; it gets the folder of a run that is resumed.
    ///   - outcome: the summary and report of a finished run.
    package init(
        _ configuration: RunConfiguration<E.Settings, Details>, introduction: [String],
        line: @escaping (E.Record) -> String? = { _ in nil },
        notices: @escaping (E) -> [String] = { _ in [] }, experiment: @escaping (_ resumed: String?) throws -> E,
        outcome: @escaping (Run<E>) throws -> Outcome
    ) {
        (self.configuration, self.introduction, self.line, self.notices) = (configuration, introduction, line, notices)
        (makeExperiment, self.outcome) = (experiment, outcome)
    }

    /// Starts the run in a folder, where it replaces an earlier one. The folder is made before the experiment, so that a run that is killed in between
    /// can be resumed.
    ///
    /// - Parameters:
    ///   - path: the folder.
    ///   - sinks: where records go besides the folder.
    ///   - introduce: is called with the introduction, once there is a folder.
    package func start(at path: String, sinks: [any RecordSink] = [], introduce: ([String]) -> Void = { _ in }) throws -> Run<E> {
        let folder = try RunFiles.start(at: path, config: configuration)
        introduce(introduction)
        return Run(try makeExperiment(nil), in: folder, sinks: sinks)
    }

    /// Resumes the run in a folder; the parameters are those of ``start(at:sinks:introduce:)``.
    package func resume(at path: String, sinks: [any RecordSink] = [], introduce: ([String]) -> Void = { _ in }) throws -> Run<E> {
        introduce(introduction)
        return try .resume(makeExperiment(path), at: path, sinks: sinks)
    }

    /// Writes `summary.json` and `report.html` of a finished run.
    ///
    /// - Returns: the report as text.
    package func finish(_ run: Run<E>) throws -> String {
        let (summary, report) = try outcome(run)
        try run.folder.write(summary: summary, as: "summary", report: report, as: "report")
        return report.text
    }
}
