public import Torch

/// ZCA whitening: the linear map, nearest to the identity, after which the features of a set of images are uncorrelated and have deviation 1.
///
/// With x = (raw − 127.5)/128 for the bytes of an image as one row, μ = E[x], Σ = E[(x − μ)′(x − μ)] = U diag(S) U′ over the training images, the map
/// is x ↦ (x − μ)·Z, Z = U diag(1/√(S + ε)) U′, ε = 10⁻⁵. It must be fitted only to the training images, and applied to all images. (Salimans &
/// Kingma §5.1 and its released code.)
///
/// It keeps one matrix, 38 MB for CIFAR-10, and is applied to a minibatch when that is used: whitened, the whole training set would take 614 MB
/// instead of 154 MB of bytes, and as much more to copy to a device.
public struct Whitening: Sendable {
    /// ε, added to each variance: it limits the scaling of directions that hardly vary.
    public static let epsilon = 1e-5
    /// The name of the recipe with everything that determines its result; a stored fit is valid only under this name.
    package static let recipe = "zca: x = (raw - 127.5)/128, Z = U diag(1/sqrt(S + \(epsilon))) U', version 1"

    /// The maximum bytes per image: fitting takes four square matrices of that size, here 8.6 GB.
    public static let mostFeatures = 16_384

    /// μ, `[features]`.
    public let mean: Tensor
    /// Z, `[features, features]`, symmetric.
    public let matrix: Tensor

    /// A map made from its parts, as stored in a file.
    package init(mean: Tensor, matrix: Tensor) {
        self.mean = mean
        self.matrix = matrix
    }

    /// Fits the map to the training images, in float64, and stores it in the given type.
    ///
    /// Takes time ∝ count × features² + features³. Traps if there are no images, or they have more than ``mostFeatures`` bytes.
    public init(fittedTo set: ImageSet, type: ElementType = .float32) {
        trap(unless: set.count > 0, "whitening: expected at least one image, found none")
        if let defect = Self.defect(of: set) { fatalError(defect) }
        let (mean, covariance) = Self.meanAndCovariance(of: set)
        (self.mean, matrix) = withoutGradients {
            let (values, vectors) = covariance.symmetricEigen()
            // Rounding can make a variance of zero slightly negative.
            let scales = (values.clamped(from: 0) + Self.epsilon).reciprocalSquareRoot()
            return (mean.converted(to: type), (vectors * scales).matrixProduct(vectors.transposed()).converted(to: type))
        }
    }

    /// Why the images are too large to be whitened; nil if they are not.
    package static func defect(of set: ImageSet) -> String? {
        guard set.features > mostFeatures else { return nil }
        let gigabytes = (Double(set.features) * Double(set.features) * 32 / 1e9).rounded(.up)
        return
            "whitening: expected images of at most \(mostFeatures) bytes, found \(set.features), which would take \(Int(gigabytes)) GB of memory"
    }

    /// Images `[count, channels, rows, columns]`, as bytes, to the same shape in the matrix's type and on its device.
    ///
    /// Traps if the images' size differs from that of the images to which it was fitted.
    public func callAsFunction(_ images: Tensor) -> Tensor {
        let features = matrix.shape[0]
        let rows = images.flattened(from: 1)
        trap(unless: rows.shape[1] == features, "whitening: expected images of \(features) bytes, found \(rows.shape[1])")
        let inputs = (rows.converted(to: matrix.type) - 127.5) * (1 / 128.0)
        return (inputs - mean).matrixProduct(matrix).reshaped(images.shape)
    }

    /// The same map on another device.
    public func moved(to device: Device) -> Whitening { Whitening(mean: mean.moved(to: device), matrix: matrix.moved(to: device)) }

    /// μ and Σ in float64.
    ///
    /// They are sums of whole numbers, 2·raw − 255, which float64 adds without rounding up to 2⁵³: Σ is the same to the last bit on every machine,
    /// with any number of threads, for up to 300,000 images; beyond that it is rounded like any other sum.
    package static func meanAndCovariance(of set: ImageSet) -> (mean: Tensor, covariance: Tensor) {
        withoutGradients {
            let features = set.features
            var sum = Tensor.zeros([features], type: .float64)
            var products = Tensor.zeros([features, features], type: .float64)
            for batch in Batches.inOrder(set, size: 1000) {
                let numbers = batch.images.flattened(from: 1).converted(to: .float64) * 2 - 255
                sum = sum + numbers.sum(over: [0])
                products = products + numbers.transposed().matrixProduct(numbers)
            }
            let count = Double(set.count)
            let spread = products * count - sum.expandingDimension(1) * sum.expandingDimension(0)
            // (raw − 127.5)/128 is (2·raw − 255)/256.
            return (sum * (1 / (256 * count)), spread * (1 / (256 * count * 256 * count)))
        }
    }
}
