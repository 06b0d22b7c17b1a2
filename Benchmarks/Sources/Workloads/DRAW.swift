public import Torch
import Training
public import WeightNorm

/// DRAW with attention (Gregor et al., 2015) of binary images, as the race has it.
///
/// Images 28×28, read 2×2, write 5×5, 64 glimpses, encoder and decoder LSTMs of 256 units without peepholes, z of 100. Loss: Bernoulli reconstruction and
/// divergence, in nats.
public final class DRAW: Workload {
    /// The layers. Those of the gates act on the input and the state joined, with rows in the order i, f, g, o.
    public struct Network: Module {
        /// What is read (image, then error image), the decoder's output and the encoder's own: `[batch, 8 + 256 + 256]` to its gates.
        public let encoder: Dense
        /// z and the decoder's own output: `[batch, 100 + 256]` to its gates.
        public let decoder: Dense
        /// The encoder's output to mean and log σ of z.
        public let latent: Dense
        /// The decoder's output to the attention for reading: centre (x, y), log σ², log stride, log intensity.
        public let read: Dense
        /// The decoder's output to the attention for writing.
        public let write: Dense
        /// The decoder's output to what is written, `[batch, 25]`.
        public let patch: Dense
    }

    /// The layers.
    public let network: Network
    private let attention: Attention
    private let optimizer: Adam
    private let images: Tensor
    private let random: Generator
    private static let size = 28
    private static let hidden = 256
    private static let latents = 100
    private static let read = 2
    private static let write = 5
    private static let glimpses = 64

    /// The network, its input and its optimizer, all drawn from one seed.
    public init(normalization: Normalization, batch: Int, type: ElementType = .float32, device: Device = .cpu) {
        let random = Generator(seed: 0, device: device)
        func dense(_ inputs: Int, _ outputs: Int) -> Dense {
            Dense(inputs, to: outputs, normalization: normalization, type: type, random: random)
        }
        network = Network(
            encoder: dense(2 * Self.read * Self.read + 2 * Self.hidden, 4 * Self.hidden),
            decoder: dense(Self.latents + Self.hidden, 4 * Self.hidden), latent: dense(Self.hidden, 2 * Self.latents),
            read: dense(Self.hidden, 5), write: dense(Self.hidden, 5), patch: dense(Self.hidden, Self.write * Self.write))
        attention = Attention(size: Self.size, read: Self.read, write: Self.write, type: type, device: device)
        optimizer = Adam(network.parameters, beta1: 0.5)
        images = .bernoulli([batch, Self.size, Self.size], probability: 0.2, type: type, from: random)
        self.random = random
    }

    /// The mean loss of images, `[batch, 28, 28]`, for draws of N(0, 1), `[glimpses, batch, 100]`.
    public func loss(_ images: Tensor, noise: Tensor) -> Tensor {
        let (batch, glimpses) = (images.shape[0], noise.shape[0])
        // Every weight once a step.
        let encoder = BoundLSTM(network.encoder)
        let decoder = BoundLSTM(network.decoder)
        let latent = network.latent.parts
        let outputs = attention.outputs([network.read, network.write, network.patch])

        var (encoded, decoded) = (encoder.start(batch: batch), decoder.start(batch: batch))
        var focus = attention(decoded.output.linear(weight: outputs.weight, bias: outputs.bias))
        var canvas = images.detached().zerosLike()
        var posteriors: [Tensor] = []
        for draws in noise.split(Array(repeating: 1, count: glimpses), along: 0) {
            let glimpse = focus.read(images, images - canvas.sigmoid())
            // Joined: for the few columns of a glimpse alone a matrix product takes half as long as for all.
            encoded = encoder.step(.concatenated([glimpse, decoded.output], along: 1), from: encoded)
            let posterior = encoded.output.linear(weight: latent.weight, bias: latent.bias)
            posteriors.append(posterior)
            let parts = posterior.split([Self.latents, Self.latents], along: 1)
            decoded = decoder.step(parts[0] + parts[1].exp() * draws.removingDimension(0), from: decoded)
            focus = attention(decoded.output.linear(weight: outputs.weight, bias: outputs.bias))
            canvas = canvas + focus.written()
        }
        // The divergences of all glimpses together: ½ Σ (μ² + σ² − 2 log σ − 1).
        let parts = Tensor.stacked(posteriors).split([Self.latents, Self.latents], along: 2)
        let twoLogs = parts[1] * 2
        let divergence = (parts[0].squared() + twoLogs.exp() - twoLogs - 1).sum() * 0.5
        return (canvas.sigmoidCrossEntropy(targets: images, reduction: .sum) + divergence) * (1 / Double(batch))
    }

    /// A step of Adam.
    public func step() -> Double {
        let noise = Tensor.normal([Self.glimpses, images.shape[0], Self.latents], type: images.type, from: random)
        let loss = loss(images, noise: noise)
        optimizer.minimize(loss, learningRate: 1e-3)
        return loss.item()
    }
}

extension Dense {
    fileprivate var parts: (weight: Tensor, bias: Tensor) {
        guard let bias else { fatalError("a dense layer of DRAW: expected a bias") }
        return (weight.value, bias.value)
    }
}

