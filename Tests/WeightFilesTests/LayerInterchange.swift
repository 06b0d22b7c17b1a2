import Foundation
import Torch
import WeightFiles
import WeightNorm

/// Every layer, by its name; `Layers` in Scripts/reference/layers.py has the same.
final class LayerInterchange: Module {
    let dense: Dense
    let conv: Convolution
    let causal: Convolution
    let reflect: Convolution
    let replicate: Convolution
    let circular: Convolution
    let volume: Convolution
    let up1: TransposedConvolution
    let up2: TransposedConvolution
    let up3: TransposedConvolution
    let embedding: Embedding
    let layerNorm: LayerNorm
    let rmsNorm: RMSNorm
    let groupNorm: GroupNorm
    let instanceNorm: InstanceNorm
    let snake: Snake
    let snakeBeta: SnakeBeta
    let lstm: LSTM
    let stack: StackedLSTM
    let gruStack: StackedGRU
    let attention: MultiHeadAttention
    let crossing: MultiHeadAttention

    init(_ normalization: Normalization, type: ElementType) {
        let random = Generator(seed: 1)
        dense = Dense(4, to: 3, normalization: normalization, type: type, random: random)
        conv = Convolution(
            4, to: 6, kernel: 3, dimensions: 1, stride: 2, padding: 2, dilation: 2, groups: 2, normalization: normalization, type: type,
            random: random)
        causal = Convolution(
            4, to: 3, kernel: [3], isCausal: true, dilation: [2], normalization: normalization, type: type, random: random)
        reflect = Convolution(
            4, to: 3, kernel: [3], padding: [2], paddingMode: .reflect, normalization: normalization, type: type, random: random)
        replicate = Convolution(
            2, to: 3, kernel: [3, 2], padding: [1, 2], paddingMode: .replicate, normalization: normalization, type: type, random: random)
        circular = Convolution(
            2, to: 3, kernel: 3, padding: 1, paddingMode: .circular, normalization: normalization, bias: false, type: type, random: random)
        volume = Convolution(2, to: 3, kernel: 2, dimensions: 3, padding: 1, normalization: normalization, type: type, random: random)
        up1 = TransposedConvolution(
            4, to: 6, kernel: 3, dimensions: 1, stride: 2, padding: 1, outputPadding: 1, groups: 2, normalization: normalization,
            type: type,
            random: random)
        up2 = TransposedConvolution(3, to: 2, kernel: [2, 3], stride: [2, 2], normalization: normalization, type: type, random: random)
        up3 = TransposedConvolution(2, to: 3, kernel: 2, dimensions: 3, normalization: normalization, type: type, random: random)
        embedding = Embedding(7, features: 5, normalization: normalization, type: type, random: random)
        layerNorm = LayerNorm(over: [3, 6], type: type)
        rmsNorm = RMSNorm(6, type: type)
        groupNorm = GroupNorm(4, groups: 2, type: type)
        instanceNorm = InstanceNorm(4, affine: true, type: type)
        snake = Snake(4, shape: [1, 4, 1], type: type)
        snakeBeta = SnakeBeta(4, type: type)
        lstm = LSTM(4, hidden: 3, normalization: normalization, type: type, random: random)
        stack = StackedLSTM(
            4, hidden: 3, layers: 2, isBidirectional: true, isBatchFirst: true, normalization: normalization, type: type, random: random)
        gruStack = StackedGRU(4, hidden: 3, layers: 3, normalization: normalization, type: type, random: random)
        attention = MultiHeadAttention(6, heads: 2, normalization: normalization, type: type, random: random)
        crossing = MultiHeadAttention(6, heads: 3, normalization: normalization, type: type, random: random)
    }

