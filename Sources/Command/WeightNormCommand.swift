import ArgumentParser
import Foundation
import Training

/// The command `weightnorm`; each subcommand has a file of its own.
@main
struct WeightNormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weightnorm",
        abstract: "Train networks with weight normalization, and see what it does.",
        discussion: "The experiments of Salimans & Kingma, \"Weight Normalization\" (2016), as runs that anyone can repeat.",
        version: PackageVersion.current,
        subcommands: [Train.self, Sample.self, Play.self, Compare.self, SweepCommand.self, Analyze.self, DataCommand.self, Weights.self])

    // Errors are one line on standard error, without the usage that ArgumentParser puts behind them: `--help` is a word away.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let code as ExitCode {
            // What there was to say has been said.
            exit(withError: code)
        } catch {
            let code = exitCode(for: error)
            guard code != .success else { exit(withError: error) }
            FileHandle.standardError.write(Data("weightnorm: error: \(line(message(for: error)))\n".utf8))
            exit(withError: code)
        }
    }

    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: " ")
    }
}
