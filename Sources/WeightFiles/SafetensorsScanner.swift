/// Reads the kind of JSON that a safetensors header is: objects of strings, objects and lists of whole numbers.
///
/// Foundation's decoder would not do: it silently keeps one of two equal keys, and accepts 1e2 as a whole number. The caller says what it expects at
/// every place, so nothing is read recursively and no nesting, however deep, exhausts the stack.
struct SafetensorsScanner {
    private let bytes: [UInt8]
    private let path: String
    private var position = 0

    /// The header's place in the file: messages count from the beginning of the file.
    private static let start = 8
    /// From here on, doubles, and so many JSON writers, can no longer distinguish whole numbers.
    private static let limit = 1 << 53

    init(bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    /// An object whose keys all differ; `member` reads each value.
    mutating func object(_ member: (inout SafetensorsScanner, String) throws -> Void) throws {
        // A header begins with the brace: spaces are allowed everywhere else.
        if position > 0 { skipSpaces() }
        try take("{")
        skipSpaces()
        if takes("}") { return }
        var keys: Set<[UInt8]> = []
        repeat {
            skipSpaces()
            let place = position
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else {
                throw failure("expected each key once in an object, found \(Safetensors.quoted(key)) again", at: place)
            }
            skipSpaces()
            try take(":")
            try member(&self, key)
            skipSpaces()
        } while takes(",")
        try take("}", or: ",")
    }

    /// Whether the value is null, which is then skipped.
    mutating func null() -> Bool {
        skipSpaces()
        guard bytes[position...].starts(with: "null".utf8) else { return false }
        position += 4
        return true
    }

    /// A list of whole numbers from 0 to 2^53 − 1.
    mutating func integers(atMost count: Int, what: String) throws -> [Int] {
        skipSpaces()
        let place = position
        try take("[")
        skipSpaces()
        if takes("]") { return [] }
        var numbers: [Int] = []
        repeat {
            guard numbers.count < count else { throw failure("expected at most \(count) \(what), found more", at: place) }
            skipSpaces()
            numbers.append(try integer())
            skipSpaces()
        } while takes(",")
        try take("]", or: ",")
        return numbers
    }

    mutating func string() throws -> String {
        skipSpaces()
        let start = position
        try take("\"")
        var text: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\\") {
                try takeEscape(into: &text)
            } else if byte < 0x20 {
                throw failure("expected control characters in a string to be escaped, found \(found)", at: position)
            } else {
                text.append(byte)
                position += 1
            }
        }
        guard takes("\"") else { throw failure("expected a string that ends, found \(found)", at: start) }
        // Decoding replaces invalid bytes by another character. Outside strings every byte is compared with ASCII.
        let string = String(decoding: text, as: UTF8.self)
        guard string.utf8.elementsEqual(text) else { throw failure("expected UTF-8, found other bytes in the string", at: start) }
        return string
    }

    /// Checks that only spaces follow up to the header's end.
    mutating func end() throws {
        skipSpaces()
        guard next == nil else { throw failure("expected the header's end or spaces, found \(found)", at: position) }
    }

    // MARK: Pieces

    private mutating func integer() throws -> Int {
        let start = position
        var number = 0
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), number < Self.limit {
            number = 10 * number + Int(byte - UInt8(ascii: "0"))
            position += 1
        }
        let leadingZero = position - start > 1 && bytes[start] == UInt8(ascii: "0")
        let goesOn = next.map { ".eE+-0123456789".utf8.contains($0) } ?? false
        guard position > start, !leadingZero, !goesOn, number < Self.limit else {
            let token = bytes[start...].prefix(24).prefix { !" \t\n\r,]}".utf8.contains($0) }
            throw failure(
                "expected a whole number below 2^53 without sign, fraction, exponent or leading zeros, found "
                    + (token.isEmpty ? found : Safetensors.quoted(String(decoding: token, as: UTF8.self))), at: start)
        }
        return number
    }

    private mutating func takeEscape(into text: inout [UInt8]) throws {
        let start = position
        position += 1
        guard let letter = next else { return }  // the string does not end, which its reader reports
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var value = takeUnit()
            // JSON writes code points beyond the first 65,536 as two halves, each of which means nothing by itself.
            if let high = value, (0xD800...0xDBFF).contains(high), takes("\\"), takes("u"), let low = takeUnit(),
                (0xDC00...0xDFFF).contains(low)
            {
                value = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let value, let scalar = Unicode.Scalar(value) else {
                throw failure("expected \\u and four hexadecimal digits of a character, or of its two surrogates, found others", at: start)
            }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default: throw failure("expected one of \"\\/bfnrtu after \\ in a string, found \(describe(letter))", at: start)
        }
    }

    /// Four hexadecimal digits.
    private mutating func takeUnit() -> UInt32? {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private mutating func skipSpaces() {
        while let byte = next, " \t\n\r".utf8.contains(byte) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar, or other: Unicode.Scalar? = nil) throws {
        guard takes(character) else {
            let expected = (other.map { "'\($0)' or " } ?? "") + "'\(character)'"
            throw failure("expected \(expected) in the header, found \(found)", at: position)
        }
    }

    private mutating func takes(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// What is at the current place, for a message.
    private var found: String { next.map(describe) ?? "the header's end" }

    private func describe(_ byte: UInt8) -> String {
        (0x21...0x7E).contains(byte) ? "'\(Unicode.Scalar(byte))'" : "the byte 0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))"
    }

    private func failure(_ problem: String, at place: Int) -> SafetensorsError {
        SafetensorsError(path: path, problem: "\(problem) at byte \(Self.start + place)")
    }
}
