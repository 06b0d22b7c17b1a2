import Foundation
import Torch

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

    /// Reads a part of the data set of a known name, or of one in any folder: CIFAR-10 if there is a file of its binary version, pictures in folders, one a class, if there are folders, else the four
    /// IDX files of MNIST and the like.
    ///
    /// Pictures are PNG or JPEG files in `FOLDER/train/CLASS` and `FOLDER/test/CLASS`, or in `FOLDER/CLASS`: then every fifth of a class, in the order of their names, is for testing. Classes are in the
    /// order of their names. If one picture has colours, all have.
    ///
    /// - Parameters:
    ///   - data: the name or folder.
    ///   - split: which part.
    ///   - pictureSize: the height and width to which pictures are fitted (``Picture/fitted(rows:columns:)``); without it all must have one size. Traps unless it is positive. Other data sets have their
    ///     own size.
    /// - Throws: for a picture that cannot be read as ``Picture/init(reading:)``; ``DatasetError`` if it is neither, or a file is missing or damaged; for a known data set that is not there, the error says which
    ///   call fetches it.
    public static func images(_ data: String, _ split: ImageSet.Split, pictureSize: Int? = nil) throws -> ImageSet {
        trap(unless: pictureSize ?? 1 > 0, "size of pictures: expected at least 1 pixel, found \(pictureSize ?? 0)")
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
                        "expected \(names.joined(separator: ", ")), or a folder with four IDX files, CIFAR-10's binary version or folders of pictures, found none of these"
                )
            }
        }
        if !CIFAR10.isThere(in: folder), PictureFolder.isThere(in: folder) {
            return try PictureFolder.load(folder, split: split, size: pictureSize)
        }
        return CIFAR10.isThere(in: folder)
            ? try CIFAR10.load(folder: folder, split: split) : try ImageSet.load(folder: folder, split: split)
    }
}
