import AtomicFiles
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Shows on standard error the progress of training, its speed and the time left.
///
/// On a terminal it is one line, redrawn in place at most ten times a second: `train [########--------]  340/1000  34 %  12.3 steps/s  53 s left
/// loss 0.42`. Elsewhere (a file, a pipe, `TERM=dumb`) it prints plain lines, at most one every `interval` seconds, plus a last one. `NO_COLOR`
/// switches the colour off. (Foundation has a class `Progress`, hence the longer name.)
public final class ProgressDisplay {
    /// Where the display writes, and the clock it reads; replaced in tests, so that they do not depend on real time.
    package struct Surroundings {
        /// The columns of the terminal; nil if lines cannot be redrawn.
        package var columns: () -> Int?
        package var colored: Bool
        /// Seconds from any fixed point.
        package var now: () -> Double
        package var write: (String) -> Void

        package init(columns: @escaping () -> Int?, colored: Bool, now: @escaping () -> Double, write: @escaping (String) -> Void) {
            self.columns = columns
            self.colored = colored
            self.now = now
            self.write = write
        }
    }

    private let label: String
    private let unit: String
    private let total: Int
    private let per: Int
    private let interval: Double
    private let surroundings: Surroundings
    private let redraws: Bool

    private let firstDone: Int
    private let start: Double
    private var done: Int
    private var note = ""
    private var lastUpdate: Double
    private var lastOutput: Double
    private var recentSteps = 0.0
    private var recentSeconds = 0.0
    private var line: String?
    private var finished = false

    /// Starts the clock.
    ///
    /// - Parameters:
    ///   - label: what the line begins with.
    ///   - total: how much there is to do.
    ///   - done: what was already done by a run that resumes from a checkpoint; it does not count towards the rate.
    ///   - unit: what is counted, in the plural.
    ///   - per: how many counts make one unit; with more than one, units are shown with a decimal.
    ///   - interval: the minimum number of seconds between two plain lines.
    public convenience init(
        label: String, total: Int, done: Int = 0, unit: String = "steps", per: Int = 1, interval: Double = 10
    ) {
        self.init(label: label, total: total, done: done, unit: unit, per: per, interval: interval, surroundings: .standardError())
    }

    package init(
        label: String, total: Int, done: Int = 0, unit: String = "steps", per: Int = 1, interval: Double = 10, surroundings: Surroundings
    ) {
        self.per = max(1, per)
        self.label = oneLine(label)
        self.unit = oneLine(unit)
        self.total = total
        self.interval = interval
        self.surroundings = surroundings
        redraws = surroundings.columns() != nil
        self.done = done
        firstDone = done
        start = surroundings.now()
        lastUpdate = start
        lastOutput = redraws ? -.infinity : start
    }

    // Training that ends with an error leaves its last line readable, and the error message on a line of its own.
    deinit {
        if line != nil { surroundings.write("\n") }
    }

    /// Reports how much is done in total; cheap enough for every step. The note is free text at the end of the line, such as the current loss;
    /// without one, the last note stays.
    public func update(done: Int, note: String? = nil) {
        guard !finished else { return }
        let now = surroundings.now()
        count(done, at: now)
        if let note { self.note = oneLine(note) }
        guard now - lastOutput >= (redraws ? 0.1 : interval) else { return }
        lastOutput = now
        let rate = recentSeconds > 0 ? recentSteps / recentSeconds : nil
        let left = rate.flatMap { $0 > 0 ? Double(max(total - done, 0)) / $0 : nil }
        show(rate: rate, time: left.map { "\(Self.duration($0)) left" })
    }

    /// Writes a message on a line of its own, above the display.
    public func print(_ message: String) {
        guard let line else { return surroundings.write("\(message)\n") }
        surroundings.write("\(eraseLine)\(message)\n\(line)")
    }

    /// Writes the last line, with the total time and the mean rate; later updates have no effect.
    public func finish(note: String? = nil) {
        guard !finished else { return }
        finished = true
        if let note { self.note = oneLine(note) }
        let seconds = surroundings.now() - start
        show(rate: seconds > 0 ? Double(max(done - firstDone, 0)) / seconds : nil, time: "took \(Self.duration(seconds))")
        if line != nil { surroundings.write("\n") }
        line = nil
    }

    // MARK: Rate

    /// The rate is steps per second, both summed with weights that decay by a factor of e in 30 seconds: it follows changes in speed, is a mean from
    /// the first step on, and does not depend on how often `update` is called.
    private func count(_ done: Int, at now: Double) {
        let seconds = max(now - lastUpdate, 0)
        let kept = exp(-seconds / 30)
        // A count that goes back, as when retrying from a checkpoint, is not a negative speed.
        recentSteps = recentSteps * kept + Double(max(done - self.done, 0))
        recentSeconds = recentSeconds * kept + seconds
        self.done = done
        lastUpdate = now
    }

