import Foundation

/// The system's gzip, as which files are unpacked and pictures packed.
package enum Gzip {
    /// Where the program is; nil if there is none.
    package static var program: String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/bin", "/bin"]
        return folders.map { "\($0)/gzip" }.first { access($0, X_OK) == 0 }
    }

    /// Each of several byte strings packed in the deflate format (RFC 1951), all by one process, whose start takes longer than the packing of a small
    /// picture; nil if there is no gzip or it fails.
    package static func deflated(_ all: [[UInt8]]) -> [[UInt8]]? {
        guard let program else { return nil }
        guard !all.isEmpty else { return [] }
        // Files, not pipes: writing to one while the other fills up would need a thread.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weightnorm-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["-9", "-n"] + all.indices.map { folder.appendingPathComponent("\($0)").path }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
            for (index, bytes) in all.enumerated() { try Data(bytes).write(to: folder.appendingPathComponent("\(index)")) }
            try process.run()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { return nil }
            return try all.indices.map { index in
                let packed = try [UInt8](Data(contentsOf: folder.appendingPathComponent("\(index).gz")))
                // RFC 1952: ten bytes of header without a name or anything else, and eight of checksum and length.
                guard packed.count > 18, packed.starts(with: [0x1F, 0x8B, 8, 0]) else { throw CocoaError(.fileReadCorruptFile) }
                return Array(packed[10..<packed.count - 8])
            }
        } catch { return nil }
    }
}
