import Testing
import Torch
import WeightNorm

/// A block with layers in properties, as a user's network has them.
private struct Block: Layer {
    let first: Convolution
    let second: Convolution

    init(_ random: Generator, wrong: Bool = false) {
        first = Convolution(2, to: 4, kernel: [3], padding: [1], random: random)
        second = Convolution(wrong ? 5 : 4, to: 2, kernel: [3], padding: [1], random: random)
    }

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input + second(first(input, pass), pass) }
}

private struct Network: Layer {
    let blocks: [Block]
    let head: Sequential

    init(_ random: Generator, wrong: Int) {
        blocks = (0..<4).map { Block(random, wrong: $0 == wrong) }
        head = Sequential(MaxPooling(kernel: [2]), GlobalAverage(), Dense(2, to: 3, random: random), MaxPooling(2))
    }

    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { head(blocks.reduce(input) { $1($0, pass) }, pass) }
}

struct TracingTests {
    private func text(_ result: ExitTest.Result?) -> String { String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) }

    @Test("a mistake in a forward pass is reported with the layer's path, once the network's parameters were asked for")
    func path() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let network = Network(Generator(seed: 1), wrong: 3)
            _ = network.parameters
            // A part's own paths are shorter, and are not taken.
            _ = network.blocks[3].parameters
            _ = network(.zeros([1, 2, 8]), .inference)
        }
        #expect(
            text(result).contains(
                "layer 'blocks.3.second': convolution with the kernel [3]: expected an input [batch, 5, length], found [1, 4, 8]"))
    }

    @Test("a layer without parameters is named by the sequence that it is in")
    func sequential() async {
        let known = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let network = Network(Generator(seed: 1), wrong: -1)
            _ = network.parameters
            _ = network(.zeros([1, 2, 8]), .inference)
        }
        #expect(text(known).contains("layer 'head.3': max pooling over 2 dimensions: expected a tensor of 2"))
        let unknown = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let random = Generator(seed: 1)
            _ = Sequential(Dense(2, to: 2, random: random), Sequential(Activation.relu, Dense(3, to: 2, random: random)))(
                .zeros([1, 2]), .inference)
        }
        #expect(text(unknown).contains("layer '1.1.Affine<DenseMap>': dense layer: expected an input […, 3], found [1, 2]"))
    }

    @Test("a whole number as a kernel says for which inputs it is, and how many dimensions it has can be said")
    func kernels() async {
        let random = Generator(seed: 1)
        #expect(Convolution(2, to: 3, kernel: 7, random: random).map.kernel == [7, 7])
        #expect(Convolution(4, to: 6, kernel: 7, dimensions: 1, padding: 6, dilation: 2, groups: 2, random: random).map.kernel == [7])
        #expect(TransposedConvolution(4, to: 6, kernel: 4, dimensions: 3, stride: 2, padding: 1, random: random).map.stride == [2, 2, 2])
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Convolution(4, to: 3, kernel: 7, random: Generator(seed: 1))(.zeros([1, 4, 100]), .inference)
        }
        #expect(text(result).contains("convolution with the kernel [7, 7]: expected an input [batch, 4, height, width], found [1, 4, 100]"))
    }
}
