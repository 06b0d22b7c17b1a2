import Datasets
import Foundation
import Testing

/// The expected numbers come from the generators' published test vectors and from a second implementation in Python.
@Suite struct ShuffleTests {
    @Test func splitMix64GivesItsPublishedNumbers() {
        var generator = SplitMix64(seed: 0)
        #expect((0..<3).map { _ in generator.next() } == [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F])
        generator = SplitMix64(seed: 1_234_567)
        let expected: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        #expect((0..<3).map { _ in generator.next() } == expected)
    }

    @Test func xoshiro256GivesItsPublishedNumbers() {
        var generator = Xoshiro256(state: (1, 2, 3, 4))
        let expected: [UInt64] = [
            11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360, 607_988_272_756_665_600,
            16_172_922_978_634_559_625, 8_476_171_486_693_032_832, 10_595_114_339_597_558_777, 2_904_607_092_377_533_576,
        ]
        #expect((0..<10).map { _ in generator.next() } == expected)
    }

    @Test func drawsBelowABoundRefuseWhatWouldFavourSomeNumbers() {
        // With a bound just above 2⁶³ nearly every second draw is refused.
        var generator = Xoshiro256(state: (1, 2, 3, 4))
        let expected: [UInt64] = [
            7_236_058_096_720_714_768, 6_531_673_166_550_522_182, 5_390_582_961_875_169_806, 7_762_127_939_569_525_534,
        ]
        #expect((0..<4).map { _ in generator.next(below: 1 << 63 + 1) } == expected)
    }

    @Test func anEncodedGeneratorGoesOn() throws {
        var generator = Xoshiro256(seed: 5)
        _ = generator.next()
        let data = try JSONEncoder().encode(generator)
        var other = try JSONDecoder().decode(Xoshiro256.self, from: data)
        #expect((0..<5).map { _ in generator.next() } == (0..<5).map { _ in other.next() })
        for text in ["[0,0,0,0]", "[1,2,3]", "[1,2,3,4,5]"] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(Xoshiro256.self, from: Data(text.utf8)) }
        }
    }

    @Test func drawsBelowABoundAreEven() {
        var generator = Xoshiro256(seed: 5)
        var counts = [Int](repeating: 0, count: 6)
        for _ in 0..<60_000 { counts[Int(generator.next(below: 6))] += 1 }
        // The deviation of one count is 91.
        #expect(counts.allSatisfy { abs($0 - 10_000) < 400 }, "\(counts)")
        #expect(generator.next(below: 1) == 0)
    }

    @Test func permutationsAreTheSameEverywhere() {
        #expect(permutation(count: 16, seed: 0, epoch: 0) == [4, 5, 9, 12, 1, 8, 6, 10, 11, 14, 0, 13, 3, 2, 7, 15])
        #expect(permutation(count: 16, seed: 0, epoch: 1) == [15, 4, 9, 11, 3, 6, 0, 2, 13, 7, 12, 1, 5, 10, 8, 14])
        #expect(permutation(count: 16, seed: 1, epoch: 0) == [1, 11, 5, 8, 13, 6, 10, 3, 15, 4, 0, 9, 7, 2, 12, 14])
        // The whole order of MNIST's training images, as a Fowler-Noll-Vo hash of its little-endian bytes.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for number in permutation(count: 60_000, seed: 2016, epoch: 7) {
            for shift in stride(from: 0, to: 32, by: 8) { hash = (hash ^ UInt64(number >> shift & 0xFF)) &* 0x100_0000_01B3 }
        }
        #expect(hash == 0x18C9_D2F2_8501_2BD1)
    }

    @Test(arguments: [0, 1, 2, 1000]) func permutationsHoldEveryNumberOnce(count: Int) {
        #expect(permutation(count: count, seed: 3, epoch: 4).sorted() == (0..<count).map { Int32($0) })
    }
}
