// libtorch's own loops over a sequence of `[time, batch, inputs]`, which its CPU and GPU libraries run much faster than a loop of ours over the steps.

extension Tensor {
    /// PyTorch's LSTM of one layer: the outputs, `[time, batch, hidden]`, and the last output and cell, `[batch, hidden]`.
    ///
    /// The weights are `[4·hidden, inputs]` and `[4·hidden, hidden]`, the biases `[4·hidden]`, in the gates' order i, f, g, o.
    package func longShortTermMemory(
        output: Tensor, cell: Tensor, inputWeight: Tensor, stateWeight: Tensor, inputBias: Tensor, stateBias: Tensor
    ) -> (outputs: Tensor, output: Tensor, cell: Tensor) {
        let found = operators.longShortTermMemory.results(
            capacity: 3, .tensor(self), .tensors([Self.layers(output), Self.layers(cell)]),
            .tensors([inputWeight, stateWeight, inputBias, stateBias]), .boolean(true), .integer(1), .real(0), .boolean(Self.isTraining),
            .boolean(false), .boolean(false))
        return (found[0], found[1].removingDimension(0), found[2].removingDimension(0))
    }

    /// PyTorch's GRU of one layer: the outputs, `[time, batch, hidden]`, and the last of them, `[batch, hidden]`.
    ///
    /// The weights are `[3·hidden, inputs]` and `[3·hidden, hidden]`, the biases `[3·hidden]`, in the gates' order r, z, n.
    package func gatedRecurrentUnit(
        state: Tensor, inputWeight: Tensor, stateWeight: Tensor, inputBias: Tensor, stateBias: Tensor
    ) -> (outputs: Tensor, last: Tensor) {
        let found = operators.gatedRecurrentUnit.results(
            capacity: 2, .tensor(self), .tensor(Self.layers(state)), .tensors([inputWeight, stateWeight, inputBias, stateBias]),
            .boolean(true), .integer(1), .real(0), .boolean(Self.isTraining), .boolean(false), .boolean(false))
        return (found[0], found[1].removingDimension(0))
    }

    /// cuDNN has no gradient of what was not computed for training. With one layer and no dropout it changes nothing else.
    private static let isTraining = true

    /// `[1, batch, hidden]`, without the strides of an expanded start, which the GPU's library does not take.
    private static func layers(_ state: Tensor) -> Tensor { state.expandingDimension(0).contiguous() }
}
