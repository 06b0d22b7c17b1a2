import Report
import Training
import WeightFiles
import WeightNorm

/// The allowed numbers for a setting, with their description: the same for options, presets and files.
package struct NumberRange: Sendable {
    private let isIn: @Sendable (Double) -> Bool
    /// Such as "a number above 0 and at most 1000".
    package let description: String

    package func contains(_ number: Double) -> Bool { isIn(number) }

    private init(_ description: String, _ isIn: @escaping @Sendable (Double) -> Bool) {
        (self.description, self.isIn) = (description, isIn)
    }

    package static func from(_ lower: Double, to upper: Double, _ what: String = "a number") -> NumberRange {
        NumberRange("\(what) from \(NumberText.general(lower)) to \(NumberText.general(upper))") { $0 >= lower && $0 <= upper }
    }

    package static func from(_ lower: Double, below upper: Double, _ what: String = "a number") -> NumberRange {
        NumberRange("\(what) from \(NumberText.general(lower)) to below \(NumberText.general(upper))") { $0 >= lower && $0 < upper }
    }

    package static func above(_ lower: Double, atMost upper: Double, _ what: String = "a number") -> NumberRange {
        NumberRange("\(what) above \(NumberText.general(lower)) and at most \(NumberText.general(upper))") { $0 > lower && $0 <= upper }
    }

    package static func above(_ lower: Double, below upper: Double, _ what: String = "a number") -> NumberRange {
        NumberRange("\(what) above \(NumberText.general(lower)) and below \(NumberText.general(upper))") { $0 > lower && $0 < upper }
    }
}

extension NumberRange {
    /// Of learning rates.
    package static let rate = above(0, atMost: 1000)
    /// Of β1, β2 and γ.
    package static let decay = from(0, below: 1)
    /// Of Adam's and Adamax's ε.
    package static let epsilon = above(0, atMost: 1)
    /// Of standard deviations that may be divided by: within the normal numbers of float32.
    package static let deviation = from(1e-30, to: 1000)
    package static let probability = from(0, to: 1, "a probability")
    package static let dropout = from(0, below: 1, "a probability")
    /// Of test errors.
    package static let threshold = above(0, below: 1)
}

/// Ranges of whole numbers that several kinds of runs share.
package enum SettingsLimits {
    /// The height and width of pictures.
    package static let pictureSize = 1...4096
    package static let epochs = 1...100_000
    package static let batch = 1...10_000
    /// The maximum length of lists in settings, such as the seeds.
    package static let mostSeeds = 1000
    /// The sides of images and frames, in pixels.
    package static let side = 1...4096
    /// The weights of a network: 1.6 GB in float32, and a multiple of that to train them.
    package static let mostWeights = 4e8
    package static let draws = 1...100_000
    package static let heldOut = 1...1_000_000_000
    /// Training images to draw from a data set.
    package static let images = 2...1_000_000_000
    package static let mostRates = 1000
    package static let mostThresholds = 100
    package static let mostSnapshots = 1000
    package static let threads = 1...1024
}

/// Checks of settings, which may come from a file written by anyone. Errors are one line with the name, what was expected and what was found.
enum SettingsCheck {
    static func whole(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws(RunFailure) {
        guard range.contains(value) else {
            throw RunFailure("settings: \(name): expected a number from \(range.lowerBound) to \(range.upperBound), found \(value)")
        }
    }

    static func number(_ name: String, _ value: Double, in range: NumberRange) throws(RunFailure) {
        guard range.contains(value) else { throw RunFailure("settings: \(name): expected \(range.description), found \(value)") }
    }

    /// Checks the learning rates by norm: each must be valid, and every norm must have one.
    static func rates(_ rates: [String: Double], of norms: [Normalization]) throws(RunFailure) {
        for (norm, rate) in rates.sorted(by: { $0.key < $1.key }) {
            try number("learningRates of \(Safetensors.quoted(norm))", rate, in: .rate)
        }
        for norm in norms where rates[norm.rawValue] == nil {
            throw RunFailure("settings: learningRates: expected one for \(norm.rawValue), found none")
        }
    }

    /// Checks the size of a network's weights, and of the intermediate results in training.
    ///
    /// - Parameters:
    ///   - weights: the number of weights.
    ///   - elements: the number of an example's intermediate results in training, at least those of the layers.
    ///   - examples: the number of examples in a minibatch.
    ///   - widest: the number of an example's results in the widest layer.
    ///   - initial: the number of examples in data-dependent initialization, which only keeps a layer's input and output.
    static func size(
        weights: Double, elements: Double = 0, examples: Int = 0, widest: Double = 0, initial: Int = 0,
        available: Int? = SystemMemory.available
    ) throws(RunFailure) {
        guard weights <= SettingsLimits.mostWeights else {
            throw RunFailure(
                "network: expected at most \(NumberText.general(SettingsLimits.mostWeights / 1e6)) million weights, found \(NumberText.general(weights))"
            )
        }
        // Parameters, gradients and two moments, plus intermediate results.
        let bytes = 4 * (4 * weights + max(elements * Double(examples), 2 * widest * Double(initial)))
        guard let available, bytes > Double(available) else { return }
        throw RunFailure(
            "settings: expected a network and examples at once that fit into the \(NumberText.bytes(available)) of memory available, "
                + "found ones of \(NumberText.bytes(Int(min(bytes, 1e18)))) at least")
    }
}
