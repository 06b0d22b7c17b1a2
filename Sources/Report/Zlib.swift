import Foundation

/// The system's zlib, loaded when first needed: unlike its headers, it is on every Linux and macOS system.
enum Zlib {
    private typealias Compress =
        @convention(c) (
            UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<UInt>, UnsafePointer<UInt8>, UInt, Int32
        ) -> Int32
    private typealias Bound = @convention(c) (UInt) -> UInt

    private static let functions: (compress: Compress, bound: Bound)? = {
        for name in ["libz.so.1", "libz.1.dylib"] {
            guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL), let compress = dlsym(library, "compress2"),
                let bound = dlsym(library, "compressBound")
            else { continue }
            return (unsafeBitCast(compress, to: Compress.self), unsafeBitCast(bound, to: Bound.self))
        }
        return nil
    }()

    /// The bytes as a zlib stream (RFC 1950), compressed as tightly as possible; nil on a system without zlib.
    static func packed(_ bytes: [UInt8]) -> [UInt8]? {
        guard let functions else { return nil }
        var size = functions.bound(UInt(bytes.count))
        var result = [UInt8](repeating: 0, count: Int(size))
        // zlib requires an address even for no bytes.
        let source = bytes.isEmpty ? [0] : bytes
        guard functions.compress(&result, &size, source, UInt(bytes.count), 9) == 0 else { return nil }
        result.removeLast(result.count - Int(size))
        return result
    }
}
