/// The type of a tensor's elements.
///
/// The raw values are libtorch's `ScalarType` numbers.
public enum ElementType: Int32, Sendable, CaseIterable, CustomStringConvertible {
    /// Unsigned, 8 bits.
    case uint8 = 0
    /// Signed, 8 bits.
    case int8 = 1
    /// Signed, 16 bits.
    case int16 = 2
    /// Signed, 32 bits.
    case int32 = 3
    /// Signed, 64 bits: class labels and indices.
    case int64 = 4
    /// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
    case float16 = 5
    /// IEEE 754 binary32, the default.
    case float32 = 6
    /// IEEE 754 binary64.
    case float64 = 7
    /// True or false, one byte each.
    case bool = 11
    /// The upper half of a binary32: 8 bits of exponent, 7 of fraction.
    case bfloat16 = 15
    /// 5 bits of exponent, 2 of fraction: for files. Convert it before computing.
    case float8e5m2 = 23
    /// 4 bits of exponent, 3 of fraction, no infinity: for files. Convert it before computing.
    case float8e4m3 = 24
    /// As ``float8e5m2`` with another bias, and without infinity or −0.
    case float8e5m2fnuz = 25
    /// As ``float8e4m3`` with another bias, and without −0.
    case float8e4m3fnuz = 26
    /// A power of two, 8 bits of exponent: the scale of a block of other numbers.
    case float8e8m0 = 44

    /// Bytes of one element.
    public var size: Int {
        switch self {
        case .uint8, .int8, .bool, .float8e5m2, .float8e4m3, .float8e5m2fnuz, .float8e4m3fnuz, .float8e8m0: 1
        case .int16, .float16, .bfloat16: 2
        case .int32, .float32: 4
        case .int64, .float64: 8
        }
    }

    /// Whether it is a floating-point type.
    public var isFloatingPoint: Bool {
        switch self {
        case .uint8, .int8, .int16, .int32, .int64, .bool: false
        default: true
        }
    }

    /// Whether it has floating-point numbers of 8 bits, which can be stored and converted but not computed with or trained.
    public var isFloat8: Bool { isFloatingPoint && size == 1 }

    /// The type in which sums and norms are accumulated: float32 for floating-point types of 16 and 8 bits, else the type itself.
    public var accumulator: ElementType { isFloatingPoint && size < 4 ? .float32 : self }

    /// PyTorch's name, such as `float32`.
    public var description: String {
        switch self {
        case .uint8: "uint8"
        case .int8: "int8"
        case .int16: "int16"
        case .int32: "int32"
        case .int64: "int64"
        case .float16: "float16"
        case .float32: "float32"
        case .float64: "float64"
        case .bool: "bool"
        case .bfloat16: "bfloat16"
        case .float8e5m2: "float8_e5m2"
        case .float8e4m3: "float8_e4m3fn"
        case .float8e5m2fnuz: "float8_e5m2fnuz"
        case .float8e4m3fnuz: "float8_e4m3fnuz"
        case .float8e8m0: "float8_e8m0fnu"
        }
    }
}

/// A Swift number that can be an element of a tensor.
public protocol TensorElement: BitwiseCopyable, Sendable {
    /// The element type of tensors that hold it.
    static var elementType: ElementType { get }
}

extension Float: TensorElement {
    /// `.float32`.
    public static var elementType: ElementType { .float32 }
}
extension Double: TensorElement {
    /// `.float64`.
    public static var elementType: ElementType { .float64 }
}
extension Int: TensorElement {
    /// `.int64`.
    public static var elementType: ElementType { .int64 }
}
extension Int64: TensorElement {
    /// `.int64`.
    public static var elementType: ElementType { .int64 }
}
extension Int32: TensorElement {
    /// `.int32`.
    public static var elementType: ElementType { .int32 }
}
extension UInt8: TensorElement {
    /// `.uint8`.
    public static var elementType: ElementType { .uint8 }
}
extension Bool: TensorElement {
    /// `.bool`.
    public static var elementType: ElementType { .bool }
}
