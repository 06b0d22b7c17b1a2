import Foundation
import Report
import WeightNorm

// The paper's Figure 1 and table, with its values below ours, and the pictures of the first layer.

extension ComparisonReport {
    /// Empty unless the images are the paper's.
    var besideThePaper: Page.Section {
        guard summary.isCIFAR10 else { return Page.Section("Compared with the paper", []) }
        let departures = summary.settings.departures(from: ClassificationSettings(), norms: norms)
        let heldOut = summary.heldOut.map { ["\($0) training images held out, on which the error is measured"] } ?? []
        let difference: Prose =
            (departures + heldOut).isEmpty
            ? "These are the paper's settings."
            : "This run departs from the paper's settings: \((departures + heldOut).joined(separator: "; "))."
        return Page.Section("Compared with the paper", [.prose(difference), .table(paperTable), .chart(figure)])
    }

    private func runs(of norm: String) -> [Comparison.Run] { summary.runs.filter { $0.norm == norm } }

    /// The first epoch with a training error below 5 %, for one seed.
    private func firstUnderFivePercent(_ norm: String, _ seed: UInt64) -> Double? {
        records.first { $0.norm == norm && $0.seed == seed && ($0.trainError ?? 1) < 0.05 }?.epoch
    }

    /// The run's norms, then the paper's others.
    private var allNorms: [String] {
        norms + Normalization.allCases.map(\.rawValue).filter { PaperResults.cifar10[$0] != nil && !norms.contains($0) }
    }

    private var paperTable: Table {
        Table(
            "Test errors beside the paper's", of: allNorms,
            columns: [
                .init("Norm", isNumeric: false) { .text($0) },
                .init(summary.heldOut == nil ? "Test error" : "Held-out error", best: .lowest) { norm in
                    .over(runs(of: norm).map { $0.testError * 100 }, decimals: 2, unit: " %")
                },
                .init("the paper's", best: .lowest) { norm in
                    PaperResults.cifar10[norm].map { .number($0.testError * 100, decimals: 2, suffix: " %") } ?? .missing
                },
                .init("First epoch under 5 % training error") { norm in
                    let first = seeds.map { firstUnderFivePercent(norm, $0) }
                    let known = first.compactMap { $0 }
                    return !runs(of: norm).isEmpty && known.count == first.count ? .number(Statistics.mean(known), decimals: 1) : .missing
                },
                .init("the paper's") { norm in
                    PaperResults.cifar10[norm].map { .number($0.firstUnderFivePercent, decimals: 0).noted(1) } ?? .missing
                },
            ], footnotes: ["Digitised from the curves of the paper's Figure 1."])
    }

    /// Whether epochs can be compared one to one; otherwise they are shown as a fraction of the run, which the learning rate follows.
    private var hasPaperLength: Bool { Double(summary.settings.epochs) == PaperResults.epochs }

    private var figure: Chart {
        let (ourScale, paperScale) = hasPaperLength ? (1.0, 1.0) : (100 / Double(summary.settings.epochs), 100 / PaperResults.epochs)
        var series: [Series] = []
        for (index, norm) in norms.enumerated() {
            let own = seeds.map { seed in
                records.filter { $0.norm == norm && $0.seed == seed }.compactMap { record in
                    record.trainError.flatMap { $0 > 0 ? Series.Point(record.epoch * ourScale, $0) : nil }
                }
            }
            series.append(Series(norm, meanOf: own, colour: .slot(index)))
        }
        for (index, norm) in allNorms.enumerated() {
            guard let paper = PaperResults.cifar10[norm] else { continue }
            series.append(
                Series(
                    "\(norm), the paper", points: paper.trainingErrors.map { Series.Point($0.epoch * paperScale, $0.error) },
                    colour: .slot(index), style: .dashed, markers: .all))
        }
        let time = hasPaperLength ? "Epoch" : "Percentage of the run's epochs"
        return Chart(
            "Figure 1: training error",
            summary: """
                Solid: this run, on the minibatches as trained, with noise and dropout. Dashed: the paper's values at 20, 50, 100, 150 and 199 \
                of 200 epochs, digitised from its figure.
                """,
            x: Axis(time, minimum: 0), y: Axis("Training error", scale: .logarithmic, format: .percent), series: series, height: 380)
    }

    /// Empty without pictures.
    var filterSection: Page.Section {
        let images = filters.compactMap { norm, png in
            try? Image(
                norm, png: png, alternative: "The filters of the first convolution, trained with the norm \(norm)",
                scale: 8, isPixelArt: true)
        }
        guard !images.isEmpty else { return Page.Section("The first layer's filters", []) }
        return Page.Section(
            "The first layer's filters",
            [
                .prose(
                    """
                    The weights w of the first convolution after training, with the first seed. Each filter has its own scale: mid grey is zero. \
                    They work on \(summary.settings.whitens ? "whitened images, so they look rougher than filters on plain pixels" : "plain pixels").
                    """),
                .row(images.map { .image($0) }),
            ])
    }
}
