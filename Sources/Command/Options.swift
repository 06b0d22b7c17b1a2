import ArgumentParser
import AtomicFiles
import Datasets
import Experiments
import Foundation
import Torch
import Training
import WeightNorm

// Checks of option values that several subcommands need: one line each, with what was expected and found.

/// The elements of a list separated by commas; none may be empty, unknown or, unless that is allowed, repeated.
func list<Element: Hashable>(
    _ text: String, option: String, expected: String, allowingRepetition: Bool = false, _ parse: (String) -> Element?
) throws -> [Element] {
    var found: [Element] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let word = part.trimmingPrefix(while: \.isWhitespace)
        guard let element = parse(String(word)) else {
            throw ValidationError("--\(option): expected \(expected), found '\(word)'")
        }
        guard allowingRepetition || !found.contains(element) else {
            throw ValidationError("--\(option): expected each one once, found '\(word)' twice")
        }
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

/// Throws unless the number lies in the range.
func require(_ number: Double, in range: NumberRange, option: String) throws {
    guard range.contains(number) else { throw ValidationError("--\(option): expected \(range.description), found \(number)") }
}

/// Applies an option's number, if given, to the settings.
func apply(_ number: Int?, in range: ClosedRange<Int>, option: String, to setting: inout Int) throws {
    guard let number else { return }
    try require(number, in: range, option: option)
    setting = number
}

/// Applies an option's number, if given, to the settings.
func apply(_ number: Double?, in range: NumberRange, option: String, to setting: inout Double) throws {
    guard let number else { return }
    try require(number, in: range, option: option)
    setting = number
}

/// The value for an option's word, among the allowed values.
func choice<Value: RawRepresentable<String>>(_ word: String, option: String, outOf allowed: [Value]) throws -> Value {
    guard let value = allowed.first(where: { $0.rawValue == word }) else {
        throw ValidationError("--\(option): expected \(alternatives(allowed.map(\.rawValue))), found '\(word)'")
    }
    return value
}

/// Throws if a file that a user names is one of a run's own, which must not be replaced by a picture.
func requireOutside(_ path: String, option: String) throws {
    let file = URL(fileURLWithPath: path)
    guard RunFolder.isRun(file.deletingLastPathComponent().path), RunFiles.isOne(file.lastPathComponent) else { return }
    throw ValidationError("--\(option): expected a file that is not a run's own, found '\(path)'")
}

/// Sets the number of threads, and makes the process keep freed memory, which speeds up training.
func prepareProcessor(threads: Int?) throws {
    if let threads {
        try require(threads, in: SettingsLimits.threads, option: "threads")
        try Runtime.setThreadCount(threads)
    }
    Runtime.keepFreedMemory()
}

/// The norms that `--norm` names, among the allowed ones.
@Sendable func normList(_ text: String, outOf allowed: [Normalization]) throws -> [Normalization] {
    try list(text, option: "norm", expected: "norms out of \(words(allowed))") { word in allowed.first { $0.rawValue == word } }
}

/// The norms of `--norm` or of `--norms`, its former spelling; nil if neither is given.
func currentNorms(_ norms: [Normalization]?, former: [Normalization]?) throws -> [Normalization]? {
    guard let former else { return norms }
    guard norms == nil else { throw ValidationError("--norms: expected only --norm, whose old spelling it is, found both") }
    printToError("--norms is now --norm; the old spelling works until version 0.3.0")
    return former
}

/// The norm that `--norm` names, where only one is allowed.
@Sendable func singleNorm(_ name: String) throws -> Normalization {
    guard let norm = Normalization(rawValue: name) else {
        throw ValidationError("--norm: expected a norm out of \(allNorms), found '\(name)'")
    }
    return norm
}

/// Words as "a", "a or b", "a, b or c".
func alternatives(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
}

/// All norms, for messages and help.
let allNorms = words(Normalization.allCases)

/// The seeds that `--seeds` names.
@Sendable func seedList(_ text: String) throws -> [UInt64] {
    let found = try list(text, option: "seeds", expected: "whole numbers from 0 to \(UInt64.max)") { UInt64($0) }
    guard found.count <= SettingsLimits.mostSeeds else {
        throw ValidationError("--seeds: expected at most \(SettingsLimits.mostSeeds), found \(found.count)")
    }
    return found
}

/// The test errors that `--under` names.
@Sendable func thresholdList(_ text: String) throws -> [Double] {
    let found = try list(text, option: "under", expected: "numbers above 0 and below 1") {
        Double($0).flatMap { NumberRange.threshold.contains($0) ? $0 : nil }
    }
    guard found.count <= SettingsLimits.mostThresholds else {
        throw ValidationError("--under: expected at most \(SettingsLimits.mostThresholds) numbers, found \(found.count)")
    }
    return found
}

/// Reads the images of a classification: those for training and those for measuring the error; `--held-out` takes the latter from the former.
func classificationImages(_ data: String, heldOut: Int?, pictureSize: Int?) throws -> (training: ImageSet, test: ImageSet) {
    let training = try DataFolder.images(data, .training, pictureSize: pictureSize)
    guard let heldOut else {
        let test = try DataFolder.images(data, .test, pictureSize: pictureSize)
        try requireEqualSizes(training, test, of: data)
        return (training, test)
    }
    guard heldOut >= 1, heldOut < training.count else {
        throw ValidationError("--held-out: expected a number from 1 to below the \(training.count) training images, found \(heldOut)")
    }
    let parts = training.holdingOut(heldOut)
    return (parts.training, parts.heldOut)
}

/// Throws unless the test images have the size of the training images.
func requireEqualSizes(_ training: ImageSet, _ test: ImageSet, of data: String) throws {
    guard (test.channels, test.rows, test.columns) == (training.channels, training.rows, training.columns) else {
        throw ValidationError("\(data): expected test images of \(training.size) as the training images, found \(test.size)")
    }
}

/// Writes a line to standard error, where it does not mix with results. If standard error is closed, the line is lost: Foundation's file handles
/// would end the program.
func printToError(_ line: String) { _ = Descriptor.write("\(line)\n".utf8, to: STDERR_FILENO) }

/// Prints a result as JSON; numbers that are not finite are words.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .words
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// What `--data` takes, for its help.
let dataHelp = """
    \(DataFolder.names.joined(separator: ", ")) (get them with 'weightnorm data fetch'), or a folder with four IDX files like MNIST's, with CIFAR-10's binary version, \
    or with PNG or JPEG pictures in folders, one a class.
    """
