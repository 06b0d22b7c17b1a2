package import Foundation

/// The chunks of a PNG file: name and content.
package func pngChunks(_ png: Data) -> [(name: String, content: [UInt8])] {
    var bytes = [UInt8](png.dropFirst(8))
    var found: [(String, [UInt8])] = []
    while bytes.count >= 12 {
        let length = bytes[0..<4].reduce(0) { $0 << 8 | Int($1) }
        found.append((String(decoding: bytes[4..<8], as: UTF8.self), Array(bytes[8..<8 + length])))
        bytes.removeFirst(12 + length)
    }
    return found
}
