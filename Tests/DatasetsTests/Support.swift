import Datasets
import Foundation
import TestSupport

func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    try withFolder { folder in try output("/usr/bin/env", ["gzip", "-nc", "--", folder.write(bytes, "file")]) }
}

/// What a program writes to its standard output.
func output(_ program: String, _ arguments: [String]) throws -> [UInt8] {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = pipe
    try process.run()
    let bytes = [UInt8](try pipe.fileHandleForReading.readToEnd() ?? Data())
    process.waitUntilExit()
    return bytes
}

/// The description of the error that `body` throws: nil if it throws none, or one that is no `DatasetError`.
func problem<T>(_ body: () throws -> T) -> String? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? DatasetError)?.description
    }
}

extension String {
    /// Writes a file in the folder of this path; gives the file's path.
    @discardableResult
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(self)/\(name)"))
        return "\(self)/\(name)"
    }
}

/// The folders in which real data sets may lie: the one in the environment, else the one beside the project.
let realDataFolders: [String] = {
    let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let beside = project.deletingLastPathComponent().appendingPathComponent("shared/data").path
    return (ProcessInfo.processInfo.environment["WEIGHTNORM_DATA"].map { [$0] } ?? []) + [beside]
}()
