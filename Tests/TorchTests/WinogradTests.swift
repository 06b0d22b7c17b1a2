import Testing
import Torch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A convolution, and what of it is compared.
private struct Case {
    var batch: Int, inputs: Int, outputs: Int, rows: Int, columns: Int, padding: [Int]
    var hasBias = true

    /// Whether tiles of 4 × 4 save multiplications in both directions.
    var tilesGain: Bool {
        func gain(_ rows: Int, _ columns: Int) -> Bool { rows * columns >= 8 * ((rows + 3) / 4) * ((columns + 3) / 4) }
        return gain(rows, columns) && gain(rows + 2 * padding[0] - 2, columns + 2 * padding[1] - 2)
    }

    /// The result and its gradients with respect to input, weight and bias; in float64 they are libtorch's.
    func run(_ type: ElementType) -> [Tensor] {
        let random = Generator(seed: UInt64(batch + inputs * 7 + outputs * 13 + rows))
        func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float32, from: random) }
        let input = Parameter(draw([batch, inputs, rows, columns]).channelsLast().converted(to: type))
        let weight = Parameter(draw([outputs, inputs, 3, 3]).converted(to: type))
        let bias = Parameter(draw([outputs]).converted(to: type))
        let result = input.value.convolved(
            with: weight.value, bias: hasBias ? bias.value : nil, stride: [1, 1], padding: padding, dilation: [1, 1])
        // Not in the result's order of elements.
        let cotangent = draw(result.shape).converted(to: type)
        let parameters = hasBias ? [input, weight, bias] : [input, weight]
        return [result.detached()]
            + gradients(of: result, cotangent: cotangent, withRespectTo: parameters.map(\.value))
    }

    /// The result and its gradients with respect to input and weight, by sums in float32 in order, term by term: a yardstick that does not depend on the processor, as
    /// libtorch's sums do. Only without bias.
    func plainSums() -> [Tensor] {
        let random = Generator(seed: UInt64(batch + inputs * 7 + outputs * 13 + rows))
        func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float32, from: random) }
        let input = draw([batch, inputs, rows, columns])
        let weight = draw([outputs, inputs, 3, 3])
        _ = draw([outputs])
        let (top, left) = (padding[0], padding[1])
        let (outRows, outColumns) = (rows + 2 * top - 2, columns + 2 * left - 2)
        let cotangent = draw([batch, outputs, outRows, outColumns])
        // Channels last, and filters as [3, 3, inputs, outputs].
        let x = input.permuted([0, 2, 3, 1]).elements(as: Float.self)
        let w = weight.permuted([2, 3, 1, 0]).elements(as: Float.self)
        let slopes = cotangent.permuted([0, 2, 3, 1]).elements(as: Float.self)
        var y = [Float](repeating: 0, count: slopes.count)
        var toInput = [Float](repeating: 0, count: x.count)
        var toWeight = [Float](repeating: 0, count: w.count)
        y.withUnsafeMutableBufferPointer { y in
            toInput.withUnsafeMutableBufferPointer { toInput in
                toWeight.withUnsafeMutableBufferPointer { toWeight in
                    for place in 0..<(batch * outRows * outColumns) {
                        let (image, row, column) = (
                            place / (outRows * outColumns), place / outColumns % outRows - top, place % outColumns - left
                        )
                        for tap in 0..<9 {
                            let (r, c) = (row + tap / 3, column + tap % 3)
                            guard (0..<rows).contains(r), (0..<columns).contains(c) else { continue }
                            let at = ((image * rows + r) * columns + c) * inputs
                            for channel in 0..<inputs {
                                let filter = (tap * inputs + channel) * outputs
                                let value = x[at + channel]
                                var sum = toInput[at + channel]
                                for output in 0..<outputs {
                                    let slope = slopes[place * outputs + output]
                                    y[place * outputs + output] += value * w[filter + output]
                                    toWeight[filter + output] += value * slope
                                    sum += slope * w[filter + output]
                                }
                                toInput[at + channel] = sum
                            }
                        }
                    }
                }
            }
        }
        return [
            Tensor(y, shape: [batch, outRows, outColumns, outputs]).permuted([0, 3, 1, 2]),
            Tensor(toInput, shape: [batch, rows, columns, inputs]).permuted([0, 3, 1, 2]),
            Tensor(toWeight, shape: [3, 3, inputs, outputs]).permuted([3, 2, 0, 1]),
        ]
    }
}

private func bits(_ tensor: Tensor) -> [UInt32] { tensor.contiguous().elements(as: Float.self).map(\.bitPattern) }

/// The root mean square of the error, relative to that of what is expected.
private func error(_ found: Tensor, _ expected: Tensor) -> Double {
    let expected = expected.converted(to: .float64)
    return ((found.converted(to: .float64) - expected).squared().mean().item() / max(expected.squared().mean().item(), 1e-300)).squareRoot()
}

private var isHere: Bool { Runtime.processorCapability == "AVX2" || Runtime.processorCapability == "AVX512" }

