package import Training
package import WeightNorm

extension ClassificationSettings {
    /// The bounds of the numbers that options can change.
    package enum Limits {
        /// Batch statistics need at least two images.
        package static let batch = 2...SettingsLimits.batch.upperBound
        package static let width = NumberRange.above(0, atMost: 16)
        /// The smallest side of which the poolings leave a pixel.
        package static let leastSide = 12
    }

    /// Throws unless a network can be made and trained with these numbers: settings may come from a file.
    package func check(norms: [Normalization] = []) throws(RunFailure) {
        for (name, maps) in [("firstMaps", firstMaps), ("secondMaps", secondMaps)] {
            try SettingsCheck.whole(name, maps, in: 1...192 * 16)
        }
        try SettingsCheck.whole("classes", classes, in: 2...256)
        try SettingsCheck.whole("initializationImages", initializationImages, in: 1...100_000)
        try SettingsCheck.whole("batch", batch, in: Limits.batch)
        try SettingsCheck.whole("epochs", epochs, in: SettingsLimits.epochs)
        try SettingsCheck.number("inputNoise", inputNoise, in: .from(0, to: 1000))
        try SettingsCheck.number("dropout", dropout, in: .dropout)
        try SettingsCheck.number("leakySlope", leakySlope, in: .from(-1, to: 1))
        try SettingsCheck.number("initialDeviation", initialDeviation, in: .deviation)
        for (name, beta) in [("beta1", beta1), ("laterBeta1", laterBeta1), ("beta2", beta2)] {
            try SettingsCheck.number(name, beta, in: .decay)
        }
        try SettingsCheck.number("epsilon", epsilon, in: .epsilon)
        try SettingsCheck.rates(learningRates, of: norms)
        try SettingsCheck.size(weights: weights(channels: 3))
    }

    /// Throws unless such a network can take images of this size, and minibatches fit into memory; the numbers must have been checked.
    package func check(channels: Int, rows: Int, columns: Int, images: Int) throws(RunFailure) {
        let least = Limits.leastSide
        guard rows >= least, columns >= least else {
            throw RunFailure("images: expected at least \(least) × \(least) pixels for the network's poolings, found \(rows) × \(columns)")
        }
        // Each convolution and the rectifier after it.
        let elements = Double(rows * columns) * (6 * Double(firstMaps) + 6 * Double(secondMaps) / 4 + 6 * Double(secondMaps) / 16)
        try SettingsCheck.size(
            weights: weights(channels: channels), elements: elements, examples: batch, widest: Double(rows * columns * firstMaps),
            initial: min(initializationImages, images))
    }

    private func weights(channels: Int) -> Double {
        let (first, second, inputs) = (Double(firstMaps), Double(secondMaps), Double(channels))
        return 9 * first * (inputs + 2 * first) + 9 * second * (first + 3 * second) + 2 * second * second + second * Double(classes)
    }
}
