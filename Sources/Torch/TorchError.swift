/// Why a device, a generator or the machine's set-up failed: what was expected and what was found.
///
/// Mistakes in a program's shapes and types are not such errors: they trap, with the operator's name, as an array index out of range does.
public struct TorchError: Error, CustomStringConvertible, Equatable {
    /// One line.
    public let description: String

    package init(_ description: String) {
        self.description = description.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
