package import Torch
public import WeightNorm

extension Module {
    /// Writes all parameters and buffers to a safetensors file, completely or not at all, replacing an earlier one.
    ///
    /// The native layout keeps everything exactly. PyTorch's layouts use its names and load there with `load_state_dict(…, strict=True)`:
    ///
    /// - plain and scaled weights are w in each of them, as are forms that are not a ``PyTorchForm``; a gain on a logarithmic scale is g = exp(c·s);
    /// - a weight with units in blocks (a transposed convolution with groups, whose units PyTorch's `dim` cannot name) is v = w and g = ‖w‖
    ///   along axis 1: the same function, with fewer gains to train;
    /// - a unit with ‖v‖ = 0, which would give NaN there, gets a v of ones and g = 0: w is 0 as before;
    /// - an LSTM's bias is `bias_ih_l0`, with a `bias_hh_l0` of zeros; batch normalization gets a `num_batches_tracked` of 0;
    /// - shared tensors appear at each of their paths; names are in `snake_case`.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - layout: how the file holds weights, and whose names it uses.
    ///   - metadata: strings to add to the file, besides the layout's name and, for PyTorch, `format: pt`.
    ///   - renaming: maps the module's names to the file's.
    /// - Throws: ``SafetensorsError`` if the renaming gives two tensors the same name; `FileError` if the system cannot write the file.
    public func write(
        to path: String, layout: StateLayout = .native, metadata: [String: String] = [:], renaming: Renaming = .none
    ) throws {
        let (tensors, own) = stateTensors(layout, renaming)
        try Safetensors.write(tensors, metadata: own.merging(metadata) { $1 }, to: path)
    }

    /// What ``write(to:layout:metadata:renaming:)`` puts into the file, in order, and the accompanying strings.
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
        // The tensor is the sum of PyTorch's.
        tensors += names.dropFirst().map { ($0, value.zerosLike()) }
        if let counter { tensors.append((counter, .zeros([], type: .int64))) }
        return tensors
    }
}
