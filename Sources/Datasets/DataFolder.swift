import Foundation

/// Where data sets lie on this machine.
public enum DataFolder {
    /// The data sets that are known by name: each is a folder of that name in the cache.
    public static let names = ["fashion-mnist"]

    /// The cache of this package, as the set-up scripts find it: `$XDG_CACHE_HOME/swift-weightnorm` where that is an absolute path, else
    /// `~/.cache/swift-weightnorm`.
    public static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "\(environment["HOME"] ?? NSHomeDirectory())/.cache"
        return "\(base)/swift-weightnorm"
    }

    /// Reads a part of the data set of a known name, or of the four IDX files in any folder.
    ///
    /// - Throws: ``DatasetError`` if it is neither, or a file is missing or damaged; of a known data set it says how to get it.
    public static func images(_ data: String, _ split: ImageSet.Split) throws -> ImageSet {
        guard names.contains(data) else {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: data, isDirectory: &isFolder), isFolder.boolValue else {
                throw DatasetError(
                    path: data,
                    problem:
                        "expected \(names.joined(separator: " or ")) or a folder with the four IDX files of such a data set, found neither")
            }
            return try ImageSet.load(folder: data, split: split)
        }
        let folder = "\(cache)/\(data)"
        guard FileManager.default.fileExists(atPath: folder) else {
            throw DatasetError(path: folder, problem: "expected the \(data) data set, found no such folder: run Scripts/\(data).sh")
        }
        return try ImageSet.load(folder: folder, split: split)
    }
}
