import Datasets
import Foundation
import TestSupport
import Testing

/// One entry of an archive made for a test.
private struct Entry {
    var path: String
    var body: [UInt8] = []
    var kind: Character = "0"
    var size: Int?
    var link = ""
    var magic: [UInt8] = Array("ustar\u{0}00".utf8)
    var prefix = ""
    var sumOffset = 0

    var blocks: [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) { header.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
        func octal(_ number: Int, _ digits: Int) -> [UInt8] {
            let text = String(number, radix: 8)
            return Array((String(repeating: "0", count: digits - text.count) + text).utf8)
        }
        put(path.utf8.prefix(100), at: 0)
        put("0000644".utf8, at: 100)
        put(octal(size ?? body.count, 11), at: 124)
        put("00000000000".utf8, at: 136)
        put(String(kind).utf8, at: 156)
        put(link.utf8, at: 157)
        put(magic, at: 257)
        put(prefix.utf8, at: 345)
        put([UInt8](repeating: 32, count: 8), at: 148)
        put(octal(header.reduce(0) { $0 + Int($1) } + sumOffset, 6) + [0, 32], at: 148)
        return header + body + [UInt8](repeating: 0, count: (512 - body.count % 512) % 512)
    }
}

private let end = [UInt8](repeating: 0, count: 1024)

private func archive(_ entries: Entry...) -> [UInt8] { entries.flatMap(\.blocks) + end }

/// A pax line, whose length counts itself.
private func pax(_ key: String, _ value: String) -> [UInt8] {
    var length = key.utf8.count + value.utf8.count + 3
    while "\(length)".count + key.utf8.count + value.utf8.count + 3 != length {
        length = "\(length)".count + key.utf8.count + value.utf8.count + 3
    }
    return Array("\(length) \(key)=\(value)\n".utf8)
}

