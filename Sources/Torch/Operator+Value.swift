internal import CTorch

extension Operator {
    /// An argument or a result of an operator.
    ///
    /// | in a schema | here |
    /// |---|---|
    /// | `Tensor`, `Tensor?` | ``tensor(_:)``, ``none`` |
    /// | `Tensor[]`, `Tensor?[]` | ``tensors(_:)``, ``optionalTensors(_:)`` |
    /// | `Scalar` | ``integer(_:)``, ``real(_:)``, ``boolean(_:)`` or ``complex(_:imaginary:)`` |
    /// | `int`, `SymInt`, `float`, `bool`, `str` | ``integer(_:)``, ``real(_:)``, ``boolean(_:)``, ``text(_:)`` |
    /// | `int[]`, `float[]`, `bool[]`, `str[]`, `Scalar[]` | ``integers(_:)``, ``reals(_:)``, ``booleans(_:)``, ``texts(_:)``, or ``list(_:)`` of what the elements are |
    /// | `Scalar?[]`, `Tensor[][]` and other lists | ``list(_:)`` |
    /// | `ScalarType`, `Layout`, `MemoryFormat` | ``type(_:)``, ``layout(_:)``, ``memoryFormat(_:)`` |
    /// | `Device`, `Generator` | ``device(_:)``, ``generator(_:)`` |
    /// | any with `?` | ``none``, or as without |
    ///
    /// As results, element types, layouts and memory formats are ``integer(_:)``; a list is ``tensors(_:)`` or ``integers(_:)`` if all its elements
    /// are tensors or integers, else ``list(_:)``. Streams, storages, dictionaries and objects of TorchScript classes have no counterpart here: an
    /// operator that requires one traps.
    public enum Value {
        /// None: an optional that is not given.
        case none
        /// A tensor.
        case tensor(Tensor)
        /// A whole number.
        case integer(Int)
        /// A floating-point number.
        case real(Double)
        /// True or false.
        case boolean(Bool)
        /// A complex number.
        case complex(Double, imaginary: Double)
        /// A string.
        case text(String)
        /// A device.
        case device(Device)
        /// A source of random numbers, as an argument.
        case generator(Generator)
        /// A list of whole numbers.
        case integers([Int])
        /// A list of tensors.
        case tensors([Tensor])
        /// A list of anything else, such as `Scalar?[]`.
        case list([Value])
    }

    /// How a tensor's elements are laid out: libtorch's `Layout` numbers.
    public enum Layout: Int, Sendable {
        /// By strides, as in nearly all tensors.
        case strided = 0
        /// Coordinates and values.
        case sparse = 1
        /// Compressed rows.
        case sparseCSR = 2
        /// oneDNN's own.
        case mkldnn = 3
        /// Compressed columns.
        case sparseCSC = 4
        /// Compressed rows of blocks.
        case sparseBSR = 5
        /// Compressed columns of blocks.
        case sparseBSC = 6
        /// Rows of different lengths.
        case jagged = 7
    }

    /// The order of a tensor's dimensions in memory: libtorch's `MemoryFormat` numbers.
    public enum MemoryFormat: Int, Sendable {
        /// Row-major.
        case contiguous = 0
        /// As in the tensor that is copied.
        case preserve = 1
        /// Of `[batch, channels, height, width]`, the channels innermost.
        case channelsLast = 2
        /// Of `[batch, channels, depth, height, width]`, the channels innermost.
        case channelsLast3d = 3
    }
}

// MARK: - As arguments

