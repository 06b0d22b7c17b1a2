package import Torch
public import WeightNorm

extension Module {
    /// Writes all parameters and buffers to a safetensors file, which is seen whole or not at all, in the place of an earlier one.
    ///
    /// The native layout keeps everything exactly. The layouts of PyTorch have its names and load there with `load_state_dict(…, strict=True)`:
    ///
    /// - a plain weight and a scaled one are w in every layout, as is a form that is no ``PyTorchForm``; a gain on a logarithmic scale is g = exp(c·s);
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
                if case .weight(let weight) = slot.content {
                    metadata.merge(StateKey.metadata(slot.nativeName, of: weight)) { $1 }
                }
                tensors += slot.nativeTensors
            }
            return (tensors, metadata)
        }
    }
}

extension StateSlot {
    fileprivate var nativeTensors: [(name: String, value: Tensor)] {
        switch content {
        case .parameter(let parameter): return [(nativeName, parameter.value.detached())]
        case .buffer(let buffer): return [(nativeName, buffer.value)]
        case .weight(let weight):
            let stored = StoredWeight.native(nativeName, type(of: weight.form))
            return zip(stored.tensors, weight.form.parts).map { ($0, $1.value) }
        }
    }

    fileprivate func pyTorchTensors(_ layout: StateLayout) -> [(name: String, value: Tensor)] {
        switch content {
        case .parameter(let parameter): return named(parameter.value.detached())
        case .buffer(let buffer): return named(buffer.value)
        case .weight(let weight):
            guard layout != .plain, let form = weight.form as? any PyTorchForm else { return [(names[0], weight.value)] }
            return zip(type(of: form).pyTorchNames(of: names[0], in: layout), form.pyTorchTensors).map { ($0.name, $1) }
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
