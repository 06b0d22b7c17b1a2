import Experiments
import Foundation
import Testing
import Torch

// 0·∞ and ∞ − ∞ on the way to a number that there is (wavenet_vocoder #23, pytorch #102894).

struct LikelihoodRangeTests {
    private func isClose(_ found: Double, _ expected: Double, _ tolerance: Double) -> Bool {
        found == expected || abs(found - expected) <= tolerance * max(1, abs(expected))
    }

    @Test(
        "a discretized logistic whose scale or its inverse leaves the range (wavenet_vocoder #23)",
        arguments: [ElementType.float32, .float64])
    func logistic(type: ElementType) {
        let shape = [LogisticReference.values, LogisticReference.means, LogisticReference.logScales].map(\.count)
        func spread(_ numbers: [Double], _ axis: Int) -> Tensor {
            Tensor(numbers).converted(to: type).reshaped((0..<3).map { $0 == axis ? -1 : 1 }).expanded(shape).contiguous()
        }
        let mean = Parameter(spread(LogisticReference.means, 1))
        let logScale = Parameter(spread(LogisticReference.logScales, 2))
        let found = DiscretizedLogistic.logProbability(
            of: spread(LogisticReference.values, 0), mean: mean.value, logScale: logScale.value)
        let largest = type == .float64 ? Double.greatestFiniteMagnitude : Double(Float.greatestFiniteMagnitude)
        for (number, expected) in zip(found.elements(as: Double.self), LogisticReference.logProbabilities) {
            #expect(isClose(number, expected < -largest ? -.infinity : expected, type == .float64 ? 1e-12 : 4e-6))
        }
        let slopes = gradients(of: found.sum(), withRespectTo: [mean, logScale]).map { $0.elements(as: Double.self) }
        let ordinary = slopes[0].indices.filter { LogisticReference.logScales[$0 % shape[2]] > -89 }
        for list in slopes {
            #expect(!list.contains { $0.isNaN })
            #expect(ordinary.allSatisfy { list[$0].isFinite })
        }
    }

    @Test("the derivatives of the discretized logistic are those of finite differences, on both sides of where the formula changes")
    func logisticSlopes() {
        let logScales = [-9.0, -5, -1, 1.3, 1.37, 2, 9, 60]
        let logScale = Parameter(Tensor(logScales))
        func value(_ logScale: Tensor) -> Tensor {
            let mean = logScale.zerosLike() + 0.1
            return DiscretizedLogistic.logProbability(of: logScale.zerosLike() + 140, mean: mean, logScale: logScale)
        }
        let found = gradients(of: value(logScale.value).sum(), withRespectTo: [logScale])[0].elements(as: Double.self)
        let step = 1e-6
        let higher = value(Tensor(logScales.map { $0 + step })).elements(as: Double.self)
        let lower = value(Tensor(logScales.map { $0 - step })).elements(as: Double.self)
        for (index, slope) in found.enumerated() {
            #expect(isClose(slope, (higher[index] - lower[index]) / (2 * step), 1e-7))
        }
    }

    @Test("the normal density of its own sample at log σ = ±90 (pytorch #102894)", arguments: [-90.0, -88, 0, 88, 90])
    func density(logDeviation: Double) {
        let log = Parameter(Tensor([Float(logDeviation)]))
        let found = DiagonalNormal(mean: Tensor([Float(3)]), logDeviation: log.value).logDensity(Tensor([Float(3)]))
        #expect(isClose(found.item(), -logDeviation - 0.9189385332046727, 1e-6))
        #expect(gradients(of: found, withRespectTo: [log])[0].item() == -1)
        // z = σ·ε of a mean of 0 is subnormal, or almost as large as numbers get, and has the density of ε.
        let mean = Tensor([Float(0)])
        let scaled = DiagonalNormal(mean: mean, logDeviation: Tensor([Float(logDeviation)]))
        let value = Tensor([Float(exp(min(logDeviation, 88)))])
        let distance = exp(min(logDeviation, 88) - logDeviation)
        #expect(isClose(scaled.logDensity(value).item(), -0.5 * distance * distance - logDeviation - 0.9189385332046727, 1e-5))
        let sample = DiagonalNormal(mean: mean, logDeviation: Tensor([Float(min(logDeviation, 80))])).sample(random: Generator(seed: 1))
        #expect(sample.isFinite().allTrue())
    }

