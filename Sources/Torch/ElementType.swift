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

    /// Bytes of one element.
    public var size: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .int16, .float16, .bfloat16: 2
        case .int32, .float32: 4
        case .int64, .float64: 8
        }
    }

    /// Whether gradients can be taken.
    public var isFloatingPoint: Bool {
        switch self {
        case .float16, .bfloat16, .float32, .float64: true
        default: false
        }
    }

    /// The type in which sums and norms are accumulated: float32 for the 16-bit types, else the type itself.
    public var accumulator: ElementType { self == .float16 || self == .bfloat16 ? .float32 : self }

    /// The name, as in the safetensors and PyTorch conventions: `float32`.
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
