import Datasets
import Torch

/// The images of a task's run, in minibatches of an order that depends only on the seed.
struct TaskImages {
    let training: ResidentImages
    let test: ResidentImages
    let columns: Int
    let features: Int
    private let order: EpochOrder
    private let seed: UInt64

    init(_ parts: (training: ImageSet, test: ImageSet), batch: Int, seed: UInt64) {
        (training, test) = (ResidentImages(parts.training), ResidentImages(parts.test))
        (columns, features) = (parts.training.columns * parts.training.channels, parts.training.features)
        order = EpochOrder(training, batch: batch)
        self.seed = seed
    }

    /// The images and labels of a step.
    func minibatch(_ step: Int) -> (Tensor, Tensor) { training.batch(order.minibatch(step, seed: seed)) }
}
