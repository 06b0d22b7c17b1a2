/// Reads tar archives: ustar, with the long names of POSIX (pax) and GNU.
///
/// An archive is treated as hostile. It may hold regular files and folders; their paths must be plain, that is, relative and without `.`, `..`, empty
/// parts or control characters; no path may occur twice. Nothing here opens a file for writing: for the names that it expects, the caller says where
/// the bytes go.
package struct TarArchive {
    private let stream: ByteStream
    /// The maximum total number of bytes, against an archive that unpacks without end.
    private let limit: Int
    private var position = 0

    private static let block = 512
    /// A long name or a pax header is a few hundred bytes.
    private static let longestExtension = 1 << 16
    private static let mostEntries = 10_000
    /// The maximum for zeros after the end mark and for the entries' own blocks.
    private static let mostPadding = 1 << 20

    package init(_ stream: ByteStream, limit: Int) {
        self.stream = stream
        self.limit = limit
    }

    /// Reads the whole archive; `sink` gets each regular file's path and size, and returns a closure that takes its bytes piece by piece, or nil to
    /// skip it.
    ///
    /// - Throws: ``DatasetError`` at the first defect, by when some files may already have been passed on; what `sink` and its pieces throw.
    package mutating func read(_ sink: (_ path: String, _ size: Int) throws -> (([UInt8]) throws -> Void)?) throws {
        var seen: Set<String> = []
        var longPath: String?
        var paxPath: String?
        var paxSize: Int?
        while let header = try nextHeader() {
            switch header.kind {
            case UInt8(ascii: "L"):
                guard longPath == nil else { throw failure(at: header, "expected one long name for an entry, found two") }
                longPath = try Self.text(extensionBody(header).prefix { $0 != 0 }, at: header, failure)
                continue
            case UInt8(ascii: "x"):
                guard paxPath == nil, paxSize == nil else { throw failure(at: header, "expected one pax header for an entry, found two") }
                (paxPath, paxSize) = try pax(extensionBody(header), at: header)
                continue
            case UInt8(ascii: "g"):
                // A header for the whole archive; only comments can safely be left unread.
                let (path, size) = try pax(extensionBody(header), at: header)
                guard path == nil, size == nil else {
                    throw failure(at: header, "expected a path and size for each file, found them in a global pax header")
                }
                continue
            default: break
            }
            let path = try plain(paxPath ?? longPath ?? header.path, isFolder: header.kind == UInt8(ascii: "5"), at: header)
            let size = paxSize ?? header.size
            (longPath, paxPath, paxSize) = (nil, nil, nil)
            guard seen.insert(path).inserted else {
                throw failure(at: header, "expected every path once, found \(Self.quoted(path)) twice")
            }
            guard seen.count <= Self.mostEntries else {
                throw failure(at: header, "expected at most \(Self.mostEntries) entries, found more")
            }
            switch header.kind {
            case UInt8(ascii: "0"), 0:
                guard size <= limit - position else {
                    throw failure(
                        at: header, "\(Self.quoted(path)): expected at most \(limit) bytes in the whole archive, found a file of \(size)")
                }
                try copy(size, of: path, to: sink(path, size))
            case UInt8(ascii: "5"):
                guard size == 0 else { throw failure(at: header, "\(Self.quoted(path)): expected a folder without bytes, found \(size)") }
            default:
                throw failure(at: header, "\(Self.quoted(path)): expected a regular file or folder, found \(Self.name(of: header.kind))")
            }
        }
        guard longPath == nil, paxPath == nil, paxSize == nil else {
            throw DatasetError(path: stream.path, problem: "expected an entry after the long name at the end of the archive, found none")
        }
        try readPadding()
    }

    // MARK: - Headers

    private struct Header {
        let offset: Int
        let path: String
        let size: Int
        let kind: UInt8
    }

    private func failure(at header: Header, _ problem: String) -> DatasetError { failure(at: header.offset, problem) }

    private func failure(at offset: Int, _ problem: String) -> DatasetError {
        DatasetError(path: stream.path, problem: "\(problem) (tar entry at byte \(offset))")
    }

    /// Headers, long names and padding count too: an archive may contain nothing else.
    private mutating func take(_ count: Int) throws -> [UInt8] {
        let bytes = try stream.next(count)
        position += bytes.count
        guard position <= limit + Self.mostPadding else {
            throw DatasetError(path: stream.path, problem: "expected at most \(limit) bytes in the whole archive, found more")
        }
        return bytes
    }

    /// The next entry's header, or nil at the two empty blocks that end an archive.
    private mutating func nextHeader() throws -> Header? {
        let offset = position
        var bytes = try take(Self.block)
        guard bytes.count == Self.block else {
            throw failure(
                at: offset,
                "expected a header of \(Self.block) bytes or the archive's end mark, found \(bytes.count) bytes: it is truncated")
        }
        if bytes.allSatisfy({ $0 == 0 }) {
            bytes = try take(Self.block)
            guard bytes.count == Self.block, bytes.allSatisfy({ $0 == 0 }) else {
                throw failure(at: offset, "expected two empty blocks at the archive's end, found one")
            }
            return nil
        }
        // The sum of all bytes, with those of the sum itself counted as spaces.
        let sum = bytes.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
        guard let stated = Self.octal(bytes[148..<156]), stated == sum else {
            throw failure(
                at: offset,
                "expected a tar header with the checksum \(sum), found \(Self.octal(bytes[148..<156]).map(String.init) ?? "no number")")
        }
        guard let size = Self.octal(bytes[124..<136]) else { throw failure(at: offset, "expected a size in octal digits, found none") }
        let name = bytes[0..<100].prefix { $0 != 0 }
        // Only POSIX's form has a prefix; GNU's has other fields there.
        let isPosix = bytes[257..<263] == [0x75, 0x73, 0x74, 0x61, 0x72, 0]
        let prefix = isPosix ? bytes[345..<500].prefix { $0 != 0 } : []
        let header = Header(offset: offset, path: "", size: size, kind: bytes[156])
        let path = try Self.text(prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name, at: header, failure)
        return Header(offset: offset, path: path, size: size, kind: bytes[156])
    }

    private mutating func extensionBody(_ header: Header) throws -> [UInt8] {
        guard header.size <= Self.longestExtension else {
            throw failure(at: header, "expected a long name or pax header of at most \(Self.longestExtension) bytes, found \(header.size)")
        }
        var body: [UInt8] = []
        try copy(header.size, of: "a long name or pax header") { body += $0 }
        return body
    }

    /// Digits, with spaces or zero bytes around them.
    private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
        let digits = field.drop { $0 == 32 }.prefix { $0 != 32 && $0 != 0 }
        guard !digits.isEmpty, digits.allSatisfy({ (48...55).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 << 3 | Int($1 - 48) }
    }

    /// The path and size in a pax header: lines of `LENGTH KEY=VALUE`, where the length is that of the whole line.
    private func pax(_ body: [UInt8], at header: Header) throws -> (path: String?, size: Int?) {
        func wrong() -> DatasetError { failure(at: header, "expected lines of a pax header, LENGTH KEY=VALUE, found something else") }
        var path: String?
        var size: Int?
        var rest = body[...]
        while !rest.isEmpty {
            let digits = rest.prefix { (48...57).contains($0) }
            guard (1...6).contains(digits.count), rest.dropFirst(digits.count).first == 32 else { throw wrong() }
            let length = digits.reduce(0) { $0 * 10 + Int($1 - 48) }
            guard length > digits.count + 1, length <= rest.count else { throw wrong() }
            let line = rest.prefix(length).dropFirst(digits.count + 1)
            rest = rest.dropFirst(length)
            guard line.last == 10, let equals = line.firstIndex(of: UInt8(ascii: "=")) else { throw wrong() }
            let value = line[(equals + 1)...].dropLast()
            switch String(decoding: line[..<equals], as: UTF8.self) {
            case "path": path = try Self.text(value, at: header, failure)
            case "size":
                guard let number = Int(String(decoding: value, as: UTF8.self)), number >= 0 else { throw wrong() }
                size = number
            default: break
            }
        }
        return (path, size)
    }

    private static func text(
        _ bytes: some Sequence<UInt8>, at header: Header, _ failure: (Header, String) -> DatasetError
    ) throws -> String {
        guard let text = String(validating: Array(bytes), as: UTF8.self) else {
            throw failure(header, "expected a path in UTF-8, found other bytes")
        }
        return text
    }

    private func plain(_ path: String, isFolder: Bool, at header: Header) throws -> String {
        func wrong(_ expected: String) -> DatasetError { failure(at: header, "expected \(expected), found \(Self.quoted(path))") }
        var path = path
        // Folders end in a slash.
        if isFolder, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
        guard !path.isEmpty else { throw wrong("a path") }
        guard path.utf8.first != UInt8(ascii: "/") else { throw wrong("a relative path") }
        guard path.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 && $0 != "\\" }) else {
            throw wrong("a path without control characters and backslashes")
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else { throw wrong("a path without empty parts, '.' and '..'") }
        return path
    }

    private static func quoted(_ path: String) -> String {
        let safe = path.unicodeScalars.prefix(80).map { $0.value < 32 || $0.value == 127 ? "?" : String($0) }.joined()
        return "'\(safe)\(path.unicodeScalars.count > 80 ? "…" : "")'"
    }

    private static func name(of kind: UInt8) -> String {
        switch kind {
        case UInt8(ascii: "1"): "a hard link"
        case UInt8(ascii: "2"): "a symbolic link"
        case UInt8(ascii: "3"), UInt8(ascii: "4"): "a device"
        case UInt8(ascii: "6"): "a pipe"
        case UInt8(ascii: "K"): "a long link"
        case UInt8(ascii: "S"), UInt8(ascii: "D"), UInt8(ascii: "M"), UInt8(ascii: "V"):
            "a GNU entry of type \(Character(UnicodeScalar(kind)))"
        default: "an entry of type \(kind)"
        }
    }

    // MARK: - Bodies

    private mutating func copy(_ size: Int, of path: String, to sink: (([UInt8]) throws -> Void)?) throws {
        let start = position
        while position - start < size {
            let bytes = try take(min(1 << 20, size - (position - start)))
            guard !bytes.isEmpty else {
                throw DatasetError(
                    path: stream.path,
                    problem: "expected \(size) bytes of \(Self.quoted(path)), found \(position - start): the archive is truncated")
            }
            try sink?(bytes)
        }
        let padding = (Self.block - size % Self.block) % Self.block
        guard try take(padding).count == padding else {
            throw DatasetError(
                path: stream.path, problem: "expected \(padding) bytes after \(Self.quoted(path)), found fewer: the archive is truncated")
        }
    }

    /// After the end mark come zeros up to a full record; reading them lets gzip verify its own checksum.
    private mutating func readPadding() throws {
        let start = position
        while true {
            let bytes = try stream.next(1 << 16)
            position += bytes.count
            guard !bytes.isEmpty else { return }
            guard bytes.allSatisfy({ $0 == 0 }), position - start <= Self.mostPadding else {
                throw failure(
                    at: start, "expected nothing but zeros, at most \(Self.mostPadding), after the archive's end mark, found something else"
                )
            }
        }
    }
}
