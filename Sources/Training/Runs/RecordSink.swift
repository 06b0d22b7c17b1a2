/// Where a run's records go: first to its folder, and to any others.
public protocol RecordSink: AnyObject {
    /// Receives a record for a file of records, such as `metrics.jsonl`.
    func receive(_ record: some Encodable, in file: String) throws

    /// Makes what was received for these files survive a power cut: a checkpoint that counts it is about to be written. Does nothing by default.
    func synchronize(_ files: [String]) throws

    /// The run was resumed with the first so many records of each file: those received after them are made again. Does nothing by default.
    func resume(keeping counts: [String: Int]) throws
}

extension RecordSink {
    /// Does nothing.
    public func synchronize(_ files: [String]) throws {}
    /// Does nothing.
    public func resume(keeping counts: [String: Int]) throws {}
}

extension RunFolder: RecordSink {
    /// Appends the record to the file of that name.
    public func receive(_ record: some Encodable, in file: String) throws {
        if file == Self.metricsName { try self.record(record) } else { try self.record(record, in: file) }
    }

    /// Flushes the files to the disk.
    public func synchronize(_ files: [String]) throws { try synchronizeRecords(inOthers: files.filter { $0 != Self.metricsName }) }
}
