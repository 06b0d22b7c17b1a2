internal import CTorch

/// Runs the closure in mixed precision: on this thread, matrix products and convolutions of float32 tensors on devices of this kind run in a 16-bit
/// type.
///
/// Parameters stay float32, and so do their gradients. Products, ``Tensor/linear(weight:bias:activation:)``, convolutions and recurrent cells convert their
/// arguments and give results of the 16-bit type, which the operators between them keep; losses are computed in float32, and so are the weights
/// g·v/‖v‖, before they are converted. Wrap the forward pass and the loss in it; gradients are better taken outside. A cast is made at every use and
/// never cached: nothing can go stale when an optimizer steps inside.
///
/// `.bfloat16` has float32's range. `.float16` does not: small gradients vanish, and nothing here scales the loss to prevent that. `.float32`
/// switches mixed precision off again, inside another call.
///
/// The closure is synchronous on purpose: the setting belongs to a thread, and a suspended task may resume on another. The previous setting is
/// restored at the end, even if the closure throws. Traps unless the type is one of the three.
public func withAutocast<Result, Failure: Error>(
    _ type: ElementType = .bfloat16, on device: Device, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    var before = CTorchAutocast()
    if let message = ctorch_autocast_set(device.code, type.rawValue, &before) {
        fatalError("autocast to \(type) on \(device): \(takeMessage(message))")
    }
    defer {
        if let message = ctorch_autocast_restore(before) { fatalError("end of autocast on \(device): \(takeMessage(message))") }
    }
    return try body()
}

/// The 16-bit type in use on this thread for devices of this kind; nil if mixed precision is off.
func autocastType(on device: Device) -> ElementType? {
    var before = CTorchAutocast()
    if let message = ctorch_autocast_set(device.code, ElementType.float32.rawValue, &before) ?? ctorch_autocast_restore(before) {
        fatalError("autocast on \(device): \(takeMessage(message))")
    }
    return before.enabled ? ElementType(rawValue: before.type) : nil
}
