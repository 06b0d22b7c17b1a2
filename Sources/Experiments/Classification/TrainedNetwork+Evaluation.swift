package import Datasets
import Torch
import Training

/// What a trained network makes of images whose classes are known.
package struct NetworkEvaluation: Codable, Equatable, Sendable {
    /// One class: how many images it has, of how many the network says another class, and which one it says most often instead.
    package struct Class: Codable, Equatable, Sendable {
        package var name: String
        package var images: Int
        package var errors: Int
        package var mistakenFor: String?
    }

    package var norm: String
    package var seed: UInt64
    package var data: String
    package var images: Int
    package var errors: Int
    /// The mean of −log of the probability of the right class, in nats.
    package var loss: Double
    package var classes: [Class]
    /// The fraction of wrong ones.
    package var error: Double { Double(errors) / Double(max(1, images)) }
}

extension TrainedNetwork {
    /// The name of a class, or its number.
    package func name(of label: Int) -> String { classNames.flatMap { $0.indices.contains(label) ? $0[label] : nil } ?? "\(label)" }

    /// What the network makes of images.
    ///
    /// - Throws: ``RunFailure`` if they are not of its size or have a class that it does not know.
    package func evaluate(_ images: ImageSet, data: String) throws -> NetworkEvaluation {
        guard (images.channels, images.rows, images.columns) == (channels, rows, columns) else {
            throw RunFailure("\(data): expected images of \(channels) × \(rows) × \(columns) pixels, found \(images.size)")
        }
        if let largest = images.labels.max(), largest >= classes {
            throw RunFailure("\(data): expected classes below the network's \(classes), found class \(largest)")
        }
        if let ours = classNames, let theirs = images.classNames, ours != theirs {
            throw RunFailure("\(data): expected the classes \(ours.joined(separator: ", ")), found \(theirs.joined(separator: ", "))")
        }
        let logits = logits(of: images)
        let labels = Tensor(images.labels.map { Int64($0) })
        let loss = withoutGradients { logits.softmaxCrossEntropy(labels: labels).item() }
        let found = withoutGradients { logits.indexOfMaximum(along: 1).elements(as: Int.self) }
        var counts = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
        for (label, found) in zip(images.labels, found) { counts[Int(label)][found] += 1 }
        let list = counts.enumerated().map { label, row -> NetworkEvaluation.Class in
            let total = row.reduce(0, +)
            let other = row.indices.filter { $0 != label && row[$0] > 0 }.max { row[$0] < row[$1] }
            return NetworkEvaluation.Class(
                name: name(of: label), images: total, errors: total - row[label], mistakenFor: other.map { self.name(of: $0) })
        }
        return NetworkEvaluation(
            norm: norm, seed: seed, data: data, images: images.count, errors: list.reduce(0) { $0 + $1.errors }, loss: loss, classes: list)
    }
}
