internal import CTorch

/// An operator of libtorch's dispatcher, looked up once: the way to those that have no Swift name in this package.
///
/// ```swift
/// let histogram = Operator("aten::histc", schema: "(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor")
/// let largest = Operator(
///     "aten::topk",
///     schema: "(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)")
///
/// let counts = histogram(.tensor(x), .integer(10), .real(0), .real(1))
/// let found = largest.results(.tensor(x), .integer(3), .integer(-1), .boolean(true), .boolean(true))
/// let (values, indices) = (found[0].tensor, found[1].tensor)
/// ```
///
/// The schema is the one that ``installedSchema`` gives and PyTorch's `native_functions.yaml` lists; a call is recorded for gradients like any other.
/// Arguments are passed in full, in the schema's order: its defaults are not filled in.
///
/// Mistakes trap at the call, with the operator's name and what was expected and found: an operator that the installed libtorch lacks, a wrong
/// schema, a wrong number or kind of arguments, and whatever the operator itself refuses. For a name that a user enters, ``init(named:)`` throws
/// instead.
///
/// An operator whose schema marks an argument with `!` changes that tensor, and with it every tensor that shares its storage. Nothing else here does so
/// (see ``Tensor``): call it on tensors of your own, such as a ``Tensor/copied()`` one, or on a ``Parameter/value``.
public struct Operator: @unchecked Sendable {
    // Unchecked: the handle points at an entry that is never changed or freed.

    /// The dispatcher's name, with the overload after a dot: `aten::add.Tensor`.
    public let name: String
    /// The schema that the calls are written against.
    public let schema: String
    private let handle: CTorchOperator?
    private let failure: String?

    /// An operator in the table, whose schemas are checked by a test.
    package init(_ name: String, _ schema: String, namespace: String = "aten") {
        (handle, failure) = Self.find("\(namespace)::\(name)")
        self.name = name
        self.schema = schema
    }

    /// The operator of the given name (in `aten` unless it names another namespace) and schema.
    ///
    /// An operator that does not exist or has another schema traps when it is called.
    public init(_ name: String, schema: String) {
        self.name = name
        self.schema = schema
        let (handle, failure) = Self.find(name)
        self.handle = handle
        let installed = handle.map(Self.schema)
        self.failure =
            installed == nil || installed == schema
            ? failure
            : "expected libtorch \(Runtime.libtorchVersion) to have the schema \(schema), found \(installed ?? "none")"
    }

    /// The operator of a name known only at run time, with its installed schema.
    ///
    /// - Throws: ``TorchError`` if the installed libtorch has no such operator.
    public init(named name: String) throws(TorchError) {
        let (handle, failure) = Self.find(name)
        guard let handle else { throw TorchError(failure ?? "no operator \(name)") }
        self.handle = handle
        self.failure = nil
        self.name = name
        schema = Self.schema(handle)
    }

    /// The schema in the installed libtorch, or nil if it has no such operator.
    public var installedSchema: String? { handle.map(Self.schema) }

    private static func find(_ name: String) -> (CTorchOperator?, String?) {
        let whole = name.contains("::") ? name : "aten::\(name)"
        let parts = whole.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        var handle: CTorchOperator?
        let message = ctorch_operator_find(String(parts[0]), parts.count > 1 ? String(parts[1]) : "", &handle)
        return (handle, message.map(takeMessage))
    }

    private static func schema(_ handle: CTorchOperator) -> String { ctorch_operator_schema(handle).map(takeMessage) ?? "" }

    /// Calls the operator and returns its only result, a tensor.
    ///
    /// Traps if it does not have exactly one result, a tensor.
    public func callAsFunction(_ arguments: Value...) -> Tensor { self(arguments) }

    /// The same with the arguments as an array.
    public func callAsFunction(_ arguments: [Value]) -> Tensor {
        var result: Tensor?
        call(arguments, capacity: 1) { result = $0.first ?? nil }
        guard let result else { fail("\(name): expected a tensor, found none") }
        return result
    }

    /// Calls the operator and returns all its results: none for `()`, several for a tuple, each a number, a tensor, a list or whatever else the
    /// schema says.
    public func results(_ arguments: Value...) -> [Value] {
        var found: [Value] = []
        call(arguments, isInPlace: schema.contains("!")) { handle, values in
            withUnsafeMutablePointer(to: &found) { found in
                ctorch_operator_results(
                    handle, values, Int32(arguments.count),
                    { context, values, count in
                        context?.assumingMemoryBound(to: [Value].self).pointee = UnsafeBufferPointer(start: values, count: Int(count))
                            .map(Value.init(owning:))
                    }, found)
            }
        }
        return found
    }

    /// Calls the operator and returns all its results, a list result flattened; `capacity` is the most there can be.
    func results(capacity: Int, _ arguments: Value...) -> [Tensor] {
        var results: [Tensor] = []
        call(arguments, capacity: capacity) { results = $0.compactMap { $0 } }
        return results
    }

    /// Calls an operator for its effect on its first argument.
    func perform(_ arguments: Value...) { perform(arguments) }

    /// Calls an operator for its effect on its first argument.
    func perform(_ arguments: [Value]) {
        call(arguments, capacity: 1, isInPlace: true) { _ in }
    }

    private func call(_ arguments: [Value], capacity: Int, isInPlace: Bool = false, _ take: ([Tensor?]) -> Void) {
        call(arguments, isInPlace: isInPlace) { handle, values in
            withUnsafeTemporaryAllocation(of: CTorchTensor?.self, capacity: capacity) { results in
                results.initialize(repeating: nil)
                var count: Int32 = 0
                let message = ctorch_operator_call(
                    handle, values, Int32(arguments.count), results.baseAddress, Int32(capacity), &count)
                if message == nil { take(results.prefix(Int(count)).map { $0.map { Tensor(owning: $0) } }) }
                return message
            }
        }
    }

    private func call(
        _ arguments: [Value], isInPlace: Bool, _ work: (CTorchOperator, UnsafePointer<CTorchValue>?) -> CTorchMessage?
    ) {
        if let failure { fail("\(name): \(failure)") }
        guard let handle else { fatalError("\(name): not found") }
        let words = arguments.reduce(0) { $0 + $1.wordCount }
        let message: CTorchMessage? = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(words, 1)) { scratch in
            withUnsafeTemporaryAllocation(of: CTorchValue.self, capacity: max(arguments.count, 1)) { values in
                var next = 0
                for (index, argument) in arguments.enumerated() {
                    values.initializeElement(at: index, to: argument.value(in: scratch, next: &next))
                }
                return work(handle, values.baseAddress)
            }
        }
        // Swift may release the arguments after their last use, which would be inside the call.
        withExtendedLifetime(arguments) {}
        if let message {
            let shapes = arguments.compactMap(\.summary).joined(separator: ", ")
            let failure = "\(name)(\(shapes)): \(takeMessage(message))"
            // Some operators wait for the device, which cannot be recorded. An operator that changes its arguments is not run at all.
            let survives = StepPhase.survives(failure) { if !isInPlace { call(arguments, isInPlace: true, work) } }
            if !survives { fail(failure) }
        }
    }
}

/// The text of an owned message; frees the message.
func takeMessage(_ message: CTorchMessage) -> String {
    defer { ctorch_message_free(message) }
    return String(cString: message)
}
