extension DataFolder {
    /// Fetches a data set that is known by name into the cache, where ``images(_:_:)`` finds it, and checks every file of it.
    ///
    /// ```swift
    /// try DataFolder.fetch("cifar10")
    /// let training = try DataFolder.images("cifar10", .training)
    /// ```
    ///
    /// What is there and right stays; a download that broke off goes on where it was. For progress, other sources and other folders there is
    /// ``DataFetcher``.
    ///
    /// - Returns: the data set's folder.
    /// - Throws: ``DatasetError`` if no data set is known by the name; ``DataFetcher/Failure`` if a file cannot be had from any mirror; `FileError` if one
    ///   cannot be written.
    @discardableResult
    public static func fetch(_ name: String) throws -> String {
        guard let publication = Publication.all.first(where: { $0.name == name }) else {
            throw DatasetError(
                path: name, problem: "expected one of the data sets \(names.joined(separator: ", ")), found none of that name")
        }
        let fetcher = DataFetcher(publication)
        _ = try fetcher.run()
        return fetcher.folder
    }
}