    // MARK: Lines

    /// A bar with fewer columns would show nothing.
    private static let leastBar = 8

    private func show(rate: Double?, time: String?) {
        let share = total > 0 ? Double(done) / Double(total) : 1
        // Rounded down: 100 % means complete.
        let percent = "\(Int(min(max(share, 0), 1) * 100)) %"
        let speed = rate.map { "\(Self.number($0 / Double(per))) \(unit)/s" }
        let counts = "\(count(done, whole: false))/\(count(total, whole: true))"
        guard redraws else {
            let parts = ["\(label): \(counts) (\(percent))", speed, time, note.isEmpty ? nil : note]
            return surroundings.write(parts.compactMap { $0 }.joined(separator: ", ") + "\n")
        }
        let text = [counts, percent, speed, time].compactMap { $0 }.joined(separator: "  ")
        // A character in the last column makes some terminals wrap. The width is queried each time: a window may be resized.
        let room = (surroundings.columns() ?? 80) - 1
        let rest = room - width(of: label) - width(of: text) - 5
        // The bar shrinks to its minimum width to make room for the note; then the note is cut.
        let bar = min(max(rest - (note.isEmpty ? 0 : width(of: note) + 2), min(rest, Self.leastBar)), 30)
        let drawn: String
        if bar >= Self.leastBar {
            let full = Int((min(max(share, 0), 1) * Double(bar)).rounded(.down))
            let filled = String(repeating: "#", count: full)
            let colored = surroundings.colored && full > 0 ? "\u{1B}[32m\(filled)\u{1B}[0m" : filled
            drawn =
                "\(label) [\(colored)\(String(repeating: "-", count: bar - full))]  \(text)"
                + (note.isEmpty || rest - bar < 4 ? "" : "  " + cut(note, to: rest - bar - 2))
        } else {
            drawn = cut("\(label)  \(text)" + (note.isEmpty ? "" : "  \(note)"), to: room)
        }
        line = drawn
        surroundings.write(eraseLine + drawn)
    }

    /// A count in units; a total is a whole number of them.
    private func count(_ number: Int, whole: Bool) -> String {
        per == 1 ? "\(number)" : whole ? "\(number / per)" : "\(number / per).\(number % per * 10 / per)"
    }

    /// A duration in readable form: `45 s`, `2 min 10 s`, `3 h 05 min`, `2 d 4 h`.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "unknown time" }
        let whole = Int(max(seconds, 0).rounded())
        func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3600: return "\(whole / 60) min \(twoDigits(whole % 60)) s"
        case ..<86400: return "\(whole / 3600) h \(twoDigits(whole / 60 % 60)) min"
        default: return "\(whole / 86400) d \(whole / 3600 % 24) h"
        }
    }

    /// About three digits, enough for a rate.
    private static func number(_ value: Double) -> String {
        switch value {
        case 100...: String(format: "%.0f", value)
        case 10...: String(format: "%.1f", value)
        case 0.1...: String(format: "%.2f", value)
        default: String(format: "%.2g", value)
        }
    }
}

extension ProgressDisplay.Surroundings {
    /// The process's standard error and environment, and a monotonic clock.
    static func standardError() -> Self {
        let environment = ProcessInfo.processInfo.environment
        let type = environment["TERM"] ?? ""
        let redraws = isatty(STDERR_FILENO) == 1 && !type.isEmpty && type != "dumb"
        let origin = ContinuousClock.now
        return Self(
            columns: {
                guard redraws else { return nil }
                var size = winsize()
                return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
            },
            colored: (environment["NO_COLOR"] ?? "").isEmpty,
            now: { (ContinuousClock.now - origin) / .seconds(1) },
            // A display that cannot be written is no reason to stop training.
            write: { _ = Descriptor.write($0.utf8, to: STDERR_FILENO) })
    }
}

private let eraseLine = "\r\u{1B}[K"

/// The text without characters that would move the cursor.
private func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
}

/// An upper bound on the terminal columns: a non-ASCII character may take two.
private func width(of text: String) -> Int {
    text.reduce(0) { $0 + ($1.isASCII ? 1 : 2) }
}

private func cut(_ text: String, to room: Int) -> String {
    var used = 0
    return String(
        text.prefix { character in
            used += character.isASCII ? 1 : 2
            return used <= room
        })
}
