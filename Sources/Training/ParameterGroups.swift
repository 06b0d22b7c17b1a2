public import Torch
public import WeightNorm

/// Shrinks parameters in every step.
public enum WeightDecay: Equatable, Sendable {
    /// Not at all.
    case none
    /// λ·θ is added to the gradient (an L2 penalty of λ/2·‖θ‖²), as PyTorch's `weight_decay` of SGD and Adam.
    case penalty(Double)
    /// θ ← θ − rate·λ·θ before the step (Loshchilov & Hutter, 2019), as PyTorch's AdamW.
    case decoupled(Double)

    fileprivate var strength: Double {
        switch self {
        case .none: 0
        case .penalty(let strength), .decoupled(let strength): strength
        }
    }
}

/// How the parameters of some paths are to be trained.
public struct ParameterRule {
    /// What the rule is for, in messages.
    public let name: String
    /// The learning rate of these parameters as a multiple of the step's.
    public let rateFactor: Double
    /// Their weight decay.
    public let weightDecay: WeightDecay
    /// Whether gains, biases and all else that is no weight decays too.
    public let decaysEverything: Bool
    fileprivate let applies: (String) -> Bool

    /// A rule for the parameters whose dotted path, such as `hidden.0.weight.gain`, fulfils the predicate.
    ///
    /// Only weights decay: the plain w, or v of a normalized one. g, s, biases, the normalizers' parameters, peepholes and initial states do not, unless asked
    /// for by `decaysEverything`. (Decay of v leaves w as it is: it slows the growth of ‖v‖, and so keeps the effective learning rate up.)
    ///
    /// Traps unless the rate factor and the decay are finite and at least 0.
    public init(
        _ name: String, rateFactor: Double = 1, weightDecay: WeightDecay = .none, decaysEverything: Bool = false,
        where applies: @escaping (_ path: String) -> Bool = { _ in true }
    ) {
        trap(
            unless: rateFactor >= 0 && rateFactor.isFinite,
            "rule '\(name)': expected a rate factor from 0 up, found \(rateFactor)")
        trap(
            unless: weightDecay.strength >= 0 && weightDecay.strength.isFinite,
            "rule '\(name)': expected a weight decay from 0 up, found \(weightDecay.strength)")
        self.name = name
        self.rateFactor = rateFactor
        self.weightDecay = weightDecay
        self.decaysEverything = decaysEverything
        self.applies = applies
    }
}

/// Parameters that are trained alike.
public struct ParameterGroup {
    /// Why they are together.
    public let rule: ParameterRule
    /// The parameters with their paths in the module, in its order.
    public let parameters: [Named<Parameter>]
    /// The paths of those that decay.
    public let decaying: Set<String>
}

extension Module {
    /// The parameters in groups, one for every rule: each parameter belongs to the first rule whose predicate its path fulfils.
    ///
    /// Parameters that no rule takes are trained plainly, in a last group if there are any. Traps if a rule takes no parameter, which a slip in its predicate
    /// would lead to.
    public func parameterGroups(_ rules: [ParameterRule]) -> [ParameterGroup] {
        let weights = Set(namedWeights.map { ObjectIdentifier($0.value.direction) })
        let rest = ParameterRule("the rest")
        var members = Array(repeating: [Named<Parameter>](), count: rules.count + 1)
        for parameter in namedParameters {
            members[rules.firstIndex { $0.applies(parameter.path) } ?? rules.count].append(parameter)
        }
        for (rule, taken) in zip(rules, members) where taken.isEmpty {
            fatalError("rule '\(rule.name)': expected it to take at least one parameter, found none on \(namedParameters.count) paths")
        }
        if members[rules.count].isEmpty { members.removeLast() }
        return zip(rules + [rest], members).map { rule, parameters in
            let decaying = parameters.filter {
                rule.weightDecay.strength > 0 && (rule.decaysEverything || weights.contains(ObjectIdentifier($0.value)))
            }
            return ParameterGroup(rule: rule, parameters: parameters, decaying: Set(decaying.map(\.path)))
        }
    }
}

