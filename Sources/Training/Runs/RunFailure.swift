/// What can stop a run, or the use of one: in one line, with what was expected and found.
public struct RunFailure: Error, CustomStringConvertible {
    /// The line.
    public let description: String

    /// A failure with these words.
    public init(_ description: String) { self.description = description }
}
