import AtomicFiles
public import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A safetensors file opened for reading, or several that are one model in shards: the headers are read and checked at once, tensors on request.
///
/// Nothing in the file is trusted. A size stated in the file is compared with the file's own size before memory is allocated; names, types, shapes
/// and places are checked when the file is opened; and a bad file gives an error, never a trap. The file stays open, so replacing it changes nothing
/// here.
///
/// Names are compared code point by code point, as in other programs; Swift's strings would take `é` and `e` with an accent for the same.
public struct SafetensorsFile: Sendable {
    /// The file, as the caller named it.
    public let path: String
    /// The strings that the writer added; of several shards all of them, a string that differs as the first shard has it.
    public let metadata: [String: String]
    /// The tensors' names, in the order of their places in the file, and of the shards.
    public var names: [String] { entries.map(\.name) }

    private let entries: [SafetensorsHeader.Entry]
    /// For each entry, the shard that it is in.
    private let places: [Int]
    private let indices: [[UInt8]: Int]
    private let shards: [SafetensorsShard]

    /// Files from this size on are mapped into memory unless asked otherwise: below it a copy costs little.
    static let mappedSize = 256 << 20

    /// Opens a file and checks its header.
    ///
    /// A model in shards is opened by its index, `model.safetensors.index.json`, or by its folder, in which that index or `model.safetensors` is looked for.
    ///
    /// - Parameters:
    ///   - path: the file, index or folder.
    ///   - isMapped: whether tensors are parts of the file mapped into memory, not copies: then only what is used is read, when it is used, and a file that another program cuts short meanwhile ends
    ///     this one. By default files of at least 256 MiB are.
    /// - Throws: `FileError` if the system cannot read the file; ``SafetensorsError`` if it is not a safetensors file: it is a zip archive or pickle
    ///   from PyTorch, its header is truncated, too long, invalid JSON or names something twice, or the tensors' types, shapes and places do not fit
    ///   each other and the file's size; if an index names a shard that is not there or does not have a tensor that it should have.
    public init(opening path: String, isMapped: Bool? = nil) throws {
        let file = try ShardIndex.file(at: path)
        guard file.hasSuffix(".json") else {
            try self.init([SafetensorsShard(opening: file, isMapped: isMapped)], path: path)
            return
        }
        let index = try ShardIndex(reading: file)
        let shards = try index.shards.map { try SafetensorsShard(opening: $0, isMapped: isMapped) }
        try self.init(shards, path: path, index: index)
    }

    /// The same for a file in a run's folder, which must not be a link or larger than expected: ``OwnFile``.
    package init(openingOwn path: String, atMost most: Int = .max) throws {
        let descriptor = try OwnFile.open(path, O_RDONLY, operation: "read")
        try self.init([SafetensorsShard(descriptor, path: path, atMost: most, isMapped: false)], path: path)
    }

