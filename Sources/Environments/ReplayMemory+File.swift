import AtomicFiles
import Foundation
import Torch
import Training
import WeightFiles

// A separate file, not part of the checkpoint: it is larger by orders of magnitude, goes from memory to disk and back without an intermediate copy,
// and may be omitted.

extension ReplayMemory {
    /// Far more than are ever appended, far less than would overflow.
    private static let mostAppended = 1_000_000_000_000_000

    /// What the file's header says about the memory.
    private struct Header: Codable {
        var games: Int
        var perGame: Int
        var depth: Int
        var rows: Int
        var columns: Int
        var lostLifeEndsEpisode: Bool
        var clipsRewards: Bool
        var appended: Int
        var rings: [Ring]
        /// The checksums of the tensors' bytes, in the order of ``parts(_:)``.
        var checksums: [UInt32]
    }

    /// Writes all transitions to a safetensors file, completely or not at all, replacing an earlier one.
    ///
    /// Its size is that of the stored transitions: ``byteCount(capacity:rows:columns:)``.
    ///
    /// - Throws: `FileError` if the system cannot write it; the earlier file is then still there.
    public func write(to path: String) throws {
        var items: [SafetensorsItem] = []
        var checksums: [UInt32] = []
        try withParts { parts in
            for part in parts {
                items.append(SafetensorsItem(part.name, type: part.type, shape: part.shape, memory: UnsafeRawBufferPointer(part.memory)))
                checksums.append(CRC32.of(UnsafeRawBufferPointer(part.memory)))
            }
            let header = Header(
                games: games, perGame: perGame, depth: depth, rows: rows, columns: columns, lostLifeEndsEpisode: lostLifeEndsEpisode,
                clipsRewards: clipsRewards, appended: appended, rings: rings, checksums: checksums)
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            let text = String(decoding: try encoder.encode(header), as: UTF8.self)
            let metadata = [
                "format": FileFormat.replay.text, "version": PackageVersion.current, "replay": text, "checksum": "\(CRC32.of(text.utf8))",
            ]
            try Safetensors.write(items: items, metadata: metadata, to: path)
        }
    }

    /// Replaces the transitions by those in a file; later draws are those that the written memory would have made.
    ///
    /// - Parameters:
    ///   - path: the file's path.
    ///   - expected: the number of transitions that had been appended, if a checkpoint beside it states it; nil for any.
    ///   - actionCount: the number of actions that the games have.
    /// - Throws: `CheckpointError` if it is not such a file, is from another moment or from a memory with other settings; the memory is then
    ///   unchanged. Also, and `SafetensorsError` and `FileError`, if it is damaged; the memory may then be empty.
    public func restore(from path: String, appended expected: Int? = nil, actions actionCount: Int = 256) throws {
        func failure(_ problem: String) -> CheckpointError { CheckpointError(path: path, problem: problem) }
        let file = try SafetensorsFile(openingOwn: path)
        guard let format = file.metadata["format"], format.hasPrefix("swift-weightnorm replay ") else {
            throw failure("expected a '\(FileFormat.replay.text)', found another safetensors file")
        }
        if let problem = FileFormat.replay.problem(with: format, writer: file.metadata["version"]) { throw failure(problem) }
        guard let text = file.metadata["replay"], file.metadata["checksum"] == "\(CRC32.of(text.utf8))",
            let header = try? JSONDecoder().decode(Header.self, from: Data(text.utf8))
        else { throw failure("expected a header with its checksum, found it damaged") }
        func making(_ header: Header) -> String {
            "\(header.games) × \(header.perGame) transitions of \(header.rows)×\(header.columns), stacks of \(header.depth), "
                + "lost lives \(header.lostLifeEndsEpisode ? "" : "not ")ending episodes, rewards \(header.clipsRewards ? "" : "not ")clipped"
        }
        var own = header
        (own.games, own.perGame, own.depth, own.rows, own.columns) = (games, perGame, depth, rows, columns)
        (own.lostLifeEndsEpisode, own.clipsRewards) = (lostLifeEndsEpisode, clipsRewards)
        guard making(header) == making(own) else { throw failure("expected \(making(own)), found \(making(header))") }
        if let expected, header.appended != expected {
            throw failure("expected it after \(expected) transitions, as the checkpoint, found it after \(header.appended)")
        }
        guard header.rings.count == games, header.checksums.count == 4 * games,
            header.rings.allSatisfy({
                (0...perGame).contains($0.count) && $0.next == ($0.count < perGame ? $0.count : $0.next) && (0..<perGame).contains($0.next)
            })
        else { throw failure("expected rings of at most \(perGame) transitions, found others") }
        let there = header.rings.reduce(0) { $0 + $1.count }
        guard header.appended >= there, header.appended <= Self.mostAppended else {
            throw failure("expected from the \(there) transitions there to \(Self.mostAppended) appended, found \(header.appended)")
        }
        let before = (rings, appended)
        var isTouched = false
        do {
            rings = header.rings
            try withParts { parts in
                for part in parts {
                    let (type, shape) = try file.info(part.name)
                    guard type == part.type, shape == part.shape else {
                        throw failure("tensor '\(part.name)': expected \(part.type)\(part.shape), found \(type)\(shape)")
                    }
                }
                isTouched = true
                for (part, checksum) in zip(parts, header.checksums) {
                    try file.read(part.name, into: part.memory)
                    guard CRC32.of(UnsafeRawBufferPointer(part.memory)) == checksum else {
                        throw failure("expected undamaged tensors, found another checksum in '\(part.name)'")
                    }
                }
            }
            for (game, ring) in rings.enumerated() {
                let own = actions[game * perGame..<game * perGame + ring.count]
                guard let largest = own.max(), Int(largest) >= actionCount else { continue }
                throw failure("expected actions from 0 to \(actionCount - 1), found \(largest) in game \(game)")
            }
            appended = header.appended
        } catch {
            (rings, appended) = before
            if isTouched { rings = [Ring](repeating: Ring(), count: games) }
            throw error
        }
    }

    /// A tensor in the file, and where its elements are in memory.
    private struct Part {
        var name: String
        var type: ElementType
        var shape: [Int]
        var memory: UnsafeMutableRawBufferPointer
    }

    /// For each game the filled part of its ring: slots 0 ..< count.
    private func withParts(_ body: ([Part]) throws -> Void) throws {
        try actions.withUnsafeMutableBytes { actions in
            try rewards.withUnsafeMutableBytes { rewards in
                try marks.withUnsafeMutableBytes { marks in
                    var parts: [Part] = []
                    for (isFirst, game) in [true, false].flatMap({ isFirst in (0..<games).map { (isFirst, $0) } }) {
                        let count = rings[game].count
                        func part(_ name: String, _ type: ElementType, _ inner: [Int], _ all: UnsafeMutableRawBufferPointer) {
                            let size = inner.reduce(type.size, *)
                            let start = game * perGame * size
                            parts.append(
                                Part(
                                    name: "\(game)/\(name)", type: type, shape: [count] + inner,
                                    memory: UnsafeMutableRawBufferPointer(rebasing: all[start..<start + count * size])))
                        }
                        // Larger elements first, so that each is at a multiple of its size.
                        if isFirst {
                            part("rewards", .float32, [], rewards)
                        } else {
                            part("frames", .uint8, [rows, columns], frames)
                            part("actions", .uint8, [], actions)
                            part("marks", .uint8, [], marks)
                        }
                    }
                    try body(parts)
                }
            }
        }
    }
}
