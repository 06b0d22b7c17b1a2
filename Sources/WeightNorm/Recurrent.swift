import Torch

// What LSTM and GRU share: the weights that they accept, what they refuse, and how they process a sequence.

extension Normalization {
    /// A drawn weight of a recurrent layer; each row, the weights of one gate of one hidden unit, is a vector with its own norm.
    func recurrentWeight(_ shape: [Int], deviation: Double, type: ElementType, random: Generator) -> Weight {
        trap(
            unless: !hasNormalizer,
            "normalization of a recurrent layer: expected one of "
                + "\(Normalization.allCases.filter { !$0.hasNormalizer }.map(\.rawValue).joined(separator: ", ")), found \(rawValue), "
                + "which takes statistics that differ from one time step to the next")
        return makeWeight(Tensor.normal(shape, type: type, from: random) * deviation, units: .axis(0))
    }
}

/// Ends the program if the pass is an initializing one.
func refuseInitialization(_ pass: Pass) {
    trap(
        unless: pass.phase != .initializing,
        "data-dependent initialization is not defined for recurrent layers: call with .training")
}

/// Ends the program unless the part has the given shape; a missing part passes.
func requireShape(_ shape: [Int], of name: String, _ tensor: Tensor?) {
    guard let found = tensor?.shape else { return }
    trap(unless: found == shape, "\(name): expected shape \(shape), found \(found)")
}

/// The numbers of inputs and hidden units that two weights of `gates` rows per hidden unit imply; ends the program if there are none.
func recurrentSizes(_ layer: String, gates: Int, inputWeight: Weight, stateWeight: Weight) -> (inputs: Int, hidden: Int) {
    let (input, state) = (inputWeight.shape, stateWeight.shape)
    trap(
        unless: state.count == 2 && state[1] > 0 && state[0] == gates * state[1],
        "stateWeight of \(layer): expected shape [\(gates)·hidden, hidden], found \(state)")
    trap(
        unless: input.count == 2 && input[0] == state[0] && input[1] > 0,
        "inputWeight of \(layer): expected shape [\(state[0]), inputs], found \(input)")
    for (name, weight) in [("inputWeight", inputWeight), ("stateWeight", stateWeight)] {
        trap(
            unless: weight.units?.normsShape(ofWeight: weight.shape) != nil || weight.units == nil,
            "units of \(layer)'s \(name): expected axes of a weight of \(weight.shape), found \(weight.units ?? .whole)")
    }
    return (input[1], state[1])
}

/// Ends the program unless both numbers are positive.
func requirePositive(inputs: Int, hidden: Int, of layer: String) {
    trap(unless: inputs > 0 && hidden > 0, "sizes of \(layer): expected at least 1 input and 1 hidden unit, found \(inputs) and \(hidden)")
}

/// Ends the program unless a sequence is `[time, batch, inputs]` of at least one time step.
func requireSequence(_ layer: String, _ sequence: Tensor, inputs: Int) {
    let shape = sequence.shape
    trap(
        unless: shape.count == 3 && shape[0] > 0 && shape[2] == inputs,
        "sequence of \(layer): expected shape [time, batch, \(inputs)] of at least one time step, found \(shape)")
}

/// W·x (+ b) of every time step of a sequence, `[time, batch, inputs]`, in one matrix product: `time` tensors of `[batch, rows of W]`.
func inputProducts(of sequence: Tensor, weight: Tensor, bias: Tensor? = nil) -> [Tensor] {
    let shape = sequence.shape
    // Split by one operator: the gradient of a single selected step would be as large as the whole sequence.
    return sequence.reshaped([shape[0] * shape[1], shape[2]]).linear(weight: weight, bias: bias)
        .split(Array(repeating: shape[1], count: shape[0]), along: 0)
}
