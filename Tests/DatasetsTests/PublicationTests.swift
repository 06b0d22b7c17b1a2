import Datasets
import Foundation
import TestSupport
import Testing

struct PublicationTests {
    @Test("what is known of the data sets is of the right form, and no checksum is there twice")
    func forms() {
        let sums = Publication.all.flatMap { $0.downloads.map(\.md5) + $0.files.map(\.md5) }
        #expect(Set(sums).count == sums.count)
        for sum in sums { #expect(sum.count == 32 && sum.allSatisfy { "0123456789abcdef".contains($0) }, "\(sum)") }
        for publication in Publication.all {
            #expect(!publication.mirrors.isEmpty && publication.mirrors.allSatisfy { URL(string: $0)?.host != nil && !$0.hasSuffix("/") })
        }
        #expect(DataFolder.names == ["cifar10", "fashion-mnist", "mnist"])
    }

    @Test("a file is right, wrong or missing, packed or not, under every spelling of its name")
    func states() throws {
        let body: [UInt8] = Array("twelve bytes".utf8)
        let file = Publication.File("t10k-labels-idx1-ubyte", bytes: 12, md5: MD5.hexadecimal(body))
        func state(_ name: String, _ bytes: [UInt8]) throws -> Publication.State {
            try withFolder { folder in
                try folder.write(bytes, name)
                return Publication.check(file, in: folder)
            }
        }
        for name in ["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"] {
            #expect(try state(name, body) == .right)
            #expect(try state("\(name).gz", gzip(body)) == .right)
        }
        #expect(try state("other", body) == .missing)
        #expect(try state(file.name, Array(body.dropLast())) == .wrong("expected 12 bytes, found 11"))
        #expect(try state(file.name, body + [0]) == .wrong("expected 12 bytes, found more"))
        #expect(
            try state(file.name, Array("Twelve bytes".utf8))
                == .wrong("expected MD5 \(file.md5), found \(MD5.hexadecimal("Twelve bytes".utf8))"))
        #expect(try state("\(file.name).gz", gzip([UInt8](repeating: 0, count: 1 << 20))) == .wrong("expected 12 bytes, found more"))
        #expect(try state("\(file.name).gz", Array(gzip(body).dropLast(9))) == .wrong("gzip cannot unpack it: unexpected end of file"))
    }

    @Test("data sets that are not there say how to get them")
    func absent() throws {
        try withFolder { folder in
            #expect(
                problem { try DataFolder.images("\(folder)/none", .test) }
                    == "\(folder)/none: expected cifar10, fashion-mnist, mnist, or a folder with four IDX files, CIFAR-10's binary version or "
                    + "folders of pictures, found none of these"
            )
        }
        let error = DatasetError(path: "cache/mnist", problem: "expected the mnist data set, found no such folder", unfetched: "mnist")
        #expect(error.description == "cache/mnist: expected the mnist data set, found no such folder: DataFolder.fetch(\"mnist\") gets it")
        #expect(
            problem { try DataFolder.fetch("minst") }
                == "minst: expected one of the data sets cifar10, fashion-mnist, mnist, found none of that name")
    }
}
