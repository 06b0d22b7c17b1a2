import AtomicFiles
import Foundation
package import Training
import WeightFiles
package import WeightNorm

/// What only one kind of run has in its `config.json`, which anyone can edit.
package protocol RunDetails: Codable, Equatable, Sendable {
    associatedtype Settings: Codable & Equatable & Sendable
    /// Throws unless every number, list and name in the configuration is valid for such a run.
    static func check(_ configuration: RunConfiguration<Settings, Self>) throws(RunFailure)
    /// What must be the same when such a run is resumed, in words, with the values of this one; nil for what a former version did not store.
    var identity: [(what: String, value: String?)] { get }
}

extension RunConfiguration where Details: RunDetails, Details.Settings == Settings {
    /// The configuration in a run's folder, checked.
    ///
    /// - Throws: `FileError` if the file cannot be read or has other fields; ``RunFailure`` if no such run is possible.
    package static func read(at path: String) throws -> Self {
        let found: Self = try RunFiles.read(named: "config.json", at: path)
        do throws(RunFailure) { try found.check() } catch { throw RunFailure("\(AtomicFile.join(path, "config.json")): \(error)") }
        return found
    }

    package func check() throws(RunFailure) { try Details.check(self) }

    /// The norms, as far as known.
    package var normalizations: [Normalization] { norms.compactMap { Normalization(rawValue: $0) } }

    /// What keeps a run that started with another configuration from being resumed with this one: the first difference, or all settings that differ.
    /// The device, the threads and where the data are may differ.
    package func difference(from stored: Self) throws -> (what: String, expected: String, found: String)? {
        func list(_ elements: [some Any]) -> String { elements.map { "\($0)" }.joined(separator: ", ") }
        let common = [
            ("norms", list(stored.norms), list(norms)), ("seeds", list(stored.seeds), list(seeds)),
            ("preset", stored.preset ?? "none", preset ?? "none"),
            ("convolutions", Self.convolutions(stored.winograd), Self.convolutions(winograd)),
        ]
        let own = stored.details.identity.compactMap { part in
            part.value.map { (part.what, $0, details.identity.first { $0.what == part.what }?.value ?? "none") }
        }
        if let different = (common + own).first(where: { $0.1 != $0.2 }) { return different }
        let (before, now) = (try Self.fields(stored.settings), try Self.fields(settings))
        let names = Set(before.keys).union(now.keys).sorted().filter { before[$0] != now[$0] }
        guard !names.isEmpty else { return nil }
        func text(_ fields: [String: String]) -> String { list(names.map { "\($0) \(fields[$0] ?? "none")" }) }
        return ("settings", text(before), text(now))
    }

    private static func convolutions(_ winograd: Bool?) -> String { winograd == true ? "--winograd" : "--no-winograd" }

    /// Each of the settings as JSON; those in an object by themselves, as in "learningRates.weight".
    private static func fields(_ settings: Settings) throws -> [String: String] {
        func fields(_ object: [String: Any], _ prefix: String) throws -> [String: String] {
            var found: [String: String] = [:]
            for (key, value) in object {
                if let inner = value as? [String: Any] {
                    found.merge(try fields(inner, "\(prefix)\(key).")) { $1 }
                } else {
                    let data = try JSONSerialization.data(withJSONObject: [value], options: .withoutEscapingSlashes)
                    found[prefix + key] = String(String(decoding: data, as: UTF8.self).dropFirst().dropLast())
                }
            }
            return found
        }
        return try fields(JSONSerialization.jsonObject(with: JSONEncoder().encode(settings)) as? [String: Any] ?? [:], "")
    }

    /// Checks what all configurations have.
    func checkCommon(norms allowed: [Normalization], training: ImageSummary? = nil, test: ImageSummary? = nil) throws(RunFailure) {
        guard (1...allowed.count).contains(norms.count), Set(norms).count == norms.count else {
            throw RunFailure("norms: expected from 1 to \(allowed.count) different ones, found \(norms.count)")
        }
        for norm in norms where !allowed.contains(where: { $0.rawValue == norm }) {
            let all = allowed.map(\.rawValue).joined(separator: ", ")
            throw RunFailure("norm: expected norms out of \(all), found \(Safetensors.quoted(norm))")
        }
        guard (1...SettingsLimits.mostSeeds).contains(seeds.count), Set(seeds).count == seeds.count else {
            throw RunFailure("seeds: expected from 1 to \(SettingsLimits.mostSeeds) different ones, found \(seeds.count)")
        }
        guard (1...100).contains(device.utf8.count) else {
            throw RunFailure("device: expected a name, found one of \(device.utf8.count) bytes")
        }
        if let threads { try SettingsCheck.whole("threads", threads, in: SettingsLimits.threads) }
        for (what, images) in [("training", training), ("test", test)] {
            guard let images else { continue }
            try SettingsCheck.whole("\(what) images", images.count, in: 1...1_000_000_000)
            try SettingsCheck.whole("rows of \(what) images", images.rows, in: 1...1_000_000)
            try SettingsCheck.whole("columns of \(what) images", images.columns, in: 1...1_000_000)
        }
    }
}