extension BoundLSTM {
    fileprivate init(_ gates: Dense) {
        let parts = gates.parts
        self.init(joint: parts.weight, bias: parts.bias)
    }
}

/// The Gaussian filters of Gregor et al. (eqs. 22 to 28) for writing after a glimpse and for reading in the next, all made together: both depend on the same
/// output of the decoder.
private struct Attention {
    /// What of the decoder's outputs stands where, in the order of ``order``: four centres, six logarithms, and the patch.
    private let lengths: [Int]
    private let order: Tensor
    private let signs: Tensor
    /// From the four centres to the centres of all filters, `[filters, 4]`, with what is added, `[filters]`.
    private let centres: (weight: Tensor, bias: Tensor)
    /// From 1/σ² and strides to what strides add to the centres, and to −1/(2σ²), of all filters: `[2·filters, 4]`.
    private let spread: Tensor
    private let pixels: Tensor
    private let write: Int
    /// Filters of columns and of rows for writing, of columns and of rows for reading.
    private let counts: [Int]

    init(size: Int, read: Int, write: Int, type: ElementType, device: Device) {
        self.write = write
        lengths = [4, 6, write * write]
        counts = [write, write, read, read]
        // Rows 0 to 4 are the read layer's (x, y, log σ², log stride, log intensity), 5 to 9 the write layer's. Pairs stand as write, read. The
        // negative ones are those whose reciprocal is needed: both σ², and the intensity that is divided by.
        order = Tensor([5, 6, 0, 1, 7, 2, 8, 3, 9, 4] + Array(10..<(10 + write * write)), on: device)
        signs = Tensor([1, 1, 1, 1, -1, -1, 1, 1, -1, 1] + Array(repeating: 1.0, count: write * write), on: device).converted(to: type)
        let filters = counts.reduce(0, +)
        var centre = [Double](repeating: 0, count: 4 * filters)
        var spread = [Double](repeating: 0, count: 8 * filters)
        var filter = 0
        for (axis, count) in counts.enumerated() {
            for place in 0..<count {
                centre[4 * filter + axis] = Double(size + 1) / 2
                spread[4 * filter + 2 + axis / 2] = Double(size - 1) / Double(count - 1) * (Double(place) - Double(count - 1) / 2)
                spread[4 * (filters + filter) + axis / 2] = -0.5
                filter += 1
            }
        }
        func constant(_ numbers: [Double], _ shape: [Int]) -> Tensor { Tensor(numbers, shape: shape, on: device).converted(to: type) }
        centres = (constant(centre, [filters, 4]), .full([filters], Double(size + 1) / 2, type: type, on: device))
        self.spread = constant(spread, [2 * filters, 4])
        pixels = .range(0..<size, type: type, on: device)
    }

    /// One weight and one bias for all that the decoder's output is mapped to: the layers read, write and patch, their rows in the order that is needed.
    func outputs(_ layers: [Dense]) -> (weight: Tensor, bias: Tensor) {
        let parts = layers.map(\.parts)
        let weight = Tensor.concatenated(parts.map(\.weight)).selecting(order, along: 0) * signs.expandingDimension(1)
        return (weight, Tensor.concatenated(parts.map(\.bias)).selecting(order, along: 0) * signs)
    }

    func callAsFunction(_ outputs: Tensor) -> Focus {
        let batch = outputs.shape[0]
        let parts = outputs.split(lengths, along: 1)
        // 1/σ² and strides, of writing and reading; the reciprocal intensity of writing, the intensity of reading.
        let scales = parts[1].exp().split([4, 1, 1], along: 1)
        let spread = scales[0].linear(weight: spread).split([pixelFilters, pixelFilters], along: 1)
        let means = parts[0].linear(weight: centres.weight, bias: centres.bias) + spread[0]
        // Most pixels lie far away. Below about −87 libtorch's exponential takes seven times as long for numbers that are as good as 0.
        let exponents = ((pixels - means.expandingDimension(2)).squared() * spread[1].expandingDimension(2)).clamped(from: -80)
        let filters = exponents.exp()
        let normalized = filters / (filters.sum(over: [2], keeping: true) + 1e-4)
        return Focus(
            filters: normalized.split(counts, along: 1), patch: (parts[2] * scales[1]).reshaped([batch, write, write]),
            intensity: scales[2].expandingDimension(2))
    }

    private var pixelFilters: Int { counts.reduce(0, +) }

    struct Focus {
        /// Of columns and of rows for writing, of columns and of rows for reading: `[batch, filters, pixels]` each.
        let filters: [Tensor]
        /// `[batch, 5, 5]`, divided by the intensity.
        let patch: Tensor
        /// `[batch, 1, 1]`.
        let intensity: Tensor

        /// γ·F_Y·x·F_Xᵀ of both images, one after the other: `[batch, 2·2·2]`.
        func read(_ image: Tensor, _ error: Tensor) -> Tensor {
            let rows = Tensor.concatenated([filters[3].matrixProduct(image), filters[3].matrixProduct(error)], along: 1)
            return (rows.matrixProduct(filters[2].transposed()) * intensity).flattened(from: 1)
        }

        /// F_Yᵀ·w·F_X/γ: `[batch, 28, 28]`.
        func written() -> Tensor { filters[1].transposed().matrixProduct(patch.matrixProduct(filters[0])) }
    }
}
