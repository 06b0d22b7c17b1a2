import Report
import Training
import WeightFiles
import WeightNorm

extension RunFailure {
    /// A network whose loss or other number is not finite: where, how large its weights had become, and from which checkpoint the run can be resumed.
    static func divergence(
        norm: Normalization, seed: UInt64, _ what: String, at step: Int, weights: [WeightReading], lastGood: String
    ) -> RunFailure {
        let norms = weights.map { "\($0.path) \(NumberText.general($0.gain.mean))" }.joined(separator: ", ")
        return RunFailure(
            "norm \(norm.rawValue), seed \(seed): \(what); mean ‖w‖ of a unit by layer: \(norms); \(lastGood); try a smaller --learning-rate",
            divergedAt: step)
    }
}

/// The choice of one of a run's networks.
struct RunChoice {
    let norm: Normalization
    let seed: UInt64

    /// The network of a norm and seed; by default the run's first ones.
    ///
    /// - Throws: ``RunFailure`` if the run in the folder at the path, which has these norms and seeds, has no such network.
    init(norm: Normalization?, seed: UInt64?, norms: [String], seeds: [UInt64], at path: String) throws(RunFailure) {
        guard let firstNorm = norms.first, let firstSeed = seeds.first else {
            throw RunFailure("\(path)/config.json: expected norms and seeds, found none")
        }
        let name = norm?.rawValue ?? firstNorm
        guard let found = Normalization(rawValue: name), norms.contains(name) else {
            throw RunFailure("norm: expected one of the run's, \(norms.joined(separator: ", ")), found '\(name)'")
        }
        let number = seed ?? firstSeed
        guard seeds.contains(number) else {
            throw RunFailure("seed: expected one of the run's, \(MessageList.joined(seeds.map { "\($0)" })), found \(number)")
        }
        (self.norm, self.seed) = (found, number)
    }
}
