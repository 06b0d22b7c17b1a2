import AtomicFiles
import CBuild
import Foundation

/// The state of the sources that this program was built from.
package enum BuildCommit {
    /// The commit in hexadecimal digits; if files had changed since, or the build was not told, a mark of this very program follows: "+" and the check sum
    /// of its file.
    package static let current: String = {
        let commit = String(cString: CBuildCommit())
        guard commit.isEmpty || commit.hasSuffix("+") else { return commit }
        return (commit.isEmpty ? "unknown+" : commit) + programCheck
    }()

    /// Whether a record's commit names sources that anyone can check out.
    package static func isReproducible(_ commit: String) -> Bool { !commit.contains("+") }

    /// The commit in a few digits, with the mark.
    package static func short(_ commit: String) -> String {
        let parts = commit.split(separator: "+", maxSplits: 1)
        return parts.enumerated().map { $0.offset == 0 ? String($0.element.prefix(10)) : "+\($0.element)" }.joined()
    }

    private static var programCheck: String {
        let path = Bundle.main.executablePath ?? CommandLine.arguments[0]
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else { return "?" }
        return String(data.withUnsafeBytes { CRC32.of($0) }, radix: 16)
    }
}
