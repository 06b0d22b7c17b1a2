import Foundation

/// The checksum that publishers of data sets give for their files (RFC 1321): against damage, not against forgery.
///
/// Implemented here because it is only a page: everyone who uses this package would have to fetch and build swift-crypto.
package struct MD5 {
    private var state: (UInt32, UInt32, UInt32, UInt32) = (0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476)
    /// The bytes after the last complete block.
    private var rest: [UInt8] = []
    private var length: UInt64 = 0

    package init() {}

    /// The 16 bytes of the checksum in hexadecimal digits, as `md5sum` prints them.
    package static func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
        var sum = MD5()
        sum.update(bytes)
        return sum.hexadecimal()
    }

    /// The checksum and the number of bytes of a file; of a file compressed by `gzip`, those of its contents, unless it is requested as it is.
    ///
    /// - Throws: ``DatasetError`` if the file cannot be read, or holds more than `limit` bytes: a compressed file could hold any number.
    package static func ofFile(_ path: String, asItIs: Bool = false, limit: Int = .max) throws -> (sum: String, bytes: Int) {
        let stream = try ByteStream(path: path, asItIs: asItIs)
        var sum = MD5()
        var count = 0
        while true {
            let bytes = try stream.next(1 << 20)
            guard !bytes.isEmpty else { return (sum.hexadecimal(), count) }
            count += bytes.count
            guard count <= limit else { throw DatasetError(path: path, problem: "expected \(limit) bytes, found more") }
            sum.update(bytes)
        }
    }

    /// Adds more bytes.
    package mutating func update(_ bytes: some Collection<UInt8>) {
        if bytes.withContiguousStorageIfAvailable({ update(UnsafeRawBufferPointer($0)) }) == nil {
            Array(bytes).withUnsafeBytes { update($0) }
        }
    }

    private mutating func update(_ bytes: UnsafeRawBufferPointer) {
        length &+= UInt64(bytes.count)
        var start = 0
        if !rest.isEmpty {
            start = min(64 - rest.count, bytes.count)
            rest += bytes[..<start]
            guard rest.count == 64 else { return }
            rest.withUnsafeBytes { block in Self.add(block, at: 0, to: &state) }
            rest = []
        }
        while bytes.count - start >= 64 {
            Self.add(bytes, at: start, to: &state)
            start += 64
        }
        rest += bytes[start...]
    }

    /// The checksum of the bytes so far.
    package func hexadecimal() -> String {
        var last = self
        let bits = length &* 8
        // A one, zeros up to 8 bytes before a block's end, and the number of bits.
        let zeros = (119 - Int(length % 64)) % 64
        last.update([0x80] + [UInt8](repeating: 0, count: zeros) + (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) })
        return [last.state.0, last.state.1, last.state.2, last.state.3].map { word in
            (0..<4).map { index in
                let byte = UInt8(truncatingIfNeeded: word >> (8 * index))
                return (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
        }.joined()
    }

    /// The integer part of 2³²·|sin i|, i in radians from 1 to 64.
    private static let constants = (1...64).map { UInt32(abs(sin(Double($0))) * 4_294_967_296) }

    private static func add(_ bytes: UnsafeRawBufferPointer, at start: Int, to state: inout (UInt32, UInt32, UInt32, UInt32)) {
        constants.withUnsafeBufferPointer { constants in
            var (a, b, c, d) = state
            /// One of the 64 operations; the four variables then change places.
            func step(_ mixed: UInt32, _ index: Int, _ word: Int, _ shift: UInt32) {
                let loaded = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4 * word, as: UInt32.self))
                let sum = a &+ mixed &+ constants[index] &+ loaded
                (a, d, c) = (d, c, b)
                b = b &+ (sum &<< shift | sum &>> (32 &- shift))
            }
            func shift(_ index: Int, _ first: UInt32, _ second: UInt32, _ third: UInt32, _ fourth: UInt32) -> UInt32 {
                switch index & 3 {
                case 0: first
                case 1: second
                case 2: third
                default: fourth
                }
            }
            for i in 0..<16 { step(b & c | ~b & d, i, i, shift(i, 7, 12, 17, 22)) }
            for i in 16..<32 { step(b & d | c & ~d, i, (5 * i + 1) & 15, shift(i, 5, 9, 14, 20)) }
            for i in 32..<48 { step(b ^ c ^ d, i, (3 * i + 5) & 15, shift(i, 4, 11, 16, 23)) }
            for i in 48..<64 { step(c ^ (b | ~d), i, (7 * i) & 15, shift(i, 6, 10, 15, 21)) }
            state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d)
        }
    }
}
