package import Foundation

// JSON has no numbers that are not finite: in our files they are words.

extension JSONEncoder.NonConformingFloatEncodingStrategy {
    /// "inf", "-inf" and "nan".
    package static var words: Self { .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan") }
}

extension JSONDecoder.NonConformingFloatDecodingStrategy {
    /// "inf", "-inf" and "nan".
    package static var words: Self { .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan") }
}
