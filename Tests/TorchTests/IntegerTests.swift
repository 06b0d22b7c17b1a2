import Testing
import Torch

struct IntegerTests {
    private let numbers = Tensor([7, -7, 0, 1 << 60], shape: [4])

    @Test("whole numbers stay whole and exact, and become float32 only by division or beside a Double")
    func staysWhole() {
        let sums = numbers + 1
        #expect(sums.type == .int64 && sums.elements() == [8, -6, 1, (1 << 60) + 1])
        #expect((1 - numbers).elements() == [-6, 8, 1, 1 - (1 << 60)] && (1 - numbers).type == .int64)
        #expect((2 * numbers).elements() == [14, -14, 0, 1 << 61] && (numbers * 2).type == .int64)
        #expect((numbers - 3).elements() == [4, -10, -3, (1 << 60) - 3])
        #expect((Tensor([Int32(5)]) + 1).type == .int32)
        #expect((numbers / 2).type == .float32 && (numbers / 2)[0..<2].elements() == [Float(3.5), -3.5])
        #expect((1 / Tensor([4], shape: [1])).item() == 0.25)
        #expect((numbers + 0.5).type == .float32)
        #expect(numbers[..<3].power(2).elements() == [49, 49, 0] && numbers.power(2).type == .int64)
        #expect(numbers.clamped(from: -1, to: 5).elements() == [5, -1, 0, 5] && numbers.clamped(from: 0).type == .int64)
        #expect(Tensor.full([2], (1 << 60) + 1, type: .int64).elements() == [(1 << 60) + 1, (1 << 60) + 1])
    }

    @Test("the quotient is rounded down, and the remainder has the divisor's sign")
    func division() {
        let divisors = Tensor([2, 2, 3, 1 << 30], shape: [4])
        #expect(numbers.floorDivided(by: 2).elements() == [3, -4, 0, 1 << 59] && numbers.floorDivided(by: 2).type == .int64)
        #expect(numbers.floorDivided(by: divisors).elements() == [3, -4, 0, 1 << 30])
        #expect(numbers.modulo(4).elements() == [3, 1, 0, 0] && numbers.modulo(-4).elements() == [-1, -3, 0, 0])
        #expect(numbers.modulo(divisors).elements() == [1, 1, 0, 0])
    }

    @Test("comparisons with whole numbers are exact where a Double would not be")
    func comparisons() {
        let large = Tensor([1 << 53, (1 << 53) + 1], shape: [2])
        #expect((large .== (1 << 53) + 1).elements() == [false, true])
        #expect((large .!= 1 << 53).elements() == [false, true] && (large .> 1 << 53).elements() == [false, true])
        #expect((large .>= (1 << 53) + 1).elements() == [false, true] && (large .<= 1 << 53).elements() == [true, false])
        #expect((large .< (1 << 53) + 1).elements() == [true, false])
        #expect(large.replacing(where: large .> 1 << 53, with: -1).elements() == [1 << 53, -1])
    }

    @Test("beside floating-point numbers they are the same as these")
    func floating() {
        let values = Tensor([0.5, -2] as [Float])
        #expect((values * 3 + 1 - 2).elements() == [Float(0.5), -7] && (3 - values).elements() == [Float(2.5), 5])
        #expect(
            (values / 4).elements() == [Float(0.125), -0.5] && values.power(2).elements() == [Float(0.25), 4] && values.type == .float32)
    }
}