extension Operator.Value {
    /// A list of floating-point numbers, for `float[]` and `Scalar[]`.
    public static func reals(_ numbers: [Double]) -> Self { .list(numbers.map { .real($0) }) }
    /// A list of truth values.
    public static func booleans(_ values: [Bool]) -> Self { .list(values.map { .boolean($0) }) }
    /// A list of strings.
    public static func texts(_ texts: [String]) -> Self { .list(texts.map { .text($0) }) }
    /// A list of tensors, some of which may be missing, for `Tensor?[]`: the indices of `aten::index_put`.
    public static func optionalTensors(_ tensors: [Tensor?]) -> Self { .list(tensors.map { .optional($0) }) }
    /// The type of a tensor's elements, for `ScalarType`.
    public static func type(_ type: ElementType) -> Self { .integer(Int(type.rawValue)) }
    /// The layout of a tensor.
    public static func layout(_ layout: Operator.Layout) -> Self { .integer(layout.rawValue) }
    /// The order of dimensions in memory.
    public static func memoryFormat(_ format: Operator.MemoryFormat) -> Self { .integer(format.rawValue) }

    static func optional(_ tensor: Tensor?) -> Self { tensor.map { .tensor($0) } ?? .none }
    static func optional(_ integer: Int?) -> Self { integer.map { .integer($0) } ?? .none }
    static func optional(_ type: ElementType?) -> Self { type.map { .type($0) } ?? .none }
    static func optional(_ device: Device?) -> Self { device.map { .device($0) } ?? .none }
    static func optional(_ real: Double?) -> Self { real.map { .real($0) } ?? .none }

    private static let wordsOfValue = MemoryLayout<CTorchValue>.stride / MemoryLayout<UInt64>.stride

    /// The number of words that the argument's data takes in the call's scratch space.
    var wordCount: Int {
        switch self {
        case .integers(let list): list.count
        case .tensors(let list): list.count
        case .text(let text): (text.utf8.count + 7) / 8
        case .complex: 2
        case .list(let list): list.reduce(0) { $0 + Self.wordsOfValue + $1.wordCount }
        default: 0
        }
    }

    /// The argument as C takes it, with its data in the scratch space from word `next` on.
    func value(in scratch: UnsafeMutableBufferPointer<UInt64>, next: inout Int) -> CTorchValue {
        // Safe although the pointers escape: they point into the scratch space of the call in progress.
        func pointing(_ kind: Int, _ count: Int, at place: Int) -> CTorchValue {
            CTorchValue(
                kind: Int32(kind), count: Int32(count), word: UInt64(UInt(bitPattern: scratch.baseAddress.map { $0 + place })))
        }
        func list<Element>(_ kind: Int, _ elements: [Element], _ word: (Element) -> UInt64) -> CTorchValue {
            let start = next
            for element in elements {
                scratch.initializeElement(at: next, to: word(element))
                next += 1
            }
            return pointing(kind, elements.count, at: start)
        }
        func single(_ kind: Int, _ word: UInt64) -> CTorchValue { CTorchValue(kind: Int32(kind), count: 0, word: word) }
        switch self {
        case .none: return single(CTORCH_NONE, 0)
        case .tensor(let tensor): return single(CTORCH_TENSOR, tensor.word)
        case .integer(let value): return single(CTORCH_INTEGER, UInt64(bitPattern: Int64(value)))
        case .real(let value): return single(CTORCH_REAL, value.bitPattern)
        case .boolean(let value): return single(CTORCH_BOOLEAN, value ? 1 : 0)
        case .integers(let values): return list(CTORCH_INTEGERS, values) { UInt64(bitPattern: Int64($0)) }
        case .tensors(let tensors): return list(CTORCH_TENSORS, tensors, \.word)
        case .device(let device): return single(CTORCH_DEVICE, UInt64(UInt32(bitPattern: device.code)))
        case .generator(let generator): return single(CTORCH_GENERATOR, generator.word)
        case .complex(let real, let imaginary): return list(CTORCH_COMPLEX, [real, imaginary], \.bitPattern)
        case .text(let text):
            let start = next
            next += wordCount
            let bytes = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: scratch[start..<next]))
            for (index, byte) in text.utf8.enumerated() { bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self) }
            return pointing(CTORCH_TEXT, text.utf8.count, at: start)
        case .list(let values):
            let start = next
            next += values.count * Self.wordsOfValue
            let places = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: scratch[start..<next]))
            for (index, value) in values.enumerated() {
                let element = value.value(in: scratch, next: &next)
                places.storeBytes(of: element, toByteOffset: index * MemoryLayout<CTorchValue>.stride, as: CTorchValue.self)
            }
            return pointing(CTORCH_LIST, values.count, at: start)
        }
    }

    /// How a message about a failed call shows it: tensors by type and shape.
    var summary: String? {
        switch self {
        case .tensor(let tensor): "\(tensor.typeName)\(tensor.shape)"
        case .tensors(let tensors): "\(tensors.count) tensors"
        default: nil
        }
    }
}

