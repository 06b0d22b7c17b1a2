/// Says when the next checkpoint is due, by seconds of work.
public final class CheckpointClock {
    private let interval: Double
    private let now: () -> Double
    private var last: Double

    /// A clock that is due `interval` seconds after its start and after each ``restart()``; with 0 it is always due. `now` gives seconds from any
    /// fixed point.
    public init(every interval: Double, now: (() -> Double)? = nil) {
        self.interval = interval
        let origin = ContinuousClock.now
        self.now = now ?? { (ContinuousClock.now - origin) / .seconds(1) }
        last = self.now()
    }

    /// Whether a checkpoint is due.
    public func isDue() -> Bool { now() - last >= interval }

    /// Starts counting again: a checkpoint was written.
    public func restart() { last = now() }
}