/// Parameter groups, each with an optimizer of its own, as one optimizer.
public final class GroupedOptimizer<Base: Optimizer>: Optimizer {
    /// The groups.
    public let groups: [ParameterGroup]
    /// Their optimizers, in the groups' order.
    public let optimizers: [Base]
    /// All groups' parameters, one group after the other.
    public let parameters: [Parameter]
    private let decayed: [[Int]]
    /// What decoupled decay leaves of the parameters, a number for each group.
    private let kept: [DeviceNumbers]

    /// An optimizer made for every group: `GroupedOptimizer(network.parameterGroups(rules)) { Adam($0, beta1: 0.5) }`.
    public init(_ groups: [ParameterGroup], _ make: ([Parameter]) -> Base) {
        self.groups = groups
        optimizers = groups.map { make($0.parameters.map(\.value)) }
        parameters = groups.flatMap { $0.parameters.map(\.value) }
        kept = groups.map { DeviceNumbers(for: $0.parameters.map(\.value)) }
        decayed = groups.map { group in group.parameters.indices.filter { group.decaying.contains(group.parameters[$0].path) } }
    }

    /// One step of all groups; `rate` is multiplied by each group's factor.
    public func step(gradients: [Tensor], rate: Double) {
        stepEachGroup(gradients) { index, values, strength in
            values.multiply(by: 1 - rate * groups[index].rule.rateFactor * strength)
        } step: { index, own in
            optimizers[index].step(gradients: own, rate: rate * groups[index].rule.rateFactor)
        }
    }

    private func stepEachGroup(
        _ gradients: [Tensor], shrink: (_ group: Int, _ values: TensorList, _ strength: Double) -> Void,
        step: (_ group: Int, _ gradients: [Tensor]) -> Void
    ) {
        trap(
            unless: gradients.count == parameters.count,
            "optimizer step: expected \(parameters.count) gradients, found \(gradients.count)")
        var next = 0
        for (index, (group, decayed)) in zip(groups, decayed).enumerated() {
            var own = Array(gradients[next..<(next + group.parameters.count)])
            next += own.count
            if !decayed.isEmpty {
                // As the optimizer works on them: in 16 bits 1 − rate·λ is 1.
                let wide = (optimizers[index] as? any WorksOnWideParameters)?.wide
                func decay(_ all: TensorList) {
                    let values = TensorList(decayed.map { all.tensors[$0] })
                    switch group.rule.weightDecay {
                    case .none: break
                    case .penalty(let strength):
                        let slopes = wide?.widened(own).tensors ?? own
                        let sums = TensorList(decayed.map { slopes[$0] }).adding(values, times: strength)
                        for (place, sum) in zip(decayed, sums.tensors) { own[place] = sum }
                    case .decoupled(let strength): shrink(index, values, strength)
                    }
                }
                if let wide {
                    wide.change(decay)
                } else {
                    withoutGradients { decay(TensorList(group.parameters.map(\.value.value))) }
                }
            }
            step(index, own)
        }
    }

    /// All groups' states; names begin with the group's number.
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

    /// Goes on from a state of the same groups.
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
                // The groups before have the new state: back to what they had.
                for (optimizer, old) in zip(optimizers[..<index], before) { try optimizer.restore(old) }
                throw OptimizerStateError("group \(index): \(error.description)")
            }
        }
    }
}

extension GroupedOptimizer: RecordableOptimizer where Base: RecordableOptimizer {
    /// Prepares a step of all groups; `rate` is multiplied by each group's factor.
    public func prepare(rate: Double) {
        for ((group, optimizer), kept) in zip(zip(groups, optimizers), kept) {
            let rate = rate * group.rule.rateFactor
            if case .decoupled(let strength) = group.rule.weightDecay { kept.set([1 - rate * strength]) }
            optimizer.prepare(rate: rate)
        }
    }

    /// One step of all groups with what was prepared.
    public func apply(gradients: [Tensor]) {
        stepEachGroup(gradients) { index, values, _ in
            values.multiply(by: kept[index][0])
        } step: { index, own in
            optimizers[index].apply(gradients: own)
        }
    }

    /// All groups' keys.
    public var recordingKey: [Double] { optimizers.flatMap(\.recordingKey) }
}
