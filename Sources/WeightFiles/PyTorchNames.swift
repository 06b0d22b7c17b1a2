public import Torch
public import WeightNorm

// PyTorch's names for what is stored here. A weight form or layer from outside conforms to these protocols to have names there.

/// A form of weights that PyTorch has too, or that can be expressed in one that it has.
///
/// A form that does not conform is written to PyTorch's layouts as the plain w. One with w = g·v/‖v‖, whose gain is made from its second part, needs
/// no code: it is written as its v and g.
public protocol PyTorchForm: WeightForm {
    /// The names of the tensors that stand for a weight in one of PyTorch's layouts, each with the stored part that determines its element type.
    static func pyTorchNames(of weight: String, in layout: StateLayout) -> [(name: String, part: String)]

    /// The tensors' shapes, in the order of the names.
    static func pyTorchShapes(ofWeight shape: [Int], units: OutputUnits) -> [[Int]]

    /// The tensors, in the order of the names, not recorded.
    var pyTorchTensors: [Tensor] { get }

    /// Whether these tensors are the form's own parts, so that a PyTorch file with these names holds a weight of this form. False by default: what is
    /// found under the names of weight normalization is a `NormalizedWeight`.
    static var isReadFromPyTorch: Bool { get }
}

extension PyTorchForm {
    /// False: its parts are not PyTorch's.
    public static var isReadFromPyTorch: Bool { false }

    /// Those of g and v, for forms of two parts, the first of v and the second of g.
    public static func pyTorchNames(of weight: String, in layout: StateLayout) -> [(name: String, part: String)] {
        let (prefix, leaf) = StoredWeight.split(weight)
        let (gain, direction) =
            layout == .weightNorm
            ? ("\(weight)_g", "\(weight)_v")
            : ("\(prefix)parametrizations.\(leaf).original0", "\(prefix)parametrizations.\(leaf).original1")
        return [(gain, partNames[1]), (direction, partNames[0])]
    }

    /// Those of g and v; for units in blocks or along several axes, which PyTorch's `dim` cannot express, along axis 1 or the first of them.
    public static func pyTorchShapes(ofWeight shape: [Int], units: OutputUnits) -> [[Int]] {
        let kept = units.inPyTorch
        return [kept == .whole ? [] : kept.normsShape(ofWeight: shape) ?? [], shape]
    }

    /// g and v, from ``WeightForm/multiplier`` and ``WeightForm/vector``.
    public var pyTorchTensors: [Tensor] {
        let vector = vector.detached()
        let units = ownUnits ?? .whole
        return units.pyTorchTensors(vector, multiplier ?? units.norms(of: vector))
    }
}

extension NormalizedWeight: PyTorchForm {
    /// True: g and v are its parts.
    public static var isReadFromPyTorch: Bool { true }
}

extension LogNormalizedWeight: PyTorchForm {
    /// g = exp(c·s) and v.
    public var pyTorchTensors: [Tensor] {
        units.pyTorchTensors(direction.value.detached(), (logGain.value.detached() * factor).exp())
    }
}

extension OutputUnits {
    /// The units that stand for these where there can only be those along one axis: the same, if they are.
    package var inPyTorch: OutputUnits {
        if blocks > 1 { return .axis(1) }
        return axes.count > 1 ? .axis(axes[0]) : self
    }

    /// g and v as PyTorch has them: g in the shape that its `dim` gives, and no v of norm 0.
    fileprivate func pyTorchTensors(_ direction: Tensor, _ gain: Tensor) -> [Tensor] {
        guard inPyTorch == self else {
            let weight = normalize(direction, gain: gain)
            let units = inPyTorch
            return units.pyTorchTensors(weight, units.norms(of: weight).converted(to: gain.type))
        }
        // Where ‖v‖ = 0, w is 0 whatever g is.
        let zero = norms(of: direction) .== 0
        guard zero.anyTrue() else { return [self == .whole ? gain.reshaped([]) : gain, direction] }
        let stopped = gain.replacing(where: zero.reshaped(gain.shape), with: 0)
        return [self == .whole ? stopped.reshaped([]) : stopped, replacingZeroDirections(direction)]
    }
}

/// A module with properties that have other names in PyTorch.
public protocol PyTorchNamed: Module {
    /// PyTorch's names for a stored property; with several, the property's tensor is their sum. By default the property's own name, which is put into
    /// `snake_case`.
    func pyTorchNames(of property: String) -> [String]

