import Datasets
import Report
import Torch

/// The times of a run's steps.
enum StepTimes {
    /// How many of the first steps are left out, since they include libtorch's one-time set-up.
    static func warmUp(of times: [Double]) -> Int { min(10, max(0, times.count - 1)) }

    /// The median over all steps but the first ten.
    static func median(_ times: [Double]) -> Double { Statistics.median(Array(times.dropFirst(warmUp(of: times)))) }
}

/// The minibatches of a run's steps: the images in a new order each epoch, which depends only on the seed.
final class EpochOrder {
    private let images: ResidentImages
    private let batch: Int
    private var present: (seed: UInt64, epoch: Int, indices: Tensor)?

    init(_ images: ResidentImages, batch: Int) { (self.images, self.batch) = (images, batch) }

    /// The indices of the images for a step, counted from 0.
    func minibatch(_ step: Int, seed: UInt64) -> Tensor {
        let steps = images.count / batch
        let epoch = step / steps
        if present?.seed != seed || present?.epoch != epoch {
            present = (seed, epoch, images.order(size: batch, seed: seed, epoch: epoch))
        }
        return present!.indices.selected(step % steps, along: 0)
    }
}

/// The steps at which equal parts of an epoch end; always including the last step.
struct Milestones {
    private let steps: Set<Int>

    init(steps: Int, parts: Int) { self.steps = Set((1...parts).map { max(1, steps * $0 / parts) } + [steps]) }

    func contains(_ step: Int) -> Bool { steps.contains(step) }
}