    /// By the names of the properties in `snake_case`: what is called, with the layer that its parameters are in.
    var cases: [(name: String, property: String, layer: any Module, call: (Tensor) -> Tensor)] {
        let pass = Pass.training(Generator(seed: 1))
        func layer(_ name: String, _ layer: some Layer, _ property: String? = nil) -> (String, String, any Module, (Tensor) -> Tensor) {
            (name, property ?? name, layer, { layer($0, pass) })
        }
        return [
            layer("dense", dense), layer("conv", conv), layer("causal", causal), layer("reflect", reflect), layer("replicate", replicate),
            layer("circular", circular), layer("volume", volume), layer("up1", up1), layer("up2", up2), layer("up3", up3),
            layer("embedding", embedding), layer("layer_norm", layerNorm, "layerNorm"), layer("rms_norm", rmsNorm, "rmsNorm"),
            layer("group_norm", groupNorm, "groupNorm"), layer("instance_norm", instanceNorm, "instanceNorm"), layer("snake", snake),
            layer("snake_beta", snakeBeta, "snakeBeta"), ("lstm", "lstm", lstm, { self.lstm($0, pass).outputs }),
            ("stack", "stack", stack, { self.stack($0, pass).outputs }),
            ("gru_stack", "gruStack", gruStack, { self.gruStack($0, pass).outputs }),
            ("attention", "attention", attention, { self.attention($0, isCausal: true, pass) }),
            (
                "crossing", "crossing", crossing,
                { self.crossing($0[.all, ..<2], keys: $0[.all, 1...], values: $0[.all, 1...] * 2, pass) }
            ),
        ]
    }
}

/// Weights for the sum of an output that are the same everywhere: cos 1, cos 2, …
func seedLike(_ output: Tensor) -> Tensor {
    Tensor((0..<output.count).map { cos(Double($0 + 1)) }, shape: output.shape).converted(to: output.type)
}

/// What has no parameters, by its name in Scripts/reference/layers.py.
let interchangedFunctions: [(name: String, function: @Sendable (Tensor) -> Tensor)] = [
    ("gelu", { $0.gelu() }), ("gelu_tanh", { $0.gelu(.tanh) }), ("silu", { $0.silu() }), ("softplus", { $0.softplus() }),
    ("leaky_relu", { $0.leakyRelu() }), ("erf", { $0.erf() }), ("normalize", { $0.normalized(along: 1) }),
    ("cumprod", { $0.cumulativeProduct(along: 1) }), ("mse", { $0.squaredError(targets: $0.detached().flipped(along: [0])) }),
    ("l1", { $0.absoluteError(targets: $0.detached().flipped(along: [0])) }),
    ("smooth_l1", { $0.smoothL1Loss(targets: $0.detached().flipped(along: [0]), beta: 0.7) }),
    ("max_pool1", { $0.maxPooled([3], stride: [2], padding: [1]) }), ("max_pool3", { $0.maxPooled([2, 2, 2], stride: [1, 1, 1]) }),
    ("avg_pool1", { $0.averagePooled([3], stride: [2], padding: [1], countingPadding: false) }),
    ("avg_pool3", { $0.averagePooled([2, 2, 2], stride: [1, 1, 1]) }), ("adaptive_avg", { $0.adaptiveAveragePooled(to: [2, 3]) }),
    ("adaptive_max", { $0.adaptiveMaxPooled(to: [3]) }), ("nearest", { $0.resizedNearest(to: [12]) }),
    ("linear", { $0.resizedLinear(to: [8]) }), ("bilinear", { $0.resizedLinear(to: [8, 6], aligningCorners: true) }),
    ("trilinear", { $0.resizedLinear(to: [4, 6, 4]) }), ("pad", { $0.padded(before: [3, 1], after: [0, 2]) }),
    ("pad_reflect", { $0.padded(before: [1], after: [2], mode: .reflect) }),
    ("pad_replicate", { $0.padded(before: [2, 1], after: [1, 2], mode: .replicate) }),
    ("pad_circular", { $0.padded(before: [1], after: [2], mode: .circular) }),
    ("attend", { $0.scaledDotProductAttention(keys: $0.flipped(along: [1]), values: $0 * 2, isCausal: true) }),
    ("stft", { $0.shortTimeFourierTransform(size: 8, hop: 3, window: .hannWindow(8, type: $0.type)) }),
    ("istft", { $0.inverseShortTimeFourierTransform(size: 8, hop: 2, window: .hannWindow(8, type: $0.type)) }),
]
