import Datasets
import Experiments
import Foundation
import Training

/// Images of noise in which the brightest row tells the class.
func rows(_ count: Int, seed: UInt64) -> ImageSet {
    var random = Xoshiro256(seed: seed)
    var images: [UInt8] = []
    let labels = (0..<count).map { UInt8($0 % 10) }
    for label in labels {
        for row in 0..<12 {
            for _ in 0..<12 { images.append(UInt8(random.next(below: 60)) + (row == Int(label) + 1 ? 190 : 0)) }
        }
    }
    return ImageSet(images: images, labels: labels, rows: 12, columns: 12)
}

/// Images as a comparison takes them, not whitened.
func resident(_ training: ImageSet, _ test: ImageSet) -> ClassificationImages {
    ClassificationImages(training: ResidentImages(training), test: ResidentImages(test), channels: training.channels)
}

extension Comparison {
    /// Trains all networks, seed after seed.
    func run(
        on images: ClassificationImages, into folder: RunFolder, progress: @escaping (RunProgress) -> Void
    ) throws -> (runs: [Run], records: [Record]) {
        let training = ComparisonTraining(self, images, folder)
        try training.run(progress: progress)
        return (training.results, training.records)
    }
}

extension Sweep {
    /// Trains all norms and seeds, one rate after the other.
    func run(
        on images: ClassificationImages, into folder: RunFolder, progress: @escaping (RunProgress) -> Void
    ) throws -> [Comparison.Run] {
        let run = Run(experiment(on: images), in: folder)
        try run.run(progress: progress)
        return run.results
    }
}

/// What a run leaves: every file with its bytes, but for the checkpoint, whose times differ, and the replay memory beside it.
func files(at path: String) throws -> [String: Data] {
    var found: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: path)
    where name != "checkpoint.safetensors" && name != ".weightnorm-run" && !name.hasPrefix("replay-") {
        found[name] = FileManager.default.contents(atPath: "\(path)/\(name)")
    }
    return found
}

func contents(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map { [UInt8]($0) } }

func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

/// In the place of a kill.
struct Killed: Error {}
