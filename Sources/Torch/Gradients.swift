internal import CTorch

/// The gradients of a scalar with respect to parameters, in their order.
///
/// A parameter that does not affect the scalar has gradient zero. The call uses up what was recorded, so pass all the parameters in one call, unless
/// `createGraph` is set. `createGraph` records the gradients themselves, for derivatives of higher order. Traps unless the scalar has one element and
/// depends on something recorded. Traps too for a parameter that does not affect the scalar because its module holds another in its place, after loading, folding or normalizing: an
/// optimizer that holds it would never train anything.
public func gradients(of scalar: Tensor, withRespectTo parameters: [Parameter], createGraph: Bool = false) -> [Tensor] {
    trap(unless: scalar.count == 1, "gradients: expected a tensor of one element, found shape \(scalar.shape)")
    let found = derivatives(of: scalar, cotangent: nil, withRespectTo: parameters.map(\.value), createGraph: createGraph)
    return zip(found, parameters).map { gradient, parameter in
        trap(
            unless: gradient != nil || !parameter.isReplaced,
            "gradients: expected parameters that their module holds, found \(parameter.path.map { "'\($0)'" } ?? "one") replaced, by loading, folding or "
                + "normalizing; make the optimizer afterwards")
        return gradient ?? parameter.value.detached().zerosLike()
    }
}

/// The gradients of a scalar with respect to recorded tensors, in their order.
public func gradients(of scalar: Tensor, withRespectTo tensors: [Tensor], createGraph: Bool = false) -> [Tensor] {
    trap(unless: scalar.count == 1, "gradients: expected a tensor of one element, found shape \(scalar.shape)")
    return gradients(of: scalar, cotangent: nil, withRespectTo: tensors, createGraph: createGraph)
}

/// The product of a cotangent (of the output's shape) with the output's derivatives with respect to recorded tensors, in their order.
public func gradients(of output: Tensor, cotangent: Tensor?, withRespectTo tensors: [Tensor], createGraph: Bool = false) -> [Tensor] {
    let found = derivatives(of: output, cotangent: cotangent, withRespectTo: tensors, createGraph: createGraph)
    return zip(found, tensors).map { $0 ?? $1.detached().zerosLike() }
}

/// The same, nil for a tensor that does not affect the output.
private func derivatives(of output: Tensor, cotangent: Tensor?, withRespectTo tensors: [Tensor], createGraph: Bool) -> [Tensor?] {
    guard !tensors.isEmpty else { return [] }
    var results = [CTorchTensor?](repeating: nil, count: tensors.count)
    let message = withExtendedLifetime((output, cotangent, tensors)) {
        let outputs: [CTorchTensor?] = [output.reference.handle]
        let cotangents: [CTorchTensor?] = [cotangent?.reference.handle]
        let inputs: [CTorchTensor?] = tensors.map(\.reference.handle)
        return outputs.withUnsafeBufferPointer { outputs in
            cotangents.withUnsafeBufferPointer { cotangents in
                inputs.withUnsafeBufferPointer { inputs in
                    results.withUnsafeMutableBufferPointer { results in
                        ctorch_gradients(
                            outputs.baseAddress, cotangents.baseAddress, 1, inputs.baseAddress, Int32(inputs.count), createGraph,
                            results.baseAddress)
                    }
                }
            }
        }
    }
    if let message {
        let failure = "gradients: \(takeMessage(message))"
        // The recording is given up: the shapes are right, and the step is run again, unrecorded.
        if !StepPhase.survives(failure, {}) { fatalError(failure) }
    }
    return results.map { $0.map { Tensor(owning: $0) } }
}

/// Runs the closure without recording for gradients, on this thread.
///
/// The closure is synchronous on purpose: grad mode belongs to a thread, and a suspended task may resume on another.
public func withoutGradients<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    try withGradientMode(false, body)
}

/// Runs the closure with recording switched on again, inside ``withoutGradients(_:)``.
public func withGradients<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    try withGradientMode(true, body)
}

private func withGradientMode<Result, Failure: Error>(
    _ enabled: Bool, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    let before = ctorch_gradient_mode_set(enabled)
    defer { _ = ctorch_gradient_mode_set(before) }
    return try body()
}
