import ArgumentParser
import Datasets
import Experiments
import Foundation
import Training

/// The command `weightnorm`; each subcommand has its own file.
@main
struct WeightNormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weightnorm",
        abstract: "Train networks with weight normalization, and see what it does.",
        discussion: "Repeats the experiments of Salimans & Kingma, \"Weight Normalization\" (2016).",
        version: PackageVersion.current,
        subcommands: [
            Train.self, Predict.self, Evaluate.self, Export.self, Sample.self, Play.self, Compare.self, SweepCommand.self,
            StudyCommand.self,
            Analyze.self, DataCommand.self,
            Weights.self,
        ])

    // Errors are one line on standard error, without the usage that ArgumentParser appends: `--help` is one word away.
    static func main() {
        // Exceeding a file size limit (ulimit -f) is then a write error, which is reported, and not a silent end.
        signal(SIGXFSZ, SIG_IGN)
        do {
            var command = try parseAsRoot()
            try requireOpenFiles()
            try command.run()
            try checkOutput()
        } catch let code as ExitCode {
            // Everything has been reported.
            exit(withError: code)
        } catch {
            let code = exitCode(for: error)
            guard code != .success else { exit(withError: error) }
            printToError("weightnorm: error: \(line(text(of: error)))")
            exit(withError: code)
        }
    }

    /// The text for an error. For a missing data set the library names its own call; this replaces it by the command.
    private static func text(of error: any Error) -> String {
        guard let error = error as? DatasetError, let name = error.unfetched else { return expectation(message(for: error)) }
        let script = name == Publication.fashionMNIST.name ? "Scripts/\(name).sh or " : ""
        return "\(error.path): \(error.problem): run \(script)weightnorm data fetch \(name)"
    }

    /// ArgumentParser's message about a value that it cannot convert, with what was expected; any other message as it is.
    private static func expectation(_ message: String) -> String {
        guard let match = message.wholeMatch(of: /(?s)The value '(.*?)' is invalid for '([^ ']+)(?: <[^>']*>)?'(?:: (.*))?/) else {
            return message
        }
        let (value, option) = (match.1, match.2)
        // An option's own list says everything itself.
        if let own = match.3 { return String(own) }
        let isWhole = !value.isEmpty && value.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let number =
            if isWhole { "a smaller whole number" } else if Int(value) != nil { "a whole number from 0 up" } else {
                Double(value) != nil ? "a whole number" : "a number"
            }
        return "\(option): expected \(number), found '\(value)'"
    }

    /// The number of files, libraries, sockets and pipes that a command may hold open at once, with room to spare.
    private static let leastOpenFiles = 64

    /// Requests the needed number of open files, and throws if the system refuses: without them, underlying libraries would end the program in the
    /// middle of its work.
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

    /// Throws if the output did not reach its file: a lost result is not a success.
    private static func checkOutput() throws {
        guard fflush(nil) != 0 else { return }
        throw RunFailure("cannot write to standard output: \(String(cString: strerror(errno)))")
    }

    /// Reduces a text to one line, whatever a file, folder or server put into it: lists in messages are short, but names and texts may have any
    /// length.
    private static func line(_ text: String) -> String {
        let whole = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: " ")
        // A terminal would obey control characters.
        let line = whole.unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : "\($0)" }.joined()
        let most = 8000
        return line.utf8.count <= most ? line : "\(line.prefix(most / 4))… (and \(line.count - most / 4) more characters)"
    }
}
