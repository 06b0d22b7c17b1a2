/// Why a device, a generator or the machine's set-up failed: what was expected, what was found.
///
/// Mistakes in a program's shapes and types are no errors of this kind: they trap, with the operator's name, as an array index does.
public struct TorchError: Error, CustomStringConvertible, Equatable {
    /// One line.
    public let description: String

    package init(_ description: String) {
        self.description = description.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