// MARK: - As results

extension Operator.Value {
    /// The tensor; traps if it is none.
    public var tensor: Tensor {
        guard case .tensor(let tensor) = self else { unexpected("a tensor") }
        return tensor
    }

    /// The tensors of a list; traps if it is none.
    public var tensors: [Tensor] {
        switch self {
        case .tensors(let tensors): return tensors
        case .list(let list) where list.isEmpty: return []
        default: unexpected("a list of tensors")
        }
    }

    /// The whole number; traps if it is none.
    public var integer: Int {
        guard case .integer(let integer) = self else { unexpected("a whole number") }
        return integer
    }

    /// The number, whole or floating-point; traps if it is neither.
    public var real: Double {
        switch self {
        case .real(let real): return real
        case .integer(let integer): return Double(integer)
        default: unexpected("a number")
        }
    }

    /// The truth value; traps if it is none.
    public var boolean: Bool {
        guard case .boolean(let boolean) = self else { unexpected("true or false") }
        return boolean
    }

    private func unexpected(_ expected: String) -> Never { fatalError("result of an operator: expected \(expected), found \(self)") }

    /// A result; takes ownership of its tensors.
    init(owning value: CTorchValue) {
        func pointer<Element>(to type: Element.Type) -> UnsafePointer<Element>? {
            UnsafePointer(bitPattern: UInt(value.word))
        }
        switch Int(value.kind) {
        case CTORCH_TENSOR:
            guard let handle = CTorchTensor(bitPattern: UInt(value.word)) else {
                fatalError("result of an operator: a tensor without address")
            }
            self = .tensor(Tensor(owning: handle))
        case CTORCH_INTEGER: self = .integer(Int(Int64(bitPattern: value.word)))
        case CTORCH_REAL: self = .real(Double(bitPattern: value.word))
        case CTORCH_BOOLEAN: self = .boolean(value.word != 0)
        case CTORCH_DEVICE: self = .device(Device(code: Int32(truncatingIfNeeded: value.word)))
        case CTORCH_COMPLEX:
            let parts = UnsafeBufferPointer(start: pointer(to: Double.self), count: 2)
            self = .complex(parts[0], imaginary: parts[1])
        case CTORCH_TEXT:
            let bytes = UnsafeBufferPointer(start: pointer(to: UInt8.self), count: Int(value.count))
            self = .text(String(decoding: bytes, as: UTF8.self))
        case CTORCH_LIST:
            self = Self.list(of: UnsafeBufferPointer(start: pointer(to: CTorchValue.self), count: Int(value.count)).map(Self.init(owning:)))
        default: self = .none
        }
    }

    /// A list, as the case that fits its elements.
    private static func list(of elements: [Self]) -> Self {
        var tensors: [Tensor] = []
        var integers: [Int] = []
        for element in elements {
            switch element {
            case .tensor(let tensor): tensors.append(tensor)
            case .integer(let integer): integers.append(integer)
            default: return .list(elements)
            }
        }
        if elements.isEmpty || !tensors.isEmpty && !integers.isEmpty { return .list(elements) }
        return integers.isEmpty ? .tensors(tensors) : .integers(integers)
    }
}
