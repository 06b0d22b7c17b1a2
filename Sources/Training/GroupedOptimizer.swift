public import Torch
import WeightNorm

/// Parameter groups, each with its own optimizer, as one optimizer.
public final class GroupedOptimizer<Base: Optimizer>: Optimizer {
    /// The groups.
    public let groups: [ParameterGroup]
    /// Their optimizers, in the groups' order.
    public let optimizers: [Base]
    /// All groups' parameters, one group after the other.
    public let parameters: [Parameter]
    private let decaying: [[Int]]
    /// The factor by which decoupled decay shrinks the parameters, one per group.
    private let kept: [StepNumber]

    /// An optimizer made for every group: `GroupedOptimizer(network.parameterGroups(rules)) { Adam($0, beta1: 0.5) }`.
    public init(_ groups: [ParameterGroup], _ make: ([Parameter]) -> Base) {
        self.groups = groups
        optimizers = groups.map { make($0.parameters.map(\.value)) }
        parameters = groups.flatMap { $0.parameters.map(\.value) }
        kept = groups.map { StepNumber(for: $0.parameters.map(\.value)) }
        decaying = groups.map { group in group.parameters.indices.filter { group.decaying.contains(group.parameters[$0].path) } }
    }

    /// Prepares a step of all groups; the learning rate is multiplied by each group's factor.
    public func prepare(learningRate: Double) {
        for ((group, optimizer), kept) in zip(zip(groups, optimizers), kept) {
            let learningRate = learningRate * group.rule.learningRateFactor
            if case .decoupled(let strength) = group.rule.weightDecay { kept.set(1 - learningRate * strength) }
            optimizer.prepare(learningRate: learningRate)
        }
    }

    /// One step of all groups with the prepared numbers.
    public func apply(gradients: [Tensor]) {
        trap(
            unless: gradients.count == parameters.count,
            "optimizer step: expected \(parameters.count) gradients, found \(gradients.count)")
        var next = 0
        for (index, (group, optimizer)) in zip(groups, optimizers).enumerated() {
            var own = Array(gradients[next..<(next + group.parameters.count)])
            next += own.count
            decay(index, &own)
            optimizer.apply(gradients: own)
        }
    }

    /// Shrinks a group's parameters, or adds the penalty's gradients to theirs.
    private func decay(_ index: Int, _ gradients: inout [Tensor]) {
        let places = decaying[index]
        guard !places.isEmpty else { return }
        // On the copies that the optimizer works on: in 16 bits 1 − rate·λ is 1.
        let masters = optimizers[index].masters
        func shrink(_ all: MutableTensorList) {
            let values = MutableTensorList(places.map { all.values.tensors[$0] })
            switch groups[index].rule.weightDecay {
            case .none: break
            case .penalty(let strength):
                let slopes = masters?.widened(gradients).tensors ?? gradients
                let sums = TensorList(places.map { slopes[$0] }).adding(values.values, times: strength)
                for (place, sum) in zip(places, sums.tensors) { gradients[place] = sum }
            case .decoupled: values.multiply(by: kept[index])
            }
        }
        if let masters {
            masters.change(shrink)
        } else {
            withoutGradients { shrink(MutableTensorList(optimizers[index].parameters.map(\.value))) }
        }
    }

    /// All groups' keys.
    public var recordingKey: [Double] { optimizers.flatMap(\.recordingKey) }

    /// All groups' states; names begin with the group's index.
    public var state: OptimizerState {
        let states = optimizers.map(\.state)
        var numbers: [String: Double] = [:]
        for (index, state) in states.enumerated() {
            for (name, number) in state.numbers { numbers["\(index).\(name)"] = number }
        }
        return OptimizerState(
            kind: "groups of " + states.map(\.kind).joined(separator: ", "), numbers: numbers,
            tensors: states.enumerated().flatMap { index, state in state.tensors.map { ("\(index).\($0.name)", $0.value) } })
    }

    /// Resumes from a state of the same groups.
    public func restore(_ state: OptimizerState) throws(OptimizerStateError) {
        let before = optimizers.map(\.state)
        let kind = "groups of " + before.map(\.kind).joined(separator: ", ")
        guard state.kind == kind else { throw OptimizerStateError("expected the state of \(kind), found that of \(state.kind)") }
        for (index, optimizer) in optimizers.enumerated() {
            let prefix = "\(index)."
            func own(_ name: String) -> String? { name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : nil }
            let part = OptimizerState(
                kind: before[index].kind,
                numbers: Dictionary(uniqueKeysWithValues: state.numbers.compactMap { name, number in own(name).map { ($0, number) } }),
                tensors: state.tensors.compactMap { name, value in own(name).map { ($0, value) } })
            do throws(OptimizerStateError) {
                try optimizer.restore(part)
            } catch {
                // The preceding groups already have the new state: restore their old one.
                for (optimizer, old) in zip(optimizers[..<index], before) { try optimizer.restore(old) }
                throw OptimizerStateError("group \(index): \(error.description)")
            }
        }
    }
}
