import Foundation

/// The system's gzip, which decompresses files.
package enum Gzip {
    /// Where the program is; nil if there is none.
    package static var program: String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/bin", "/bin"]
        return folders.map { "\($0)/gzip" }.first(where: isProgram)
    }

    /// Whether a path is an executable file; folders can have that permission too.
    package static func isProgram(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}
