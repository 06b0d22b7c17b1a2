import Experiments
import Foundation
import Testing
import Torch
import WeightNorm

private func settings(_ change: (inout VAESettings) -> Void = { _ in }) -> VAESettings {
    var settings = VAESettings()
    (settings.maps, settings.blocks, settings.hidden, settings.latents) = ([2, 3, 4], 1, 7, 4)
    (settings.ladderMaps, settings.depth) = (4, [1, 2])
    change(&settings)
    return settings
}

/// p(z) = N(0, 1), p(x | z) = N(z, 1), whose posterior N(x/2, ½) is known: every draw's weight is p(x) = N(x; 0, 2) itself.
private struct LinearGaussian: GenerativeModel {
    func terms(of images: Tensor, _ pass: Pass, random: Generator) -> BoundTerms {
        let x = images.flattened(from: 1)
        let posterior = DiagonalNormal(mean: x * 0.5, logDeviation: x.zerosLike() + 0.5 * log(0.5))
        let z = posterior.sample(random: random)
        let likelihood = DiagonalNormal(mean: z, logDeviation: z.zerosLike()).logDensity(x)
        return BoundTerms(
            likelihood: likelihood.sum(over: [1]),
            divergence: (posterior.logDensity(z) - DiagonalNormal.standardLogDensity(z)).sum(over: [1]))
    }
    func samples(_ count: Int, random: Generator) -> Tensor { .zeros([count]) }
    func reconstructions(of images: Tensor, random: Generator) -> Tensor { images }
}

struct VAEModelTests {
    @Test(
        "the bound of a model with a tractable posterior is the exact likelihood, for every draw, and so is the importance-weighted estimate"
    )
    func tractable() {
        let images = Tensor.normal([5, 1, 2, 3], type: .float64, from: Generator(seed: 1)) * 2
        let exact = DiagonalNormal(mean: images.zerosLike(), logDeviation: images.zerosLike() + 0.5 * log(2.0)).logDensity(images)
            .summedPerImage()
        let random = Generator(seed: 2)
        #expect((LinearGaussian().bound(of: images, random: random) - exact).magnitude().maximum().item() < 1e-12)
        #expect((LinearGaussian().importanceWeighted(images, draws: 7, random: random) - exact).magnitude().maximum().item() < 1e-12)
    }

    @Test(
        "with every parameter at zero but the last bias, z says nothing, and the bound is the pixels' likelihood itself",
        arguments: [0, 1, 3])
    func independent(flowSteps: Int) {
        let model = ConvolutionalVAE(
            settings { $0.flowSteps = flowSteps }, rows: 8, columns: 8, normalization: .weight, type: .float64, random: Generator(seed: 1))
        for parameter in model.parameters { parameter.assign(parameter.value.zerosLike()) }
        model.namedParameters.last { $0.path.hasPrefix("decoder") && $0.path.hasSuffix("bias") }?.value.assign(Tensor([-1.5]))
        let images = Tensor.bernoulli([6, 1, 8, 8], probability: 0.3, type: .float64, from: Generator(seed: 3))
        let ones = images.summedPerImage()
        let exact = ones * log(1 / (1 + exp(1.5))) + (64 - ones) * log(1 / (1 + exp(-1.5)))
        let terms = model.terms(of: images, .inference, random: Generator(seed: 4))
        #expect((terms.logWeight - exact).magnitude().maximum().item() < 1e-10)
        #expect(abs(terms.penalty.item()) < 1e-10)

        let ladder = LadderVAE(
            settings {
                $0.pixels = .levels; $0.flowSteps = flowSteps
            }, rows: 16, columns: 16, normalization: .weight, type: .float64,
            random: Generator(seed: 1))
        for parameter in ladder.parameters { parameter.assign(parameter.value.zerosLike()) }
        let photographs = Tensor.integers(in: 0..<256, [3, 3, 16, 16], from: Generator(seed: 5)).converted(to: .float64)
        let zero = photographs.zerosLike()
        let pixels = DiscretizedLogistic.logProbability(of: photographs, mean: zero, logScale: zero).summedPerImage()
        let found = ladder.terms(of: photographs, .inference, random: Generator(seed: 4))
        #expect((found.logWeight - pixels).magnitude().maximum().item() < 1e-9)
        // Three layers of four maps whose divergence is 0: each counts with its free bits.
        #expect(abs(found.penalty.item() - 3 * 4 * 0.25) < 1e-12)
    }

