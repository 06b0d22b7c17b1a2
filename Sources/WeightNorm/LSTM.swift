public import Torch

/// A long short-term memory layer, with diagonal peepholes if asked for.
///
/// i = σ(Wᵢx + Uᵢh + pᵢ⊙c + bᵢ), f = σ(W_f x + U_f h + p_f⊙c + b_f), g = tanh(W_g x + U_g h + b_g), c′ = f⊙c + i⊙g,
/// o = σ(W_o x + U_o h + p_o⊙c′ + b_o), h′ = o⊙tanh c′.
///
/// W is ``inputWeight`` and U ``stateWeight``, with the gates' rows in PyTorch's order i, f, g, o. Each row is one weight vector: when
/// normalized, it has its own norm and gain, and W and U are normalized separately. Peepholes are never normalized.
///
/// The weights are derived once per sequence, by ``bound(_:)``: deriving them at each time step would be slow, and the recorded graph would
/// hold a weight for each step (PyTorch's issue 2176). A change to a parameter takes effect at the next binding.
///
/// Data-dependent initialization is not defined for recurrent layers (the paper, §3); an initializing pass traps.
public final class LSTM: Module {
    /// W, `[4·hidden, inputs]`.
    public internal(set) var inputWeight: Weight
    /// U, `[4·hidden, hidden]`.
    public internal(set) var stateWeight: Weight
    /// b, `[4·hidden]`; PyTorch has two, `bias_ih` and `bias_hh`, of which this is the sum.
    public let bias: Parameter
    /// pᵢ, p_f and p_o, `[3, hidden]`: i and f see the cell before the step, o the one after it.
    public let peepholes: Parameter?
    /// h before the first step, `[hidden]`; zero without it.
    public let initialState: Parameter?
    /// c before the first step, `[hidden]`; zero without it.
    public let initialCell: Parameter?
    /// Features of the input.
    public let inputs: Int
    /// Features of the output.
    public let hidden: Int
    /// Whether gradients of gradients can be taken through a whole sequence, which is then slower: the fast loops over a sequence
    /// have only first derivatives. Single steps always have both.
    public var hasSecondDerivatives = false

    /// What is carried from one time step to the next.
    public struct State: Sendable {
        /// h, the layer's output, `[batch, hidden]`.
        public let output: Tensor
        /// c, `[batch, hidden]`.
        public let cell: Tensor

        /// A state of parts.
        public init(output: Tensor, cell: Tensor) {
            self.output = output
            self.cell = cell
        }
    }

    /// A layer of parts; traps unless their shapes fit each other.
    public init(
        inputWeight: Weight, stateWeight: Weight, bias: Parameter, peepholes: Parameter? = nil, initialState: Parameter? = nil,
        initialCell: Parameter? = nil
    ) {
        (inputs, hidden) = recurrentSizes("an LSTM", gates: 4, inputWeight: inputWeight, stateWeight: stateWeight)
        requireShape([4 * hidden], of: "bias of an LSTM", bias.value)
        requireShape([3, hidden], of: "peepholes of an LSTM", peepholes?.value)
        requireShape([hidden], of: "initialState of an LSTM", initialState?.value)
        requireShape([hidden], of: "initialCell of an LSTM", initialCell?.value)
        self.inputWeight = inputWeight
        self.stateWeight = stateWeight
        self.bias = bias
        self.peepholes = peepholes
        self.initialState = initialState
        self.initialCell = initialCell
    }

    /// A layer with weights drawn from N(0, deviation²), g = ‖v‖, and everything else 0.
    ///
    /// Traps for normalizations with batch statistics: these differ from one time step to the next.
    public convenience init(
        _ inputs: Int, hidden: Int, normalization: Normalization = .weight, peepholes: Bool = false, trainableStart: Bool = false,
        deviation: Double = 0.05, type: ElementType = .float32, random: Generator
    ) {
        requirePositive(inputs: inputs, hidden: hidden, of: "an LSTM")
        func weight(_ columns: Int) -> Weight {
            normalization.recurrentWeight([4 * hidden, columns], deviation: deviation, type: type, random: random)
        }
        func zeros(_ shape: [Int]) -> Parameter { Parameter(.zeros(shape, type: type, on: random.device)) }
        self.init(
            inputWeight: weight(inputs), stateWeight: weight(hidden), bias: zeros([4 * hidden]),
            peepholes: peepholes ? zeros([3, hidden]) : nil, initialState: trainableStart ? zeros([hidden]) : nil,
            initialCell: trainableStart ? zeros([hidden]) : nil)
    }

    /// The layer with both weights derived, valid for all time steps until the parameters change.
    ///
    /// The pass matters only to a form that updates something in training (``WeightForm/value(in:)``).
    public func bound(_ pass: Pass = .inference) -> BoundLSTM { BoundLSTM(self, pass, takesSteps: true) }

