import WeightFiles

/// The version of this package, as in `weightnorm --version` and in the files it writes.
public enum PackageVersion {
    /// The only place that defines it.
    public static let current = "0.2.0-dev"
}

/// A format of this package's own files, which changes over time.
package struct FileFormat: Sendable {
    /// What such a file contains: `checkpoint`.
    package let name: String
    /// The number that is written, and the only one that is read.
    package let number: Int
    /// The versions that read the numbers before it, in words.
    package let readers: [Int: String]

    package init(_ name: String, _ number: Int, readers: [Int: String] = [:]) {
        (self.name, self.number, self.readers) = (name, number, readers)
    }

    package static let checkpoint = FileFormat("checkpoint", 2, readers: [1: "a state of it before 0.1.0"])
    package static let replay = FileFormat("replay", 1)
    /// The format of a run's folder, as stated in `config.json`; if it states none, the folder is from 0.1.0 and has the first format.
    package static let run = FileFormat("run", 1)

    /// As written in a file.
    package var text: String { "swift-weightnorm \(name) \(number)" }

    /// Says why a file of another format cannot be read, and what can read it; nil for one of this format.
    ///
    /// - Parameters:
    ///   - found: the format that the file states, of any content and length.
    ///   - writer: the version that the file says wrote it, likewise.
    package func problem(with found: String, writer: String?) -> String? {
        guard found != text else { return nil }
        return "expected a '\(text)', found a \(Safetensors.quoted(found))\(reader(ofText: found, writer: writer))"
    }

    private func reader(ofText found: String, writer: String?) -> String {
        let start = "swift-weightnorm \(name) "
        guard found.hasPrefix(start), let other = Int(found.dropFirst(start.count)) else { return "" }
        return ", which \(reader(of: other, writer: writer)) reads"
    }

    /// The version that reads files with another format number.
    package func reader(of other: Int, writer: String?) -> String {
        if let reader = readers[other] { return reader }
        guard other > number else { return "no version of it" }
        return writer.map { "swift-weightnorm \(Safetensors.quoted($0))" } ?? "a later version than this, \(PackageVersion.current),"
    }
}
