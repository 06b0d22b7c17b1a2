import AtomicFiles
import Datasets
package import Training
import WeightNorm

/// The names of the files that runs write. Other files listed in somebody else's folder must not be removed.
package enum RunFiles {
    private static let fixed: Set<String> = [
        "config.json", "metrics.jsonl", "layers.jsonl", "summary.json", "report.html", "analysis.json", "analysis.html",
        Whitening.fileName, RunCheckpoint.name, "replay-a.safetensors", "replay-b.safetensors",
    ]
    /// The parts before the norm and the seed, and the endings.
    private static let families = [
        ("network-", ".safetensors"), ("filters-", ".png"), ("samples-", ".png"), ("reconstructions-", ".png"), ("drawn-samples-", ".png"),
        ("drawn-reconstructions-", ".png"),
    ]

    /// Whether runs write files of this name.
    package static func isOne(_ name: String) -> Bool {
        if fixed.contains(name) { return true }
        return families.contains { start, end in
            Normalization.allCases.contains { norm in
                let prefix = "\(start)\(norm.rawValue)-seed"
                guard name.hasPrefix(prefix), name.hasSuffix(end), name.count > prefix.count + end.count else { return false }
                // A network may be one of an epoch of the run.
                let numbers = name.dropFirst(prefix.count).dropLast(end.count).split(separator: "-epoch", omittingEmptySubsequences: false)
                guard numbers.count == 1 || (numbers.count == 2 && start == "network-") else { return false }
                return numbers.allSatisfy { number in UInt64(number).map { "\($0)" == number } ?? false }
            }
        }
    }

    /// Starts a run in a folder, and removes an earlier run's files.
    package static func start(at path: String, config: some Encodable) throws -> RunFolder {
        try RunFolder.start(at: path, config: config, removing: isOne)
    }

    /// The records in a run's folder, with whole numbers checked to be small enough to count with.
    package static func records<Record: Codable>(
        _ type: Record.Type = Record.self, in name: String = "metrics.jsonl", at path: String
    ) throws -> [Record] {
        try WholeNumbers.checked(RunFolder.records(in: name, at: path), of: AtomicFile.join(path, name))
    }

    /// The same for a JSON file in a run's folder.
    package static func read<Value: Codable>(_ type: Value.Type = Value.self, named name: String, at path: String) throws -> Value {
        try WholeNumbers.checked(RunFolder.read(named: name, at: path), of: AtomicFile.join(path, name))
    }
}
