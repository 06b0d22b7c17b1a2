public import Torch

/// A gated recurrent unit, in PyTorch's form.
///
/// r = σ(W_r x + b_r + U_r h + d_r), z = σ(W_z x + b_z + U_z h + d_z), n = tanh(W_n x + b_n + r⊙(U_n h + d_n)), h′ = (1 − z)⊙n + z⊙h.
///
/// W is ``inputWeight``, U ``stateWeight``, b ``inputBias`` and d ``stateBias``, with the gates' rows in PyTorch's order r, z, n. Each row
/// is one weight vector: when normalized, it has its own norm and gain, and W and U are normalized separately. r multiplies d_n too, so b
/// and d cannot be merged into one.
///
/// The weights are derived once per sequence, by ``bound(_:)``: deriving them at each time step would be slow, and the recorded graph would
/// hold a weight for each step (PyTorch's issue 2176). A change to a parameter takes effect at the next binding.
///
/// Data-dependent initialization is not defined for recurrent layers (the paper, §3); an initializing pass traps.
public final class GRU: Module {
    /// W, `[3·hidden, inputs]`.
    public internal(set) var inputWeight: Weight
    /// U, `[3·hidden, hidden]`.
    public internal(set) var stateWeight: Weight
    /// b, `[3·hidden]`: PyTorch's `bias_ih`.
    public let inputBias: Parameter
    /// d, `[3·hidden]`: PyTorch's `bias_hh`.
    public let stateBias: Parameter
    /// h before the first step, `[hidden]`; zero without it.
    public let initialState: Parameter?
    /// Features of the input.
    public let inputs: Int
    /// Features of the output.
    public let hidden: Int
    /// Whether gradients of gradients can be taken through a whole sequence, which is then slower: the fast loops over a sequence
    /// have only first derivatives. Single steps always have both.
    public var hasSecondDerivatives = false

    /// A layer of parts; traps unless their shapes fit each other.
    public init(
        inputWeight: Weight, stateWeight: Weight, inputBias: Parameter, stateBias: Parameter, initialState: Parameter? = nil
    ) {
        (inputs, hidden) = recurrentSizes("a GRU", gates: 3, inputWeight: inputWeight, stateWeight: stateWeight)
        requireShape([3 * hidden], of: "inputBias of a GRU", inputBias.value)
        requireShape([3 * hidden], of: "stateBias of a GRU", stateBias.value)
        requireShape([hidden], of: "initialState of a GRU", initialState?.value)
        self.inputWeight = inputWeight
        self.stateWeight = stateWeight
        self.inputBias = inputBias
        self.stateBias = stateBias
        self.initialState = initialState
    }

    /// A layer with weights drawn from N(0, deviation²), g = ‖v‖, and everything else 0.
    ///
    /// Traps for normalizations with batch statistics: these differ from one time step to the next.
    public convenience init(
        _ inputs: Int, hidden: Int, normalization: Normalization = .weight, trainableStart: Bool = false, deviation: Double = 0.05,
        type: ElementType = .float32, random: Generator
    ) {
        requirePositive(inputs: inputs, hidden: hidden, of: "a GRU")
        func weight(_ columns: Int) -> Weight {
            normalization.recurrentWeight([3 * hidden, columns], deviation: deviation, type: type, random: random)
        }
        func zeros(_ shape: [Int]) -> Parameter { Parameter(.zeros(shape, type: type, on: random.device)) }
        self.init(
            inputWeight: weight(inputs), stateWeight: weight(hidden), inputBias: zeros([3 * hidden]), stateBias: zeros([3 * hidden]),
            initialState: trainableStart ? zeros([hidden]) : nil)
    }

    /// The layer with both weights derived, valid for all time steps until the parameters change.
    ///
    /// The pass matters only to a form that updates something in training (``WeightForm/value(in:)``).
    public func bound(_ pass: Pass = .inference) -> BoundGRU { BoundGRU(self, pass) }

    /// The outputs of all time steps, `[time, batch, hidden]`, and the last of them.
    ///
    /// The sequence is `[time, batch, inputs]`. Without a state, `[batch, hidden]`, to continue from, it starts at ``initialState``.
    public func callAsFunction(_ sequence: Tensor, _ pass: Pass, from state: Tensor? = nil) -> (outputs: Tensor, last: Tensor) {
        traced {
            refuseInitialization(pass)
            return bound(pass)(sequence, from: state)
        }
    }
}

extension GRU: HoldsWeights {
    /// Calls the closure for ``inputWeight`` and ``stateWeight``.
    public func changeWeights(_ change: (_ property: String, _ weight: Weight, _ units: OutputUnits) -> Weight) {
        inputWeight = change("inputWeight", inputWeight, .axis(0))
        stateWeight = change("stateWeight", stateWeight, .axis(0))
    }
}

