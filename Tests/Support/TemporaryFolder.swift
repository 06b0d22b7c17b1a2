import Foundation

/// Gives the body a new, empty folder, which is removed afterwards.
package func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = try makeTemporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// The same for a body that waits.
package func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = try makeTemporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

/// Gives the body the path of a file that is not there, in a folder that is removed afterwards.
package func withFile(_ name: String = "x.safetensors", _ body: (String) throws -> Void) throws {
    try withFolder { try body("\($0)/\(name)") }
}

/// A new, empty folder, for the caller to remove.
package func makeTemporaryFolder() throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("weightnorm-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}
