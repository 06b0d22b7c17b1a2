import Testing
import Torch
import WeightNorm

struct MaskedMapTests {
    private let forms: [Normalization] = [.plain, .weight, .logWeight, .fixedGain, .weightAndMeanOnlyBatch, .batch]

    /// A masked dense layer of 5 inputs and 6 outputs, in double.
    private func dense(_ normalization: Normalization, seed: UInt64 = 1) -> MaskedDense {
        let mask = AutoregressiveMask.dense(inputs: [1, 2, 3, 4, 5], outputs: [1, 2, 3, 4, 5, 3], strict: true)
        return MaskedDense(
            map: MaskedMap(DenseMap(inputs: 5, outputs: 6), mask: mask), normalization: normalization, type: .float64,
            random: Generator(seed: seed))
    }

    @Test("the masks of dense layers and convolutions, written out")
    func masks() {
        #expect(AutoregressiveMask.hiddenDegrees(5, variables: 3) == [1, 2, 1, 2, 1])
        #expect(AutoregressiveMask.hiddenDegrees(2, variables: 1) == [0, 0])
        let loose = AutoregressiveMask.dense(inputs: [1, 2, 3], outputs: [1, 2], strict: false)
        #expect(loose.shape == [2, 3] && loose.elements(as: Int.self) == [1, 0, 0, 1, 1, 0])
        let strict = AutoregressiveMask.dense(inputs: [1, 2], outputs: [1, 2, 3], strict: true)
        #expect(strict.elements(as: Int.self) == [0, 0, 1, 0, 1, 1])
        let kernel = AutoregressiveMask.convolution(inputs: [1, 2], outputs: [1], kernel: [3, 3], strict: false)
        #expect(kernel.shape == [1, 2, 3, 3])
        #expect(kernel.elements(as: Int.self) == [1, 1, 1, 1, 1, 0, 0, 0, 0] + [1, 1, 1, 1, 0, 0, 0, 0, 0])
    }

    @Test("no output depends on an input that the mask takes away, whatever the weight holds and its form", arguments: [false, true])
    func dependence(filled: Bool) {
        for form in forms {
            let layer = dense(form)
            if filled { layer.weight.form.parts[0].assign(.normal([6, 5], type: .float64, from: Generator(seed: 9))) }
            let input = Parameter(.normal([3, 5], type: .float64, from: Generator(seed: 2)))
            for unit in 0..<6 {
                let output = layer(input.value, .inference)
                let slopes = gradients(of: output.selected(unit, along: 1).sum(), withRespectTo: [input])[0]
                let reached = slopes.magnitude().sum(over: [0]).elements(as: Double.self).map { $0 > 0 }
                let degree = [1, 2, 3, 4, 5, 3][unit]
                #expect(reached == (1...5).map { $0 < degree }, "\(form), output \(unit)")
            }
        }
    }

    @Test("v stays zero where there is no connection, under every form, so that ‖w‖ = |g| of what exists")
    func staysZero() {
        for form in forms {
            let layer = dense(form)
            let random = Generator(seed: 4)
            let input = Tensor.normal([30, 5], type: .float64, from: random)
            _ = withoutGradients { layer(input, .initializing(random)) }
            for _ in 0..<5 {
                let slopes = gradients(of: layer(input, .training(random)).squared().sum(), withRespectTo: layer.parameters)
                for (parameter, slope) in zip(layer.parameters, slopes) { parameter.assign(parameter.value - slope * 0.01) }
            }
            let absent = 1 - layer.map.mask.converted(to: .float64)
            #expect((layer.weight.vector * absent).magnitude().maximum().item() == 0, "\(form)")
            let norms = (layer.weight.value * (1 - absent)).norm(over: [1]).elements(as: Double.self)
            let whole = layer.weight.value.norm(over: [1]).elements(as: Double.self)
            #expect(zip(norms, whole).allSatisfy { abs($0 - $1) < 1e-14 })
        }
    }

    @Test("initialization gives mean 0 and deviation 1 to the outputs that depend on something, and leaves the others")
    func initialization() {
        let layer = dense(.weight)
        let random = Generator(seed: 3)
        let input = Tensor.normal([200, 5], type: .float64, from: random) * 3 + 1
        let report = InitializationReport()
        let output = withoutGradients { layer(input, .initializing(random, report: report)) }
        #expect(report.unitCount == 6 && report.constantUnitCount == 1, "the first output has no input")
        let (variance, mean) = output.varianceAndMean(over: [0])
        let (means, variances) = (mean.elements(as: Double.self), variance.elements(as: Double.self))
        #expect(means[0] == 0 && variances[0] == 0)
        #expect(means.dropFirst().allSatisfy { abs($0) < 1e-12 } && variances.dropFirst().allSatisfy { abs($0 - 1) < 1e-12 })
        #expect(output.isFinite().allTrue())
    }

    @Test("a masked convolution's outputs depend on earlier pixels, and on earlier channels of their own", arguments: [false, true])
    func convolution(strict: Bool) {
        let degrees = [1, 2]
        let map = MaskedMap(
            ConvolutionMap(inputs: 2, outputs: 2, kernel: [3, 3], padding: [1, 1]),
            mask: AutoregressiveMask.convolution(inputs: degrees, outputs: degrees, kernel: [3, 3], strict: strict))
        let layer = MaskedConvolution(map: map, normalization: .weight, type: .float64, random: Generator(seed: 1))
        let input = Parameter(.normal([1, 2, 4, 4], type: .float64, from: Generator(seed: 2)))
        for (channel, row, column) in [(0, 1, 2), (1, 1, 2), (1, 3, 0)] {
            let element = layer(input.value, .inference).selected(channel, along: 1).selected(row, along: 1).selected(column, along: 1)
                .sum()
            let slopes = gradients(of: element, withRespectTo: [input])[0].elements(as: Double.self)
            for (place, slope) in slopes.enumerated() {
                let (other, y, x) = (place / 16, place / 4 % 4, place % 4)
                let isNear = abs(y - row) <= 1 && abs(x - column) <= 1
                let isBefore = y < row || y == row && x < column
                let isHere = y == row && x == column && (strict ? other < channel : other <= channel)
                #expect((slope != 0) == (isNear && (isBefore || isHere)), "from \((channel, row, column)) to \((other, y, x))")
            }
        }
    }

    @Test("a mask of another shape traps, and so does an even kernel")
    func traps() async {
        await #expect(processExitsWith: .failure) { _ = MaskedMap(DenseMap(inputs: 2, outputs: 3), mask: .ones([2, 3])) }
        await #expect(processExitsWith: .failure) {
            _ = AutoregressiveMask.convolution(inputs: [1], outputs: [1], kernel: [2, 3], strict: true)
        }
    }
}
