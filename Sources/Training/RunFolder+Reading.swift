import AtomicFiles
package import Foundation
package import WeightFiles

// Reading a run's folder, which may be another person's: only through ``OwnFile``.

extension RunFolder {
    /// The records in the `metrics.jsonl` of a run's folder, or in another file of lines, in the order of writing; an incomplete last line is
    /// skipped.
    public static func records<Record: Decodable>(
        _ type: Record.Type = Record.self, in name: String = "metrics.jsonl", at path: String
    ) throws -> [Record] {
        let file = AtomicFile.join(path, name)
        var lines = try OwnFile.contents(of: file, atMost: OwnFile.mostOfRecords).split(
            separator: newline, omittingEmptySubsequences: false)
        lines.removeLast()  // what follows the last newline: nothing, or an incomplete line
        return try lines.enumerated().map { number, line in
            try decode(type, from: Data(line), at: file, place: "line \(number + 1)")
        }
    }

    /// A JSON file in a run's folder, such as `config.json` or `summary.json`.
    public static func read<Value: Decodable>(_ type: Value.Type = Value.self, named name: String, at path: String) throws -> Value {
        let file = AtomicFile.join(path, name)
        return try decode(type, from: Data(OwnFile.contents(of: file, atMost: OwnFile.mostOfDocument)), at: file, place: "its content")
    }

    /// A picture in a run's folder; nil if there is none.
    package static func picture(named name: String, at path: String) throws -> Data? {
        let file = AtomicFile.join(path, name)
        return OwnFile.exists(file) ? try Data(OwnFile.contents(of: file, atMost: OwnFile.mostOfPicture)) : nil
    }

    /// Whether a folder is a run's.
    package static func isRun(_ path: String) -> Bool { has(markerName, at: path) }

    /// Whether a run is in progress in a folder.
    package static func isInUse(_ path: String) -> Bool {
        guard isRun(path), let marker = try? OwnFile.open(AtomicFile.join(path, markerName), O_RDONLY, operation: "read") else {
            return false
        }
        guard flock(marker.number, LOCK_EX | LOCK_NB) == 0 else { return errno == EWOULDBLOCK }
        return false
    }

    /// Whether a run's folder has an entry of that name.
    package static func has(_ name: String, at path: String) -> Bool { OwnFile.exists(AtomicFile.join(path, name)) }

    /// The tensor file with a name in a run's folder, of at most the given number of bytes.
    package static func tensors(named name: String, at path: String, atMost most: Int = .max) throws -> SafetensorsFile {
        try SafetensorsFile(openingOwn: AtomicFile.join(path, name), atMost: most)
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, from data: Data, at file: String, place: String) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .words
        do {
            return try decoder.decode(type, from: data)
        } catch let error as DecodingError {
            // A name or string in the file may have any length.
            let name = (type as? any NamedDocument.Type)?.documentName ?? "\(type)"
            let words = Safetensors.quoted(problem(error), atMost: 300).dropFirst().dropLast()
            throw FileError(path: file, operation: "read", reason: "\(place) is not a JSON \(name): \(words)")
        }
    }

    /// What was expected and what was found, and where.
    private static func problem(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let keys = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
            return keys.isEmpty ? "" : " at \(keys)"
        }
        switch error {
        case .keyNotFound(let key, let context): return "expected '\(key.stringValue)'\(place(context)), found none"
        case .valueNotFound(_, let context): return "expected a value\(place(context)), found null"
        case .typeMismatch(_, let context), .dataCorrupted(let context): return "\(context.debugDescription)\(place(context))"
        @unknown default: return "\(error)"
        }
    }
}

/// A document whose type name would mean nothing to a user.
package protocol NamedDocument {
    /// The name for messages.
    static var documentName: String { get }
}

extension RunConfiguration: NamedDocument {
    package static var documentName: String { "Configuration" }
}

extension RunSummary: NamedDocument {
    package static var documentName: String { "Summary" }
}
