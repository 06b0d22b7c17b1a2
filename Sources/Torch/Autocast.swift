internal import CTorch

/// Runs the closure in mixed precision: matrix products and convolutions of float32 tensors on the device's kind run in a 16-bit type, on this thread.
///
/// Parameters stay float32, and so do their gradients. Products, ``Tensor/linear(weight:bias:)``, convolutions and recurrent cells convert their arguments and
/// give results of the 16-bit type, which the operators between them keep; losses are computed in float32, and so are the weights g·v/‖v‖, before
/// their conversion. Meant around the forward pass and the loss; gradients are better taken outside. A cast is made at every use and never kept: nothing
/// can go stale when an optimizer steps inside.
///
/// `.bfloat16` has float32's range. `.float16` has not: small gradients vanish, and nothing here scales the loss against it. `.float32` switches mixed
/// precision off again, inside another call.
///
/// The closure is synchronous on purpose: the setting belongs to a thread, and a suspended task may go on in another. What was set before is set again at the
/// end, also when the closure throws. Traps unless the type is one of the three.
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

/// The type of the mixed precision that is on for the device's kind, on this thread; nil if none is.
func autocastType(on device: Device) -> ElementType? {
    var before = CTorchAutocast()
    if let message = ctorch_autocast_set(device.code, ElementType.float32.rawValue, &before) ?? ctorch_autocast_restore(before) {
        fatalError("autocast on \(device): \(takeMessage(message))")
    }
    return before.enabled ? ElementType(rawValue: before.type) : nil
}
