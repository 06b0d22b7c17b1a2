public import Torch

/// A linear map with its weight and bias, and optionally a normalizer of the pre-activation: t = w·x + b, or t = normalizer(w·x).
///
/// ``Dense``, ``Convolution`` and ``TransposedConvolution`` are this type with different maps. The activation is a layer of its own.
public final class Affine<Map: LinearMap>: Layer {
    /// The map without its weight.
    public let map: Map
    /// The weight, in the form in which it is trained.
    public internal(set) var weight: Weight
    /// b, `[outputs]`; nil with a normalizer, which has its own bias, or if none was requested.
    public let bias: Parameter?
    /// Batch normalization or mean-only batch normalization of w·x.
    public let normalizer: (any Normalizer)?

    /// An affine layer made of the given parts; traps unless their shapes fit each other and the weight's units are the map's, the whole or those that are asked for.
    ///
    /// Other units than those of an output must be asked for: a transposed convolution's outputs lie along axis 1, and a weight normalized along axis 0 is rarely meant.
    public init(map: Map, weight: Weight, bias: Parameter?, normalizer: (any Normalizer)? = nil, units: OutputUnits? = nil) {
        trap(unless: weight.shape == map.weightShape, "weight of an affine layer: expected shape \(map.weightShape), found \(weight.shape)")
        trap(
            unless: [nil, units ?? map.units, .whole].contains(weight.units),
            "units of an affine layer's weight: expected \(units ?? map.units) or the whole, found \(weight.units ?? .whole)")
        if let bias {
            trap(
                unless:
                    bias.value.shape == [map.outputs], "bias of an affine layer: expected shape [\(map.outputs)], found \(bias.value.shape)"
            )
        }
        self.map = map
        self.weight = weight
        self.bias = bias
        self.normalizer = normalizer
    }

    /// An affine layer with v drawn from N(0, deviation²) (the paper: 0.05), g = ‖v‖ and b = 0, before data-dependent initialization.
    ///
    /// Units are the elements of the weight that share a norm, by default those of one output, the map's. Data-dependent initialization, which sets a gain for each output, traps for others,
    /// except for the whole.
    public convenience init(
        map: Map, normalization: Normalization, units: OutputUnits? = nil, bias: Bool = true, deviation: Double = 0.05,
        type: ElementType = .float32, random: Generator
    ) {
        trap(
            unless: units?.normsShape(ofWeight: map.weightShape) != nil || units == nil,
            "units of a layer: expected axes of its weight of \(map.weightShape), found \(units ?? .whole)")
        let initial = map.initialWeight(.normal(map.weightShape, type: type, from: random) * deviation)
        let normalizer = normalization.normalizer(features: map.outputs, axis: map.featureAxis, type: type, device: random.device)
        self.init(
            map: map, weight: normalization.makeWeight(initial, units: units ?? map.units),
            bias: bias && normalizer == nil ? Parameter(.zeros([map.outputs], type: type, on: random.device)) : nil, normalizer: normalizer,
            units: units)
    }

    /// w·x + b, normalized if the layer has a normalizer. In an initializing pass, gain and bias are first set from the batch.
    public func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { traced { result(of: input, pass, then: nil) } }

    /// The activation of the layer's result: to rounding what the two give one after the other, but in one operator where there is one for both.
    public func callAsFunction(_ input: Tensor, _ pass: Pass, activation: Activation) -> Tensor {
        traced { result(of: input, pass, then: activation) }
    }

    private func result(of input: Tensor, _ pass: Pass, then activation: Activation?) -> Tensor {
        if pass.phase == .initializing { initialize(from: input, pass) }
        let weight = weight.value(in: pass)
        guard let normalizer else {
            let known = activation?.known
            let result = map(input, weight: weight, bias: bias?.value, activation: known)
            return known == nil ? activation?(result, pass) ?? result : result
        }
        let product = map(input, weight: weight, bias: nil)
        if let activation, let normalizer = normalizer as? any ActivatedLayer { return normalizer(product, pass, activation: activation) }
        let normalized = normalizer(product, pass)
        return activation?(normalized, pass) ?? normalized
    }
}

extension Affine: ActivatedLayer {}

extension Affine: HoldsWeights {
    /// Calls the closure for ``weight``.
    ///
    /// The weight may be given units other than the map's, as PyTorch's `dim` allows: it is then trained, folded and saved like any other,
    /// but data-dependent initialization, which sets a gain per output unit, traps.
    public func changeWeights(_ change: (_ property: String, _ weight: Weight, _ units: OutputUnits) -> Weight) {
        weight = change("weight", weight, map.units)
    }
}

