import Foundation

/// The system's gzip, as which files are unpacked and pictures packed.
package enum Gzip {
    /// Where the program is; nil if there is none.
    package static var program: String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/bin", "/bin"]
        return folders.map { "\($0)/gzip" }.first { access($0, X_OK) == 0 }
    }

    /// Bytes packed in the deflate format (RFC 1951); nil if there is no gzip or it fails.
    package static func deflated(_ bytes: [UInt8]) -> [UInt8]? {
        guard let program else { return nil }
        // From a file, not through a pipe: writing to one while the other fills up would need a thread.
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("weightnorm-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["-9", "-n", "-c"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        do {
            try Data(bytes).write(to: file)
            process.standardInput = try FileHandle(forReadingFrom: file)
            // It stays open, and cannot stay behind.
            try FileManager.default.removeItem(at: file)
            try process.run()
        } catch { return nil }
        let packed = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        // RFC 1952: ten bytes of header without a name or anything else, and eight of checksum and length.
        guard process.terminationStatus == 0, packed.count > 18, packed.starts(with: [0x1F, 0x8B, 8, 0]) else { return nil }
        return Array(packed[10..<packed.count - 8])
    }
}