    /// The outputs of all time steps, `[time, batch, hidden]`, and the state after the last.
    ///
    /// The sequence is `[time, batch, inputs]`. Without a state to continue from, it starts at ``initialState`` and ``initialCell``.
    public func callAsFunction(_ sequence: Tensor, _ pass: Pass, from state: State? = nil) -> (outputs: Tensor, last: State) {
        traced {
            refuseInitialization(pass)
            return BoundLSTM(self, pass, takesSteps: false)(sequence, from: state)
        }
    }
}

extension LSTM: HoldsWeights {
    /// Calls the closure for ``inputWeight`` and ``stateWeight``.
    public func changeWeights(_ change: (_ property: String, _ weight: Weight, _ units: OutputUnits) -> Weight) {
        inputWeight = change("inputWeight", inputWeight, .axis(0))
        stateWeight = change("stateWeight", stateWeight, .axis(0))
    }
}

/// An ``LSTM`` with its weights derived: what a loop over time steps calls.
public struct BoundLSTM: Sendable {
    /// W, `[4·hidden, inputs]`, recorded for gradients.
    public let inputWeight: Tensor
    /// U, `[4·hidden, hidden]`, recorded for gradients.
    public let stateWeight: Tensor
    private let bias: Tensor
    /// W and U side by side, and b, as all steps share them; nil if no steps will be taken.
    private let joint: (weight: Tensor, bias: Tensor)?
    private let peepholes: Tensor?
    private let initial: (state: Tensor, cell: Tensor)
    private let inputs: Int
    private let hidden: Int
    private let hasSecondDerivatives: Bool

    fileprivate init(_ layer: LSTM, _ pass: Pass, takesSteps: Bool) {
        (inputs, hidden, hasSecondDerivatives) = (layer.inputs, layer.hidden, layer.hasSecondDerivatives)
        inputWeight = layer.inputWeight.value(in: pass)
        stateWeight = layer.stateWeight.value(in: pass)
        bias = layer.bias.value
        joint = takesSteps ? (.concatenated([inputWeight, stateWeight], along: 1).shared(), bias.shared()) : nil
        peepholes = layer.peepholes?.value
        let zeros = Tensor.zeros([layer.hidden], type: bias.type, on: bias.device)
        initial = (layer.initialState?.value ?? zeros, layer.initialCell?.value ?? zeros)
    }

    /// A layer of one weight over the input and the state joined, `[4·hidden, inputs + hidden]`, and a bias, `[4·hidden]`; it starts at zero.
    ///
    /// A normalized weight, such as a ``Dense`` layer's, then has one norm per row over W and U, where an ``LSTM`` has two. Traps unless
    /// the shapes fit. A whole sequence has only first derivatives unless second ones are asked for; single steps have both.
    public init(joint weight: Tensor, bias: Tensor, hasSecondDerivatives: Bool = false) {
        let shape = weight.shape
        trap(
            unless: shape.count == 2 && shape[0] > 0 && shape[0].isMultiple(of: 4) && shape[1] > shape[0] / 4,
            "weight of an LSTM over input and state: expected shape [4·hidden, inputs + hidden], found \(shape)")
        requireShape([shape[0]], of: "bias of an LSTM", bias)
        (inputs, hidden, self.hasSecondDerivatives) = (shape[1] - shape[0] / 4, shape[0] / 4, hasSecondDerivatives)
        let columns = weight.split([inputs, hidden], along: 1)
        (inputWeight, stateWeight) = (columns[0], columns[1])
        self.bias = bias
        joint = (weight.shared(), bias.shared())
        peepholes = nil
        let zeros = Tensor.zeros([hidden], type: bias.type, on: bias.device)
        initial = (zeros, zeros)
    }

    /// The state before the first step, the same for every example in a batch.
    public func start(batch: Int) -> LSTM.State {
        LSTM.State(output: initial.state.expanded([batch, hidden]), cell: initial.cell.expanded([batch, hidden]))
    }

    /// W·x for x of `[…, inputs]`: what ``step(_:preactivation:from:)`` takes as a pre-activation, for an input that several steps share.
    public func inputProduct(_ input: Tensor) -> Tensor { input.linear(weight: inputWeight) }

