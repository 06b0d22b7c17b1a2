import Foundation

/// Where data sets are on this machine.
public enum DataFolder {
    /// The data sets known by name: each is in a folder of that name in the cache.
    public static let names = Publication.all.map(\.name)

    /// This package's cache, the same as in the set-up scripts: `$XDG_CACHE_HOME/swift-weightnorm` if that is an absolute path, else
    /// `~/.cache/swift-weightnorm`.
    public static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "\(environment["HOME"] ?? NSHomeDirectory())/.cache"
        return "\(base)/swift-weightnorm"
    }

    /// Reads a part of the data set of a known name, or of one in any folder: CIFAR-10 if there is a file of its binary version, else the four IDX
    /// files of MNIST and the like.
    ///
    /// - Throws: ``DatasetError`` if it is neither, or a file is missing or damaged; for a known data set that is not there, the error says which
    ///   call fetches it.
    public static func images(_ data: String, _ split: ImageSet.Split) throws -> ImageSet {
        var folder = data
        if names.contains(data) {
            folder = "\(cache)/\(data)"
            guard FileManager.default.fileExists(atPath: folder) else {
                throw DatasetError(path: folder, problem: "expected the \(data) data set, found no such folder", unfetched: data)
            }
        } else {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: data, isDirectory: &isFolder), isFolder.boolValue else {
                throw DatasetError(
                    path: data,
                    problem:
                        "expected \(names.joined(separator: ", ")), or a folder with four IDX files or CIFAR-10's binary version, found neither"
                )
            }
        }
        return CIFAR10.isThere(in: folder)
            ? try CIFAR10.load(folder: folder, split: split) : try ImageSet.load(folder: folder, split: split)
    }
}
