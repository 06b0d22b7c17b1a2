public import Training

/// Why games cannot be played, or can no longer be played.
public struct EnvironmentError: RunInterruption, CustomStringConvertible, Equatable {
    /// Which games.
    public let environment: String
    /// What was expected and what was found.
    public let problem: String
    /// The last output of the program that plays them, as far as it was kept; empty if there is no program or no output.
    public let lastWords: String

    /// An error with the last words of the playing program, if there is one.
    public init(environment: String, problem: String, lastWords: String = "") {
        (self.environment, self.problem, self.lastWords) = (environment, problem, lastWords)
    }

    /// One line, with the last line of the last words.
    public var description: String {
        let line = lastWords.split(whereSeparator: \.isNewline).last.map { "; its last words: \($0.prefix(2000))" } ?? ""
        return "\(environment): \(problem)\(line)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
