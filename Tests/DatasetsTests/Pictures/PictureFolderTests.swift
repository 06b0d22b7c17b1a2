import Datasets
import Foundation
import TestSupport
import Testing

struct PictureFolderTests {
    private func make(_ path: String) throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    private func fill(_ folder: String, _ count: Int, rows: Int = 2, columns: Int = 3, channels: Int = 1, from first: Int = 0) throws {
        try make(folder)
        for index in first..<first + count {
            try writePNG("\(folder)/\(index).png", rows: rows, columns: columns, channels: channels) { _, _, _ in UInt8(index) }
        }
    }

    private func problem(_ folder: String, _ split: ImageSet.Split = .training, size: Int? = nil) -> String {
        let error = #expect(throws: DatasetError.self) { try DataFolder.images(folder, split, pictureSize: size) }
        return error.map { "\($0)" } ?? ""
    }

    @Test("folders for training and testing give their pictures, classes in the order of their names")
    func parts() throws {
        try withFolder { folder in
            for (part, test) in [("train", "test"), ("train", "val")] {
                let data = "\(folder)/\(test)"
                try fill("\(data)/\(part)/b", 2, from: 10)
                try fill("\(data)/\(part)/a", 3, from: 1)
                try fill("\(data)/\(test)/a", 1, from: 7)
                try fill("\(data)/\(test)/b", 1, from: 8)
                try Data().write(to: URL(fileURLWithPath: "\(data)/train/a/.hidden"))
                let training = try DataFolder.images(data, .training)
                #expect(training.labels == [0, 0, 0, 1, 1] && training.classNames == ["a", "b"] && training.channels == 1)
                #expect(
                    (training.rows, training.columns) == (2, 3)
                        && stride(from: 0, to: 30, by: 6).map { training.images[$0] } == [1, 2, 3, 10, 11])
                let tests = try DataFolder.images(data, .test)
                #expect(tests.labels == [0, 1] && tests.images[0] == 7 && tests.images[6] == 8)
            }
        }
    }

    @Test("without such folders every fifth picture of a class is for testing, and colours and sizes are made the same")
    func divided() throws {
        try withFolder { folder in
            try fill("\(folder)/x", 7, rows: 4, columns: 4)
            try fill("\(folder)/y", 5, rows: 9, columns: 6, channels: 3, from: 100)
            #expect(
                problem(folder).contains(
                    "expected a picture of 4 × 4 pixels as \(folder)/x/0.png, found one of 9 × 6; a picture size makes all of one size"))
            let (training, test) = (
                try DataFolder.images(folder, .training, pictureSize: 5), try DataFolder.images(folder, .test, pictureSize: 5)
            )
            #expect(
                training.channels == 3 && (training.rows, training.columns) == (5, 5) && training.labels == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
            #expect(test.labels == [0, 1] && test.images[0] == 4 && test.images[75] == 104)
        }
    }

    @Test("every way in which such a folder can be wrong has a line of its own")
    func wrong() throws {
        try withFolder { folder in
            try fill("\(folder)/one/a", 5)
            #expect(problem("\(folder)/one").contains("expected from 2 to 256 folders of pictures, one a class, found 1"))
            try fill("\(folder)/few/a", 5)
            try fill("\(folder)/few/b", 4)
            #expect(problem("\(folder)/few").contains("few/b: expected at least 5 pictures, of which every fifth is for testing, found 4"))
            try fill("\(folder)/empty/a", 5)
            try make("\(folder)/empty/b")
            #expect(problem("\(folder)/empty").contains("empty/b: expected pictures in a class's folder, found none"))
            try fill("\(folder)/deep/a", 5)
            try fill("\(folder)/deep/b/c", 5)
            #expect(problem("\(folder)/deep").contains("deep/b/c: expected pictures in a class's folder, found a folder"))
            try fill("\(folder)/stray/a", 5)
            try fill("\(folder)/stray/b", 5)
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/stray/notes.txt"))
            #expect(problem("\(folder)/stray").contains("stray/notes.txt: expected folders of pictures there, one a class, found a file"))
            try fill("\(folder)/other/a", 5)
            try fill("\(folder)/other/b", 5)
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/other/b/film.gif"))
            #expect(
                problem("\(folder)/other").contains(
                    "other/b/film.gif: expected PNG or JPEG pictures, named .png, .jpg or .jpeg, found another file"))
            try fill("\(folder)/false/a", 5)
            try fill("\(folder)/false/b", 5)
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/false/b/3.png"))
            #expect(problem("\(folder)/false").contains("false/b/3.png: expected a PNG or JPEG picture, found something else"))
            try fill("\(folder)/half/train/a", 2)
            try fill("\(folder)/half/train/b", 2)
            #expect(problem("\(folder)/half").contains("expected a folder 'test' or 'val' beside 'train', found none"))
            try fill("\(folder)/half/test/a", 2)
            try fill("\(folder)/half/test/c", 2)
            #expect(
                problem("\(folder)/half").contains(
                    "half/train/b: expected the same classes in 'train' and 'test', found it in one of them only"))
            try fill("\(folder)/half/extra/a", 2)
            #expect(problem("\(folder)/half").contains("half/extra: expected only the folders 'train' and 'test' there, found another"))
            try fill("\(folder)/only/test/a", 2)
            #expect(problem("\(folder)/only").contains("expected a folder 'train' beside 'test', found none"))
            for index in 0..<257 { try fill("\(folder)/many/\(index)", 1) }
            #expect(problem("\(folder)/many").contains("expected from 2 to 256 folders of pictures, one a class, found 257"))
            #expect(problem("\(folder)/nowhere").contains("or folders of pictures, found none of these"))
        }
    }
}
