public import Torch
public import WeightNorm

/// Shrinks parameters in every step.
public enum WeightDecay: Equatable, Sendable {
    /// Not at all.
    case none
    /// λ·θ is added to the gradient (an L2 penalty of λ/2·‖θ‖²), like PyTorch's `weight_decay` in SGD and Adam.
    case penalty(Double)
    /// θ ← θ − rate·λ·θ before the step (Loshchilov & Hutter, 2019), like PyTorch's AdamW.
    case decoupled(Double)

    var strength: Double {
        switch self {
        case .none: 0
        case .penalty(let strength), .decoupled(let strength): strength
        }
    }
}

/// How the parameters at some paths are trained.
public struct ParameterRule {
    /// The rule's name in messages.
    public let name: String
    /// The learning rate of these parameters as a multiple of the step's.
    public let learningRateFactor: Double
    /// Their weight decay.
    public let weightDecay: WeightDecay
    /// Whether gains, biases and everything else that is not a weight decay too.
    public let decaysEverything: Bool
    fileprivate let applies: (String) -> Bool

    /// A rule for the parameters whose dotted path, such as `hidden.0.weight.gain`, satisfies the predicate.
    ///
    /// Only weights decay: the plain w, or v of a normalized one. g, s, biases, the normalizers' parameters, peepholes and initial states do not,
    /// unless `decaysEverything` is set. (Decay of v leaves w unchanged: it slows the growth of ‖v‖, and so keeps the effective learning rate up.)
    ///
    /// Traps unless the factor and the decay are finite and at least 0.
    public init(
        _ name: String, learningRateFactor: Double = 1, weightDecay: WeightDecay = .none, decaysEverything: Bool = false,
        where applies: @escaping (_ path: String) -> Bool = { _ in true }
    ) {
        trap(
            unless: learningRateFactor >= 0 && learningRateFactor.isFinite,
            "rule '\(name)': expected a learning rate factor from 0 up, found \(learningRateFactor)")
        trap(
            unless: weightDecay.strength >= 0 && weightDecay.strength.isFinite,
            "rule '\(name)': expected a weight decay from 0 up, found \(weightDecay.strength)")
        self.name = name
        self.learningRateFactor = learningRateFactor
        self.weightDecay = weightDecay
        self.decaysEverything = decaysEverything
        self.applies = applies
    }
}

/// Parameters that are trained alike.
public struct ParameterGroup {
    /// The rule that groups them.
    public let rule: ParameterRule
    /// The parameters with their paths in the module, in its order.
    public let parameters: [Named<Parameter>]
    /// The paths of those that decay.
    public let decaying: Set<String>
}

extension Module {
    /// The parameters in groups, one for every rule: each parameter belongs to the first rule whose predicate its path satisfies.
    ///
    /// Parameters that match no rule are trained plainly, in a last group if there are any. Traps if a rule matches no parameter, which suggests a
    /// mistake in its predicate.
    public func parameterGroups(_ rules: [ParameterRule]) -> [ParameterGroup] {
        let weights = Set(namedWeights.flatMap { $0.value.form.vectorParameters }.map { ObjectIdentifier($0) })
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
