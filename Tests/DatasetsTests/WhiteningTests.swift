import Datasets
import Testing
import Torch

struct WhiteningTests {
    /// Correlated bytes of every size: features are mixtures of few numbers.
    private func correlated(count: Int, channels: Int = 3, side: Int = 4) -> ImageSet {
        var random = Xoshiro256(seed: 5)
        let features = channels * side * side
        var images: [UInt8] = []
        for _ in 0..<count {
            var value = Int(random.next(below: 256))
            for _ in 0..<features {
                value = (3 * value + Int(random.next(below: 256))) / 4
                images.append(UInt8(value))
            }
        }
        return ImageSet(images: images, labels: [UInt8](repeating: 0, count: count), channels: channels, rows: side, columns: side)
    }

    private func largest(_ tensor: Tensor) -> Double { (tensor * tensor).maximum().item().squareRoot() }
    private func identity(_ size: Int) -> Tensor { Tensor((0..<size * size).map { $0 % (size + 1) == 0 ? 1.0 : 0 }, shape: [size, size]) }

    @Test("agrees with NumPy's computation of the paper's recipe")
    func reference() {
        var raw: [UInt8] = []
        for i in 0..<9 {
            for j in 0..<6 {
                let number = 37 * (i + 2) * (j + 3) * (i + j) + 11 * i
                raw.append(j == 5 ? 200 : UInt8(number % 256))
            }
        }
        let set = ImageSet(images: raw, labels: [UInt8](repeating: 0, count: 9), channels: 3, rows: 1, columns: 2)
        let whitening = Whitening(fittedTo: set, type: .float64)
        #expect(largest(whitening.mean - Tensor(WhiteningReference.mean)) < 1e-15)
        // The constant feature's scale is 1/√ε = 316: the matrix is compared at that size.
        #expect(largest(whitening.matrix - Tensor(WhiteningReference.matrix, shape: [6, 6])) < 316 * 1e-13)
        let whitened = whitening(Batches.inOrder(set, size: 9)[0].images)
        #expect(whitened.shape == [9, 3, 1, 2] && whitened.type == .float64)
        #expect(largest(whitened.flattened(from: 1) - Tensor(WhiteningReference.whitened, shape: [9, 6])) < 1e-12)
        let single = Whitening(fittedTo: set)
        #expect(single.matrix.type == .float32)
        #expect(
            largest(
                single(Batches.inOrder(set, size: 9)[0].images).flattened(from: 1) - Tensor(WhiteningReference.whitened, shape: [9, 6]))
                < 1e-4)
    }

    @Test("whitened training images have mean 0 and, along each axis of Σ, the variance S/(S + ε)")
    func covariance() {
        let set = correlated(count: 700)
        let whitening = Whitening(fittedTo: set, type: .float64)
        let whitened = whitening(Batches.inOrder(set, size: 700)[0].images).flattened(from: 1)
        #expect(largest(whitened.mean(over: [0])) < 1e-12)
        let found = whitened.transposed().matrixProduct(whitened) * (1 / 700.0)
        let (values, vectors) = Whitening.meanAndCovariance(of: set).covariance.symmetricEigen()
        let expected = (vectors * (values / (values + 1e-5))).matrixProduct(vectors.transposed())
        #expect(largest(found - expected) < 1e-11)
        // So it is the identity up to the share of ε in the least variance.
        let least = values.minimum().item()
        #expect(least > 1e-3, "the test's data should vary in every direction")
        #expect(largest(found - identity(48)) < 1e-5 / least)
        #expect(largest(whitening.matrix - whitening.matrix.transposed()) < 1e-13, "Z is symmetric")
    }

    @Test("mean and covariance are the sums of whole numbers, whatever the blocks in which they were added")
    func exactSums() {
        // More than one block of images.
        let set = correlated(count: 2500, channels: 1, side: 2)
        let (mean, covariance) = Whitening.meanAndCovariance(of: set)
        let rows = (0..<set.count).map { image in (0..<4).map { 2 * Int(set.images[image * 4 + $0]) - 255 } }
        for i in 0..<4 {
            let sum = rows.reduce(0) { $0 + $1[i] }
            #expect(mean.elements(as: Double.self)[i] == Double(sum) * (1 / (256 * 2500.0)))
            for j in 0..<4 {
                let products = rows.reduce(0) { $0 + $1[i] * $1[j] }
                let spread = products * 2500 - sum * rows.reduce(0) { $0 + $1[j] }
                #expect(covariance.elements(as: Double.self)[4 * i + j] == Double(spread) * (1 / (256 * 2500.0 * 256 * 2500)))
            }
        }
    }

    @Test("the fit sees the training images alone: other images are mapped by the same matrix")
    func othersDoNotMatter() {
        let training = correlated(count: 100, channels: 1, side: 2)
        let whitening = Whitening(fittedTo: training, type: .float64)
        let other = Tensor([UInt8]([0, 255, 3, 77, 1, 2, 3, 4]), shape: [2, 1, 2, 2])
        let both = whitening(other)
        let first = whitening(other.sliced(0..<1, along: 0))
        #expect(largest(both.sliced(0..<1, along: 0) - first) < 1e-12)
    }

    @Test("images of another size trap")
    func wrongSize() async {
        await #expect(processExitsWith: .failure) {
            let set = ImageSet(images: [1, 2, 3, 4], labels: [0, 0], rows: 1, columns: 2)
            _ = Whitening(fittedTo: set)(Tensor([UInt8]([1, 2, 3]), shape: [1, 1, 1, 3]))
        }
    }

    @Test("images too large to be whitened are refused by their size, before any memory is asked for")
    func tooLarge() async {
        let large = ImageSet(images: [UInt8](repeating: 0, count: 700 * 700), labels: [0], channels: 1, rows: 700, columns: 700)
        #expect(
            Whitening.defect(of: large)
                == "whitening: expected images of at most 16384 bytes, found 490000, which would take 7684 GB of memory")
        #expect(Whitening.defect(of: ImageSet(images: [0, 0], labels: [0, 1], channels: 1, rows: 1, columns: 1)) == nil)
        await #expect(processExitsWith: .failure) {
            _ = Whitening(
                fittedTo: ImageSet(images: [UInt8](repeating: 0, count: 16_385), labels: [0], channels: 1, rows: 1, columns: 16_385))
        }
    }
}
