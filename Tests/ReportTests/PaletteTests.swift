import Foundation
import Report
import Testing

/// Contrast and distances of the charts' colours, for common and colour-blind vision.
struct PaletteTests {
    typealias Colour = SIMD3<Double>

    /// Simulated vision, in linear light (Machado, Oliveira and Fernandes 2009, full severity).
    static let visions: [(name: String, rows: [Colour])] = [
        ("common", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
        ("deuteranopia", [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
        ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
    ]

    @Test(arguments: [(Palette.light, Palette.lightBackground), (Palette.dark, Palette.darkBackground)])
    func coloursAreToldApart(colours: [String], background: String) throws {
        #expect(colours.count == 8)
        let page = try #require(Self.colour(hex: background))
        let linear = try colours.map { try #require(Self.colour(hex: $0)) }
        for (name, colour) in zip(colours, linear) {
            #expect(Self.contrast(colour, page) >= 3, "\(name) on \(background)")
        }
        for vision in Self.visions {
            let seen = linear.map { colour in
                Self.oklab(Colour(vision.rows.map { ($0 * colour).sum() }).clamped(lowerBound: .zero, upperBound: .one))
            }
            for second in seen.indices {
                for first in 0..<second {
                    let difference = seen[first] - seen[second]
                    let distance = (difference * difference).sum().squareRoot()
                    // Okabe and Ito's well-known palette reaches 0.076 among its first five by this measure.
                    let least = second < 5 ? 0.115 : 0.085
                    #expect(distance >= least, "\(colours[first]) and \(colours[second]) in \(vision.name)")
                }
            }
        }
    }

    /// WCAG's ratio of contrast, from 1 to 21.
    static func contrast(_ first: Colour, _ second: Colour) -> Double {
        let weights = Colour(0.2126, 0.7152, 0.0722)
        let (a, b) = ((first * weights).sum(), (second * weights).sum())
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }

    static func colour(hex: String) -> Colour? {
        guard hex.count == 7, let value = Int(hex.dropFirst(), radix: 16) else { return nil }
        return linear([value >> 16, value >> 8 & 255, value & 255])
    }

    /// A colour as a browser writes it, "rgb(1, 2, 3)".
    static func colour(css: String) -> Colour? {
        let parts = css.split { !$0.isNumber }.compactMap { Int($0) }
        return css.hasPrefix("rgb(") && parts.count == 3 ? linear(parts) : nil
    }

    private static func linear(_ parts: [Int]) -> Colour {
        Colour(
            parts.map { part in
                let value = Double(part) / 255
                return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
            })
    }

    /// Ottosson's space, in which distances are about as large as they look.
    private static func oklab(_ c: Colour) -> Colour {
        let cones = [
            (Colour(0.4122214708, 0.5363325363, 0.0514459929) * c).sum(), (Colour(0.2119034982, 0.6806995451, 0.1073969566) * c).sum(),
            (Colour(0.0883024619, 0.2817188376, 0.6299787005) * c).sum(),
        ].map { cbrt($0) }
        let lms = Colour(cones)
        return Colour(
            (Colour(0.2104542553, 0.7936177850, -0.0040720468) * lms).sum(),
            (Colour(1.9779984951, -2.4285922050, 0.4505937099) * lms).sum(),
            (Colour(0.0259040371, 0.7827717662, -0.8086757660) * lms).sum())
    }
}
