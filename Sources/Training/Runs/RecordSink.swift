/// Where a run's records go: first to its folder, and to any others.
public protocol RecordSink: AnyObject {
    /// Receives a record for a file of records, such as `metrics.jsonl`.
    func receive(_ record: some Encodable, in file: String) throws

    /// Makes what was received survive a power cut: a checkpoint that counts it is about to be written.
    func synchronize(_ files: [String]) throws
}

extension RunFolder: RecordSink {
    /// Appends the record to the file of that name.
    public func receive(_ record: some Encodable, in file: String) throws {
        if file == Self.metricsName { try self.record(record) } else { try self.record(record, in: file) }
    }

    /// Flushes the files to the disk.
    public func synchronize(_ files: [String]) throws { try synchronizeRecords(inOthers: files.filter { $0 != Self.metricsName }) }
}
