import AtomicFiles
import Datasets
import Torch
import Training
import WeightFiles

// A run's whitening in its folder: with it, its networks can be used where the images are not.

extension Whitening {
    /// The name of the file.
    static let fileName = "whitening.safetensors"

    func write(into folder: RunFolder) throws {
        try Safetensors.write(
            [("mean", mean.moved(to: .cpu)), ("matrix", matrix.moved(to: .cpu))], metadata: ["recipe": Self.recipe],
            to: folder.path(for: Self.fileName))
    }

    /// The whitening in a run's folder.
    ///
    /// - Throws: `FileError` and `SafetensorsError` if it cannot be read; ``RunFailure`` if it is of another recipe or of images of another size.
    init(inRun path: String, features: Int) throws {
        let file = try SafetensorsFile(openingOwn: AtomicFile.join(path, Self.fileName))
        guard file.metadata["recipe"] == Self.recipe else {
            throw RunFailure("\(file.path): expected a whitening by the recipe '\(Self.recipe)', found another")
        }
        for (name, shape) in [("mean", [features]), ("matrix", [features, features])] {
            let found = try file.info(name)
            guard found == (.float32, shape) else {
                throw RunFailure("\(file.path): \(name): expected float32 \(shape), found \(found.type) \(found.shape)")
            }
        }
        try self.init(mean: file.tensor("mean"), matrix: file.tensor("matrix"))
    }
}
