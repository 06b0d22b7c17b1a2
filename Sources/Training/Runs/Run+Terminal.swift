extension Run {
    /// Trains with a progress display on standard error, and saves at regular intervals and at the end; SIGINT (Ctrl-C) and SIGTERM finish the step,
    /// save and stop.
    ///
    /// - Parameters:
    ///   - label: what the progress line begins with.
    ///   - interval: seconds of work between two checkpoints; 0 for one after every step.
    ///   - line: a line to print for a record; nil for none.
    /// - Returns: the exit code for the process if a signal stopped the run: 130 after SIGINT, 143 after SIGTERM; else nil. An experiment can stop
    ///   its run too: see ``isFinished``.
    /// - Throws: the same as ``run(checkpoints:shouldStop:progress:recorded:)``.
    public func runInTerminal(
        label: String, savingEvery interval: Double = 60, line: @escaping (E.Record) -> String? = { _ in nil }
    ) throws -> Int32? {
        let interruption = Interruption()
        let display = ProgressDisplay(label: label, total: total, done: done, unit: "\(experiment.unit)s")
        try run(checkpoints: CheckpointClock(every: interval)) {
            interruption.received != nil
        } progress: {
            display.update(done: $0.done, note: $0.note)
        } recorded: {
            if let line = line($0) { display.print(line) }
        }
        display.finish()
        return isFinished ? nil : interruption.exitCode
    }
}
