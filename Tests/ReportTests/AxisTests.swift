import Foundation
import Report
import Testing

struct AxisTests {
    private func texts(_ axis: Axis, _ values: [Double], rounds: Bool = true, count: Int = 5) -> [String] {
        AxisScale(axis, values: values, rounds: rounds).ticks(axis, count: count).map(\.text).filter { !$0.isEmpty }
    }

    @Test func linearTicksAreRound() {
        #expect(texts(Axis("x"), [0, 100], rounds: false) == ["0", "20", "40", "60", "80", "100"])
        #expect(texts(Axis("x"), [0, 1]) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
        #expect(texts(Axis("x"), [-3, 7]) == ["−4", "−2", "0", "2", "4", "6", "8"])
        #expect(texts(Axis("x", format: .percent), [0.061, 0.0843]) == ["6.0", "6.5", "7.0", "7.5", "8.0", "8.5"])
        #expect(texts(Axis("x", format: .compact), [0, 2e6]) == ["0", "500\u{202F}k", "1.0\u{202F}M", "1.5\u{202F}M", "2.0\u{202F}M"])
        #expect(texts(Axis("x"), [0, 50_000]).last == "50\u{202F}000")
        #expect(texts(Axis("x"), [0, 2e-7]) == ["0", "5×10⁻⁸", "10⁻⁷", "1.5×10⁻⁷", "2×10⁻⁷"])
    }

    @Test func logarithmicTicksAreDecades() {
        let axis = Axis("x", scale: .logarithmic)
        #expect(texts(axis, [1e-5, 1e-1], rounds: false) == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"])
        #expect(texts(axis, [0.01, 1], rounds: false) == ["0.01", "0.03", "0.1", "0.3", "1"])
        #expect(texts(axis, [2, 30], rounds: false) == ["2", "3", "5", "10", "20", "30"])
        // Less than a factor of four has no two decades' worth of labels, so round steps take over.
        #expect(texts(axis, [1.1, 1.9], rounds: false) == ["1.2", "1.4", "1.6", "1.8"])
        #expect(texts(axis, [1e-100, 1e100], rounds: false).count <= 6)
    }

    @Test(arguments: [Axis.Scale.linear, .logarithmic])
    func everyRangeHasTwoTicksInside(scale: Axis.Scale) {
        let axis = Axis("x", scale: scale)
        for low in [1e-12, 0.003, 0.5, 1, 7.3, 999, 123_456, 1e12] {
            for factor in [1.0000001, 1.01, 1.3, 2, 3.9, 4.1, 9, 30, 500, 1e5] {
                for rounds in [true, false] {
                    let range = AxisScale(axis, values: [low, low * factor], rounds: rounds)
                    let ticks = range.ticks(axis, count: 6)
                    #expect(ticks.count { !$0.text.isEmpty } >= 2, "\(low) to \(low * factor)")
                    #expect(ticks.count { !$0.text.isEmpty } <= 13, "\(low) to \(low * factor)")
                    #expect(ticks.allSatisfy { (-1e-6...1 + 1e-6).contains(range.fraction($0.value)) }, "\(low) to \(low * factor)")
                    #expect(range.fraction(low) >= 0 && range.fraction(low * factor) <= 1 + 1e-9)
                }
            }
        }
    }

    @Test func placesAreProportional() {
        let linear = AxisScale(Axis("x", minimum: 10, maximum: 20), values: [], rounds: true)
        #expect(linear.fraction(10) == 0 && linear.fraction(15) == 0.5 && linear.fraction(20) == 1 && linear.fraction(25) == 1.5)
        let log = AxisScale(Axis("x", scale: .logarithmic, minimum: 0.01, maximum: 100), values: [], rounds: true)
        #expect(abs(log.fraction(1) - 0.5) < 1e-12)
        #expect(abs(log.fraction(10) - 0.75) < 1e-12)
    }

    @Test func zeroIsShownWhereItIsNear() {
        #expect(AxisScale(Axis("x"), values: [0.05, 0.62], rounds: true).lower == 0)
        #expect(AxisScale(Axis("x"), values: [97, 100], rounds: true).lower >= 96)
        #expect(AxisScale(Axis("x"), values: [-4, 5], rounds: true).lower <= -4)
    }

    @Test(arguments: [0.0, 5, -5, 1e-9, -3e8, 1e299])
    func equalValuesLieInTheRange(value: Double) {
        for scale in [Axis.Scale.linear, .logarithmic] {
            let range = AxisScale(Axis("x", scale: scale), values: [value, value], rounds: true)
            #expect(range.lower < range.upper && (range.upper - range.lower).isFinite)
            if scale == .linear { #expect((0...1).contains(range.fraction(value))) }
        }
    }

    @Test func uselessBoundsAndValuesAreIgnored() {
        for axis in [
            Axis("x", minimum: .nan, maximum: .infinity), Axis("x", scale: .logarithmic, minimum: -1, maximum: 0),
            Axis("x", minimum: 5, maximum: 5), Axis("x", minimum: 9, maximum: 2), Axis("x", scale: .logarithmic, minimum: 9, maximum: 2),
        ] {
            for values: [Double] in [[], [.nan, .infinity, -Double.infinity], [1, 2, .nan], [-1, 0]] {
                let range = AxisScale(axis, values: values, rounds: true)
                #expect(range.lower.isFinite && range.upper.isFinite && range.lower < range.upper, "\(axis) \(values)")
                #expect(!range.ticks(axis, count: 5).isEmpty, "\(axis) \(values)")
            }
        }
    }

    @Test func numbersAreWrittenForReaders() {
        #expect(NumberText.fixed(-0.004, decimals: 2) == "0.00")
        #expect(NumberText.fixed(-1.5, decimals: 1) == "−1.5")
        #expect(NumberText.fixed(1234, decimals: 0) == "1234")
        #expect(NumberText.fixed(-1_234_567.25, decimals: 1) == "−1\u{202F}234\u{202F}567.2")
        #expect(
            [999, 999_949, 999_950, 99_949_999, 99_950_000, 3_410_000_000].map(NumberText.bytes)
                == ["1.0 kB", "999.9 kB", "1.0 MB", "99.9 MB", "0.10 GB", "3.41 GB"])
        #expect(NumberText.fixed(.nan, decimals: 1) == "not a number")
        #expect(NumberText.fixed(1e300, decimals: 2) == "10³⁰⁰")
        #expect(NumberText.general(0.073_149) == "0.07315")
        #expect(NumberText.general(412) == "412")
        #expect(NumberText.general(3e-5) == "3×10⁻⁵")
        #expect(NumberText.general(-.infinity) == "−∞")
        #expect(NumberText.spread(7.314, 0.106, decimals: 2) == "7.31 ± 0.11")
    }
}
