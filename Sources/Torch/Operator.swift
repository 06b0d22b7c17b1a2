internal import CTorch

/// An operator of libtorch's dispatcher, looked up once.
// Unchecked: the handle points at an entry that is never changed or freed.
package struct Operator: @unchecked Sendable {
    /// The dispatcher's name, with the overload after a dot.
    package let name: String
    /// The schema that the Swift side was written against.
    package let schema: String
    private let handle: CTorchOperator?
    private let failure: String?

    package init(_ name: String, _ schema: String, namespace: String = "aten") {
        self.name = name
        self.schema = schema
        let parts = name.split(separator: ".", maxSplits: 1)
        var handle: CTorchOperator?
        let message = ctorch_operator_find("\(namespace)::\(parts[0])", parts.count > 1 ? String(parts[1]) : "", &handle)
        self.handle = handle
        failure = message.map(takeMessage)
    }

    /// The schema of the installed libtorch, or nil where it has no such operator.
    package var installedSchema: String? {
        handle.flatMap { ctorch_operator_schema($0) }.map(takeMessage)
    }

    /// Calls the operator and returns its only result.
    package func callAsFunction(_ arguments: Argument...) -> Tensor {
        var result: Tensor?
        call(arguments, capacity: 1) { result = $0[0] }
        guard let result else { fatalError("\(name): expected a tensor, found none") }
        return result
    }

    /// Calls the operator and returns all its results, a list result flattened; `capacity` is the most there can be.
    func results(capacity: Int, _ arguments: Argument...) -> [Tensor] {
        var results: [Tensor] = []
        call(arguments, capacity: capacity) { results = $0.compactMap { $0 } }
        return results
    }

    /// Calls an operator for its effect on its first argument.
    func perform(_ arguments: Argument...) {
        call(arguments, capacity: 1, isInPlace: true) { _ in }
    }

    private func call(_ arguments: [Argument], capacity: Int, isInPlace: Bool = false, _ take: ([Tensor?]) -> Void) {
        guard let handle else { fatalError("\(name): \(failure ?? "not found")") }
        let words = arguments.reduce(0) { $0 + $1.listCount }
        let message: CTorchMessage? = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(words, 1)) { lists in
            withUnsafeTemporaryAllocation(of: CTorchValue.self, capacity: max(arguments.count, 1)) { values in
                var next = 0
                for (index, argument) in arguments.enumerated() {
                    values.initializeElement(at: index, to: argument.value(in: lists, next: &next))
                }
                return withUnsafeTemporaryAllocation(of: CTorchTensor?.self, capacity: capacity) { results in
                    results.initialize(repeating: nil)
                    var count: Int32 = 0
                    let message = ctorch_operator_call(
                        handle, values.baseAddress, Int32(arguments.count), results.baseAddress, Int32(capacity), &count)
                    if message == nil { take(results.prefix(Int(count)).map { $0.map { Tensor(owning: $0) } }) }
                    return message
                }
            }
        }
        // Swift may release the arguments after their last use, which would be inside the call.
        withExtendedLifetime(arguments) {}
        if let message {
            let shapes = arguments.compactMap(\.summary).joined(separator: ", ")
            let failure = "\(name)(\(shapes)): \(takeMessage(message))"
            // Some operators wait for the device, which no recording can hold. What changes its arguments is not done at all.
            let survives = StepPhase.survives(failure) { if !isInPlace { call(arguments, capacity: capacity, isInPlace: true, take) } }
            if !survives { fatalError(failure) }
        }
    }
}

/// One argument of a boxed call.
package enum Argument {
    case none
    case tensor(Tensor)
    case integer(Int)
    case real(Double)
    case boolean(Bool)
    case integers([Int])
    case tensors([Tensor])
    case device(Device)
    case generator(Generator)
    case text(StaticString)

    static func optional(_ tensor: Tensor?) -> Argument { tensor.map { .tensor($0) } ?? .none }
    static func optional(_ integer: Int?) -> Argument { integer.map { .integer($0) } ?? .none }
    static func optional(_ type: ElementType?) -> Argument { type.map { .integer(Int($0.rawValue)) } ?? .none }
    static func optional(_ device: Device?) -> Argument { device.map { .device($0) } ?? .none }
    static func optional(_ real: Double?) -> Argument { real.map { .real($0) } ?? .none }

    /// Words that the argument's list takes in the call's scratch space.
    fileprivate var listCount: Int {
        switch self {
        case .integers(let list): list.count
        case .tensors(let list): list.count
        default: 0
        }
    }

    fileprivate func value(in lists: UnsafeMutableBufferPointer<UInt64>, next: inout Int) -> CTorchValue {
        func list<Element>(_ kind: Int, _ elements: [Element], _ word: (Element) -> UInt64) -> CTorchValue {
            // Safe though the pointer leaves: it points into the scratch space of the call in progress.
            let start = lists.baseAddress.map { $0 + next }
            for element in elements {
                lists.initializeElement(at: next, to: word(element))
                next += 1
            }
            return CTorchValue(kind: Int32(kind), count: Int32(elements.count), word: UInt64(UInt(bitPattern: start)))
        }
        func single(_ kind: Int, _ word: UInt64) -> CTorchValue { CTorchValue(kind: Int32(kind), count: 0, word: word) }
        return switch self {
        case .none: single(CTORCH_NONE, 0)
        case .tensor(let tensor): single(CTORCH_TENSOR, tensor.word)
        case .integer(let value): single(CTORCH_INTEGER, UInt64(bitPattern: Int64(value)))
        case .real(let value): single(CTORCH_REAL, value.bitPattern)
        case .boolean(let value): single(CTORCH_BOOLEAN, value ? 1 : 0)
        case .integers(let values): list(CTORCH_INTEGERS, values) { UInt64(bitPattern: Int64($0)) }
        case .tensors(let tensors): list(CTORCH_TENSORS, tensors, \.word)
        case .device(let device): single(CTORCH_DEVICE, UInt64(UInt32(bitPattern: device.code)))
        case .generator(let generator): single(CTORCH_GENERATOR, generator.word)
        case .text(let text):
            CTorchValue(kind: Int32(CTORCH_TEXT), count: Int32(text.utf8CodeUnitCount), word: UInt64(UInt(bitPattern: text.utf8Start)))
        }
    }

    /// What a message about a failed call shows of it: tensors by type and shape.
    fileprivate var summary: String? {
        switch self {
        case .tensor(let tensor): "\(tensor.type)\(tensor.shape)"
        case .tensors(let tensors): "\(tensors.count) tensors"
        default: nil
        }
    }
}

/// The text of an owned message, which is freed.
func takeMessage(_ message: CTorchMessage) -> String {
    defer { ctorch_message_free(message) }
    return String(cString: message)
}
