/// Why a run, or the use of one, failed: in one line, with what was expected and what was found.
public struct RunFailure: Error, CustomStringConvertible {
    /// The line.
    public let description: String

    /// A failure with this description.
    public init(_ description: String) { self.description = description }
}
