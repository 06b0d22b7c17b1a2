import WeightFiles

/// The version of this package, told by `weightnorm --version` and by what it writes.
public enum PackageVersion {
    /// The one place where it stands.
    public static let current = "0.2.0-dev"
}

/// A format of this package's own files, of which there have been and will be several.
package struct FileFormat: Sendable {
    /// What is in such a file: `checkpoint`.
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
    /// Of a run's folder, as `config.json` names it; where it names none, the folder is 0.1.0's, which has the first.
    package static let run = FileFormat("run", 1)

    /// As it stands in a file.
    package var text: String { "swift-weightnorm \(name) \(number)" }

    /// Words for why a file of another format cannot be read, and what reads it; nil for one of this format.
    ///
    /// - Parameters:
    ///   - found: the format that the file names, of any content and length.
    ///   - writer: the version that it says has written it, likewise.
    package func problem(with found: String, writer: String?) -> String? {
        guard found != text else { return nil }
        return "expected a '\(text)', found a \(Safetensors.quoted(found))\(reader(ofText: found, writer: writer))"
    }

    private func reader(ofText found: String, writer: String?) -> String {
        let start = "swift-weightnorm \(name) "
        guard found.hasPrefix(start), let other = Int(found.dropFirst(start.count)) else { return "" }
        return ", which \(reader(of: other, writer: writer)) reads"
    }

    /// The version that reads files of another number.
    package func reader(of other: Int, writer: String?) -> String {
        if let reader = readers[other] { return reader }
        guard other > number else { return "no version of it" }
        return writer.map { "swift-weightnorm \(Safetensors.quoted($0))" } ?? "a later version than this, \(PackageVersion.current),"
    }
}
