import ArgumentParser
import Datasets
import Experiments
import Foundation
import Training

/// The command `weightnorm`; each subcommand has a file of its own.
@main
struct WeightNormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weightnorm",
        abstract: "Train networks with weight normalization, and see what it does.",
        discussion: "Repeats the experiments of Salimans & Kingma, \"Weight Normalization\" (2016).",
        version: PackageVersion.current,
        subcommands: [Train.self, Sample.self, Play.self, Compare.self, SweepCommand.self, Analyze.self, DataCommand.self, Weights.self])

    // Errors are one line on standard error, without the usage that ArgumentParser puts behind them: `--help` is a word away.
    static func main() {
        // A file that must not grow any further (ulimit -f) is then an error of the write, which is told, and not a silent end.
        signal(SIGXFSZ, SIG_IGN)
        do {
            var command = try parseAsRoot()
            try requireOpenFiles()
            try command.run()
            try checkOutput()
        } catch let code as ExitCode {
            // What there was to say has been said.
            exit(withError: code)
        } catch {
            let code = exitCode(for: error)
            guard code != .success else { exit(withError: error) }
            printToError("weightnorm: error: \(line(text(of: error)))")
            exit(withError: code)
        }
    }

    /// What is said of an error. Of a data set that is not there the library names its own call: here the command stands in its place.
    private static func text(of error: any Error) -> String {
        guard let error = error as? DatasetError, let name = error.unfetched else { return message(for: error) }
        let script = name == Publication.fashionMNIST.name ? "Scripts/\(name).sh or " : ""
        return "\(error.path): \(error.problem): run \(script)weightnorm data fetch \(name)"
    }

    /// Files, libraries, sockets and pipes that a command may hold open at once, with room to spare.
    private static let leastOpenFiles = 64

    /// Asks the system for as many open files as are needed, and throws if it refuses: libraries below end the program in the middle of the work without them.
    private static func requireOpenFiles() throws {
        #if canImport(Darwin)
            let resource = RLIMIT_NOFILE
        #else
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #endif
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < leastOpenFiles else { return }
        let found = limit.rlim_cur
        limit.rlim_cur = min(rlim_t(leastOpenFiles), limit.rlim_max)
        guard limit.rlim_cur == leastOpenFiles, setrlimit(resource, &limit) == 0 else {
            throw RunFailure(
                "expected at least \(leastOpenFiles) files that may be open at once, found \(found): raise the limit (ulimit -n)")
        }
    }

    /// Throws if what was printed did not reach its file: a result that is lost is no success.
    private static func checkOutput() throws {
        guard fflush(nil) != 0 else { return }
        throw RunFailure("cannot write to standard output: \(String(cString: strerror(errno)))")
    }

    /// One line, whatever a file, folder or server has put into it: the lists in messages are short, names and texts may be of any length.
    private static func line(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: " ")
        let most = 8000
        return line.utf8.count <= most ? line : "\(line.prefix(most / 4))… (and \(line.count - most / 4) more characters)"
    }
}
