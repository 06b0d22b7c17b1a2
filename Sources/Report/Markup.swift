/// HTML that has already been escaped.
///
/// Literals are trusted; every interpolated string is escaped: `"<td>\(name)</td>" as Markup` is safe for any `name`. So escaping cannot be
/// forgotten; skipping it takes a deliberate `Markup(trusted:)`.
package struct Markup: Sendable, Equatable, ExpressibleByStringInterpolation {
    package var html: String

    /// Markup from a string that is known to be safe.
    package init(trusted html: String) {
        self.html = html
    }

    package init(stringLiteral value: String) {
        html = value
    }

    package init(stringInterpolation interpolation: StringInterpolation) {
        html = interpolation.html
    }

    package struct StringInterpolation: StringInterpolationProtocol {
        var html: String

        package init(literalCapacity: Int, interpolationCount: Int) {
            html = ""
            html.reserveCapacity(literalCapacity + interpolationCount * 8)
        }

        package mutating func appendLiteral(_ literal: String) {
            html += literal
        }

        // Floating-point numbers are left out on purpose: they must be formatted first.
        package mutating func appendInterpolation(_ text: String) {
            html += Markup.escaped(text)
        }

        package mutating func appendInterpolation(_ number: Int) {
            html += String(number)
        }

        package mutating func appendInterpolation(_ markup: Markup) {
            html += markup.html
        }

        package mutating func appendInterpolation(_ parts: [Markup]) {
            for part in parts { html += part.html }
        }
    }

    /// Title and summary of a figure, the same for all kinds.
    static func caption(title: String, summary: Prose?) -> Markup {
        let sentence: Markup = summary.map { "\n<span class=\"summary\">\($0.markup)</span>" } ?? ""
        return "<figcaption><span class=\"title\">\(title)</span>\(sentence)</figcaption>\n"
    }

    static func += (left: inout Markup, right: Markup) {
        left.html += right.html
    }

    /// Text made safe for HTML, both between tags and inside a quoted attribute.
    ///
    /// Control characters are parse errors even as character references, so they become the replacement character.
    package static func escaped(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n": result.unicodeScalars.append(scalar)
            case "\r": result += "\n"
            default:
                let isNoncharacter = scalar.value & 0xFFFE == 0xFFFE || (0xFDD0...0xFDEF).contains(scalar.value)
                let isControl = scalar.properties.generalCategory == .control
                result.unicodeScalars.append(isControl || isNoncharacter ? "\u{FFFD}" : scalar)
            }
        }
        return result
    }
}

/// Running text for a report: a string in which everything is escaped, with a few kinds of emphasis by interpolation.
///
///     "Trained with \(code: "--norm weight"), as in \(link: "the paper", to: "https://arxiv.org/abs/1602.07868")."
public struct Prose: Sendable, Equatable, ExpressibleByStringInterpolation {
    var markup: Markup

    /// The text as it appears on the page.
    public var html: String { markup.html }

    /// Prose that is one plain string.
    public init(_ text: String) {
        markup = "\(text)"
    }

    /// Prose from a literal.
    public init(stringLiteral value: String) {
        self.init(value)
    }

    /// Prose from a literal with interpolations.
    public init(stringInterpolation interpolation: StringInterpolation) {
        markup = interpolation.markup
    }

    /// What can be interpolated: text, whole numbers, numbers with decimals, code, strong text and links.
    public struct StringInterpolation: StringInterpolationProtocol {
        var markup: Markup = ""

        /// The start of an interpolation.
        public init(literalCapacity: Int, interpolationCount: Int) {}

        /// A part of the literal.
        public mutating func appendLiteral(_ literal: String) {
            markup += "\(literal)"
        }

        /// Text; everything in it is escaped.
        public mutating func appendInterpolation(_ text: String) {
            markup += "\(text)"
        }

        /// A whole number.
        public mutating func appendInterpolation(_ number: Int) {
            markup += "\(number)"
        }

        /// A number with a fixed number of decimals.
        public mutating func appendInterpolation(_ number: Double, decimals: Int) {
            markup += "\(NumberText.fixed(number, decimals: decimals))"
        }

        /// A name or command, set in a fixed-width font.
        public mutating func appendInterpolation(code: String) {
            markup += "<code>\(code)</code>"
        }

        /// Text that matters more than its surroundings.
        public mutating func appendInterpolation(strong: String) {
            markup += "<strong>\(strong)</strong>"
        }

        /// A link; an address that is neither a web address nor relative stays plain text, so that data cannot smuggle in a script.
        public mutating func appendInterpolation(link text: String, to address: String) {
            let isWeb = address.hasPrefix("https://") || address.hasPrefix("http://")
            let isRelative = !address.contains(":") && !address.hasPrefix("//")
            markup += isWeb || isRelative ? "<a href=\"\(address)\">\(text)</a>" : "\(text)"
        }
    }
}
