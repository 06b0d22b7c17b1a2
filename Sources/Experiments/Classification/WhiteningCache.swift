import AtomicFiles
package import Datasets
import Foundation
import Torch
import Training
import WeightFiles

/// Stores fitted whitenings, since the fit to CIFAR-10 takes a minute on two cores.
package enum WhiteningCache {
    /// The folder in the cache.
    package static var folder: String { "\(DataFolder.cache)/whitening" }

    /// The whitening of a training set: read from the folder if it was fitted earlier, to these images and by this recipe; otherwise fitted and
    /// written there.
    ///
    /// A damaged file is replaced. If the folder cannot be written, the user is only notified: the fit is usable without it.
    package static func whitening(of training: ImageSet, in folder: String = folder, notify: (String) -> Void) -> Whitening {
        let key = key(of: training)
        let path = "\(folder)/zca-\(key).safetensors"
        if access(path, F_OK) == 0 {
            do {
                return try read(path, features: training.features, key: key)
            } catch {
                notify("\(error); fitting the whitening again")
            }
        } else {
            notify("fitting the whitening to \(training.count) images of \(training.size)")
        }
        let whitening = Whitening(fittedTo: training)
        do {
            do {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            } catch {
                throw FileError(path: folder, operation: "make the folder", reason: error.localizedDescription)
            }
            try OwnFile.requireRegularOrNone(path, operation: "write")
            try Safetensors.write(
                [("mean", whitening.mean), ("matrix", whitening.matrix)],
                metadata: ["recipe": Whitening.recipe, "data": key, "images": "\(training.count)", "md5": sum(of: whitening)], to: path)
        } catch {
            notify("the whitening could not be cached: \(error)")
        }
        return whitening
    }

    /// A checksum of the recipe, the images' shape and every pixel. The labels do not matter.
    package static func key(of training: ImageSet) -> String {
        var sum = MD5()
        sum.update("\(Whitening.recipe)\n\(training.count) × \(training.size)\n".utf8)
        sum.update(training.images)
        return sum.hexadecimal()
    }

    private static func read(_ path: String, features: Int, key: String) throws -> Whitening {
        let file = try SafetensorsFile(openingOwn: path)
        func check(_ what: String, expected: String, found: String?) throws {
            guard found == expected else {
                throw DatasetError(path: path, problem: "\(what): expected \(expected), found \(found ?? "none")")
            }
        }
        try check("recipe", expected: Whitening.recipe, found: file.metadata["recipe"])
        try check("data", expected: key, found: file.metadata["data"])
        for (name, shape) in [("mean", [features]), ("matrix", [features, features])] {
            let found = try file.info(name)
            try check(name, expected: "float32 \(shape)", found: "\(found.type) \(found.shape)")
        }
        let whitening = try Whitening(mean: file.tensor("mean"), matrix: file.tensor("matrix"))
        try check("MD5 of the numbers", expected: file.metadata["md5"] ?? "one", found: sum(of: whitening))
        return whitening
    }

    private static func sum(of whitening: Whitening) -> String {
        var sum = MD5()
        for tensor in [whitening.mean, whitening.matrix] {
            tensor.elements(as: Float.self).withUnsafeBytes { sum.update($0) }
        }
        return sum.hexadecimal()
    }
}