    @Test("the divergence's formula is the mean of its draws")
    func divergence() {
        let random = Generator(seed: 8)
        let normal = DiagonalNormal(
            mean: Tensor([0.3, -1.2], shape: [1, 2]).expanded([100_000, 2]),
            logDeviation: Tensor([-0.7, 0.2], shape: [1, 2]).expanded([100_000, 2]))
        let draws = normal.sample(random: random)
        let sampled = (normal.logDensity(draws) - DiagonalNormal.standardLogDensity(draws)).mean(over: [0]).elements(as: Double.self)
        let exact = normal.divergenceFromStandard.mean(over: [0]).elements(as: Double.self)
        #expect(zip(sampled, exact).allSatisfy { abs($0 - $1) < 0.02 })
    }

    @Test("the discretized logistic's probabilities add up to 1, for every mean and scale, the very small and large ones included")
    func addsUp() {
        let values = Tensor.range(0..<256, type: .float64)
        for mean in [-3.0, -0.5, -0.2, 0.001, 0.4999, 0.7] {
            for logScale in [-30.0, -12, -7, -3, 0, 3, 8] {
                let logs = DiscretizedLogistic.logProbability(of: values, mean: Tensor(mean), logScale: Tensor(logScale))
                #expect(abs(logs.exp().sum().item() - 1) < 1e-12, "mean \(mean), log scale \(logScale)")
                #expect(logs.maximum().item() <= 1e-15)
            }
        }
        // One interval, by the definition.
        let sigmoid = { (x: Double) in 1 / (1 + exp(-x)) }
        let scale = exp(-3.0)
        let expected = sigmoid((101 / 256.0 - 0.5 + 0.2) / scale) - sigmoid((100 / 256.0 - 0.5 + 0.2) / scale)
        let found = DiscretizedLogistic.logProbability(of: Tensor(100.0), mean: Tensor(-0.2), logScale: Tensor(-3.0)).item()
        #expect(abs(found - log(expected)) < 1e-12)
    }

    @Test("its gradient is finite at the tails and at very small scales, in float32", arguments: [-30.0, -12, -7, 0, 8])
    func finiteGradient(logScale: Double) {
        let values = Tensor.range(0..<256, type: .float32)
        let mean = Parameter(Tensor([Float](repeating: 0.123, count: 256)))
        let scale = Parameter(Tensor([Float](repeating: Float(logScale), count: 256)))
        let logs = DiscretizedLogistic.logProbability(of: values, mean: mean.value, logScale: scale.value)
        #expect(logs.isFinite().allTrue())
        for slope in gradients(of: logs.sum(), withRespectTo: [mean, scale]) { #expect(slope.isFinite().allTrue()) }
    }

    /// ∂z′/∂z of one image, `[size, size]`, rows the outputs.
    private func jacobian(_ step: some FlowStep, _ latent: Tensor, context: Tensor) -> [[Double]] {
        (0..<latent.count).map { output in
            let input = Parameter(latent)
            let result = step(input.value, context: context, .inference).latent.flattened()
            return gradients(of: result.selected(output, along: 0), withRespectTo: [input])[0].flattened().elements(as: Double.self)
        }
    }

    /// By elimination.
    private func logDeterminant(_ rows: [[Double]]) -> Double {
        var (rows, sum) = (rows, 0.0)
        for column in rows.indices {
            let pivot = (column..<rows.count).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
            rows.swapAt(column, pivot)
            sum += log(abs(rows[column][column]))
            for row in rows.indices where row > column {
                let factor = rows[row][column] / rows[column][column]
                for place in column..<rows.count { rows[row][place] -= factor * rows[column][place] }
            }
        }
        return sum
    }

    /// Parameters that are far from a flow's quiet start.
    private func stir(_ module: some Module) {
        let random = Generator(seed: 6)
        for parameter in module.parameters { parameter.assign(.normal(parameter.value.shape, type: .float64, from: random) * 2) }
    }

    @Test("a flow's log-determinant is that of its Jacobian, and no output depends on a later input", arguments: [false, true])
    func denseFlow(isReversed: Bool) {
        for normalization in [Normalization.plain, .weight] {
            let step = DenseFlowStep(
                size: 5, hidden: 9, context: 3, isReversed: isReversed, normalization: normalization, type: .float64,
                random: Generator(seed: 1))
            stir(step)
            let latent = Tensor.normal([1, 5], type: .float64, from: Generator(seed: 2))
            let context = Tensor.normal([1, 3], type: .float64, from: Generator(seed: 3))
            let rows = jacobian(step, latent, context: context)
            let change = -step(latent, context: context, .inference).logScale.sum().item()
            #expect(abs(logDeterminant(rows) - change) < 1e-10)
            for (output, row) in rows.enumerated() {
                for (input, slope) in row.enumerated() {
                    let isLater = isReversed ? input < output : input > output
                    #expect(!isLater || slope == 0)
                    #expect(isLater || slope != 0, "every earlier input is used")
                }
            }
            // It is a flow of the context: another context gives another result.
            #expect(
                (step(latent, context: context * 2, .inference).latent - step(latent, context: context, .inference).latent).norm().item()
                    > 1e-3)
        }
    }

