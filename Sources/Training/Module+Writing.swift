package import Torch
public import WeightNorm

extension Module {
    /// Writes all parameters and buffers to a safetensors file, which is seen whole or not at all, in the place of an earlier one.
    ///
    /// The native layout keeps everything exactly. The layouts of PyTorch have its names and load there with `load_state_dict(…, strict=True)`:
    ///
    /// - a plain weight and a scaled one are w in every layout; a gain on a logarithmic scale is g = exp(c·s);
    /// - a weight with units in blocks (a transposed convolution with groups, whose units PyTorch's `dim` cannot name) is v = w and g = ‖w‖
    ///   along axis 1: the same function, with fewer gains to train;
    /// - a unit with ‖v‖ = 0, which is NaN there, gets a v of ones and g = 0: w is 0 as before;
    /// - an LSTM's bias is `bias_ih_l0`, beside a `bias_hh_l0` of zeros; batch normalization gets a `num_batches_tracked` of 0;
    /// - what is shared stands at each of its paths; names are in `snake_case`.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - layout: how it holds weights, and whose names it has.
    ///   - metadata: strings to put into the file, beside the layout's name and, for PyTorch, `format: pt`.
    ///   - renaming: the names that the file has for the module's.
    /// - Throws: ``SafetensorsError`` if the renaming gives two tensors one name; `FileError` if the system cannot write the file.
    public func write(
        to path: String, layout: StateLayout = .native, metadata: [String: String] = [:], renaming: Renaming = .none
    ) throws {
        let (tensors, own) = stateTensors(layout, renaming)
        try Safetensors.write(tensors, metadata: own.merging(metadata) { $1 }, to: path)
    }

    /// What ``write(to:layout:metadata:renaming:)`` puts into the file, in its order, and the strings beside it.
    package func stateTensors(
        _ layout: StateLayout, _ renaming: Renaming = .none
    ) -> (tensors: [(name: String, value: Tensor)], metadata: [String: String]) {
        let slots = ModuleState(of: self, renaming: renaming).slots
        var metadata = [StateKey.layout: layout.rawValue]
        return withoutGradients {
            guard layout == .native else {
                metadata["format"] = "pt"
                return (slots.flatMap { $0.pyTorchTensors(layout) }, metadata)
            }
            var tensors: [(name: String, value: Tensor)] = []
            for slot in slots where slot.first == nil {
                if case .weight(.logNormalized(_, _, let factor, _)) = slot.content {
                    metadata[StateKey.factor(slot.nativeName)] = "\(factor)"
                }
                tensors += slot.nativeTensors
            }
            return (tensors, metadata)
        }
    }
}

/// Keys of the strings in a file.
enum StateKey {
    static let layout = "weightnorm.layout"
    /// c of a weight with g = exp(c·s).
    static func factor(_ name: String) -> String { "weightnorm.factor.\(name)" }
    /// c from a file's text; nil unless it is a factor.
    static func factor(parsing text: String) -> Double? { Double(text).flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
}

extension StateSlot {
    fileprivate var nativeTensors: [(name: String, value: Tensor)] {
        switch content {
        case .parameter(let parameter): return [(nativeName, parameter.value.detached())]
        case .buffer(let buffer): return [(nativeName, buffer.value)]
        case .weight(let weight):
            let (stored, direction, gain) = weight.native(nativeName)
            return [(stored.direction, direction)] + (stored.gain.flatMap { name in gain.map { [(name, $0)] } } ?? [])
        }
    }

    fileprivate func pyTorchTensors(_ layout: StateLayout) -> [(name: String, value: Tensor)] {
        switch content {
        case .parameter(let parameter): return named(parameter.value.detached())
        case .buffer(let buffer): return named(buffer.value)
        case .weight(let weight):
            guard let (direction, gain) = weight.pyTorchParts else { return [(names[0], weight.value)] }
            let stored = StoredWeight.normalized(names[0], layout)
            guard let gainName = stored.gain else { return [(names[0], weight.value)] }
            return [(gainName, gain), (stored.direction, direction)]
        }
    }

    private func named(_ value: Tensor) -> [(name: String, value: Tensor)] {
        var tensors = [(name: names[0], value: value)]
        // The tensor is the sum of what PyTorch has.
        tensors += names.dropFirst().map { ($0, value.zerosLike()) }
        if let counter { tensors.append((counter, .zeros([], type: .int64))) }
        return tensors
    }
}

extension Weight {
    /// Its tensors in the native layout.
    fileprivate func native(_ name: String) -> (StoredWeight, direction: Tensor, gain: Tensor?) {
        switch self {
        case .direct(let weight): (.plain(name, .native), weight.value.detached(), nil)
        case .normalized(let direction, let gain, _): (.normalized(name, .native), direction.value.detached(), gain.value.detached())
        case .logNormalized(let direction, let logGain, _, _): (.logNormalized(name), direction.value.detached(), logGain.value.detached())
        case .scaled(let weight, let factors, _): (.scaled(name), weight.value.detached(), factors.value)
        }
    }

    /// v and g as PyTorch has them; nil for what is plain there.
    var pyTorchParts: (direction: Tensor, gain: Tensor)? {
        switch self {
        case .direct, .scaled: return nil
        case .normalized(let direction, let gain, let units): return units.pyTorchParts(direction.value.detached(), gain.value.detached())
        case .logNormalized(let direction, let logGain, let factor, let units):
            return units.pyTorchParts(direction.value.detached(), (logGain.value.detached() * factor).exponential())
        }
    }
}

extension OutputUnits {
    /// v and g as PyTorch has them: g of the shape that its `dim` gives, no v of norm 0.
    package func pyTorchParts(_ direction: Tensor, _ gain: Tensor) -> (direction: Tensor, gain: Tensor) {
        guard blocks == 1 else {
            let weight = normalize(direction, gain: gain)
            let units = OutputUnits.axis(1)
            return units.pyTorchParts(weight, units.norms(of: weight).converted(to: gain.type))
        }
        // Where ‖v‖ = 0, w is 0 whatever g is.
        let zero = norms(of: direction) .== 0
        guard zero.anyTrue() else { return (direction, axis == nil ? gain.reshaped([]) : gain) }
        let stopped = gain.replacing(where: zero.reshaped(gain.shape), with: 0)
        return (replacingZeroDirections(direction), axis == nil ? stopped.reshaped([]) : stopped)
    }
}