struct TarArchiveTests {
    /// The files in an archive, by path.
    private func contents(_ path: String, limit: Int = 1 << 24) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        var tar = TarArchive(try ByteStream(path: path), limit: limit)
        try tar.read { path, size in
            found[path] = []
            return { found[path, default: []] += $0 }
        }
        return found
    }

    @Test("archives of the tar program, in its formats, packed and not, with long names", arguments: ["ustar", "gnu", "pax", "v7"])
    func programs(format: String) throws {
        try withFolder { folder in
            let deep = format == "v7" ? "short" : (0..<12).map { "folder-number-\($0)" }.joined(separator: "/")
            let name = format == "ustar" || format == "v7" ? "file" : String(repeating: "long", count: 40)
            try FileManager.default.createDirectory(atPath: "\(folder)/set/\(deep)", withIntermediateDirectories: true)
            let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 9) }
            try folder.write(body, "set/large")
            try folder.write([], "set/empty")
            try folder.write(Array("deep".utf8), "set/\(deep)/\(name)")
            for options in ["-cf", "-czf"] {
                _ = try output("/usr/bin/env", ["tar", "-C", folder, "--format=\(format)", options, "\(folder)/x.tar", "set"])
                let found = try contents("\(folder)/x.tar")
                #expect(found == ["set/large": body, "set/empty": [], "set/\(deep)/\(name)": Array("deep".utf8)])
            }
        }
    }

    @Test("long names and sizes in pax headers and GNU entries count for the next entry alone")
    func extensions() throws {
        try withFolder { folder in
            let path = try folder.write(
                archive(
                    Entry(path: "pax", body: pax("path", "by/pax") + pax("size", "3") + pax("mtime", "1.5"), kind: "x"),
                    Entry(path: "short", body: [1, 2, 3]),
                    Entry(path: "global", body: pax("comment", "made for a test"), kind: "g"),
                    Entry(path: "././@LongLink", body: Array("by/gnu".utf8) + [0], kind: "L"),
                    Entry(path: "short", body: [4]),
                    Entry(path: "name", body: [5], prefix: "by/prefix"),
                    Entry(path: "plain", body: [6])), "x.tar")
            #expect(try contents(path) == ["by/pax": [1, 2, 3], "by/gnu": [4], "by/prefix/name": [5], "plain": [6]])
        }
    }

    static let defects: [(name: String, bytes: [UInt8], problem: String)] = {
        let good = Entry(path: "set/a", body: [1, 2, 3])
        let parts = "expected a path without empty parts, '.' and '..', found"
        return [
            ("a path that leaves the folder", archive(Entry(path: "set/../../a")), "\(parts) 'set/../../a' (tar entry at byte 0)"),
            ("a path that begins with ..", archive(good, Entry(path: "../a")), "\(parts) '../a' (tar entry at byte 1024)"),
            ("a path with a dot", archive(Entry(path: "./a")), "\(parts) './a' (tar entry at byte 0)"),
            ("a path with an empty part", archive(Entry(path: "set//a")), "\(parts) 'set//a' (tar entry at byte 0)"),
            ("a file whose path ends in a slash", archive(Entry(path: "set/")), "\(parts) 'set/' (tar entry at byte 0)"),
            ("a folder that leaves the folder", archive(Entry(path: "../", kind: "5")), "\(parts) '../' (tar entry at byte 0)"),
            (
                "an absolute path", archive(Entry(path: "/etc/passwd")),
                "expected a relative path, found '/etc/passwd' (tar entry at byte 0)"
            ),
            (
                "an absolute path by the prefix", archive(Entry(path: "passwd", prefix: "/etc")),
                "expected a relative path, found '/etc/passwd' (tar entry at byte 0)"
            ),
            (
                "an absolute path by pax", archive(Entry(path: "p", body: pax("path", "/etc/passwd"), kind: "x"), good),
                "expected a relative path, found '/etc/passwd' (tar entry at byte 1024)"
            ),
            (
                "a path that leaves the folder by GNU's long name",
                archive(Entry(path: "l", body: Array("../a\u{0}".utf8), kind: "L"), good),
                "\(parts) '../a' (tar entry at byte 1024)"
            ),
            ("an empty path", archive(Entry(path: "")), "expected a path, found '' (tar entry at byte 0)"),
            (
                "a path with a line break", archive(Entry(path: "a\nb")),
                "expected a path without control characters and backslashes, found 'a?b' (tar entry at byte 0)"
            ),
            (
                "a symbolic link", archive(Entry(path: "a", kind: "2", link: "/etc")),
                "'a': expected a regular file or folder, found a symbolic link (tar entry at byte 0)"
            ),
            (
                "a hard link", archive(Entry(path: "a", kind: "1", link: "b")),
                "'a': expected a regular file or folder, found a hard link (tar entry at byte 0)"
            ),
            (
                "a device", archive(Entry(path: "a", kind: "3")),
                "'a': expected a regular file or folder, found a device (tar entry at byte 0)"
            ),
            ("a pipe", archive(Entry(path: "a", kind: "6")), "'a': expected a regular file or folder, found a pipe (tar entry at byte 0)"),
            (
                "a sparse file", archive(Entry(path: "a", kind: "S")),
                "'a': expected a regular file or folder, found a GNU entry of type S (tar entry at byte 0)"
            ),
            ("the same path twice", archive(good, good), "expected every path once, found 'set/a' twice (tar entry at byte 1024)"),
            (
                "a size beyond the limit", archive(Entry(path: "a", size: 1 << 30)),
                "'a': expected at most 1000000 bytes in the whole archive, found a file of 1073741824 (tar entry at byte 0)"
            ),
            (
                "a size beyond the limit by pax", archive(Entry(path: "p", body: pax("size", "9000000000000000000"), kind: "x"), good),
                "'set/a': expected at most 1000000 bytes in the whole archive, found a file of 9000000000000000000 (tar entry at byte 1024)"
            ),
            (
                "a size that overflows", archive(Entry(path: "p", body: pax("size", "99999999999999999999"), kind: "x"), good),
                "expected lines of a pax header, LENGTH KEY=VALUE, found something else (tar entry at byte 0)"
            ),
            (
                "a negative size", archive(Entry(path: "p", body: pax("size", "-1"), kind: "x"), good),
                "expected lines of a pax header, LENGTH KEY=VALUE, found something else (tar entry at byte 0)"
            ),
            (
                "a size beyond the archive", Entry(path: "a", size: 9000).blocks + end,
                "expected 9000 bytes of 'a', found 1024: the archive is truncated"
            ),
            (
                "a folder with bytes", archive(Entry(path: "a/", body: [1], kind: "5")),
                "'a': expected a folder without bytes, found 1 (tar entry at byte 0)"
            ),
            ("a wrong checksum", archive(Entry(path: "a", sumOffset: 1)), "expected a tar header with the checksum"),
            (
                "a long name without end", archive(Entry(path: "l", kind: "L", size: 1 << 20)),
                "expected a long name or pax header of at most 65536 bytes, found 1048576 (tar entry at byte 0)"
            ),
            (
                "a long name for nothing", archive(Entry(path: "l", body: Array("x".utf8), kind: "L")),
                "expected an entry after the long name at the end of the archive, found none"
            ),
            (
                "a pax line that is too long", archive(Entry(path: "p", body: Array("99 path=a\n".utf8), kind: "x"), good),
                "expected lines of a pax header, LENGTH KEY=VALUE, found something else (tar entry at byte 0)"
            ),
            (
                "a pax line of length 0", archive(Entry(path: "p", body: Array("0 path=a\n".utf8), kind: "x"), good),
                "expected lines of a pax header, LENGTH KEY=VALUE, found something else (tar entry at byte 0)"
            ),
            (
                "a path for all files", archive(Entry(path: "g", body: pax("path", "a"), kind: "g"), good),
                "expected a path and size for each file, found them in a global pax header (tar entry at byte 0)"
            ),
            (
                "no archive", Array("<html>Please log in</html>".utf8),
                "expected a header of 512 bytes or the archive's end mark, found 26 bytes: it is truncated (tar entry at byte 0)"
            ),
            (
                "nothing", [],
                "expected a header of 512 bytes or the archive's end mark, found 0 bytes: it is truncated (tar entry at byte 0)"
            ),
            (
                "no end mark", good.blocks,
                "expected a header of 512 bytes or the archive's end mark, found 0 bytes: it is truncated (tar entry at byte 1024)"
            ),
            (
                "half an end mark", good.blocks + end.prefix(512),
                "expected two empty blocks at the archive's end, found one (tar entry at byte 1024)"
            ),
            ("half a body", Array(good.blocks.prefix(514)), "expected 3 bytes of 'set/a', found 2: the archive is truncated"),
            ("half the filling", Array(good.blocks.prefix(600)), "expected 509 bytes after 'set/a', found fewer: the archive is truncated"),
            (
                "something after the end", archive(good) + [7],
                "expected nothing but zeros, at most 1048576, after the archive's end mark, found something else (tar entry at byte 2048)"
            ),
        ]
    }()

    @Test(arguments: defects.indices) func aDefectIsNamed(index: Int) throws {
        let defect = Self.defects[index]
        try withFolder { folder in
            for packed in [false, true] {
                let path = try folder.write(packed ? gzip(defect.bytes) : defect.bytes, packed ? "x.tar.gz" : "x.tar")
                let found = problem { try contents(path, limit: 1_000_000) } ?? "nothing"
                #expect(found.hasPrefix("\(path): \(defect.problem)"), "\(defect.name): \(found)")
            }
        }
    }

    @Test("a cut at any byte is noticed, and no changed byte of a header traps")
    func cutsAndChanges() throws {
        let bytes = archive(Entry(path: "p", body: pax("path", "by/pax"), kind: "x"), Entry(path: "a", body: Array(1...100)))
        try withFolder { folder in
            for length in stride(from: 0, to: bytes.count, by: 37) {
                let path = try folder.write(Array(bytes[..<length]), "cut")
                #expect(problem { try contents(path) } != nil, "\(length)")
            }
            for index in stride(from: 0, to: 2048, by: 3) where bytes[index] != 0 || index % 15 == 0 {
                for mask: UInt8 in [1, 0x80] {
                    var changed = bytes
                    changed[index] ^= mask
                    let path = try folder.write(changed, "changed")
                    // A byte of a body may change unnoticed: that is what checksums of files are for.
                    if let found = try? contents(path) { #expect(found.keys.allSatisfy { !$0.contains("..") && !$0.hasPrefix("/") }) }
                }
            }
        }
    }

    @Test(
        "an archive of headers without end ends at the limit: they count as what is in them does",
        arguments: ["g", "5"] as [Character])
    func headersWithoutEnd(kind: Character) throws {
        let comment = pax("comment", String(repeating: "x", count: 60_000))
        let one = Entry(path: "header", body: kind == "g" ? comment : [], kind: kind)
        // Folders have to have other names, so the archive of these is long because of their number.
        let blocks =
            kind == "g" ? (0..<60).flatMap { _ in one.blocks } : (0..<6000).flatMap { Entry(path: "folder\($0)", kind: "5").blocks }
        try withFolder { folder in
            let path = try folder.write(blocks + end, "long.tar")
            #expect(throws: DatasetError(path: path, problem: "expected at most 1000000 bytes in the whole archive, found more")) {
                try contents(path, limit: 1_000_000)
            }
            #expect(try contents(path).isEmpty)
        }
    }
}
