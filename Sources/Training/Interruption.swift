import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Lets a training loop check between steps whether SIGINT (Ctrl-C) or SIGTERM has arrived, so that it can save before it ends.
///
/// The first signal is only noted. A second one ends the process at once, as it would without this: whoever presses Ctrl-C twice does not want to
/// wait. A signal that the process was started to ignore stays ignored. When the object is released, the earlier signal handling is restored. Only
/// one such object can exist at a time; a second one traps.
public final class Interruption {
    private let before: [(number: Int32, handler: sig_t?)]

    /// Starts watching.
    public init() {
        trap(unless: !isWatching, "interruption: expected one watch at a time, found another")
        isWatching = true
        firstSignal = 0
        before = [SIGINT, SIGTERM].compactMap { number in
            let handler = signal(number, note)
            // Whoever started the process with a signal ignored, as a shell does with SIGINT for a background job, wants it ignored.
            guard unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) else { return (number, handler) }
            signal(number, handler)
            return nil
        }
    }

    deinit {
        for (number, handler) in before { signal(number, handler) }
        isWatching = false
    }

    /// The signal that came first, or nil.
    public var received: Int32? {
        let number = noted()
        return number == 0 ? nil : Int32(number)
    }

    /// The exit code for a process ended by the signal: 130 for SIGINT, 143 for SIGTERM; nil if none came.
    public var exitCode: Int32? { received.map { 128 + $0 } }
}

// Unsafe for good reason: a signal handler can reach nothing but globals, which it writes as one machine word. (A dispatch source would not do: on
// Linux it misses signals delivered to another thread.) Both have constant initial values, so no lazy initialization can happen inside the handler.
nonisolated(unsafe) private var firstSignal: sig_atomic_t = 0
nonisolated(unsafe) private var isWatching = false

/// Not inlined, so that no loop keeps a stale value in a register.
@inline(never) private func noted() -> sig_atomic_t { firstSignal }

/// The handler: only what the system permits in one.
private func note(_ number: Int32) {
    if firstSignal == 0 {
        firstSignal = sig_atomic_t(number)
    } else {
        _ = signal(number, SIG_DFL)
        raise(number)
    }
}
