import AtomicFiles
import Datasets
import Foundation
import Report
import Training
package import WeightFiles
package import WeightNorm

/// A finished run's network as others share models: its weights under PyTorch's names, the run's configuration, and a card that says how it was trained and how good it is.
package struct ModelExport {
    /// The network.
    package let module: any Module
    /// Which of the run's it is.
    package let norm: String
    package let seed: UInt64
    private let kind: Kind
    private let path: String

    /// What differs from one command's runs to another's.
    private enum Kind {
        case classification(TrainedNetwork)
        case generative(command: String, data: String)
        case game(String)
    }

    /// The commands whose runs can be exported.
    package static let commands = [
        Comparison.trainingCommand, Comparison.command, VAESettings.command, DRAWSettings.command, DQNSetup.command,
    ]

    /// The network of a norm and seed of the run in a folder; by default the run's first ones.
    ///
    /// - Throws: ``RunFailure`` if the folder is no such run's or has no such network; what loading it throws.
    package init(at path: String, norm: Normalization? = nil, seed: UInt64? = nil, notify: (String) -> Void) throws {
        self.path = path
        let command = try RunHeader(at: path, of: Self.commands).command
        switch command {
        case DQNSetup.command:
            let player = try DQNPlayer(at: path, norm: norm, seed: seed)
            (module, self.norm, self.seed, kind) = (player.module, player.norm, player.seed, .game(player.game))
        case VAESettings.command, DRAWSettings.command:
            let model = try GenerativeSampler(at: path, norm: norm, seed: seed)
            (module, self.norm, self.seed) = (model.module, model.norm, model.seed)
            kind = .generative(command: command, data: model.data)
        default:
            let trained = try TrainedNetwork(at: path, norm: norm?.rawValue, seed: seed, data: nil, notify: notify)
            (module, self.norm, self.seed, kind) = (trained.network, trained.norm, trained.seed, .classification(trained))
        }
    }

    /// Writes `model.safetensors`, or shards and their index, `config.json`, which is the run's, `whitening.safetensors` if its images were whitened, and the card, `README.md`.
    ///
    /// - Returns: the names of the files.
    package func write(
        to folder: String, layout: StateLayout, shardSize: Int, licence: String, name: String
    ) throws -> [String] {
        var written = try module.write(toFolder: folder, layout: layout, shardSize: shardSize)
        // Where the images were on this machine is nobody's business.
        var configuration = try settings()
        if let data = configuration["data"] as? String { configuration["data"] = (data as NSString).lastPathComponent }
        let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try AtomicFile.write(
            JSONSerialization.data(withJSONObject: configuration, options: options), to: AtomicFile.join(folder, "config.json"))
        written.append("config.json")
        if RunFolder.has(Whitening.fileName, at: path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: AtomicFile.join(path, Whitening.fileName)))
            try AtomicFile.write(bytes, to: AtomicFile.join(folder, Whitening.fileName))
            written.append(Whitening.fileName)
        }
        try AtomicFile.write(Array(card(licence: licence, name: name, layout: layout).utf8), to: AtomicFile.join(folder, "README.md"))
        return written + ["README.md"]
    }

    /// The run's own numbers about this network, from its `summary.json`; nil if that is not there or has none.
    private func result() -> [String: Any]? {
        guard let bytes = FileManager.default.contents(atPath: AtomicFile.join(path, "summary.json")),
            let summary = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any], let runs = summary["runs"] as? [[String: Any]]
        else { return nil }
        return runs.first { $0["norm"] as? String == norm && ($0["seed"] as? NSNumber)?.uint64Value == seed }
    }

    /// What was trained with which numbers, from the run's `config.json`.
    private func settings() throws -> [String: Any] {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: AtomicFile.join(path, "config.json")))
        return (try JSONSerialization.jsonObject(with: bytes) as? [String: Any]) ?? [:]
    }

    // MARK: The card

    /// The card: what a hub reads, in front, and then what a person does.
    package func card(licence: String, name: String, layout: StateLayout) throws -> String {
        let (result, configuration) = (result() ?? [:], try settings())
        let (task, data, what) =
            switch kind {
            case .classification(let network):
                (
                    "image-classification", network.data,
                    "A classifier of \(network.rows) × \(network.columns) images into \(network.classes) classes"
                )
            case .generative(let command, let data):
                ("unconditional-image-generation", data, command == VAESettings.command ? "A variational autoencoder" : "A DRAW model")
            case .game(let game): ("reinforcement-learning", game, "A deep Q-network that plays \(game)")
            }
        var lines = [
            "---", "license: \(licence)", "library_name: swift-weightnorm", "pipeline_tag: \(task)", "tags:", "- weight-normalization",
        ]
        if case .game = kind {} else { lines += ["datasets:", "- \(Self.yaml((data as NSString).lastPathComponent))"] }
        if let error = (result["testError"] as? NSNumber)?.doubleValue, error.isFinite {
            lines += [
                "metrics:", "- accuracy", "model-index:", "- name: \(Self.yaml(name))", "  results:", "  - task:", "      type: \(task)",
                "    dataset:",
                "      name: \(Self.yaml((data as NSString).lastPathComponent))",
                "      type: \(Self.yaml((data as NSString).lastPathComponent))",
                "    metrics:", "    - type: accuracy", "      value: \(NumberText.general(1 - error))",
            ]
        }
        lines += ["---", "", "# \(name)", ""]
        lines.append("\(what), trained with the normalization `\(norm)` of swift-weightnorm \(PackageVersion.current), seed \(seed).")
        lines += ["", "## Results", "", "From the run's own summary; errors are fractions, bounds are in nats an image.", ""]
        lines += Self.table(["what", "value"], result.filter { $0.key != "norm" && $0.key != "seed" })
        lines += [
            "", "## Training", "", "| what | value |", "|---|---|",
            "| command | `weightnorm \(configuration["command"] as? String ?? "train")` |",
        ]
        for key in ["preset", "device", "processor", "threads", "version", "libtorch"] {
            if let value = Self.text(configuration[key]) { lines.append("| \(key) | \(value) |") }
        }
        if var settings = configuration["settings"] as? [String: Any] {
            // Those of the run's other norms say nothing about this network.
            if let rates = settings["learningRates"] as? [String: Any] { settings["learningRates"] = rates[norm] }
            lines += Self.table(nil, settings)
        }
        lines += ["", "## Use", ""]
        switch kind {
        case .classification:
            lines += ["With the run's folder, in Swift:", "", "```swift", "let trained = try TrainedNetwork(at: \"RUN\")", "```", ""]
        case .generative: lines += ["With the run's folder: `weightnorm sample RUN`.", ""]
        case .game: lines += ["With the run's folder: `weightnorm play RUN`.", ""]
        }
        lines += [
            "The weights in `model.safetensors` have PyTorch's names" + (layout == .plain ? "." : ", in the layout `\(layout.rawValue)`.")
                + " `weightnorm weights inspect` lists them, and `weightnorm weights fold` replaces v and g by w.", "",
        ]
        return lines.joined(separator: "\n")
    }

    /// Rows of all numbers, words and lists, by name; what is nested gets dotted names.
    private static func table(_ heads: [String]?, _ values: [String: Any]) -> [String] {
        func rows(_ values: [String: Any], _ prefix: String) -> [String] {
            values.keys.sorted().flatMap { key -> [String] in
                if let inner = values[key] as? [String: Any] { return rows(inner, "\(prefix)\(key).") }
                return text(values[key]).map { ["| \(prefix)\(key) | \($0) |"] } ?? []
            }
        }
        return (heads.map { ["| \($0.joined(separator: " | ")) |", "|\($0.map { _ in "---|" }.joined())"] } ?? []) + rows(values, "")
    }

    /// A value from JSON in words; nil for none.
    private static func text(_ value: Any?) -> String? {
        switch value {
        case let text as String:
            text.isEmpty ? nil : text.replacingOccurrences(of: "|", with: "\\|").split(whereSeparator: \.isNewline).joined(separator: " ")
        case let number as NSNumber:
            CFBoolean.isOne(number) ? (number.boolValue ? "yes" : "no") : NumberText.general(number.doubleValue)
        case let list as [Any]: list.compactMap { text($0) }.joined(separator: ", ")
        default: nil
        }
    }

    /// A word for YAML, in quotes unless it needs none.
    private static func yaml(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") } && Double(text) == nil
        return isPlain ? text : "\"\(text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\""))\""
    }
}

/// Whether a number from JSON is a truth value.
private enum CFBoolean {
    static func isOne(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" || String(cString: number.objCType) == "B" }
}
