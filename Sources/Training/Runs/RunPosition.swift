import WeightFiles

/// The position of a ``Run``, as stored in its checkpoint; the names are those of version 0.1.0.
struct RunPosition<Run: Codable>: Codable {
    /// The present round.
    var round: Int
    /// Steps done in the present round.
    var step: Int
    /// Lines in `metrics.jsonl`.
    var records: Int
    /// Lines in other files of records.
    var otherRecords: [String: Int] = [:]
    /// What is finished.
    var runs: [Run]
    /// Seconds of work so far.
    var seconds: Double
    var norms: [String]
    var seeds: [UInt64]
    /// Whether the present round's trainees exist: between two rounds there are none.
    var hasNetworks: Bool
    /// The steps at which trainees of the present round ended early; nil if none did.
    var endedAt: [Int?]?

    /// Throws unless the position fits a run with these norms, seeds, rounds and steps per round.
    func check(norms: [String], seeds: [UInt64], rounds: Int, resultsPerRound: Int, stepsPerRound: Int, in file: String)
        throws(CheckpointError)
    {
        let isPlace =
            hasNetworks ? (0..<rounds).contains(round) && (0...stepsPerRound).contains(step) : (0...rounds).contains(round) && step == 0
        guard self.norms == norms, self.seeds == seeds else {
            throw CheckpointError(path: file, problem: "expected the names and seeds of this run, found others")
        }
        guard isPlace else {
            throw CheckpointError(
                path: file,
                problem: "expected a place in \(rounds) rounds of \(stepsPerRound) steps, found step \(step) of round \(round)")
        }
        func check(_ name: String, _ isRight: Bool, _ expected: String, _ found: Any) throws(CheckpointError) {
            guard isRight else { throw CheckpointError(path: file, problem: "\(name): expected \(expected), found \(found)") }
        }
        try check("records", (0...WholeNumbers.most).contains(records), "a number from 0 to \(WholeNumbers.most)", records)
        for (name, count) in otherRecords {
            try check(
                "records in \(Safetensors.quoted(name))", (0...WholeNumbers.most).contains(count),
                "a number from 0 to \(WholeNumbers.most)",
                count)
        }
        try check(
            "seconds", (0...Self.mostSeconds).contains(seconds), "a number from 0 to 10¹¹", seconds)
        if let endedAt {
            let steps = 0...stepsPerRound
            try check(
                "endedAt", hasNetworks && endedAt.allSatisfy { $0.map(steps.contains) ?? true }, "steps from 0 to \(stepsPerRound)", endedAt
            )
        }
        let most = round * resultsPerRound
        try check("runs", runs.count <= most, "at most \(most) that are finished", runs.count)
    }

    /// About three thousand years.
    private static var mostSeconds: Double { 1e11 }
}
