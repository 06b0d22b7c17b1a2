import Foundation

/// Games by their names in the command.
package enum Games {
    /// Whether a name is that of ``Catch``, which needs no emulator.
    package static func isCatch(_ name: String) -> Bool { name == "catch" }

    /// The given number of games, played side by side, of a name: `catch`, or ale-py's name of an Atari game.
    ///
    /// - Parameters:
    ///   - threads: of the emulator; 0 for one per game, but no more than the processor has.
    ///   - stickiness: see ``Atari/Options/stickiness``; ignored for `catch`.
    /// - Throws: ``EnvironmentError`` if there is no game of that name, or the emulator cannot be started.
    package static func environment(_ name: String, count: Int, threads: Int = 0, stickiness: Double = 0) throws -> any Environment {
        if isCatch(name) { return Catch(count: count) }
        var options = Atari.Options(game: name, count: count)
        (options.threads, options.stickiness) = (threads, stickiness)
        return try Atari(options)
    }

    /// What plays a game, for a report, such as "ale-py 0.12.1".
    package static func description(_ environment: any Environment) -> String {
        (environment as? Atari).map { "ale-py \($0.version)" } ?? "built in"
    }
}