    private init(_ shards: [SafetensorsShard], path: String, index: ShardIndex? = nil) throws {
        self.path = path
        self.shards = shards
        metadata = shards.reduce(into: [:]) { $0.merge($1.metadata) { first, _ in first } }
        var entries: [SafetensorsHeader.Entry] = []
        var places: [Int] = []
        for (place, shard) in shards.enumerated() {
            // Of a tensor that several shards have, the index says which is meant.
            for entry in shard.entries where index.map({ $0.shard(of: entry.name) == place }) ?? true {
                entries.append(entry)
                places.append(place)
            }
        }
        (self.entries, self.places) = (entries, places)
        indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { (Array($1.name.utf8), $0) })
        let found = indices
        if let index, let (name, shard) = index.first(where: { found[Array($0.utf8)] == nil }) {
            throw SafetensorsError(
                path: path,
                problem:
                    "expected the tensor \(Safetensors.quoted(name)) in \(Safetensors.quoted(shard)), as the index says, found it not there"
            )
        }
    }

    /// Whether there is a tensor with that name.
    public func contains(_ name: String) -> Bool { indices[Array(name.utf8)] != nil }

    /// The type and the shape of a tensor.
    ///
    /// - Throws: ``SafetensorsError`` if there is no such tensor, or its type, such as `U16`, is in the format but not in this library.
    public func info(_ name: String) throws -> (type: ElementType, shape: [Int]) {
        let (index, type) = try find(name)
        return (type, entries[index].shape)
    }

    /// The format's name of a tensor's type, the type itself if this library has it, and the shape; nil if there is no such tensor.
    package func entry(_ name: String) -> (typeName: String, type: ElementType?, shape: [Int])? {
        indices[Array(name.utf8)].map { (entries[$0].type, ElementType(safetensorsName: entries[$0].type), entries[$0].shape) }
    }

    /// Reads a tensor, to the CPU; if the file is mapped, the tensor is a part of it.
    ///
    /// - Throws: ``SafetensorsError`` as for ``info(_:)``, and if a `BOOL` is neither 0 nor 1 or the file was truncated after it was opened;
    ///   `FileError` if the system cannot read it.
    public func tensor(_ name: String) throws -> Tensor {
        let (index, type) = try find(name)
        let (entry, shard) = (entries[index], shards[places[index]])
        func check(_ bytes: UnsafeMutableRawBufferPointer) throws {
            // In C++ any other byte in a bool is undefined behaviour.
            guard type == .bool, let place = bytes.firstIndex(where: { $0 > 1 }) else { return }
            let name = Safetensors.quoted(name)
            throw SafetensorsError(
                path: path, problem: "tensor \(name): expected BOOL elements of 0 or 1, found \(bytes[place]) at element \(place)")
        }
        // An old writer may have put the elements where they cannot be used as they are.
        if let (bytes, owner) = shard.mapped(entry), UInt(bitPattern: bytes.baseAddress).isMultiple(of: UInt(type.size)) {
            try check(bytes)
            return Tensor(memory: bytes, shape: entry.shape, type: type, owner: owner)
        }
        return try shard.withBytes(of: entry, reportedAs: path) { bytes in
            try check(bytes)
            return Tensor(bytes: UnsafeRawBufferPointer(bytes), shape: entry.shape, type: type)
        }
    }

    /// Reads a tensor's elements, row-major, into a buffer.
    ///
    /// - Throws: ``SafetensorsError`` as for ``info(_:)``, and if the buffer does not have the tensor's size or the file was truncated after it was
    ///   opened; `FileError` if the system cannot read it.
    package func read(_ name: String, into buffer: UnsafeMutableRawBufferPointer) throws {
        let index = try find(name).index
        let entry = entries[index]
        guard entry.end - entry.begin == buffer.count else {
            throw SafetensorsError(
                path: path, problem: "tensor \(Safetensors.quoted(name)): expected \(buffer.count) bytes, found \(entry.end - entry.begin)")
        }
        try shards[places[index]].read(entry, into: buffer, reportedAs: path)
    }

    /// A tensor as it is, of any type, to be written under a new name.
    func item(_ name: String, as newName: String) -> SafetensorsItem? {
        guard let index = indices[Array(name.utf8)] else { return nil }
        let (entry, shard) = (entries[index], shards[places[index]])
        return SafetensorsItem(name: newName, typeName: entry.type, shape: entry.shape, byteCount: entry.end - entry.begin) { file in
            try shard.withBytes(of: entry, reportedAs: path) { file.write($0) }
        }
    }

    private func find(_ name: String) throws -> (index: Int, type: ElementType) {
        guard let index = indices[Array(name.utf8)] else {
            throw SafetensorsError(
                path: path,
                problem: "expected a tensor \(Safetensors.quoted(name)), found none of that name among the file's \(entries.count)")
        }
        let entry = entries[index]
        guard let type = ElementType(safetensorsName: entry.type) else {
            let known = ElementType.allCases.map(\.safetensorsName).joined(separator: ", ")
            throw SafetensorsError(
                path: path,
                problem: "tensor \(Safetensors.quoted(name)): expected one of the types \(known), found \(Safetensors.quoted(entry.type))")
        }
        return (index, type)
    }
}
