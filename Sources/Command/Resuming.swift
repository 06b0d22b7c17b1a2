import ArgumentParser
import Experiments
import Foundation
import Training

// What runs that can be gone on with have in common.

/// The configuration of the run in a folder; nil if there is none to go on with. Throws if it is one of another command.
func storedConfiguration<Configuration: Decodable>(in out: String, command: String) throws -> Configuration? {
    guard FileManager.default.fileExists(atPath: "\(out)/config.json") else { return nil }
    let found = try Comparison.Configuration.command(at: out)
    guard found == command else {
        throw ValidationError("--resume: expected a run of weightnorm \(command) in \(out), found one of weightnorm \(found)")
    }
    return try RunFolder.read(named: "config.json", at: out)
}

/// Says what has changed on which roundings depend.
func sayWhatRoundsOtherwise(_ changes: [(what: String, before: String, now: String)]) {
    for (what, before, now) in changes where before != now {
        sayAside("the \(what) was \(before) and is \(now): the numbers will differ in rounding from those of an undisturbed run")
    }
}

/// Ends a run that a signal stopped, with 130 after SIGINT and 143 after SIGTERM, and says how to go on.
func endStoppedRun(after interruption: Interruption, at done: Int, of total: Int, command: String, out: String) throws {
    guard let code = interruption.exitCode else { return }
    let name = code == 130 ? "SIGINT" : "SIGTERM"
    sayAside("\(name): stopped and saved at step \(done) of \(total); go on with: weightnorm \(command) --resume --out \(out)")
    throw ExitCode(code)
}
