/// The files of a data set in a folder, each compared with its checksum.
public struct DataCheck {
    /// The data set.
    public let publication: Publication
    /// Each of its files, and what was found of it.
    public let states: [(file: Publication.File, state: Publication.State)]

    /// Whether every file is there and right.
    public var isRight: Bool { states.allSatisfy { $0.state == .right } }

    /// Checks the folder for the files of a data set.
    public init(_ publication: Publication, folder: String) {
        self.publication = publication
        states = publication.files.map { ($0, Publication.check($0, in: folder)) }
    }

    /// Checks a folder for the data set that it holds: the one of which most files are right, and of equals the one of which most are
    /// there. MNIST and Fashion-MNIST have files of the same names.
    ///
    /// - Throws: ``DatasetError`` if there is no file of any.
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
