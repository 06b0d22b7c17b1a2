internal import CTorch

/// A multi-dimensional array of numbers on a device.
///
/// A tensor is a value that does not change: every operation gives a new one (which may share storage, since nobody can tell). The only things that
/// change are ``Parameter`` and ``Buffer``; ``Parameter/value`` is the only tensor whose numbers change in training, apart from the ``Buffer/value``
/// of a buffer in a ``StepGraph``.
///
/// Mistakes in shape and type trap with the operator's name and the shapes, as an array index out of range does.
public struct Tensor: Sendable {
    // The only stored property. All copies of a value share one reference, which is freed with the last of them.
    let reference: Reference

    // Unchecked: the handle is never changed, and libtorch's reference counts are atomic.
    final class Reference: @unchecked Sendable {
        let handle: CTorchTensor
        init(owning handle: CTorchTensor) { self.handle = handle }
        deinit { ctorch_tensor_free(handle) }
    }

    init(owning handle: CTorchTensor) { reference = Reference(owning: handle) }

    /// For lists in a boxed call: valid as long as the tensor is alive.
    var word: UInt64 { UInt64(UInt(bitPattern: reference.handle)) }

    /// The number of dimensions.
    public var rank: Int { withExtendedLifetime(reference) { Int(ctorch_tensor_rank(reference.handle)) } }

    /// The length of every dimension, outermost first.
    public var shape: [Int] { lengths(ctorch_tensor_sizes) }

    /// The distance in elements between neighbours, for every dimension.
    package var strides: [Int] { lengths(ctorch_tensor_strides) }

    private func lengths(_ read: (CTorchTensor, UnsafeMutablePointer<Int64>) -> Void) -> [Int] {
        let rank = rank
        return withExtendedLifetime(reference) {
            withUnsafeTemporaryAllocation(of: Int64.self, capacity: max(rank, 1)) { buffer in
                guard let first = buffer.baseAddress else { return [] }
                read(reference.handle, first)
                return buffer.prefix(rank).map { Int($0) }
            }
        }
    }

    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// The type of the elements.
    public var type: ElementType {
        guard let type = ElementType(rawValue: rawType) else { fatalError("a tensor of \(typeName), which has no name here") }
        return type
    }

    private var rawType: Int32 { withExtendedLifetime(reference) { ctorch_tensor_type(reference.handle) } }

    /// For messages: operators without a Swift name may return types without one, such as complex numbers.
    var typeName: String { ElementType(rawValue: rawType)?.description ?? "libtorch's element type \(rawType)" }

    /// Where the elements are.
    public var device: Device { Device(code: withExtendedLifetime(reference) { ctorch_tensor_device(reference.handle) }) }

    /// Whether operations on it are recorded for gradients.
    public var requiresGradient: Bool { withExtendedLifetime(reference) { ctorch_tensor_requires_gradient(reference.handle) } }

    /// Whether both are copies of one value.
    package func isSame(as other: Tensor) -> Bool { reference === other.reference }

    /// The address of the first element, to tell whether two tensors share storage.
    package var address: UInt64 { withExtendedLifetime(reference) { ctorch_tensor_address(reference.handle) } }

    func setRequiresGradient(_ value: Bool) {
        let message = withExtendedLifetime(reference) { ctorch_tensor_set_requires_gradient(reference.handle, value) }
        if let message { fatalError("requires gradient: \(takeMessage(message))") }
    }
}

// MARK: - To and from Swift's numbers

extension Tensor {
    /// A tensor of the given elements, row-major.
    ///
    /// Traps if the number of elements does not match the shape.
    public init<Element: TensorElement>(_ elements: [Element], shape: [Int], on device: Device = .cpu) {
        self = elements.withUnsafeBytes { Tensor(bytes: $0, shape: shape, type: Element.elementType, on: device) }
    }

    /// A tensor of one dimension.
    public init<Element: TensorElement>(_ elements: [Element], on device: Device = .cpu) {
        self.init(elements, shape: [elements.count], on: device)
    }

    /// A tensor of no dimension: one number.
    public init<Element: TensorElement>(_ element: Element, on device: Device = .cpu) {
        self.init([element], shape: [], on: device)
    }

