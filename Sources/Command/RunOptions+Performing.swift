import ArgumentParser
import Experiments
import Foundation
import Training
import WeightFiles

// What all runs share.

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

extension RunOptions {
    /// Trains in the folder until the run is finished, and writes and prints its report; after SIGINT or SIGTERM it saves and exits with 130 or 143.
    ///
    /// - Parameters:
    ///   - plan: the run.
    ///   - stored: the configuration of the run that is in the folder, if it is to be resumed.
    ///   - sinks: where records go besides the folder.
    func perform<E: Experiment, Details>(
        _ plan: RunPlan<E, Details>, continuing stored: RunConfiguration<E.Settings, Details>?, sinks: [any RecordSink] = []
    ) throws {
        if let stored {
            try requireSame(plan.configuration, as: stored)
            try checkMachine(
                device: (stored.device, plan.configuration.device), threads: (stored.threads, plan.configuration.threads))
        }
        func introduce(_ lines: [String]) { for line in lines { print(line) } }
        let run =
            try stored == nil
            ? plan.start(at: out, sinks: sinks, introduce: introduce) : plan.resume(at: out, sinks: sinks, introduce: introduce)
        if let stored { printResumption(run, startedBy: stored.version) }
        // Flush output, also to files, before the long work: what a killed run has printed is not lost.
        fflush(nil)
        let command = plan.configuration.command
        let stop = try run.runInTerminal(label: String(command.prefix { $0 != " " }), savingEvery: checkpointEvery, line: plan.line)
        for notice in plan.notices(run.experiment) { printToError(notice) }
        try endStoppedRun(run, exitCode: stop, command: command)
        print(try plan.finish(run))
        print("The report is \(out)/report.html")
    }
}

/// Throws if a run would be resumed as another one.
func requireSame<Details: RunDetails>(
    _ found: RunConfiguration<Details.Settings, Details>, as stored: RunConfiguration<Details.Settings, Details>
) throws {
    guard let (what, before, now) = try found.difference(from: stored) else { return }
    throw ValidationError("--resume: expected the run's \(what), \(before), found \(now)")
}

/// Prints where the run in a folder is resumed from, and whether another version started it.
private func printResumption(_ run: Run<some Experiment>, startedBy version: String?) {
    // 0.1.0 did not say so.
    let version = version ?? "0.1.0"
    if version != PackageVersion.current {
        printToError(
            "the run was started by version \(Safetensors.quoted(version)), this is \(PackageVersion.current): "
                + "the numbers may differ from those of either version alone")
    }
    print("Resuming from \(run.experiment.unit) \(run.done) of \(run.total)")
}

/// Throws if a run would be resumed with other random numbers; reports changes that affect rounding.
private func checkMachine(device: (before: String, now: String), threads: (before: Int?, now: Int?)) throws {
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
private func endStoppedRun(_ run: Run<some Experiment>, exitCode code: Int32?, command: String) throws {
    guard let code else { return }
    let name = code == 130 ? "SIGINT" : "SIGTERM"
    let state = run.savedAt == run.done ? "stopped and saved" : "stopped, not saved because a number is not finite,"
    printToError(
        "\(name): \(state) at \(run.experiment.unit) \(run.done) of \(run.total); resume with: weightnorm \(command) --resume --out \(shellWord(run.folder.path))"
    )
    throw ExitCode(code)
}

/// A word as a shell takes it for one.
private func shellWord(_ text: String) -> String {
    let isPlain = !text.isEmpty && text.allSatisfy { $0.isLetter || $0.isNumber || "/._-+,:@%=".contains($0) }
    return isPlain ? text : "'\(text.replacing("'", with: "'\\''"))'"
}
