import Datasets
import Training
import WeightNorm

/// A study of one of the claims: its plan, and what each cell of its grid trains. To add one, add a file in the folder Studies and its name to
/// ``all``.
package struct Study: Sendable {
    /// What is claimed and how it is judged.
    package let plan: StudyPlan
    /// About how long all of its cells take on two cores, in hours.
    package let hours: Double
    private let makeWorkload: @Sendable (StudyCell, StudyData) throws -> any StudyWorkload

    package init(
        _ plan: StudyPlan, hours: Double, workload: @escaping @Sendable (StudyCell, StudyData) throws -> any StudyWorkload
    ) {
        (self.plan, self.hours, makeWorkload) = (plan, hours, workload)
    }

    /// How much of a study's grid is run.
    package enum Scale: Sendable {
        /// The whole grid.
        case full
        /// A grid of the same shape on a few drawn images, in seconds: it shows that the study works, and nothing else.
        case tiny
    }

    /// What a cell trains.
    ///
    /// - Throws: `DatasetError` if its data are missing; ``RunFailure`` if it cannot be run here.
    package func workload(_ cell: StudyCell, _ data: StudyData) throws -> any StudyWorkload { try makeWorkload(cell, data) }

    /// All studies, the shortest first.
    package static func all(_ scale: Scale = .full) -> [Study] {
        [bias(scale), batchNorm(scale), covariance(scale), rates(scale), draw(scale), dqn(scale), vae(scale), cifar(scale)]
    }

    /// The study of a name.
    package static func named(_ name: String, _ scale: Scale = .full) -> Study? { all(scale).first { $0.plan.name == name } }
}

extension StudyCell {
    /// The cell's arm as a norm.
    func normalization() throws(RunFailure) -> Normalization {
        guard let norm = Normalization(rawValue: arm) else { throw RunFailure("\(description): expected a norm, found '\(arm)'") }
        return norm
    }
}