    @Test("a convolutional flow's log-determinant is that of its Jacobian, and no element depends on a later pixel or channel")
    func convolutionalFlow() {
        let step = ConvolutionalFlowStep(channels: 2, hidden: 6, normalization: .weight, type: .float64, random: Generator(seed: 1))
        stir(step)
        let latent = Tensor.normal([1, 2, 3, 3], type: .float64, from: Generator(seed: 2))
        let context = Tensor.normal([1, 6, 3, 3], type: .float64, from: Generator(seed: 3))
        let rows = jacobian(step, latent, context: context)
        let change = -step(latent, context: context, .inference).logScale.sum().item()
        #expect(abs(logDeterminant(rows) - change) < 1e-10)
        var isUsed = false
        for (output, row) in rows.enumerated() {
            for (input, slope) in row.enumerated() where input != output {
                let (here, there) = ((output % 9, output / 9), (input % 9, input / 9))
                if there > here { #expect(slope == 0, "\(there) behind \(here)") }
                if there.0 == here.0, there.1 < here.1 { isUsed = isUsed || slope != 0 }
            }
        }
        #expect(isUsed, "the second channel depends on the first of its pixel")
    }

    @Test("the ladder reconstructs and samples images of the right shape in [0, 1], and every parameter gets a gradient")
    func ladder() {
        let random = Generator(seed: 1)
        let model = LadderVAE(
            settings {
                $0.pixels = .levels; $0.flowSteps = 1
            }, rows: 16, columns: 16, normalization: .weight, random: random)
        let images = Tensor.integers(in: 0..<256, [20, 3, 16, 16], from: random).converted(to: .float32)
        let report = InitializationReport()
        withoutGradients { _ = model.terms(of: images, .initializing(random, targetDeviation: 0.1, report: report), random: random) }
        #expect(report.unitCount > 100)
        for shown in [model.samples(2, random: random), model.reconstructions(of: images, random: random)] {
            #expect(shown.shape.suffix(3) == [3, 16, 16] && shown.minimum().item() >= 0 && shown.maximum().item() <= 1)
        }
        // The top state starts at zero, so that what hangs on it alone has no gradient in the first step.
        let parameters = model.namedParameters
        for size in [0.01, 0.003] {
            let slopes = gradients(
                of: model.terms(of: images, .training(random), random: random).loss, withRespectTo: parameters.map(\.value))
            for (parameter, slope) in zip(parameters, slopes) { parameter.value.assign(parameter.value.value - slope.sign() * size) }
        }
        let slopes = gradients(of: model.terms(of: images, .training(random), random: random).loss, withRespectTo: parameters.map(\.value))
        let still = zip(parameters, slopes).filter { $1.norm().item() == 0 }.map(\.0.path)
        #expect(still.isEmpty, "\(still)")
    }
}
