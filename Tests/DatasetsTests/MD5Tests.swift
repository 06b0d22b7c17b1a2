import Datasets
import Foundation
import TestSupport
import Testing

struct MD5Tests {
    @Test("the test suite of RFC 1321 (A.5)")
    func vectors() {
        let vectors = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"), ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"), ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
            (String(repeating: "1234567890", count: 8), "57edf4a22be3c955ac49da2e2107b67a"),
        ]
        for (text, sum) in vectors { #expect(MD5.hexadecimal(text.utf8) == sum, "\(text)") }
    }

    @Test("every length around a block's end, and any way to cut the bytes, gives what md5sum gives")
    func everyLength() throws {
        let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 73 &+ 5) }
        try withFolder { folder in
            for length in 0...bytes.count { try folder.write(Array(bytes[..<length]), "length-\(length)") }
            let said = try output("/usr/bin/env", ["md5sum"] + (0...bytes.count).map { "\(folder)/length-\($0)" })
            let sums = String(decoding: said, as: UTF8.self).split(separator: "\n").map { String($0.prefix(32)) }
            #expect(sums.count == bytes.count + 1)
            for (length, sum) in sums.enumerated() {
                #expect(MD5.hexadecimal(bytes[..<length]) == sum, "\(length) bytes")
                var cut = MD5()
                for byte in stride(from: 0, to: length, by: 7) { cut.update(bytes[byte..<min(byte + 7, length)]) }
                #expect(cut.hexadecimal() == sum, "\(length) bytes in sevens")
            }
        }
    }

    @Test("a file is summed as it is unpacked, or as it is if that is asked for")
    func files() throws {
        try withFolder { folder in
            let path = try folder.write(gzip(Array("abc".utf8)), "abc.gz")
            #expect(try MD5.ofFile(path) == ("900150983cd24fb0d6963f7d28e17f72", 3))
            let packed = try gzip(Array("abc".utf8))
            #expect(try MD5.ofFile(path, asItIs: true) == (MD5.hexadecimal(packed), packed.count))
            #expect(problem { try MD5.ofFile(path, limit: 2) } == "\(path): expected 2 bytes, found more")
        }
    }
}
