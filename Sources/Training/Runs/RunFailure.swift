/// Why a run, or the use of one, failed: in one line, with what was expected and what was found.
public struct RunFailure: Error, CustomStringConvertible {
    /// The line.
    public let description: String
    /// The step at which a loss or parameter was found not to be finite, if that is the reason.
    public let divergedAt: Int?

    /// A failure with this description.
    public init(_ description: String, divergedAt: Int? = nil) { (self.description, self.divergedAt) = (description, divergedAt) }
}

/// An error that ends a run, which can be resumed from its last checkpoint once the cause is gone, such as a game's program that died.
///
/// ``Run`` throws it on as a ``RunFailure`` that also names that checkpoint.
public protocol RunInterruption: Error {}