/// In processes of their own: the setting is the whole process's.
@Suite("3×3 convolutions with fewer multiplications")
struct WinogradTests {
    @Test("results and gradients are those of double precision, in every shape, and the same bits on one and two threads")
    func shapes() async {
        await #expect(processExitsWith: .success) {
            guard !Runtime.allowsWinograd else { exit(1) }
            Runtime.allowsWinograd = true
            var cases: [Case] = []
            for (inputs, outputs) in [(8, 8), (9, 16), (16, 11), (19, 24), (33, 40), (64, 8)] {
                for (rows, columns) in [(8, 8), (13, 7), (6, 32), (4, 4), (3, 21)] {
                    for padding in [[0, 0], [1, 1], [2, 2], [0, 2], [1, 0]] {
                        cases.append(
                            Case(
                                batch: 40, inputs: inputs, outputs: outputs, rows: rows, columns: columns, padding: padding,
                                hasBias: rows != 13))
                    }
                }
            }
            for each in cases {
                let expected = each.run(.float64)
                try? Runtime.setThreadCount(2)
                let found = each.run(.float32)
                for (found, expected) in zip(found, expected) {
                    guard found.shape == expected.shape, error(found, expected) < 3e-6 else { exit(2) }
                }
                // What goes to libtorch may depend on the number of threads.
                guard isHere, each.tilesGain else { continue }
                try? Runtime.setThreadCount(1)
                for (one, two) in zip(each.run(.float32), found) where bits(one) != bits(two) { exit(3) }
            }
        }
    }

    @Test("the error is at most two and a half times that of plain sums, in convolutions of the paper's width")
    func accuracy() async {
        await #expect(processExitsWith: .success) {
            let wide = Case(batch: 4, inputs: 192, outputs: 96, rows: 16, columns: 16, padding: [1, 1], hasBias: false)
            let (expected, plain) = (wide.run(.float64), wide.plainSums())
            Runtime.allowsWinograd = false
            let direct = wide.run(.float32)
            Runtime.allowsWinograd = true
            let found = wide.run(.float32)
            for index in expected.indices {
                let (ours, theirs) = (error(found[index], expected[index]), error(plain[index], expected[index]))
                guard theirs < 1e-5 else { exit(3) }
                guard ours < 2.5 * theirs, ours < 2e-6 else { exit(1) }
            }
            // It was used.
            guard !isHere || bits(found[0]) != bits(direct[0]) else { exit(2) }
        }
    }

    @Test("what it does not gain by goes to libtorch: bit for bit")
    func others() async {
        await #expect(processExitsWith: .success) {
            let random = Generator(seed: 1)
            func draw(_ shape: [Int], _ type: ElementType = .float32) -> Tensor { .normal(shape, from: random).converted(to: type) }
            let large = draw([40, 16, 12, 12]).channelsLast()
            typealias Call = (input: Tensor, weight: Tensor, stride: Int, padding: Int, dilation: Int, groups: Int)
            let weight = draw([16, 16, 3, 3])
            let calls: [Call] = [
                (large, weight, 2, 1, 1, 1), (large, weight, 1, 1, 2, 1), (large, weight, 1, 3, 1, 1),
                (large, draw([16, 8, 3, 3]), 1, 1, 1, 2),
                (large, draw([16, 16, 5, 5]), 1, 1, 1, 1), (large, draw([4, 16, 3, 3]), 1, 1, 1, 1),
                (draw([40, 16, 12, 12]), weight, 1, 1, 1, 1), (draw([1, 16, 12, 12]).channelsLast(), weight, 1, 1, 1, 1),
                (draw([400, 16, 4, 4]).channelsLast(), weight, 1, 0, 1, 1), (draw([0, 16, 12, 12]).channelsLast(), weight, 1, 1, 1, 1),
                (draw([40, 4, 12, 12]).channelsLast(), draw([16, 4, 3, 3]), 1, 1, 1, 1),
                (large.converted(to: .bfloat16), weight.converted(to: .bfloat16), 1, 1, 1, 1),
            ]
            func run(_ call: Call) -> [UInt32] {
                bits(
                    call.input.convolved(
                        with: call.weight, stride: [call.stride, call.stride], padding: [call.padding, call.padding],
                        dilation: [call.dilation, call.dilation], groups: call.groups
                    ).converted(to: .float32))
            }
            Runtime.allowsWinograd = false
            let before = calls.map(run)
            Runtime.allowsWinograd = true
            guard calls.map(run) == before else { exit(1) }
            Runtime.allowsWinograd = false
            guard !Runtime.allowsWinograd, calls.map(run) == before else { exit(2) }
        }
    }

    @Test("gradients of gradients are libtorch's")
    func secondDerivatives() async {
        await #expect(processExitsWith: .success) {
            func second(_ type: ElementType) -> [Tensor] {
                let random = Generator(seed: 3)
                func draw(_ shape: [Int]) -> Parameter { Parameter(Tensor.normal(shape, from: random).converted(to: type)) }
                let (input, weight) = (draw([8, 8, 8, 8]), draw([16, 8, 3, 3]))
                let result = input.value.channelsLast().convolved(with: weight.value, stride: [1, 1], padding: [1, 1], dilation: [1, 1])
                let first = gradients(of: result.squared().sum(), withRespectTo: [input.value, weight.value], createGraph: true)
                return gradients(of: first[0].squared().sum() + first[1].squared().sum(), withRespectTo: [input.value, weight.value])
            }
            Runtime.allowsWinograd = true
            for (found, expected) in zip(second(.float32), second(.float64)) where error(found, expected) > 1e-5 { exit(1) }
        }
    }
}