/// A dense layer: `[…, inputs]` to `[…, outputs]`.
public typealias Dense = Affine<DenseMap>
/// A convolution in 1, 2 or 3 dimensions: `[batch, inputs, …]` to `[batch, outputs, …]`.
public typealias Convolution = Affine<ConvolutionMap>
/// A transposed convolution in 1, 2 or 3 dimensions: `[batch, inputs, …]` to `[batch, outputs, …]`.
public typealias TransposedConvolution = Affine<TransposedConvolutionMap>

extension Affine where Map == DenseMap {
    /// A dense layer with drawn weights.
    ///
    /// Units are the elements of the weight that share a norm, by default those of an output, its rows; PyTorch's `dim`.
    public convenience init(
        _ inputs: Int, to outputs: Int, normalization: Normalization = .weight, units: OutputUnits? = nil, bias: Bool = true,
        type: ElementType = .float32, random: Generator
    ) {
        self.init(
            map: DenseMap(inputs: inputs, outputs: outputs), normalization: normalization, units: units, bias: bias, type: type,
            random: random)
    }
}

extension Affine where Map == ConvolutionMap {
    /// A convolution with drawn weights; the number of dimensions is the kernel's.
    ///
    /// Padding adds elements on both sides of the input, by default none; if the convolution is causal, dilation·(kernel − 1) before its first and none after its last. Units are the
    /// elements of the weight that share a norm, by default those of an output; PyTorch's `dim`.
    public convenience init(
        _ inputs: Int, to outputs: Int, kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, paddingMode: PaddingMode = .zeros,
        isCausal: Bool = false, dilation: [Int]? = nil, groups: Int = 1, normalization: Normalization = .weight, units: OutputUnits? = nil,
        bias: Bool = true, type: ElementType = .float32, random: Generator
    ) {
        let map = ConvolutionMap(
            inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: padding, paddingMode: paddingMode,
            isCausal: isCausal,
            dilation: dilation, groups: groups)
        self.init(map: map, normalization: normalization, units: units, bias: bias, type: type, random: random)
    }

    /// The same with equal lengths in all dimensions: by default two, a square kernel for images.
    public convenience init(
        _ inputs: Int, to outputs: Int, kernel: Int, dimensions: Int = 2, stride: Int = 1, padding: Int = 0,
        paddingMode: PaddingMode = .zeros,
        isCausal: Bool = false, dilation: Int = 1, groups: Int = 1, normalization: Normalization = .weight, units: OutputUnits? = nil,
        bias: Bool = true, type: ElementType = .float32, random: Generator
    ) {
        self.init(
            inputs, to: outputs, kernel: cube(kernel, dimensions), stride: cube(stride, dimensions), padding: cube(padding, dimensions),
            paddingMode: paddingMode, isCausal: isCausal, dilation: cube(dilation, dimensions), groups: groups,
            normalization: normalization,
            units: units, bias: bias, type: type, random: random)
    }
}

extension Affine where Map == TransposedConvolutionMap {
    /// A transposed convolution with drawn weights; the number of dimensions is the kernel's.
    ///
    /// Units are the elements of the weight that share a norm, by default those of an output. PyTorch's `weight_norm` has `dim=0` unless told otherwise, the inputs: `.axis(0)`.
    public convenience init(
        _ inputs: Int, to outputs: Int, kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, outputPadding: [Int]? = nil,
        dilation: [Int]? = nil, groups: Int = 1, normalization: Normalization = .weight, units: OutputUnits? = nil, bias: Bool = true,
        type: ElementType = .float32, random: Generator
    ) {
        let map = TransposedConvolutionMap(
            inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: padding, outputPadding: outputPadding,
            dilation: dilation, groups: groups)
        self.init(map: map, normalization: normalization, units: units, bias: bias, type: type, random: random)
    }

    /// The same with equal lengths in all dimensions: by default two, a square kernel for images.
    public convenience init(
        _ inputs: Int, to outputs: Int, kernel: Int, dimensions: Int = 2, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1, normalization: Normalization = .weight, units: OutputUnits? = nil, bias: Bool = true,
        type: ElementType = .float32, random: Generator
    ) {
        self.init(
            inputs, to: outputs, kernel: cube(kernel, dimensions), stride: cube(stride, dimensions), padding: cube(padding, dimensions),
            outputPadding: cube(outputPadding, dimensions), dilation: cube(dilation, dimensions), groups: groups,
            normalization: normalization, units: units, bias: bias, type: type, random: random)
    }
}