    /// The state after one time step.
    ///
    /// The input is `[batch, inputs]`. The pre-activation, `[batch, 4·hidden]`, is added to W·x + U·h + b, and may stand in for the input: a caller
    /// whose input has several parts adds their products, each with its columns of ``inputWeight``, instead of joining the parts. Traps unless the
    /// shapes fit.
    public func step(_ input: Tensor? = nil, preactivation: Tensor? = nil, from state: LSTM.State) -> LSTM.State {
        let batch = state.output.shape.first ?? 0
        require(state, batch: batch)
        requireShape([batch, inputs], of: "input of an LSTM's step", input)
        requireShape([batch, 4 * hidden], of: "preactivation of an LSTM's step", preactivation)
        guard let input, let joint else { return next(parts: input.map { [($0, inputWeight)] } ?? [], adding: preactivation, to: state) }
        let product = Tensor.concatenated([input, state.output], along: 1).sharedLinear(weight: joint.weight, bias: joint.bias)
        return next(gates: preactivation.map { product + $0 } ?? product, to: state)
    }

    /// The columns of ``inputWeight`` that belong to parts of the input with the given numbers of features: what ``step(parts:preactivation:from:)`` takes.
    ///
    /// Call it once per sequence. Traps unless the numbers add up to the layer's inputs.
    public func inputColumns(_ widths: [Int]) -> [Tensor] {
        trap(unless: widths.reduce(0, +) == inputs, "columns of an LSTM: expected widths that add up to \(inputs), found \(widths)")
        return inputWeight.split(widths, along: 1)
    }

    /// The state after one time step, for an input given in parts, which need not be joined: `[batch, width]` each, with its columns of
    /// ``inputWeight``.
    ///
    /// The pre-activation, `[batch, 4·hidden]`, is added to the parts' products. Traps unless the shapes fit.
    public func step(parts: [(input: Tensor, columns: Tensor)], preactivation: Tensor? = nil, from state: LSTM.State) -> LSTM.State {
        let batch = state.output.shape.first ?? 0
        require(state, batch: batch)
        for (input, columns) in parts {
            let width = columns.shape.last ?? 0
            requireShape([4 * hidden, width], of: "columns of an LSTM's step", columns)
            requireShape([batch, width], of: "part of the input of an LSTM's step", input)
        }
        requireShape([batch, 4 * hidden], of: "preactivation of an LSTM's step", preactivation)
        return next(parts: parts, adding: preactivation, to: state)
    }

    /// The outputs of all time steps, `[time, batch, hidden]`, and the state after the last, for a sequence of `[time, batch, inputs]`.
    public func callAsFunction(_ sequence: Tensor, from first: LSTM.State? = nil) -> (outputs: Tensor, last: LSTM.State) {
        requireSequence("an LSTM", sequence, inputs: inputs)
        let batch = sequence.shape[1]
        var state = first ?? start(batch: batch)
        require(state, batch: batch)
        if !hasSecondDerivatives && sequence.hasOwnRecurrence {
            let found = sequence.linear(weight: inputWeight, bias: bias).longShortTermMemorySequence(
                output: state.output, cell: state.cell, stateWeight: stateWeight, peepholes: peepholes)
            return (found.outputs, LSTM.State(output: found.output, cell: found.cell))
        }
        // PyTorch's LSTM has no peepholes.
        if peepholes == nil && !hasSecondDerivatives && sequence.hasFusedLongShortTermMemory {
            let found = sequence.longShortTermMemory(
                output: state.output, cell: state.cell, inputWeight: inputWeight, stateWeight: stateWeight, inputBias: bias,
                stateBias: bias.detached().zerosLike())
            return (found.outputs, LSTM.State(output: found.output, cell: found.cell))
        }
        let products = inputProducts(of: sequence, weight: inputWeight)
        var outputs: [Tensor] = []
        for product in products {
            state = next(parts: [], adding: product, to: state)
            outputs.append(state.output)
        }
        return (.stacked(outputs), state)
    }

    // A state of one example would be broadcast over a batch.
    private func require(_ state: LSTM.State, batch: Int) {
        requireShape([batch, hidden], of: "output in the state of an LSTM", state.output)
        requireShape([batch, hidden], of: "cell in the state of an LSTM", state.cell)
    }

    /// The products are accumulated by the matrix products themselves; the element-wise rest is one operator.
    private func next(parts: [(input: Tensor, columns: Tensor)], adding term: Tensor?, to state: LSTM.State) -> LSTM.State {
        var gates = term.map { $0 + bias } ?? bias
        for (input, columns) in parts + [(state.output, stateWeight)] { gates = gates.adding(productOf: input, columns.transposed()) }
        return next(gates: gates, to: state)
    }

    private func next(gates: Tensor, to state: LSTM.State) -> LSTM.State {
        var gates = gates
        // Under autocast the products have 16 bits; the cell keeps its own type.
        if gates.type != state.cell.type { gates = gates.converted(to: state.cell.type) }
        let found = gates.longShortTermMemoryCell(cell: state.cell, peepholes: peepholes)
        return LSTM.State(output: found.output, cell: found.cell)
    }
}
