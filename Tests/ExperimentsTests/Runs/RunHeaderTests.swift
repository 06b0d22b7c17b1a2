import Experiments
import Foundation
import TestSupport
import Testing
import Training

@Suite("What a run's folder says of itself")
struct RunHeaderTests {
    private func header(_ json: String) throws -> RunHeader {
        try withFolder { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data(json.utf8).write(to: URL(filePath: "\(path)/config.json"))
            do {
                return try RunHeader(at: path)
            } catch {
                throw RunFailure("\(error)".replacingOccurrences(of: path, with: "run"))
            }
        }
    }

    private func refusal(_ json: String) -> String? {
        do {
            _ = try header(json)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("a folder without a format is 0.1.0's")
    func first() throws {
        let found = try header(#"{"command": "train vae", "anything": [1]}"#)
        #expect(found.command == "train vae" && found.version == "0.1.0")
    }

    @Test("what this version writes it reads, and says so")
    func current() throws {
        let found = try header(#"{"command": "compare", "format": \#(FileFormat.run.number), "version": "\#(PackageVersion.current)"}"#)
        #expect(found.command == "compare" && found.version == PackageVersion.current)
    }

    @Test("a later format is refused before anything else is read, with the version that reads it")
    func later() {
        let start = "run/config.json: expected a run's folder of format 1, found one of format 2, which "
        #expect(refusal(#"{"format": 2, "version": "9.1.0\n\u001b[2J"}"#) == start + "swift-weightnorm '9.1.0\\u{a}\\u{1b}[2J' reads")
        #expect(refusal(#"{"format": 2}"#) == start + "a later version than this, \(PackageVersion.current), reads")
    }

    @Test("a format that never was is refused")
    func never() {
        #expect(
            refusal(#"{"command": "compare", "format": -3}"#)
                == "run/config.json: expected a run's folder of format 1, found one of format -3, which no version of it reads")
        #expect(refusal(#"{"command": "compare", "format": "new"}"#)?.hasPrefix("cannot read run/config.json: ") == true)
        #expect(refusal(#"{"format": 1}"#)?.contains("command") == true)
    }
}
