public import Torch

/// A recurrent layer that ``Stacked`` can be made of: ``LSTM`` and ``GRU``.
public protocol RecurrentLayer: Module, AnyObject {
    /// What is carried from one time step to the next.
    associatedtype State

    /// Features of the input.
    var inputs: Int { get }
    /// Features of the output.
    var hidden: Int { get }

    /// A layer with weights drawn from N(0, deviation²).
    static func drawn(
        _ inputs: Int, hidden: Int, normalization: Normalization, deviation: Double, type: ElementType, random: Generator
    ) -> Self

    /// The outputs of all time steps, `[time, batch, hidden]`, and the state after the last, for a sequence of `[time, batch, inputs]`.
    func callAsFunction(_ sequence: Tensor, _ pass: Pass, from state: State?) -> (outputs: Tensor, last: State)
}

extension LSTM: RecurrentLayer {
    /// A layer without peepholes that starts at zero.
    public static func drawn(
        _ inputs: Int, hidden: Int, normalization: Normalization, deviation: Double, type: ElementType, random: Generator
    ) -> LSTM {
        LSTM(inputs, hidden: hidden, normalization: normalization, deviation: deviation, type: type, random: random)
    }
}

extension GRU: RecurrentLayer {
    /// A layer that starts at zero.
    public static func drawn(
        _ inputs: Int, hidden: Int, normalization: Normalization, deviation: Double, type: ElementType, random: Generator
    ) -> GRU {
        GRU(inputs, hidden: hidden, normalization: normalization, deviation: deviation, type: type, random: random)
    }
}

/// Recurrent layers one above the other, each in one direction or in both, with dropout between them.
///
/// A layer in both directions gives their outputs side by side, `2·hidden` features. PyTorch's `nn.LSTM` and `nn.GRU` with `num_layers`, `bidirectional`, `batch_first` and `dropout`
/// have the same parameters.
public final class Stacked<Layer: RecurrentLayer>: Module {
    /// From the first time step to the last, the lowest first.
    public let layers: [Layer]
    /// From the last time step to the first; none, or as many.
    public let reversed: [Layer]
    /// The probability with which an output of a layer is set to 0 for the next, except in inference.
    public let dropout: Double
    /// Whether sequences are `[batch, time, features]` instead of `[time, batch, features]`.
    public let isBatchFirst: Bool

    /// Layers of parts; traps unless each takes what the one below gives, and the reversed ones are of the same sizes.
    public init(layers: [Layer], reversed: [Layer] = [], dropout: Double = 0, isBatchFirst: Bool = false) {
        let directions = reversed.isEmpty ? 1 : 2
        trap(unless: !layers.isEmpty, "stack of recurrent layers: expected at least one, found none")
        trap(
            unless: reversed.isEmpty || reversed.map(\.inputs) == layers.map(\.inputs) && reversed.map(\.hidden) == layers.map(\.hidden),
            "reversed layers of a stack: expected none or as many as there are layers, of the same sizes, found \(reversed.count)")
        for (below, layer) in zip(layers, layers.dropFirst()) {
            trap(
                unless: layer.inputs == directions * below.hidden,
                "stack of recurrent layers: expected a layer of \(directions * below.hidden) inputs, found one of \(layer.inputs)")
        }
        trap(unless: (0..<1).contains(dropout), "dropout of a stack: expected a probability from 0 to below 1, found \(dropout)")
        self.layers = layers
        self.reversed = reversed
        self.dropout = dropout
        self.isBatchFirst = isBatchFirst
    }

    /// Layers with weights drawn from N(0, deviation²), g = ‖v‖, and everything else 0.
    ///
    /// Traps for normalizations with batch statistics: these differ from one time step to the next.
    public convenience init(
        _ inputs: Int, hidden: Int, layers count: Int, isBidirectional: Bool = false, isBatchFirst: Bool = false, dropout: Double = 0,
        normalization: Normalization = .weight, deviation: Double = 0.05, type: ElementType = .float32, random: Generator
    ) {
        trap(unless: count > 0, "stack of recurrent layers: expected at least one, found \(count)")
        var (layers, reversed): ([Layer], [Layer]) = ([], [])
        for index in 0..<count {
            func layer() -> Layer {
                .drawn(
                    index == 0 ? inputs : (isBidirectional ? 2 : 1) * hidden, hidden: hidden, normalization: normalization,
                    deviation: deviation, type: type, random: random)
            }
            layers.append(layer())
            if isBidirectional { reversed.append(layer()) }
        }
        self.init(layers: layers, reversed: reversed, dropout: dropout, isBatchFirst: isBatchFirst)
    }

    /// The outputs of the highest layer for all time steps, `[time, batch, directions·hidden]`, and the state of every layer after its last step, in PyTorch's order: of the
    /// lowest, forwards and backwards, then of the next. If batches are first, they are here too.
    ///
    /// The states to start from are in the same order; without them each layer has its own start. Traps for another number of them.
    public func callAsFunction(
        _ sequence: Tensor, _ pass: Pass, from states: [Layer.State]? = nil
    ) -> (outputs: Tensor, last: [Layer.State]) {
        let directions = reversed.isEmpty ? [layers] : [layers, reversed]
        trap(
            unless: states == nil || states?.count == directions.count * layers.count,
            "states of a stack of recurrent layers: expected \(directions.count * layers.count), found \(states?.count ?? 0)")
        let drops = Dropout(probability: dropout)
        var outputs = isBatchFirst ? sequence.transposed(0, 1).contiguous() : sequence
        var last: [Layer.State] = []
        for index in layers.indices {
            // Examples first: a part of a minibatch then gets its part of the mask.
            if index > 0 { outputs = drops(outputs.transposed(0, 1), pass).transposed(0, 1) }
            let input = outputs
            let found = directions.enumerated().map { direction, layers in
                let result = layers[index](
                    direction == 0 ? input : input.flipped(along: [0]), pass, from: states?[directions.count * index + direction])
                last.append(result.last)
                return direction == 0 ? result.outputs : result.outputs.flipped(along: [0])
            }
            outputs = found.count == 1 ? found[0] : .concatenated(found, along: 2)
        }
        return (isBatchFirst ? outputs.transposed(0, 1) : outputs, last)
    }
}

/// LSTM layers one above the other.
public typealias StackedLSTM = Stacked<LSTM>
/// GRU layers one above the other.
public typealias StackedGRU = Stacked<GRU>
