import ArgumentParser
import Datasets
import Experiments
import WeightNorm

// Checks of option values that several subcommands need: one line each, with what was expected and found.

/// The elements of a list separated by commas; none may be empty, unknown or there twice.
func list<Element: Hashable>(_ text: String, option: String, expected: String, _ parse: (String) -> Element?) throws -> [Element] {
    var found: [Element] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let word = part.trimmingPrefix(while: \.isWhitespace)
        guard let element = parse(String(word)) else {
            throw ValidationError("--\(option): expected \(expected), found '\(word)'")
        }
        guard !found.contains(element) else { throw ValidationError("--\(option): expected each one once, found '\(word)' twice") }
        found.append(element)
    }
    return found
}

/// Throws unless the number lies in the range.
func require(_ number: Int, in range: ClosedRange<Int>, option: String) throws {
    guard range.contains(number) else {
        throw ValidationError("--\(option): expected a number from \(range.lowerBound) to \(range.upperBound), found \(number)")
    }
}

/// Throws unless the number is as expected.
func require(_ number: Double, option: String, expected: String, _ isValid: (Double) -> Bool) throws {
    guard isValid(number) else { throw ValidationError("--\(option): expected \(expected), found \(number)") }
}

/// The norms that `--norms` names.
func norms(_ text: String) throws -> [Normalization] {
    try list(text, option: "norms", expected: "norms out of \(allNorms)") { Normalization(rawValue: $0) }
}

/// All norms, for messages and help.
let allNorms = Normalization.allCases.map(\.rawValue).joined(separator: ", ")

/// The seeds that `--seeds` names.
func seeds(_ text: String) throws -> [UInt64] { try list(text, option: "seeds", expected: "whole numbers from 0 up") { UInt64($0) } }

/// The quick settings with what the options of these names say, checked.
func quickSettings(epochs: Int, batch: Int, width: Double, dropout: Double) throws -> ClassificationSettings {
    try require(epochs, in: 1...100_000, option: "epochs")
    try require(batch, in: 2...10_000, option: "batch")
    try require(width, option: "width", expected: "a number above 0 and at most 16") { $0 > 0 && $0 <= 16 }
    try require(dropout, option: "dropout", expected: "a probability from 0 to below 1") { $0 >= 0 && $0 < 1 }
    var settings = ClassificationSettings.quick
    settings.setWidth(width)
    settings.dropout = dropout
    settings.batch = batch
    settings.epochs = epochs
    return settings
}

/// What `--data` takes, for its help.
let dataHelp = """
    \(DataFolder.names.joined(separator: ", ")) ('weightnorm data' gets them), or a folder with four IDX files as MNIST has them or with CIFAR-10's \
    binary version.
    """

/// Throws unless the test images are of the training images' size.
func requireEqualSizes(_ training: ImageSet, _ test: ImageSet, of data: String) throws {
    guard (test.channels, test.rows, test.columns) == (training.channels, training.rows, training.columns) else {
        throw ValidationError("\(data): expected test images of \(training.size) as the training images, found \(test.size)")
    }
}
