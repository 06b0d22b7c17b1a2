import Torch

/// Parameters as an optimizer works on them: themselves, or for those of a 16-bit type a copy in float32 that the parameter follows, rounded.
///
/// A step that is small beside a 16-bit parameter would be rounded away every time, and the moments of such steps likewise, so that training would stand
/// still. A parameter that somebody else has changed since the last step counts as it is now.
final class WideParameters {
    private let parameters: [Parameter]
    /// Those of a 16-bit type, by their places.
    private let narrow: [Int]
    /// A copy of each of those, in float32; nil if there are none.
    let copies: TensorList?

    init(_ parameters: [Parameter]) {
        self.parameters = parameters
        narrow = parameters.indices.filter { parameters[$0].value.type.accumulator != parameters[$0].value.type }
        copies = narrow.isEmpty ? nil : TensorList(narrow.map { parameters[$0].snapshot().converted(to: .float32) })
    }

    /// The tensors that change, in the parameters' order.
    var tensors: [Tensor] {
        var tensors = parameters.map(\.value)
        for (index, copy) in zip(narrow, copies?.tensors ?? []) { tensors[index] = copy }
        return tensors
    }

    /// Zeros of the tensors' shapes and types, for moments.
    func zeros() -> TensorList { TensorList(zerosLike: tensors) }

    /// A gradient for every parameter, each in the type of the tensor that changes; traps unless there is one for each.
    func widened(_ gradients: [Tensor]) -> TensorList {
        trap(
            unless:
                gradients.count == parameters.count, "optimizer step: expected \(parameters.count) gradients, found \(gradients.count)")
        guard !narrow.isEmpty else { return TensorList(gradients) }
        return withoutGradients {
            var wide = gradients
            for index in narrow { wide[index] = gradients[index].converted(to: .float32) }
            return TensorList(wide)
        }
    }

    /// Runs the closure on the tensors, and lets the parameters follow. Gradients are not recorded.
    func change(_ body: (TensorList) -> Void) {
        guard !parameters.isEmpty else { return }
        withoutGradients {
            follow()
            body(TensorList(tensors))
            for (index, copy) in zip(narrow, copies?.tensors ?? []) { parameters[index].assign(copy) }
        }
    }

    /// Begins anew at the parameters.
    func begin() {
        for (index, copy) in zip(narrow, copies?.tensors ?? []) {
            TensorList([copy]).assign(TensorList([parameters[index].value.detached()]))
        }
    }

    /// Takes over what others have assigned to the parameters.
    private func follow() {
        for (index, copy) in zip(narrow, copies?.tensors ?? []) {
            let value = parameters[index].value.detached()
            let isOurs = copy.converted(to: value.type) .== value
            TensorList([copy]).assign(TensorList([value.converted(to: .float32).replacing(where: isOurs, with: copy)]))
        }
    }

    /// ε, but at least the smallest normal number of the types that are worked in: what is smaller is rounded to 0 there, and would not keep a divisor from it.
    func representable(_ epsilon: Double) -> Double {
        let isWide = parameters.allSatisfy { $0.value.type == .float64 }
        return max(epsilon, (isWide ? ElementType.float64 : .float32).leastNormalMagnitude)
    }
}

/// An optimizer that works on ``WideParameters``, so that whatever else changes its parameters can do so too.
protocol WorksOnWideParameters: Optimizer {
    var wide: WideParameters { get }
}
