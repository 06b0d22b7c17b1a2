public import Torch

/// The tensors that an optimizer works on: the parameters themselves or, for those of a 16-bit type, a float32 master copy that the parameter
/// follows, rounded (Micikevicius et al., *Mixed Precision Training*, 2018).
///
/// A step that is small beside a 16-bit parameter would be rounded away every time, and so would the moments of such steps: training would stall. If
/// something else has changed a parameter since the last step, its new value is used.
public final class MasterParameters {
    private let parameters: [Parameter]
    /// The indices of those of a 16-bit type.
    private let narrow: [Int]
    /// A float32 copy of each of those; nil if there are none.
    let copies: MutableTensorList?

    /// Master copies of the parameters that need one, with their present values.
    public init(_ parameters: [Parameter]) {
        self.parameters = parameters
        narrow = parameters.indices.filter { parameters[$0].value.type.accumulator != parameters[$0].value.type }
        copies = narrow.isEmpty ? nil : MutableTensorList(narrow.map { parameters[$0].snapshot().converted(to: .float32) })
    }

    private var copied: [(place: Int, copy: Tensor)] { zip(narrow, copies?.values.tensors ?? []).map { ($0, $1) } }

    /// The tensors that change, in the parameters' order.
    private var tensors: [Tensor] {
        var tensors = parameters.map(\.value)
        for (place, copy) in copied { tensors[place] = copy }
        return tensors
    }

    /// Zeros with the shapes and types in which steps are made, for moments.
    public func zeros() -> MutableTensorList { MutableTensorList(zerosLike: tensors) }

    /// A gradient for every parameter, each in the type in which its step is made; traps unless there is one for each.
    public func widened(_ gradients: [Tensor]) -> TensorList {
        trap(
            unless: gradients.count == parameters.count,
            "optimizer step: expected \(parameters.count) gradients, found \(gradients.count)")
        guard !narrow.isEmpty else { return TensorList(gradients) }
        return withoutGradients {
            var wide = gradients
            for index in narrow { wide[index] = gradients[index].converted(to: .float32) }
            return TensorList(wide)
        }
    }

    /// Runs the closure on the tensors that change, in the parameters' order, then updates the parameters. Gradients are not recorded. Without
    /// parameters the closure is not run.
    public func change(_ body: (MutableTensorList) -> Void) {
        guard !parameters.isEmpty else { return }
        withoutGradients {
            follow()
            body(MutableTensorList(tensors))
            for (place, copy) in copied { parameters[place].assign(copy) }
        }
    }

    /// Starts again from the parameters.
    func begin() {
        for (place, copy) in copied {
            MutableTensorList([copy]).assign(TensorList([parameters[place].value.detached()]))
        }
    }

    /// Takes over values that others have assigned to the parameters.
    private func follow() {
        for (place, copy) in copied {
            let value = parameters[place].value.detached()
            let isOurs = copy.converted(to: value.type) .== value
            MutableTensorList([copy]).assign(TensorList([value.converted(to: .float32).replacing(where: isOurs, with: copy)]))
        }
    }

    /// ε, but at least the smallest normal number of the types in which steps are made: anything smaller may be rounded to 0 there, and would not
    /// keep a divisor from 0.
    public func representable(_ epsilon: Double) -> Double {
        let isWide = parameters.allSatisfy { $0.value.type == .float64 }
        return max(epsilon, (isWide ? ElementType.float64 : .float32).leastNormalMagnitude)
    }
}
