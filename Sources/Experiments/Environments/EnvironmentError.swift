/// Why games cannot be played, or no longer.
package struct EnvironmentError: Error, CustomStringConvertible, Equatable {
    /// Which games.
    package let environment: String
    /// What was expected and what was found.
    package let problem: String
    /// The last that a program said which plays them, as much as was kept; empty if none does or it said nothing.
    package let lastWords: String

    package init(environment: String, problem: String, lastWords: String = "") {
        (self.environment, self.problem, self.lastWords) = (environment, problem, lastWords)
    }

    /// One line, with the last line of the last words.
    package var description: String {
        let line = lastWords.split(whereSeparator: \.isNewline).last.map { "; its last words: \($0.prefix(2000))" } ?? ""
        return "\(environment): \(problem)\(line)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
