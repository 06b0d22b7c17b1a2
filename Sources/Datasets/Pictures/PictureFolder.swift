import Foundation
import Torch

/// A data set of pictures in folders, one a class: `FOLDER/CLASS/….png`, or `FOLDER/train/CLASS/…` and `FOLDER/test/CLASS/…`.
///
/// Classes are numbered in the order of their names, and pictures of a class are in the order of theirs. Without folders for training and testing, every fifth picture of a class is for testing.
enum PictureFolder {
    /// The most classes: labels are bytes.
    static let mostClasses = 256
    /// What training and testing may be called; `val` is another name for the second.
    private static let parts: [ImageSet.Split: [String]] = [.training: ["train"], .test: ["test", "val"]]
    private static let endings = ["png", "jpg", "jpeg"]

    /// Whether a folder has folders in it, as only such a data set does.
    static func isThere(in folder: String) -> Bool { (try? names(in: folder))?.contains { isFolder("\(folder)/\($0)") } ?? false }

    /// Reads a part of the pictures.
    ///
    /// - Parameter size: the height and width to which every picture is fitted; nil if all are of one size.
    /// - Throws: ``DatasetError`` and `FileError`, which name the folder or picture that is wrong.
    static func load(_ folder: String, split: ImageSet.Split, size: Int?) throws -> ImageSet {
        let classes = try classes(of: folder)
        let chosen = classes.files(split)
        // All headers of both parts first: pictures of one part must not be decoded in vain because of one of the other.
        var channels = 1
        var first: (path: String, header: Picture.Header)?
        for path in classes.files(.training).flatMap(\.self) + classes.files(.test).flatMap(\.self) {
            let header = try Picture.header(of: path)
            channels = max(channels, header.channels)
            guard size == nil else { continue }
            if let first, (header.rows, header.columns) != (first.header.rows, first.header.columns) {
                throw DatasetError(
                    path: path,
                    problem: "expected a picture of \(first.header.rows) × \(first.header.columns) pixels as \(first.path), found one of "
                        + "\(header.rows) × \(header.columns); a picture size makes all of one size")
            }
            first = first ?? (path, header)
        }
        let (rows, columns) = size.map { ($0, $0) } ?? (first?.header.rows ?? 0, first?.header.columns ?? 0)
        let count = chosen.reduce(0) { $0 + $1.count }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: channels * rows * columns)
        guard !overflow, bytes <= 1 << 35 else {
            throw DatasetError(
                path: folder,
                problem:
                    "expected pictures that take at most 32 GiB together, found \(count) of \(channels) × \(rows) × \(columns) pixels; a picture size makes them smaller"
            )
        }
        var images: [UInt8] = []
        images.reserveCapacity(bytes)
        for path in chosen.flatMap(\.self) {
            images += try Picture(reading: path).with(channels: channels).fitted(rows: rows, columns: columns).pixels
        }
        let labels = chosen.enumerated().flatMap { label, files in [UInt8](repeating: UInt8(label), count: files.count) }
        return ImageSet(images: images, labels: labels, channels: channels, rows: rows, columns: columns, classNames: classes.names)
    }

    private struct Classes {
        var names: [String]
        var training: [[String]]
        var test: [[String]]

        func files(_ split: ImageSet.Split) -> [[String]] { split == .training ? training : test }
    }

    private static func classes(of folder: String) throws -> Classes {
        let found = try names(in: folder)
        func part(_ split: ImageSet.Split) -> String? { parts[split]?.first { found.contains($0) && isFolder("\(folder)/\($0)") } }
        guard let training = part(.training) else {
            if let test = part(.test), found.filter({ isFolder("\(folder)/\($0)") }).count == 1 {
                throw DatasetError(path: folder, problem: "expected a folder 'train' beside '\(test)', found none")
            }
            return try divided(folder)
        }
        guard let test = part(.test) else {
            throw DatasetError(path: folder, problem: "expected a folder 'test' or 'val' beside 'train', found none")
        }
        if let other = found.first(where: { $0 != training && $0 != test && isFolder("\(folder)/\($0)") }) {
            throw DatasetError(
                path: "\(folder)/\(other)", problem: "expected only the folders '\(training)' and '\(test)' there, found another")
        }
        let (names, files) = try pictures(in: "\(folder)/\(training)")
        let (others, tests) = try pictures(in: "\(folder)/\(test)")
        if let missing = Set(names).symmetricDifference(others).sorted().first {
            let isNew = !names.contains(missing)
            throw DatasetError(
                path: "\(folder)/\(isNew ? test : training)/\(missing)",
                problem: "expected the same classes in '\(training)' and '\(test)', found it in one of them only")
        }
        return Classes(names: names, training: files, test: tests)
    }

    /// Every fifth picture of a class for testing.
    private static func divided(_ folder: String) throws -> Classes {
        let (names, files) = try pictures(in: folder)
        for (name, files) in zip(names, files) where files.count < 5 {
            throw DatasetError(
                path: "\(folder)/\(name)",
                problem:
                    "expected at least 5 pictures, of which every fifth is for testing, found \(files.count); folders 'train' and 'test' say which are for what"
            )
        }
        func part(_ isTest: Bool) -> [[String]] {
            files.map { $0.enumerated().filter { ($0.offset % 5 == 4) == isTest }.map(\.element) }
        }
        return Classes(names: names, training: part(false), test: part(true))
    }

    /// The classes in a folder, and the paths of each one's pictures.
    private static func pictures(in folder: String) throws -> (names: [String], files: [[String]]) {
        let found = try names(in: folder)
        if let stray = found.first(where: { !isFolder("\(folder)/\($0)") }) {
            throw DatasetError(path: "\(folder)/\(stray)", problem: "expected folders of pictures there, one a class, found a file")
        }
        guard (2...mostClasses).contains(found.count) else {
            throw DatasetError(
                path: folder, problem: "expected from 2 to \(mostClasses) folders of pictures, one a class, found \(found.count)")
        }
        let files = try found.map { name in
            let path = "\(folder)/\(name)"
            let inside = try names(in: path)
            for file in inside {
                let place = "\(path)/\(file)"
                if isFolder(place) { throw DatasetError(path: place, problem: "expected pictures in a class's folder, found a folder") }
                let ending = file.split(separator: ".").last?.lowercased() ?? ""
                guard endings.contains(ending), file.contains(".") else {
                    throw DatasetError(path: place, problem: "expected PNG or JPEG pictures, named .png, .jpg or .jpeg, found another file")
                }
            }
            guard !inside.isEmpty else { throw DatasetError(path: path, problem: "expected pictures in a class's folder, found none") }
            return inside.map { "\(path)/\($0)" }
        }
        return (found, files)
    }

    /// What is in a folder, in the order of the names' bytes, without hidden files and those that Windows leaves.
    private static func names(in folder: String) throws -> [String] {
        let found: [String]
        do { found = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
            throw DatasetError(path: folder, problem: "expected a folder that can be read, found it cannot: \(error.localizedDescription)")
        }
        return found.filter { !$0.hasPrefix(".") && !["Thumbs.db", "desktop.ini"].contains($0) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
