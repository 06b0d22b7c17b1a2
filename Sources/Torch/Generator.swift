internal import CTorch

/// A seeded source of random numbers on one device, whose state can be read and set.
///
/// Two generators with the same seed and device give the same numbers; nothing else in the process draws from them.
public final class Generator {
    let handle: CTorchGenerator

    /// The device on which the numbers are made.
    public let device: Device

    /// A generator with the given seed.
    public init(seed: UInt64, device: Device = .cpu) {
        var handle: CTorchGenerator?
        if let message = ctorch_generator_create(device.code, seed, &handle) {
            fatalError("generator on \(device): \(takeMessage(message))")
        }
        guard let handle else { fatalError("generator on \(device): none was made") }
        self.handle = handle
        self.device = device
    }

    deinit { ctorch_generator_free(handle) }

    var word: UInt64 { UInt64(UInt(bitPattern: handle)) }

    /// The whole state, as bytes that ``restore(_:)`` takes.
    public var state: [UInt8] {
        var state: CTorchTensor?
        let message = ctorch_generator_state(handle, &state)
        if let message { fatalError("generator state: \(takeMessage(message))") }
        guard let state else { fatalError("generator state: none was given") }
        return Tensor(owning: state).elements(as: UInt8.self)
    }

    /// Restores a state that was read earlier from a generator on a device of the same kind.
    ///
    /// - Throws: ``TorchError`` if the bytes are no such state.
    public func restore(_ state: [UInt8]) throws {
        let tensor = Tensor(state, shape: [state.count])
        let message = withExtendedLifetime(tensor) { ctorch_generator_set_state(handle, tensor.reference.handle) }
        if let message { throw TorchError("state of a random generator: \(takeMessage(message))") }
    }
}
