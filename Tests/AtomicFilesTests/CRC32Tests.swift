import AtomicFiles
import Testing

@Suite struct CRC32Tests {
    @Test("the published check value, and the same of bytes in memory, wherever they begin and however many they are")
    func values() {
        let digits = Array("123456789".utf8)
        #expect(CRC32.of(digits) == 0xCBF4_3926)
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 * $0 * 31) }
        (digits + bytes).withUnsafeBytes { memory in
            #expect(CRC32.of(UnsafeRawBufferPointer(rebasing: memory[..<9])) == 0xCBF4_3926)
            for start in 0..<9 {
                for end in [start, start + 1, start + 7, start + 8, start + 9, start + 64, memory.count] {
                    let part = UnsafeRawBufferPointer(rebasing: memory[start..<end])
                    #expect(CRC32.of(part) == CRC32.of(Array(memory[start..<end])))
                }
            }
        }
    }
}
