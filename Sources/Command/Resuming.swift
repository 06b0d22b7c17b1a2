import ArgumentParser
import Experiments
import Foundation
import Training
import WeightFiles

// What all resumable runs share.

/// The configuration of the run in a folder, checked; nil if there is none to resume. Throws if it belongs to another command, or is lost.
func storedConfiguration<Details: RunDetails>(in out: String, command: String) throws -> RunConfiguration<Details.Settings, Details>? {
    guard RunFolder.has("config.json", at: out) else {
        // Starting again would remove it.
        guard !RunFolder.has(RunCheckpoint.name, at: out) else {
            throw ValidationError("--resume: expected config.json beside the checkpoint in \(out), found none")
        }
        return nil
    }
    let header = try RunHeader(at: out)
    guard header.command == command else {
        throw ValidationError("--resume: expected a run of weightnorm \(command) in \(out), found one of weightnorm \(header.command)")
    }
    return try .read(at: out)
}

/// Prints where the run in a folder is resumed from, and whether another version started it.
func printResumption(_ run: Run<some Experiment>) throws {
    let version = try RunHeader(at: run.folder.path).version
    if version != PackageVersion.current {
        printToError(
            "the run was started by version \(Safetensors.quoted(version)), this is \(PackageVersion.current): "
                + "the numbers may differ from those of either version alone")
    }
    print("Resuming from \(run.experiment.unit) \(run.done) of \(run.total)")
}

/// Throws if a run would be resumed with settings other than its own, naming those that differ.
func checkSettings(_ found: some Encodable, continue stored: some Encodable) throws {
    func fields(_ settings: some Encodable) throws -> [String: String] {
        let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(settings)) as? [String: Any] ?? [:]
        return try object.mapValues { value in
            let data = try JSONSerialization.data(withJSONObject: [value], options: [.sortedKeys, .withoutEscapingSlashes])
            return String(String(decoding: data, as: UTF8.self).dropFirst().dropLast())
        }
    }
    let (before, now) = (try fields(stored), try fields(found))
    let differing = Set(before.keys).union(now.keys).sorted().filter { before[$0] != now[$0] }
    guard !differing.isEmpty else { return }
    func text(_ fields: [String: String]) -> String { differing.map { "\($0) \(fields[$0] ?? "none")" }.joined(separator: ", ") }
    throw ValidationError("--resume: expected the run's settings, \(text(before)), found \(text(now))")
}

/// Throws if a run would be resumed with other random numbers; reports changes that affect rounding.
func checkMachine(device: (before: String, now: String), threads: (before: Int?, now: Int?)) throws {
    guard (device.before == "cpu") == (device.now == "cpu") else {
        throw ValidationError(
            "--device: expected the run's kind, \(device.before), whose random numbers others do not have, found \(device.now)")
    }
    var changes = [("device", device.before, device.now)]
    if let before = threads.before, let now = threads.now { changes.append(("number of threads", "\(before)", "\(now)")) }
    for (what, before, now) in changes where before != now {
        printToError("the \(what) was \(before) and is \(now): the numbers will differ in rounding from those of an undisturbed run")
    }
}

/// Ends the process of a run that a signal stopped, with the matching exit code, and says how to resume it.
func endStoppedRun(_ run: Run<some Experiment>, exitCode code: Int32?, command: String) throws {
    guard let code else { return }
    let name = code == 130 ? "SIGINT" : "SIGTERM"
    let state = run.savedAt == run.done ? "stopped and saved" : "stopped, not saved because a number is not finite,"
    printToError(
        "\(name): \(state) at \(run.experiment.unit) \(run.done) of \(run.total); resume with: weightnorm \(command) --resume --out \(run.folder.path)"
    )
    throw ExitCode(code)
}
