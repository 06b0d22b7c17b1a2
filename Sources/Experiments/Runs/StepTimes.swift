import Datasets
import Report
import Torch

/// The times of a run's steps.
enum StepTimes {
    /// How many of the first steps are left out: they pay for what libtorch sets up once.
    static func warmUp(of times: [Double]) -> Int { min(10, max(0, times.count - 1)) }

    /// The median over all steps but the first ten.
    static func median(_ times: [Double]) -> Double { Statistics.median(Array(times.dropFirst(warmUp(of: times)))) }
}

/// The minibatches of a run's steps: the images in another order each epoch, which depends on the seed alone.
final class EpochOrder {
    private let images: ResidentImages
    private let batch: Int
    private var present: (seed: UInt64, epoch: Int, indices: Tensor)?

    init(_ images: ResidentImages, batch: Int) { (self.images, self.batch) = (images, batch) }

    /// The indices of the images of a step, from 0.
    func minibatch(_ step: Int, seed: UInt64) -> Tensor {
        let steps = images.count / batch
        let epoch = step / steps
        if present?.seed != seed || present?.epoch != epoch {
            present = (seed, epoch, images.order(size: batch, seed: seed, epoch: epoch))
        }
        return present!.indices.selected(step % steps, along: 0)
    }
}

/// Steps of an epoch at the ends of equal parts of it; the last step is always one.
struct Milestones {
    private let steps: Set<Int>

    init(steps: Int, parts: Int) { self.steps = Set((1...parts).map { max(1, steps * $0 / parts) } + [steps]) }

    func contains(_ step: Int) -> Bool { steps.contains(step) }
}
