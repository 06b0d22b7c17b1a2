extension DataFolder {
    /// Fetches a data set known by name into the cache, where ``images(_:_:pictureSize:)`` finds it, and checks every file.
    ///
    /// ```swift
    /// try DataFolder.fetch("cifar10")
    /// let training = try DataFolder.images("cifar10", .training)
    /// ```
    ///
    /// Correct files stay; an interrupted download continues where it stopped. For progress, other sources and other folders, use ``DataFetcher``.
    ///
    /// - Returns: the data set's folder.
    /// - Throws: ``DatasetError`` if no data set is known by that name; ``DataFetcher/Failure`` if a file cannot be fetched from any mirror;
    ///   `FileError` if one cannot be written.
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
