import AtomicFiles
package import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A tensor to be written to a file: what the header says about it, and where its bytes come from when its turn comes.
///
/// This way a file needs no more memory than its largest tensor.
package struct SafetensorsItem {
    let name: String
    let typeName: String
    let shape: [Int]
    let byteCount: Int
    private let body: (borrowing Descriptor) throws -> Int32

    init(name: String, typeName: String, shape: [Int], byteCount: Int, _ body: @escaping (borrowing Descriptor) throws -> Int32) {
        self.name = name
        self.typeName = typeName
        self.shape = shape
        self.byteCount = byteCount
        self.body = body
    }

    /// A tensor, on any device.
    init(_ name: String, _ tensor: Tensor) {
        self.init(name, type: tensor.type, shape: tensor.shape) { tensor }
    }

    /// A tensor that is made when its turn comes, of the stated type and shape.
    init(_ name: String, type: ElementType, shape: [Int], _ tensor: @escaping () throws -> Tensor) {
        let count = shape.reduce(1, *) * type.size
        self.init(name: name, typeName: type.safetensorsName, shape: shape, byteCount: count) { file in
            guard let memory = malloc(max(count, 1)) else { return ENOMEM }
            defer { free(memory) }
            let bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
            try tensor().copyBytes(to: bytes)
            return file.write(bytes)
        }
    }

    /// Row-major elements that stay in memory until the file is written; they are not copied.
    package init(_ name: String, type: ElementType, shape: [Int], memory: UnsafeRawBufferPointer) {
        trap(
            unless: memory.count == shape.reduce(1, *) * type.size,
            "tensor '\(name)': expected \(shape.reduce(1, *) * type.size) bytes for \(type)\(shape), found \(memory.count)")
        self.init(name: name, typeName: type.safetensorsName, shape: shape, byteCount: memory.count) { $0.write(memory) }
    }

    /// The same bytes in another shape with the same number of elements.
    func reshaped(_ shape: [Int]) -> SafetensorsItem {
        SafetensorsItem(name: name, typeName: typeName, shape: shape, byteCount: byteCount, body)
    }

    /// Writes the bytes; gives the system's error number, or 0.
    func write(to file: borrowing Descriptor) throws -> Int32 { try body(file) }
}
