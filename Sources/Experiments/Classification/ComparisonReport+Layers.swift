import Report
import WeightNorm

// What training did to the weights of each layer.

extension ComparisonReport {
    /// Empty if no readings were kept.
    var inside: Page.Section {
        guard !layers.isEmpty else { return Page.Section("Inside the layers", []) }
        let starts = Dictionary(
            layers.filter { $0.step == 0 }.map { (Place($0), $0.reading.directionNorm.mean) }, uniquingKeysWith: { first, _ in first })
        let growth = { (record: Comparison.LayerRecord) in
            starts[Place(record)].flatMap { $0 > 0 ? record.reading.directionNorm.mean / $0 : nil }
        }
        return Page.Section(
            "Inside the layers",
            [
                .prose(
                    """
                    Readings of every weight, taken at the start and at the training error's points. With w = g·v/‖v‖ each step of gradient \
                    descent is orthogonal to v, so v can only grow; the longer v is, the less a step of the same size turns it. For \
                    plain weights, v is w itself and the effective step is the learning rate; under batch normalization the length of w \
                    does not matter to the output either, so there it grows for the same reason. Each quantity is the mean over a layer's \
                    output units, then over the layers.
                    """),
                .row([
                    .chart(
                        chart(
                            "Length of v", summary: "‖v‖ relative to its initial value.", Axis("‖v‖ / ‖v‖ at the start"), of: growth)),
                    .chart(
                        chart(
                            "Effective step",
                            summary:
                                "g · learning rate / ‖v‖; the learning rate is constant in the first half and falls to 0 in the second.",
                            Axis("Effective step", scale: .logarithmic), mergesPlain: true, of: { $0.reading.effectiveStep.mean })),
                ]),
                .row([
                    .chart(
                        chart(
                            "Angle", summary: "How far w has turned since the previous reading.",
                            Axis("Angle", unit: "degrees", scale: .logarithmic), of: { $0.reading.angle.map { $0.mean * 180 / .pi } })),
                    .chart(
                        Chart(
                            "Length of v by layer",
                            summary: "‖v‖ after the last step relative to its start, from the first layer to the last.",
                            x: Axis("Layer", minimum: 1), y: Axis("‖v‖ / ‖v‖ at the start"),
                            series: norms.enumerated().map { index, norm in
                                Series(norm, meanOf: seeds.map { endPoints(norm, $0, growth) }, colour: .slot(index))
                            }, height: 260)),
                ]),
            ])
    }

    /// A weight of a run.
    private struct Place: Hashable {
        let norm: String
        let seed: UInt64
        let path: String

        init(_ record: Comparison.LayerRecord) { (norm, seed, path) = (record.norm, record.seed, record.reading.path) }
    }

    /// A quantity over the time in epochs: the mean over the layers, one line per norm.
    private func chart(
        _ title: String, summary: Prose, _ axis: Axis, mergesPlain: Bool = false, of value: (Comparison.LayerRecord) -> Double?
    ) -> Chart {
        var series: [Series] = []
        var hasPlain = false
        for (index, norm) in norms.enumerated() {
            let isPlain = mergesPlain && (Normalization(rawValue: norm).map { $0.form == DirectWeight.self } ?? false)
            if isPlain, hasPlain { continue }
            hasPlain = hasPlain || isPlain
            let runs = seeds.map { points(norm, $0, value) }
            series.append(
                Series(
                    isPlain ? "plain weights" : norm, meanOf: runs, colour: isPlain ? .muted : .slot(index),
                    style: isPlain ? .dashed : .solid))
        }
        return Chart(title, summary: summary, x: Axis("Epoch", minimum: 0), y: axis, series: series, height: 260)
    }

    private func points(_ norm: String, _ seed: UInt64, _ value: (Comparison.LayerRecord) -> Double?) -> [Series.Point] {
        let own = Dictionary(grouping: layers.filter { $0.norm == norm && $0.seed == seed }, by: \.epoch)
        return own.sorted { $0.key < $1.key }.compactMap { epoch, records in
            let values = records.compactMap(value)
            return values.isEmpty ? nil : Series.Point(epoch, values.reduce(0, +) / Double(values.count))
        }
    }

    private func endPoints(_ norm: String, _ seed: UInt64, _ value: (Comparison.LayerRecord) -> Double?) -> [Series.Point] {
        let own = layers.filter { $0.norm == norm && $0.seed == seed }
        let last = own.map(\.step).max()
        return own.filter { $0.step == last }.enumerated().compactMap { index, record in
            value(record).map { Series.Point(Double(index + 1), $0) }
        }
    }
}