    @Test("an attention filter on a pixel, however narrow, wide, far or faint it is (log σ² = −89)")
    func filters() {
        // Centre on pixel 2 of 5, log δ, log σ² and log γ: the filter in the middle of three sees that pixel alone.
        func read(_ numbers: [Float]) -> (values: [Float], slopes: [Float]) {
            let parameter = Parameter(Tensor(numbers, shape: [1, 5]))
            let image = Tensor((0..<25).map { Float($0) }, shape: [1, 5, 5])
            let found = AttentionFilters(parameter.value, count: 3, rows: 5, columns: 5).read(image)
            return (found.elements(), gradients(of: found.sum(), withRespectTo: [parameter])[0].elements())
        }
        for logVariance in [Float(-89), -100, -200] {
            let (values, slopes) = read([-0.2, -0.2, 0, logVariance, 0])
            #expect(abs(values[4] - 12 / (1 + 1e-4) / (1 + 1e-4)) < 1e-4)
            #expect(slopes.allSatisfy { $0.isFinite })
        }
        for extreme: [Float] in [
            [-0.2, -0.2, 100, 0, 0], [-0.2, -0.2, 100, 120, 0], [1e30, -1e30, 0, 0, 0], [1e30, 0, 0, 200, 0], [0, 0, -200, -200, -200],
            [0, 0, 0, 200, 0],
        ] {
            let (values, slopes) = read(extreme)
            #expect(values.allSatisfy { $0.isFinite } && slopes.allSatisfy { $0.isFinite }, "\(extreme)")
        }
        // As large as digits are, with as many filters as are written.
        let digits = Parameter(Tensor([0, 0, 100, 0, 0] as [Float], shape: [1, 5]))
        let drawn = AttentionFilters(digits.value, count: 5, rows: 28, columns: 28).read(.ones([1, 28, 28]))
        #expect(drawn.isFinite().allTrue() && gradients(of: drawn.sum(), withRespectTo: [digits])[0].isFinite().allTrue())
        // Faint filters write brightly: 1/γ has a derivative as long as it is in range.
        let faint = Parameter(Tensor([0, 0, 0, 0, -70] as [Float], shape: [1, 5]))
        let written = AttentionFilters(faint.value, count: 3, rows: 5, columns: 5).written(Tensor.ones([1, 9]) * 1e-20)
        let sum = written.sum()
        #expect(abs(gradients(of: sum, withRespectTo: [faint])[0].elements(as: Double.self)[4] / -sum.item() - 1) < 1e-5)
        // The middle filter of an odd number stays where it is, however far apart the filters are.
        #expect(abs(read([-0.2, -0.2, 100, -20, 0]).values[4] - 12) < 0.01)
    }

    @Test("the cross-entropy of an infinite logit is its limit", arguments: [ElementType.float32, .float64, .bfloat16])
    func infiniteLogits(type: ElementType) {
        let logits = Parameter(
            Tensor([Double.infinity, .infinity, .infinity, -.infinity, -.infinity, -.infinity, 2, 2]).converted(to: type))
        let targets = Tensor([1, 0.5, 0, 0, 0.5, 1, 1, 0]).converted(to: type)
        let found = logits.value.sigmoidCrossEntropy(targets: targets, reduction: .none)
        let numbers = found.elements(as: Double.self)
        #expect(Array(numbers[..<6]) == [0, .infinity, .infinity, 0, .infinity, .infinity])
        let tolerance = type == .bfloat16 ? 0.02 : 1e-6
        #expect(abs(numbers[6] - 0.1269280110429726) < tolerance && abs(numbers[7] - 2.1269280110429727) < tolerance)
        let slopes = gradients(of: found.sum(), withRespectTo: [logits])[0].elements(as: Double.self)
        #expect(Array(slopes[..<6]) == [0, 0.5, 1, 0, -0.5, -1] && abs(slopes[7] - 0.8807970779778823) < tolerance)
        let sure = Tensor([Float.infinity, -.infinity])
        #expect(sure.sigmoidCrossEntropy(targets: Tensor([Float(1), 0])).item() == 0)
        #expect(sure.sigmoidCrossEntropy(targets: Tensor([Float(1), 0]), reduction: .sum).item() == 0)
        #expect(Tensor([Float.nan]).sigmoidCrossEntropy(targets: Tensor([Float(1)])).item().isNaN)
    }
}