    /// A tensor of the elements that the bytes hold, row-major, in the machine's byte order.
    ///
    /// Traps if the number of bytes does not match the shape.
    public init(bytes: UnsafeRawBufferPointer, shape: [Int], type: ElementType, on device: Device = .cpu) {
        trap(unless: shape.allSatisfy { $0 >= 0 }, "shape of a tensor: expected lengths of at least 0, found \(shape)")
        if !device.isCPU && StepPhase.isRecording {
            StepPhase.refuse("it makes a tensor \(type)\(shape) from numbers of the host, which a replay would not read again")
        }
        var result: CTorchTensor?
        let message = shape.map { Int64($0) }.withUnsafeBufferPointer {
            ctorch_tensor_from_bytes(
                bytes.baseAddress, bytes.count, $0.baseAddress, Int64(shape.count), type.rawValue, device.code, &result)
        }
        if let message { fatalError("tensor from bytes: \(takeMessage(message))") }
        guard let result else { fatalError("tensor from bytes: none was made") }
        self.init(owning: result)
    }

    /// A tensor over memory that is not copied and never changes, row-major and in the machine's byte order, which the owner keeps for as long as anything uses it.
    ///
    /// Traps for an address that is no multiple of an element's size.
    package init(memory: UnsafeMutableRawBufferPointer, shape: [Int], type: ElementType, owner: AnyObject) {
        let count = shape.reduce(1, *) * type.size
        trap(
            unless: memory.count == count && UInt(bitPattern: memory.baseAddress).isMultiple(of: UInt(type.size)),
            "tensor over memory: expected \(count) bytes at a multiple of \(type.size), found \(memory.count)")
        var result: CTorchTensor?
        // Released by libtorch, with the last tensor that shares the memory.
        let held = Unmanaged.passRetained(owner)
        let message = shape.map { Int64($0) }.withUnsafeBufferPointer {
            ctorch_tensor_from_memory(
                memory.baseAddress, $0.baseAddress, Int64(shape.count), type.rawValue,
                { context in context.map { Unmanaged<AnyObject>.fromOpaque($0).release() } }, held.toOpaque(), &result)
        }
        if let message { fail("tensor over memory: \(takeMessage(message))") }
        guard let result else { fail("tensor over memory: none was made") }
        self.init(owning: result)
    }

    /// The elements, row-major, converted to the given type; waits for the device.
    public func elements<Element: TensorElement>(as type: Element.Type = Element.self) -> [Element] {
        let source = self.converted(to: Element.elementType)
        let count = count
        return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            source.copyBytes(to: UnsafeMutableRawBufferPointer(rebasing: bytes[..<(count * MemoryLayout<Element>.stride)]))
            initialized = count
        }
    }

    /// Copies the elements as they are, row-major, in the machine's byte order; waits for the device.
    ///
    /// Traps if the buffer's size is not exactly the tensor's.
    public func copyBytes(to buffer: UnsafeMutableRawBufferPointer) {
        if !device.isCPU && StepPhase.isRecording {
            StepPhase.refuse("it reads the elements of a tensor \(type)\(shape)")
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            return
        }
        let message = withExtendedLifetime(reference) { ctorch_tensor_to_bytes(reference.handle, buffer.baseAddress, buffer.count) }
        if let message { fatalError("bytes of a tensor: \(takeMessage(message))") }
    }

    /// The only element, as a double; waits for the device. Traps if there is not exactly one.
    public func item() -> Double {
        trap(unless: count == 1, "item: expected a tensor of one element, found shape \(shape)")
        return elements(as: Double.self)[0]
    }
}

extension Tensor: CustomStringConvertible {
    /// Type, shape and, if there are at most 16 elements, the numbers.
    public var description: String {
        let head = "Tensor(\(type)\(shape)\(device.isCPU ? "" : " on \(device)")"
        guard count <= 16, type != .bool else { return head + ")" }
        let numbers =
            type.isFloatingPoint
            ? converted(to: .float64).elements(as: Double.self).map { "\($0)" } : elements(as: Int.self).map { "\($0)" }
        return head + ": [" + numbers.joined(separator: ", ") + "])"
    }
}
