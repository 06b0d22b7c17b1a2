import AtomicFiles
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The index of a model in shards, `model.safetensors.index.json`: which file each tensor is in.
struct ShardIndex {
    /// The names of the files in a folder, of which the index comes first.
    static let names = ["model.safetensors.index.json", "model.safetensors"]
    /// The largest index that is read, in bytes: as a file's header.
    private static let longest = Safetensors.longestHeader

    /// The files, in the order of their names.
    let shards: [String]
    private let places: [[UInt8]: Int]
    private let tensors: [(name: String, shard: String)]

    /// The file or index that a path stands for: one in the folder, if it is a folder.
    ///
    /// - Throws: ``SafetensorsError`` if a folder has neither.
    static func file(at path: String) throws -> String {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else { return path }
        let found = names.map { AtomicFile.join(path, $0) }.first { FileManager.default.fileExists(atPath: $0) }
        guard let found else {
            throw SafetensorsError(
                path: path, problem: "expected a regular file, or a folder with \(names.joined(separator: " or ")), found a folder without")
        }
        return found
    }

    /// Reads an index.
    ///
    /// - Throws: `FileError` if the system cannot read it; ``SafetensorsError`` if it is no index or names files outside its folder.
    init(reading path: String) throws {
        struct Content: Decodable {
            let weight_map: [String: String]
        }
        func failure(_ problem: String) -> SafetensorsError { SafetensorsError(path: path, problem: problem) }
        let file = try Descriptor(opening: path, O_RDONLY | O_NONBLOCK, reportedAs: path, operation: "read")
        let bytes = try file.contents(atMost: Self.longest, reportedAs: path)
        guard let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)) else {
            throw failure("expected an index of safetensors files, JSON with a weight_map from tensors to files, found something else")
        }
        let names = Set(content.weight_map.values).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for name in names {
            guard name.hasSuffix(".safetensors"), !name.contains("/"), !name.contains("\0"), name != ".safetensors" else {
                throw failure("expected the names of safetensors files beside the index, found \(Safetensors.quoted(name))")
            }
        }
        // Files that nobody names would be as many open files as there are tensors.
        guard names.count <= 4096 else { throw failure("expected at most 4096 shards, found \(names.count)") }
        let folder = AtomicFile.split(path).folder
        shards = names.map { folder == "." ? $0 : AtomicFile.join(folder, $0) }
        let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        tensors = content.weight_map.map { (name: $0.key, shard: $0.value) }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        places = Dictionary(tensors.map { (Array($0.name.utf8), numbers[$0.shard] ?? 0) }) { first, _ in first }
    }

    /// The place in ``shards`` of the file that has a tensor; nil if the index does not name it.
    func shard(of name: String) -> Int? { places[Array(name.utf8)] }

    /// The first tensor of which something is true, with its file.
    func first(where isTrue: (String) -> Bool) -> (name: String, shard: String)? { tensors.first { isTrue($0.name) } }
}
