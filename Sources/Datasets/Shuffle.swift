import Torch

/// The generator SplitMix64 of Steele, Lea and Flood (2014): a counter with the step 0x9E3779B97F4A7C15, mixed by two multiplications.
///
/// Its state is one word and every seed is good, so it is used to make the larger state of ``Xoshiro256``.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Starts from a seed; equal seeds give equal numbers on every machine.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The generator xoshiro256** of Blackman and Vigna (2018): 256 bits of state, period 2²⁵⁶ − 1.
public struct Xoshiro256: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Takes its state from four numbers of ``SplitMix64``, as its authors recommend.
    public init(seed: UInt64) {
        var seeds = SplitMix64(seed: seed)
        state = (seeds.next(), seeds.next(), seeds.next(), seeds.next())
    }

    /// Starts from a given state, which must not be all zeros.
    package init(state: (UInt64, UInt64, UInt64, UInt64)) {
        trap(unless: state != (0, 0, 0, 0), "Xoshiro256: the state 0 would give nothing but zeros")
        self.state = state
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        func rotated(_ value: UInt64, by count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
        let result = rotated(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotated(state.3, by: 45)
        return result
    }

    /// A number from 0 up to, but not including, `bound`, each equally likely.
    ///
    /// Implemented here because the standard library does not promise that its draws stay the same across versions. The high word of draw × bound is
    /// the number; draws whose low word is in the first 2⁶⁴ mod bound values are rejected, since they would favour some numbers (Lemire 2019).
    public mutating func next(below bound: UInt64) -> UInt64 {
        trap(unless: bound > 0, "Xoshiro256: expected a bound above 0")
        let refused = (0 &- bound) % bound
        while true {
            let product = next().multipliedFullWidth(by: bound)
            if product.low >= refused { return product.high }
        }
    }
}

extension Xoshiro256: Codable {
    /// Resumes from an encoded state.
    ///
    /// - Throws: `DecodingError` if it is not a valid state.
    public init(from decoder: any Decoder) throws {
        let words = try [UInt64](from: decoder)
        guard words.count == 4, words.contains(where: { $0 != 0 }) else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: decoder.codingPath, debugDescription: "expected four words that are not all 0, found \(words)"))
        }
        state = (words[0], words[1], words[2], words[3])
    }

    /// Encodes the state: four words.
    public func encode(to encoder: any Encoder) throws { try [state.0, state.1, state.2, state.3].encode(to: encoder) }
}

/// The numbers 0 ..< count in an order that depends only on `seed` and `epoch`: the same on every machine and in every Swift version.
///
/// It is the Fisher–Yates shuffle from the last place to the first, `order.swapAt(i, draw below i + 1)`, with ``Xoshiro256`` seeded by (the first
/// number of ``SplitMix64`` for `seed`) XOR `epoch`. Mixing the seed first keeps epoch 1 of seed 0 apart from epoch 0 of seed 1.
public func permutation(count: Int, seed: UInt64, epoch: Int) -> [Int32] {
    trap(unless: count >= 0 && count <= Int32.max, "permutation: expected a count from 0 to \(Int32.max), found \(count)")
    var seeds = SplitMix64(seed: seed)
    var generator = Xoshiro256(seed: seeds.next() ^ UInt64(bitPattern: Int64(epoch)))
    var order = Array(0..<Int32(count))
    for place in stride(from: count - 1, to: 0, by: -1) {
        order.swapAt(place, Int(generator.next(below: UInt64(place) + 1)))
    }
    return order
}
