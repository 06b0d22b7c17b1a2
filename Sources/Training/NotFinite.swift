package import Foundation

// JSON has no numbers that are not finite: our files write them as words.

extension JSONEncoder.NonConformingFloatEncodingStrategy {
    /// "inf", "-inf" and "nan".
    package static var words: Self { .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan") }
}

extension JSONDecoder.NonConformingFloatDecodingStrategy {
    /// "inf", "-inf" and "nan".
    package static var words: Self { .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan") }
}
