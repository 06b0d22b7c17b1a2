import ArgumentParser
import Environments
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
    ///   - label: what the progress line begins with.
    func perform<E: Experiment, Details>(
        _ plan: RunPlan<E, Details>, continuing stored: RunConfiguration<E.Settings, Details>?, label: String = "train"
    ) throws {
        if let stored { try check(plan.configuration, continues: stored) }
        let run = try plan.begin(at: out, resuming: stored != nil) { for line in $0 { print(line) } }
        if stored != nil { try printResumption(run) }
        // Flush output, also to files, before the long work: what a killed run has printed is not lost.
        fflush(nil)
        let stop: Int32?
        do {
            stop = try run.runInTerminal(label: label, savingEvery: checkpointEvery, line: plan.line)
        } catch let error as EnvironmentError {
            throw RunFailure("\(error); \(run.lastGoodCheckpoint)")
        }
        try endStoppedRun(run, exitCode: stop, command: plan.configuration.command)
        print(try plan.finish(run))
        print("The report is \(out)/report.html")
    }

    /// Throws if a run would be resumed as another one; reports what changes its rounding.
    private func check<Details: RunDetails>(
        _ found: RunConfiguration<Details.Settings, Details>, continues stored: RunConfiguration<Details.Settings, Details>
    ) throws {
        if let (what, expected, found) = try found.difference(from: stored) { throw otherRun(what, expected: expected, found: found) }
        try checkMachine(device: (stored.device, found.device), threads: (stored.threads, found.threads))
    }
}

/// The refusal to resume a run as another one.
func otherRun(_ what: String, expected: String, found: String) -> ValidationError {
    ValidationError("--resume: expected the run's \(what), \(expected), found \(found)")
}

/// Prints where the run in a folder is resumed from, and whether another version started it.
private func printResumption(_ run: Run<some Experiment>) throws {
    let version = try RunHeader(at: run.folder.path).version
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
        "\(name): \(state) at \(run.experiment.unit) \(run.done) of \(run.total); resume with: weightnorm \(command) --resume --out \(run.folder.path)"
    )
    throw ExitCode(code)
}
