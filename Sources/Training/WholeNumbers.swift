import AtomicFiles
import WeightFiles

/// Finds whole numbers, in values read from a file, that are too large to count with: adding one, or multiplying a few, would overflow.
///
/// It looks at the values as encoded: every `Int`, at any depth. Unsigned 64-bit numbers, which are seeds, generator states and bit patterns of
/// doubles, may have any value.
package enum WholeNumbers {
    /// The largest magnitude: far more than any run counts, far less than overflows.
    static let most = 1_000_000_000_000_000

    /// The value, read from a file of a run.
    ///
    /// - Throws: `FileError` that names the first number out of range.
    package static func checked<Value: Encodable>(_ value: Value, of file: String) throws -> Value {
        if let problem = problem(in: value) { throw FileError(path: file, operation: "read", reason: problem) }
        return value
    }

    /// Describes the first number out of range; nil if there is none, or the value cannot be encoded.
    static func problem(in value: some Encodable) -> String? {
        let visitor = Visitor()
        try? value.encode(to: Walker(visitor: visitor, codingPath: []))
        return visitor.problem
    }

    private final class Visitor {
        var problem: String?

        func visit(_ number: some BinaryInteger, at path: [any CodingKey], _ key: (any CodingKey)?) {
            guard problem == nil, number.magnitude > UInt64(most) else { return }
            let names = (path + (key.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
            problem =
                "\(Safetensors.quoted(names)): expected a whole number from −\(most) to \(most), found \(number)"
        }
    }

    private struct Walker: Encoder {
        let visitor: Visitor
        let codingPath: [any CodingKey]
        var userInfo: [CodingUserInfoKey: Any] { [:] }

        func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
            KeyedEncodingContainer(Keyed(visitor: visitor, codingPath: codingPath))
        }
        func unkeyedContainer() -> any UnkeyedEncodingContainer { Unkeyed(visitor: visitor, codingPath: codingPath) }
        func singleValueContainer() -> any SingleValueEncodingContainer { Single(visitor: visitor, codingPath: codingPath) }
    }

    /// What all three kinds of containers do with a value.
    private static func walk(_ value: some Encodable, _ visitor: Visitor, _ path: [any CodingKey], _ key: (any CodingKey)?) throws {
        switch value {
        case let number as Int: visitor.visit(number, at: path, key)
        case let number as Int64: visitor.visit(number, at: path, key)
        case is UInt8, is UInt32, is UInt64, is Double, is Float, is Bool, is String: break
        // The bytes of a snapshot, which its own reader checks.
        case is [UInt8]: break
        default: try value.encode(to: Walker(visitor: visitor, codingPath: path + (key.map { [$0] } ?? [])))
        }
    }

    private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let visitor: Visitor
        let codingPath: [any CodingKey]

        mutating func encodeNil(forKey key: Key) {}
        mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try walk(value, visitor, codingPath, key) }
        mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
            KeyedEncodingContainer(WholeNumbers.Keyed<Nested>(visitor: visitor, codingPath: codingPath + [key]))
        }
        mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
            Unkeyed(visitor: visitor, codingPath: codingPath + [key])
        }
        mutating func superEncoder() -> any Encoder { Walker(visitor: visitor, codingPath: codingPath) }
        mutating func superEncoder(forKey key: Key) -> any Encoder { Walker(visitor: visitor, codingPath: codingPath + [key]) }
    }

    private struct Unkeyed: UnkeyedEncodingContainer {
        let visitor: Visitor
        let codingPath: [any CodingKey]
        var count = 0

        mutating func encodeNil() { count += 1 }
        mutating func encode<Value: Encodable>(_ value: Value) throws {
            count += 1
            try walk(value, visitor, codingPath, nil)
        }
        mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            KeyedEncodingContainer(WholeNumbers.Keyed<Nested>(visitor: visitor, codingPath: codingPath))
        }
        mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { Unkeyed(visitor: visitor, codingPath: codingPath) }
        mutating func superEncoder() -> any Encoder { Walker(visitor: visitor, codingPath: codingPath) }
    }

    private struct Single: SingleValueEncodingContainer {
        let visitor: Visitor
        let codingPath: [any CodingKey]

        mutating func encodeNil() {}
        mutating func encode<Value: Encodable>(_ value: Value) throws {
            switch value {
            case let number as Int: visitor.visit(number, at: codingPath, nil)
            case let number as Int64: visitor.visit(number, at: codingPath, nil)
            case is Bool, is String, is Double, is Float, is UInt8, is UInt32, is UInt64: break
            default: try walk(value, visitor, codingPath, nil)
            }
        }
    }
}
