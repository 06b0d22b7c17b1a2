/// The files of a data set in a folder, each compared with its checksum.
public struct DataCheck {
    /// The data set.
    public let publication: Publication
    /// Each of its files, and its state.
    public let states: [(file: Publication.File, state: Publication.State)]

    /// Whether every file is there and correct.
    public var isRight: Bool { states.allSatisfy { $0.state == .right } }

    /// Checks the folder for the files of a data set.
    public init(_ publication: Publication, folder: String) {
        self.publication = publication
        states = publication.files.map { ($0, Publication.check($0, in: folder)) }
    }

    /// Checks a folder for the data set that it holds: the one with the most correct files or, if equal, the most files present. MNIST and
    /// Fashion-MNIST have the same file names.
    ///
    /// - Throws: ``DatasetError`` if there is no file of any data set.
    public init(folder: String, among publications: [Publication] = Publication.all) throws {
        let present = publications.filter { $0.files.contains { Publication.find($0, in: folder) != nil } }
        let checks = present.map { DataCheck($0, folder: folder) }
        let best = checks.max { first, second in
            func rank(_ check: DataCheck) -> (Int, Int) {
                (check.states.count { $0.state == .right }, check.states.count { $0.state != .missing })
            }
            return rank(first) < rank(second)
        }
        guard let best else {
            let names = publications.map(\.name).joined(separator: ", ")
            throw DatasetError(path: folder, problem: "expected the files of one of the data sets \(names), found none of them")
        }
        self = best
    }
}
