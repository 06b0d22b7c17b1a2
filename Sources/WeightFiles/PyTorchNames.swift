public import Torch
public import WeightNorm

// What PyTorch calls what is stored here. A form of weights or a layer from outside conforms to these protocols to have names there.

/// A form of weights that PyTorch has too, or that stands for one that it has.
///
/// A form without it is written to PyTorch's layouts as the plain w. One with w = g·v/‖v‖, whose second part its gain is made of, needs no code: it is written as the v
/// and g that it stands for.
public protocol PyTorchForm: WeightForm {
    /// The names of the tensors that stand for a weight in one of PyTorch's layouts, each with the stored part whose element type it has.
    static func pyTorchNames(of weight: String, in layout: StateLayout) -> [(name: String, part: String)]

    /// The tensors' shapes, in the order of the names.
    static func pyTorchShapes(ofWeight shape: [Int], units: OutputUnits) -> [[Int]]

    /// The tensors, in the order of the names, not recorded.
    var pyTorchTensors: [Tensor] { get }

    /// Whether these tensors are the form's own parts, so that a file of PyTorch's with their names holds a weight of this form. They are not without an
    /// implementation: what is found under the names of weight normalization is a `NormalizedWeight`.
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

    /// Those of g and v: of units in blocks, which PyTorch's `dim` cannot name, along axis 1.
    public static func pyTorchShapes(ofWeight shape: [Int], units: OutputUnits) -> [[Int]] {
        let kept = units.blocks == 1 ? units : .axis(1)
        return [kept == .whole ? [] : kept.normsShape(ofWeight: shape) ?? [], shape]
    }

    /// g and v, of ``WeightForm/multiplier`` and ``WeightForm/vector``.
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
    /// g and v as PyTorch has them: g of the shape that its `dim` gives, no v of norm 0.
    fileprivate func pyTorchTensors(_ direction: Tensor, _ gain: Tensor) -> [Tensor] {
        guard blocks == 1 else {
            let weight = normalize(direction, gain: gain)
            let units = OutputUnits.axis(1)
            return units.pyTorchTensors(weight, units.norms(of: weight).converted(to: gain.type))
        }
        // Where ‖v‖ = 0, w is 0 whatever g is.
        let zero = norms(of: direction) .== 0
        guard zero.anyTrue() else { return [axis == nil ? gain.reshaped([]) : gain, direction] }
        let stopped = gain.replacing(where: zero.reshaped(gain.shape), with: 0)
        return [axis == nil ? stopped.reshaped([]) : stopped, replacingZeroDirections(direction)]
    }
}

/// A module some of whose properties PyTorch calls otherwise.
public protocol PyTorchNamed: Module {
    /// What PyTorch calls a stored property; of several names the property's tensor is the sum. Its own name, which is put into `snake_case`, without an
    /// implementation.
    func pyTorchNames(of property: String) -> [String]

    /// What PyTorch calls a count, always 0 here, that it has beside a property; nil, as without an implementation, if there is none.
    func pyTorchCounter(beside property: String) -> String?
}

extension PyTorchNamed {
    /// The property's own name.
    public func pyTorchNames(of property: String) -> [String] { [property] }
    /// None.
    public func pyTorchCounter(beside property: String) -> String? { nil }
}

extension BatchNorm: PyTorchNamed {
    /// `weight`, `bias`, `running_mean` and `running_var`.
    public func pyTorchNames(of property: String) -> [String] {
        [["gain": "weight", "runningMean": "running_mean", "runningVariance": "running_var"][property] ?? property]
    }

    /// The count of batches, beside the mean.
    public func pyTorchCounter(beside property: String) -> String? { property == "runningMean" ? "num_batches_tracked" : nil }
}

extension MeanOnlyBatchNorm: PyTorchNamed {
    /// `bias` and `running_mean`.
    public func pyTorchNames(of property: String) -> [String] { [property == "runningMean" ? "running_mean" : property] }
}

extension LSTM: PyTorchNamed {
    /// Those of a layer of one direction; the bias is the sum of two.
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
    /// Those of a layer of one direction.
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