    /// PyTorch's names, under this module, for what is at a path under it, such as `layers.1.bias`; nil, the default, if they follow from the properties' names.
    ///
    /// For a module whose parts are properties of their own in PyTorch. An outer module is asked before an inner one.
    func pyTorchNames(ofPath path: String) -> [String]?

    /// PyTorch's name for a counter, always 0 here, that it keeps beside a property; nil, the default, if there is none.
    func pyTorchCounter(beside property: String) -> String?
}

extension PyTorchNamed {
    /// The property's own name.
    public func pyTorchNames(of property: String) -> [String] { [property] }
    /// Nil: they follow from the properties' names.
    public func pyTorchNames(ofPath path: String) -> [String]? { nil }
    /// None.
    public func pyTorchCounter(beside property: String) -> String? { nil }
}

extension BatchNorm: PyTorchNamed {
    /// `weight`, `bias`, `running_mean` and `running_var`.
    public func pyTorchNames(of property: String) -> [String] {
        [["gain": "weight", "runningMean": "running_mean", "runningVariance": "running_var"][property] ?? property]
    }

    /// The batch counter, beside the mean.
    public func pyTorchCounter(beside property: String) -> String? { property == "runningMean" ? "num_batches_tracked" : nil }
}

extension MeanOnlyBatchNorm: PyTorchNamed {
    /// `bias` and `running_mean`.
    public func pyTorchNames(of property: String) -> [String] { [property == "runningMean" ? "running_mean" : property] }
}

extension LSTM: PyTorchNamed {
    /// Those of a unidirectional layer; the bias is the sum of two.
    public func pyTorchNames(of property: String) -> [String] {
        switch property {
        case "inputWeight": ["weight_ih_l0"]
        case "stateWeight": ["weight_hh_l0"]
        case "bias": ["bias_ih_l0", "bias_hh_l0"]
        default: [property]
        }
    }
}

extension GRU: PyTorchNamed {
    /// Those of a unidirectional layer.
    public func pyTorchNames(of property: String) -> [String] {
        switch property {
        case "inputWeight": ["weight_ih_l0"]
        case "stateWeight": ["weight_hh_l0"]
        case "inputBias": ["bias_ih_l0"]
        case "stateBias": ["bias_hh_l0"]
        default: [property]
        }
    }
}

extension LayerNorm: PyTorchNamed {
    /// `weight` and `bias`.
    public func pyTorchNames(of property: String) -> [String] { [property == "gain" ? "weight" : property] }
}

extension RMSNorm: PyTorchNamed {
    /// `weight`.
    public func pyTorchNames(of property: String) -> [String] { [property == "gain" ? "weight" : property] }
}

extension GroupNorm: PyTorchNamed {
    /// `weight` and `bias`.
    public func pyTorchNames(of property: String) -> [String] { [property == "gain" ? "weight" : property] }
}

extension InstanceNorm: PyTorchNamed {
    /// `weight` and `bias`.
    public func pyTorchNames(of property: String) -> [String] { [property == "gain" ? "weight" : property] }
}

extension MultiHeadAttention: PyTorchNamed {
    /// `in_proj_weight` and `in_proj_bias` for what is in `inProjection`, `out_proj` for the other.
    public func pyTorchNames(ofPath path: String) -> [String]? {
        switch path {
        case "inProjection.weight": ["in_proj_weight"]
        case "inProjection.bias": ["in_proj_bias"]
        case "outProjection.weight": ["out_proj.weight"]
        case "outProjection.bias": ["out_proj.bias"]
        default: nil
        }
    }
}

extension Stacked: PyTorchNamed {
    /// `weight_ih_l1`, `bias_hh_l1_reverse` and so on, with the number of the layer and its direction.
    public func pyTorchNames(ofPath path: String) -> [String]? {
        let parts = path.split(separator: ".")
        guard parts.count == 3, ["layers", "reversed"].contains(parts[0]), let index = Int(parts[1]), layers.indices.contains(index),
            let layer = layers[index] as? any PyTorchNamed
        else { return nil }
        return layer.pyTorchNames(of: String(parts[2])).map { name in
            let base = name.hasSuffix("_l0") ? String(name.dropLast(3)) : Renaming.snakeCase(name)
            return "\(base)_l\(index)\(parts[0] == "reversed" ? "_reverse" : "")"
        }
    }
}
