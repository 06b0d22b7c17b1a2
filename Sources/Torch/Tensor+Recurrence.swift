// Loops over a sequence of `[time, batch, inputs]`, which are much faster than a loop over the steps: this library's own on the CPU, libtorch's elsewhere and for 16 bits.

extension Tensor {
    /// Whether this library's own loops take a sequence like this in the present setting: on the CPU, in float32 or float64, without autocast.
    package var hasOwnRecurrence: Bool { device.isCPU && [.float32, .float64].contains(type) && autocastType(on: device) == nil }

    /// An LSTM's outputs, `[time, batch, hidden]`, and its last output and cell, `[batch, hidden]`, from W·x + b of all steps, `[time, batch, 4·hidden]`.
    ///
    /// The weight is the state's, `[4·hidden, hidden]`, in the gates' order i, f, g, o; peepholes are `[3, hidden]`. There are first derivatives alone. Only where
    /// ``hasOwnRecurrence`` is true.
    package func longShortTermMemorySequence(
        output: Tensor, cell: Tensor, stateWeight: Tensor, peepholes: Tensor?
    ) -> (outputs: Tensor, output: Tensor, cell: Tensor) {
        let found = operators.longShortTermMemorySequence.results(
            capacity: 3, .tensor(self), .tensor(output), .tensor(cell), .tensor(stateWeight), .optional(peepholes))
        return (found[0], found[1], found[2])
    }

    /// A GRU's outputs, `[time, batch, hidden]`, and the last of them, `[batch, hidden]`, from W·x + b of all steps, `[time, batch, 3·hidden]`, and U and its bias, in the gates' order r, z, n.
    ///
    /// There are first derivatives alone. Only where ``hasOwnRecurrence`` is true.
    package func gatedRecurrentUnitSequence(state: Tensor, stateWeight: Tensor, stateBias: Tensor) -> (outputs: Tensor, last: Tensor) {
        let found = operators.gatedRecurrentUnitSequence.results(
            capacity: 2, .tensor(self), .tensor(state), .tensor(stateWeight), .tensor(stateBias))
        return (found[0], found[1])
    }

    /// Whether ``longShortTermMemory(output:cell:inputWeight:stateWeight:inputBias:stateBias:)`` can be called in the present setting: under autocast
    /// libtorch passes the CPU's loop to oneDNN, which supports 16 bits only with AVX-512 and otherwise fails.
    package var hasFusedLongShortTermMemory: Bool {
        !device.isCPU || autocastType(on: device) == nil || Runtime.processorCapability.hasPrefix("AVX512")
    }

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

    /// The element-wise part of an LSTM's step as one operator: h′ and c′, `[batch, hidden]`, from gates before peephole terms and nonlinearities,
    /// `[batch, 4·hidden]` in the order i, f, g, o.
    ///
    /// Peepholes are `[3, hidden]` for i, f and o. First and second derivatives exist.
    package func longShortTermMemoryCell(cell: Tensor, peepholes: Tensor?) -> (output: Tensor, cell: Tensor) {
        let found = operators.longShortTermMemoryCell.results(
            capacity: 2, .tensor(self), .tensor(cell), peepholes.map { .tensor($0) } ?? .none)
        return (found[0], found[1])
    }

    /// The same weight or bias, marked as one that many steps share: its gradients by ``sharedLinear(weight:bias:)`` are summed in one place.
    ///
    /// Take the gradient with respect to the tensor that it was made from, not to this one.
    package func shared() -> Tensor { operators.share(.tensor(self)) }

    /// x·wᵀ + b of matrices, with a weight and a bias that are ``shared()``.
    package func sharedLinear(weight: Tensor, bias: Tensor?) -> Tensor {
        operators.sharedLinear(.tensor(self), .tensor(weight), .optional(bias))
    }

    /// self + left·right for matrices, in one operator; self may have a single row.
    package func adding(productOf left: Tensor, _ right: Tensor) -> Tensor {
        operators.addMatrixProduct(.tensor(self), .tensor(left), .tensor(right), .integer(1), .integer(1))
    }

    /// cuDNN gives gradients only for what was computed in training mode. With one layer and no dropout, this changes nothing else.
    private static let isTraining = true

    /// `[1, batch, hidden]`, without the strides of an expanded start, which the GPU's library does not accept.
    private static func layers(_ state: Tensor) -> Tensor { state.expandingDimension(0).contiguous() }
}
