import AtomicFiles
import Foundation
public import Torch
public import WeightNorm

// A model in a folder, as the Hugging Face hub has them: one file, or shards and an index.

extension Safetensors {
    /// The most bytes of tensors in a file, unless another number is asked for: that of other writers.
    public static let shardSize = 5_000_000_000

    /// Writes tensors to a folder, which is made if it is not there: as `model.safetensors` or, if they have more bytes than a shard may, as `model-00001-of-00002.safetensors` and so on, with
    /// `model.safetensors.index.json`.
    ///
    /// A tensor that is larger than a shard may be gets one of its own. Each file is written completely or not at all, the index last; then what an earlier write of this kind left there is
    /// removed.
    ///
    /// - Returns: the names of the files.
    /// - Throws: as ``write(_:metadata:to:)``, and ``SafetensorsError`` if the size is not positive.
    @discardableResult
    public static func write(
        _ tensors: [(name: String, value: Tensor)], metadata: [String: String] = [:], toFolder folder: String, shardSize: Int = shardSize
    ) throws -> [String] {
        try write(items: tensors.map { SafetensorsItem($0.name, $0.value) }, metadata: metadata, toFolder: folder, shardSize: shardSize)
    }

    @discardableResult
    static func write(items: [SafetensorsItem], metadata: [String: String], toFolder folder: String, shardSize: Int) throws -> [String] {
        guard shardSize > 0 else { throw SafetensorsError(path: folder, problem: "expected shards of at least 1 byte, found \(shardSize)") }
        var shards: [[SafetensorsItem]] = [[]]
        var size = 0
        for item in items {
            if size > 0, size + item.byteCount > shardSize {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append(item)
            size += item.byteCount
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func number(_ number: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)" }
        let names =
            shards.count == 1
            ? ["model.safetensors"] : (1...shards.count).map { "model-\(number($0))-of-\(number(shards.count)).safetensors" }
        for (name, shard) in zip(names, shards) { try write(items: ordered(shard), metadata: metadata, to: AtomicFile.join(folder, name)) }
        var written = names
        if shards.count > 1 {
            written.append("model.safetensors.index.json")
            let index = Index(
                metadata: ["total_size": items.reduce(0) { $0 + $1.byteCount }],
                weight_map: Dictionary(zip(names, shards).flatMap { name, shard in shard.map { ($0.name, name) } }) { first, _ in first })
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try AtomicFile.write(try encoder.encode(index), to: AtomicFile.join(folder, "model.safetensors.index.json"))
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where isOurs(name) && !written.contains(name) {
            try FileManager.default.removeItem(atPath: AtomicFile.join(folder, name))
        }
        return written
    }

    /// Tensors with larger elements first, in the given order among equals: ``write(_:metadata:to:)`` says why.
    static func ordered(_ items: [SafetensorsItem]) -> [SafetensorsItem] {
        // The index keeps the order among equals, which Swift's sort does not guarantee.
        func size(_ item: SafetensorsItem) -> Int { ElementType(safetensorsName: item.typeName)?.size ?? 0 }
        return items.enumerated().sorted { (size($1.element), $0.offset) < (size($0.element), $1.offset) }.map(\.element)
    }

    private struct Index: Encodable {
        let metadata: [String: Int]
        let weight_map: [String: String]
    }

    /// Whether files of such names are written here.
    private static func isOurs(_ name: String) -> Bool {
        if ["model.safetensors", "model.safetensors.index.json"].contains(name) { return true }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "model" && parts[2] == "of" && Int(parts[1]) != nil && parts[3].hasSuffix(".safetensors")
            && Int(parts[3].dropLast(".safetensors".count)) != nil
    }
}

extension Module {
    /// Writes all parameters and buffers to a folder, as `model.safetensors` or in shards with an index (``Safetensors/write(_:metadata:toFolder:shardSize:)``); otherwise as
    /// ``write(to:layout:metadata:renaming:)``.
    ///
    /// - Parameters:
    ///   - folder: the folder, which is made if it is not there. ``load(from:forms:renaming:convertingTypes:knowing:ignoring:)-(String,_,_,_,_,_)`` takes it.
    ///   - layout: how the files hold weights, and whose names they use.
    ///   - shardSize: the most bytes of tensors in a file.
    ///   - metadata: strings to add to each file.
    ///   - renaming: maps the module's names to the files'.
    /// - Returns: the names of the files.
    @discardableResult
    public func write(
        toFolder folder: String, layout: StateLayout = .native, shardSize: Int = Safetensors.shardSize, metadata: [String: String] = [:],
        renaming: Renaming = .none
    ) throws -> [String] {
        let (tensors, own) = stateTensors(layout, renaming)
        return try Safetensors.write(tensors, metadata: own.merging(metadata) { $1 }, toFolder: folder, shardSize: shardSize)
    }
}
