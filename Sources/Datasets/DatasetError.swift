/// Why data could not be read: which file or folder, what was expected and what was found.
public struct DatasetError: Error, CustomStringConvertible, Equatable {
    /// The file or folder, as the caller named it.
    public let path: String
    /// What was expected and what was found.
    public let problem: String

    /// The name of a known data set that is not there and that ``DataFolder/fetch(_:)`` can fetch; nil for all other problems.
    public let unfetched: String?

    /// One line, such as `data/t10k-labels-idx1-ubyte: expected 10008 bytes, found 9000`.
    public var description: String {
        let remedy = unfetched.map { ": DataFolder.fetch(\"\($0)\") gets it" } ?? ""
        return "\(path): \(problem)\(remedy)".split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    package init(path: String, problem: String, unfetched: String? = nil) {
        self.path = path
        self.problem = problem
        self.unfetched = unfetched
    }
}
