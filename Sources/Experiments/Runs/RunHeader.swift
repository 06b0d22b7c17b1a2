import AtomicFiles
import Training

/// What every run's `config.json` states, whatever else it holds: which command made it, and in which format.
package struct RunHeader: Equatable, Sendable {
    /// The subcommand of `weightnorm` that started the run.
    package let command: String
    /// The version that started it.
    package let version: String

    /// Reads it, before anything else in the folder.
    ///
    /// - Throws: `FileError` if it is not a run's folder; ``RunFailure`` if another version is needed to read it, naming that version.
    package init(at path: String) throws {
        struct Header: Decodable {
            let command: String?
            let format: Int?
            let version: String?
        }
        struct Command: Decodable {
            let command: String
        }
        let stored = try RunFolder.read(Header.self, named: "config.json", at: path)
        // 0.1.0 wrote neither.
        let format = FileFormat.run
        let number = stored.format ?? 1
        guard number == format.number else {
            throw RunFailure(
                "\(path)/config.json: expected a run's folder of format \(format.number), found one of format \(number), "
                    + "which \(format.reader(of: number, writer: stored.version)) reads")
        }
        version = stored.version ?? "0.1.0"
        command = try stored.command ?? RunFolder.read(Command.self, named: "config.json", at: path).command
    }

    /// The same for a folder that must hold a run of one of these subcommands.
    ///
    /// - Throws: ``RunFailure`` if it is not such a run's folder.
    package init(at path: String, of commands: [String]) throws {
        let expected = commands.joined(separator: " or ")
        do {
            try self.init(at: path)
        } catch let error as FileError {
            throw RunFailure("expected the folder of a run of weightnorm \(expected): \(error)")
        }
        guard commands.contains(command) else {
            throw RunFailure("\(path): expected a run of weightnorm \(expected), found one of weightnorm \(command)")
        }
    }
}