/// A ``GRU`` with its weights derived: what a loop over time steps calls.
public struct BoundGRU: Sendable {
    /// W, `[3·hidden, inputs]`, recorded for gradients.
    public let inputWeight: Tensor
    /// U, `[3·hidden, hidden]`, recorded for gradients.
    public let stateWeight: Tensor
    private let inputBias: Tensor
    private let stateBias: Tensor
    /// W, U and their biases, as all steps share them.
    private let shared: (inputWeight: Tensor, inputBias: Tensor, stateWeight: Tensor, stateBias: Tensor)
    private let initialState: Tensor
    private let inputs: Int
    private let hidden: Int
    private let hasSecondDerivatives: Bool

    fileprivate init(_ layer: GRU, _ pass: Pass) {
        (inputs, hidden, hasSecondDerivatives) = (layer.inputs, layer.hidden, layer.hasSecondDerivatives)
        inputWeight = layer.inputWeight.value(in: pass)
        stateWeight = layer.stateWeight.value(in: pass)
        inputBias = layer.inputBias.value
        stateBias = layer.stateBias.value
        shared = (inputWeight.shared(), inputBias.shared(), stateWeight.shared(), stateBias.shared())
        initialState = layer.initialState?.value ?? .zeros([layer.hidden], type: inputBias.type, on: inputBias.device)
    }

    /// The state before the first step, `[batch, hidden]`, the same for every example in a batch.
    public func start(batch: Int) -> Tensor { initialState.expanded([batch, hidden]) }

    /// W·x for x of `[…, inputs]`: what ``step(_:preactivation:from:)`` takes as a pre-activation, for an input that several steps share.
    public func inputProduct(_ input: Tensor) -> Tensor { input.linear(weight: inputWeight) }

    /// The state, which is the output, after one time step: `[batch, hidden]` from `[batch, hidden]`.
    ///
    /// The input is `[batch, inputs]`. The pre-activation, `[batch, 3·hidden]`, is added to W·x + b, and may stand in for the input: a caller whose
    /// input has several parts adds their products, each with its columns of ``inputWeight``, instead of joining the parts. Traps unless the shapes
    /// fit.
    public func step(_ input: Tensor? = nil, preactivation: Tensor? = nil, from state: Tensor) -> Tensor {
        let batch = state.shape.first ?? 0
        requireShape([batch, hidden], of: "state of a GRU", state)
        requireShape([batch, inputs], of: "input of a GRU's step", input)
        requireShape([batch, 3 * hidden], of: "preactivation of a GRU's step", preactivation)
        let seen =
            input.map { $0.sharedLinear(weight: shared.inputWeight, bias: shared.inputBias) } ?? inputBias.expanded([batch, 3 * hidden])
        return next(preactivation.map { seen + $0 } ?? seen, state)
    }

    /// The outputs of all time steps, `[time, batch, hidden]`, and the last of them, for a sequence of `[time, batch, inputs]`.
    public func callAsFunction(_ sequence: Tensor, from first: Tensor? = nil) -> (outputs: Tensor, last: Tensor) {
        requireSequence("a GRU", sequence, inputs: inputs)
        let batch = sequence.shape[1]
        var state = first ?? start(batch: batch)
        requireShape([batch, hidden], of: "state of a GRU", state)  // a state of one example would be broadcast over the batch
        guard hasSecondDerivatives else {
            if sequence.hasOwnRecurrence {
                return sequence.linear(weight: inputWeight, bias: inputBias).gatedRecurrentUnitSequence(
                    state: state, stateWeight: stateWeight, stateBias: stateBias)
            }
            return sequence.gatedRecurrentUnit(
                state: state, inputWeight: inputWeight, stateWeight: stateWeight, inputBias: inputBias, stateBias: stateBias)
        }
        let products = inputProducts(of: sequence, weight: inputWeight, bias: inputBias)
        var outputs: [Tensor] = []
        for product in products {
            state = next(product, state)
            outputs.append(state)
        }
        return (.stacked(outputs), state)
    }

    /// A step from W·x + b.
    private func next(_ seen: Tensor, _ state: Tensor) -> Tensor {
        let new = seen.split([2 * hidden, hidden], along: 1)
        let old = state.sharedLinear(weight: shared.stateWeight, bias: shared.stateBias).split([2 * hidden, hidden], along: 1)
        let gates = (new[0] + old[0]).sigmoid().split([hidden, hidden], along: 1)
        let candidate = (new[1] + gates[0] * old[1]).tanh()
        return candidate + gates[1] * (state - candidate)
    }
}
