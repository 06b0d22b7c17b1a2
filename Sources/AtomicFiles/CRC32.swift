/// The cyclic redundancy check of zip and PNG (ISO 3309), which detects any damage of up to 32 consecutive bits.
package enum CRC32 {
    /// The check of a byte followed by 0…7 zero bytes, 256 entries for each: eight bytes are then looked up at once ("slicing by 8").
    private static let table: [UInt32] = {
        var table: [UInt32] = (0..<256).map { index in
            (0..<8).reduce(UInt32(index)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1 }
        }
        for place in 256..<8 * 256 {
            let before = table[place - 256]
            table.append(before >> 8 ^ table[Int(before & 0xFF)])
        }
        return table
    }()

    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            ~bytes.reduce(~UInt32(0)) { sum, byte in table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
        }
    }

    /// The same for many bytes, about ten times as fast; not generic, because generic code is slow when called from another module.
    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            func entry(_ zeros: Int, _ word: UInt32, _ shift: UInt32) -> UInt32 { table[zeros << 8 | Int(word >> shift & 0xFF)] }
            var sum = ~UInt32(0)
            var place = 0
            while place + 8 <= bytes.count {
                let low = sum ^ UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
                let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self))
                sum = entry(7, low, 0) ^ entry(6, low, 8) ^ entry(5, low, 16) ^ entry(4, low, 24)
                sum ^= entry(3, high, 0) ^ entry(2, high, 8) ^ entry(1, high, 16) ^ entry(0, high, 24)
                place += 8
            }
            while place < bytes.count {
                sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ bytes[place])] ^ sum >> 8
                place += 1
            }
            return ~sum
        }
    }
}
