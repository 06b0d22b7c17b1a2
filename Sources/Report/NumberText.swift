import Foundation

/// Numbers formatted for readers, independent of the machine's locale.
public enum NumberText {
    /// A number with a fixed number of decimals, thousands grouped from 10 000 on, and a true minus sign.
    public static func fixed(_ value: Double, decimals: Int) -> String {
        guard value.isFinite else { return notFinite(value) }
        // Beyond 2⁵³ digits are noise, and a long row of them would break the layout.
        guard value.magnitude < 9e15 else { return scientific(value) }
        let digits = String(format: "%.\(max(0, min(decimals, 12)))f", value.magnitude)
        let isZero = !digits.contains { $0 != "0" && $0 != "." }
        return (value < 0 && !isZero ? "−" : "") + grouped(digits)
    }

    /// About four significant digits, in powers of ten where plain digits would be long.
    public static func general(_ value: Double) -> String {
        guard value.isFinite else { return notFinite(value) }
        if value == 0 { return "0" }
        guard value.magnitude >= 1e-4, value.magnitude < 1e7 else { return scientific(value) }
        let decimals = max(0, 3 - Int(log10(value.magnitude).rounded(.down)))
        return trimmed(fixed(value, decimals: decimals))
    }

    /// `mean ± deviation`, both with the same number of decimals.
    public static func spread(_ mean: Double, _ deviation: Double, decimals: Int) -> String {
        "\(fixed(mean, decimals: decimals)) ± \(fixed(deviation, decimals: decimals))"
    }

    /// A number of bytes, such as 48.2 MB or 3.41 GB.
    public static func bytes(_ count: Int) -> String {
        switch count {
        case ..<999_950: "\(fixed(Double(count) / 1e3, decimals: 1)) kB"
        case ..<99_950_000: "\(fixed(Double(count) / 1e6, decimals: 1)) MB"
        default: "\(fixed(Double(count) / 1e9, decimals: 2)) GB"
        }
    }

    /// Three significant digits and a power of ten, such as 1.5×10⁶.
    public static func scientific(_ value: Double) -> String {
        let parts = String(format: "%.2e", value.magnitude).split(separator: "e")
        guard parts.count == 2, let exponent = Int(parts[1]) else { return notFinite(value) }
        let mantissa = trimmed(String(parts[0]))
        return (value < 0 ? "−" : "") + (mantissa == "1" ? "" : mantissa + "×") + powerOfTen(exponent)
    }

    /// A power of ten, such as 10⁻⁴.
    public static func powerOfTen(_ exponent: Int) -> String {
        let superscripts = Array("⁰¹²³⁴⁵⁶⁷⁸⁹")
        let digits = String(exponent.magnitude).compactMap(\.wholeNumberValue).map { String(superscripts[$0]) }
        return "10" + (exponent < 0 ? "⁻" : "") + digits.joined()
    }

    /// How many decimals a multiple of `step` needs.
    static func decimals(forStep step: Double) -> Int {
        guard step.isFinite, step > 0 else { return 0 }
        return max(0, -Int((log10(step) + 1e-9).rounded(.down)))
    }

    private static func trimmed(_ digits: String) -> String {
        guard digits.contains(".") else { return digits }
        var result = Substring(digits)
        while result.last == "0" { result.removeLast() }
        if result.last == "." { result.removeLast() }
        return String(result)
    }

    private static func grouped(_ digits: String) -> String {
        let whole = digits.prefix { $0 != "." }
        guard whole.count > 4 else { return digits }
        var result = ""
        for (index, digit) in whole.enumerated() {
            // A narrow no-break space, as ISO 80000 requires: to half of the readers a comma is a decimal sign.
            if index > 0, (whole.count - index) % 3 == 0 { result += "\u{202F}" }
            result.append(digit)
        }
        return result + digits.dropFirst(whole.count)
    }

    private static func notFinite(_ value: Double) -> String {
        value.isNaN ? "not a number" : value < 0 ? "−∞" : "∞"
    }
}
