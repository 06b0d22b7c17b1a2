import AtomicFiles
import Foundation
import TestSupport
import Testing

@Suite("files that are seen whole or not at all")
struct FileTests {
    @Test("what is written is read, in the place of what was there, and nothing lies beside it")
    func writing() throws {
        try withFolder { folder in
            let path = AtomicFile.join(folder, "a")
            for bytes: [UInt8] in [[], [1, 2, 3], [UInt8](repeating: 7, count: 100_000)] {
                try AtomicFile.write(bytes, to: path)
                #expect(try AtomicFile.contents(of: path) == bytes)
                #expect(try OwnFile.contents(of: path, atMost: bytes.count) == bytes)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
        }
    }

    @Test("a file passes its permissions on to what replaces it", arguments: [0o600, 0o664, 0o755])
    func permissions(mode: Int) throws {
        try withFolder { folder in
            let path = AtomicFile.join(folder, "a")
            try AtomicFile.write([1], to: path)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            try AtomicFile.write([2], to: path)
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == mode)
            #expect(try AtomicFile.contents(of: path) == [2])
        }
    }

    @Test("a piece that fails leaves the file as it was")
    func failing() throws {
        try withFolder { folder in
            let path = AtomicFile.join(folder, "a")
            try AtomicFile.write([1], to: path)
            let error = #expect(throws: FileError.self) {
                try AtomicFile.write(to: path) { $0.write([2, 3]) == 0 ? ENOSPC : EIO }
            }
            #expect(error?.description == "cannot write \(path): No space left on device")
            #expect(try AtomicFile.contents(of: path) == [1])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
        }
    }

    @Test("a file of ours is a regular one of bounded size; a user's may be a link, which stays one")
    func links() throws {
        try withFolder { folder in
            let (file, link) = (AtomicFile.join(folder, "a"), AtomicFile.join(folder, "b"))
            try AtomicFile.write([1, 2], to: file)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
            #expect(
                FileError(path: link, operation: "read", reason: "expected a regular file, found a symbolic link")
                    == #expect(throws: FileError.self) { try OwnFile.contents(of: link, atMost: 10) })
            #expect(throws: FileError.self) { try AtomicFile.write([3], to: link, links: .refused) }
            try AtomicFile.write([3], to: link)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
            #expect(try AtomicFile.contents(of: file) == [3])
            let error = #expect(throws: FileError.self) { try OwnFile.contents(of: file, atMost: 0) }
            #expect(error?.reason == "expected at most 0 bytes, found 1")
        }
    }
}
