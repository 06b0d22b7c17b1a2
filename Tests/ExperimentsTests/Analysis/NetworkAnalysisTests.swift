import Experiments
import Foundation
import Testing
import Torch
import WeightNorm

/// The largest difference of two tensors, relative to the largest element of the second.
private func difference(_ found: Tensor, _ expected: Tensor) -> Double {
    (found.detached() - expected.detached()).magnitude().maximum().item() / expected.detached().magnitude().maximum().item()
}

/// A layer whose per-example gradients are compared in w and in v.
private struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let input: [Int]
    let layer: @Sendable (Normalization, Generator) -> any Layer

    static let all = [
        Case(testDescription: "dense", input: [5]) { Dense(5, to: 4, normalization: $0, type: .float64, random: $1) },
        Case(testDescription: "convolution", input: [4, 5, 5]) {
            Convolution(
                4, to: 6, kernel: [3, 2], stride: [2, 1], padding: [1, 0], groups: 2, normalization: $0, type: .float64, random: $1)
        },
        Case(testDescription: "transposed convolution in groups", input: [4, 6]) {
            TransposedConvolution(4, to: 6, kernel: [3], stride: [2], groups: 2, normalization: $0, type: .float64, random: $1)
        },
    ]
}

struct NetworkAnalysisTests {
    private let random = Generator(seed: 71)

    private func draw(_ shape: [Int]) -> Tensor { .normal(shape, type: .float64, from: random) }

    /// A loss of one example that is smooth and not linear in the output.
    private func loss(_ layer: any Layer, _ input: Tensor) -> Tensor {
        let output = layer(input.expandingDimension(0), .inference)
        return ((output * 0.5).tanh() * (Tensor.range(0..<output.count, type: .float64) + 1).reshaped(output.shape)).sum()
    }

    @Test(
        "the covariance of ∇v, as autograd gives it, is D = (g²/‖v‖²)·M·C·M with C that of ∇w",
        arguments: Case.all, [Normalization.weight, .logWeight, .weightAndMeanOnlyBatch])
    private func covarianceOfDirection(layerCase: Case, normalization: Normalization) throws {
        let layer = layerCase.layer(normalization, random)
        let named = try #require(layer.namedWeights.first)
        let units = try #require(named.value.units)
        // g of no relation to ‖v‖, as after a training.
        for parameter in layer.namedParameters where parameter.path.hasSuffix("ain") {
            parameter.value.assign(draw(parameter.value.value.shape) + 0.5)
        }
        let inputs = (0..<40).map { _ in draw(layerCase.input) }
        guard case .parameter(let direction) = named.value.form.parts[0] else { Issue.record("v is trained"); return }
        let v = direction.snapshot()
        let norms = units.norms(of: v).reshaped([-1])
        let gains = named.value.gains(norms: norms)

        var inDirection = GradientMoments(weight: v, units: units, most: 1000)
        for input in inputs { inDirection.add(gradients(of: loss(layer, input), withRespectTo: [direction])[0]) }
        let d = inDirection.covariance()

        layer.foldWeights()
        let plain = try #require(layer.namedWeights.first?.value.plain)
        var inWeight = GradientMoments(weight: v, units: units, most: 1000)
        for input in inputs { inWeight.add(gradients(of: loss(layer, input), withRespectTo: [plain])[0]) }
        let c = inWeight.covariance()

        let w = units.rows(of: plain.snapshot())
        let unit = w / w.norm(over: [1], keeping: true)
        let m = Tensor.identity(w.shape[1], type: .float64) - unit.expandingDimension(2) * unit.expandingDimension(1)
        let scale = (gains / norms).squared().reshaped([-1, 1, 1])
        #expect(difference(d, scale * m.matrixProduct(c).matrixProduct(m)) < 1e-12)
        #expect(difference(c, scale * m.matrixProduct(c).matrixProduct(m)) > 1e-3, "the projection is not nothing")

        // What the analysis makes of C has the eigenvalues of D, but for the zero along w.
        let spectra = UnitSpectra(covariance: c, weights: w, random: random)
        let byHand = d.symmetricEigenvalues().elements(as: Double.self)
        let size = w.shape[1]
        for (place, values) in spectra.projected.enumerated() {
            let factor = scale.elements(as: Double.self)[place]
            let all = Array(byHand[place * size..<(place + 1) * size].reversed())
            #expect(values.count == size - 1)
            #expect(zip(values, all).allSatisfy { abs($0 * factor - $1) < 1e-12 * all[0] })
            #expect(all[size - 1].magnitude < 1e-12 * all[0])
        }
    }

    @Test("covariances are those of the population, per unit, also of some units only, and over more examples than are held at a time")
    func moments() {
        let gradients = (0..<150).map { _ in draw([4, 3]) }
        var all = GradientMoments(weight: draw([4, 3]), units: .axis(0), most: 100)
        var some = GradientMoments(weight: draw([4, 3]), units: .axis(0), most: 2)
        for gradient in gradients {
            all.add(gradient + 5)
            some.add(gradient + 5)
        }
        let stacked = Tensor.stacked(gradients)
        let centred = stacked - stacked.mean(over: [0], keeping: true)
        let byHand = centred.permuted([1, 2, 0]).matrixProduct(centred.permuted([1, 0, 2])) / 150
        #expect(difference(all.covariance(), byHand) < 1e-12)
        #expect(some.chosen == [0, 2])
        #expect(difference(some.covariance(), byHand.selecting(Tensor([Int64(0), 2]), along: 0)) < 1e-12)
    }

    @Test("a weight along the leading eigenvector of a covariance made for it: cosine 1, and the condition number falls by λ₁/λ₂")
    func knownCovariance() {
        // Q·diag(100, 5, 2, 1)·Qᵀ with Q from the eigenvectors of a drawn matrix.
        let square = draw([4, 4])
        let q = (square + square.transposed()).symmetricEigen().vectors
        let c = q.matrixProduct(Tensor([100.0, 5, 2, 1]).reshaped([4, 1]) * q.transposed())
        let leading = q.selected(0, along: 1)
        let last = q.selected(3, along: 1)
        let spectra = UnitSpectra(
            covariance: Tensor.stacked([c, c, c]), weights: Tensor.stacked([leading * -3, last, leading + last]), random: random)
        func near(_ found: [Double], _ expected: [Double]) -> Bool { zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 * 100 } }
        #expect(near(spectra.gradient[0], [100, 5, 2, 1]))
        #expect(near(spectra.projected[0], [5, 2, 1]) && near(spectra.projected[1], [100, 5, 2]))
        #expect(near(spectra.cosines[0], [1, 0, 0, 0]) && near(spectra.cosines[1], [0, 0, 0, 1]))
        let half = sqrt(0.5)
        #expect(near(spectra.cosines[2], [half, 0, 0, half]))
        #expect(abs(UnitSpectra.conditionNumber(spectra.gradient[0]) - 100) < 1e-9)
        #expect(abs(UnitSpectra.conditionNumber(spectra.projected[0]) - 5) < 1e-12)
        // Any direction taken off leaves eigenvalues between those of C.
        for (c, d) in zip(spectra.gradient, spectra.randomlyProjected) {
            for place in d.indices { #expect(d[place] <= c[place] + 1e-12 && d[place] >= c[place + 1] - 1e-12) }
        }
    }

    @Test("a condition number is never the quotient by rounding, and of zeros there is none")
    func rounding() {
        #expect(UnitSpectra.conditionNumber([4, 2, 1]) == 4)
        #expect(UnitSpectra.conditionNumber([1, 1e-17]) == .infinity)
        #expect(UnitSpectra.conditionNumber([1, -1e-17]) == .infinity)
        #expect(UnitSpectra.conditionNumber([0, 0]).isNaN && UnitSpectra.conditionNumber([]).isNaN)
        #expect(Quartiles([.nan]) == nil)
        let quartiles = Quartiles([1, 2, 3, 4, .nan, .infinity])
        #expect(quartiles?.lower == 2 && quartiles?.median == 3 && quartiles?.upper == 4)
        #expect(Quartiles([1, .infinity, .infinity])?.median == .infinity)
    }

    @Test("the mean |cos| of drawn directions is the formula's", arguments: [2, 9, 144])
    func drawnDirections(dimensions: Int) {
        let draws = draw([20_000, dimensions])
        let cosines = draws.selected(0, along: 1).magnitude() / draws.norm(over: [1])
        let expected = UnitSpectra.meanCosineOfDrawnDirection(dimensions: dimensions)
        // Five standard errors.
        let error = cosines.standardDeviation().item() / sqrt(20_000)
        #expect(abs(cosines.mean().item() - expected) < 5 * error)
        #expect(abs(UnitSpectra.meanCosineOfDrawnDirection(dimensions: 1) - 1) < 1e-14)
    }

    private func analyse(
        _ normalization: Normalization, examples: Int, layers: [String]? = nil, units: Int = 100
    ) throws -> [NetworkAnalysis.Layer] {
        let network = Sequential(
            Dense(6, to: 5, normalization: normalization, type: .float64, random: Generator(seed: 3)), Activation.tanh,
            Dense(5, to: 3, normalization: normalization, type: .float64, random: Generator(seed: 4)))
        let inputs = (0..<examples).map { _ in draw([1, 6]) }
        return try NetworkAnalysis.analyse(
            network, .init(examples: examples, units: units, layers: layers, seed: 1),
            loss: { network(inputs[$0], .inference).softmaxCrossEntropy(labels: Tensor([Int64($0 % 3)])) }, progress: { _, _ in })
    }

    @Test(
        "an analysis looks at every weight or those asked for; a plain weight is taken as v = w",
        arguments: [Normalization.plain, .weight])
    func layers(normalization: Normalization) throws {
        let all = try analyse(normalization, examples: 60)
        #expect(all.map(\.path) == ["0.weight", "2.weight"] && all.map(\.elements) == [6, 5] && all.map(\.units) == [5, 3])
        for layer in all {
            let improvement = try #require(layer.improvement)
            #expect(improvement.lower >= 1 && !layer.isRankDeficient && layer.unitsBelowRounding == 0)
            #expect(try #require(layer.scale).median == 1 || normalization == .weight)
            #expect(layer.gradientSpectrum.first == 1 && layer.gradientSpectrum.count == layer.elements)
            #expect(layer.directionSpectrum.count == layer.elements - 1 && layer.cosines.count == 5)
        }
        let one = try analyse(normalization, examples: 60, layers: ["2"], units: 2)
        #expect(one.map(\.path) == ["2.weight"] && one[0].unitsAnalysed == 2)
        #expect { try analyse(normalization, examples: 60, layers: ["5"]) } throws: {
            "\($0)" == "layer: expected one of 0, 2, found '5'"
        }
    }

    @Test("with no more examples than elements there are no condition numbers")
    func tooFewExamples() throws {
        let layers = try analyse(.weight, examples: 6)
        #expect(layers.map(\.isRankDeficient) == [true, false])
        #expect(layers[0].gradientCondition == nil && layers[0].improvement == nil && layers[0].improvementOfLargest != nil)
        #expect(layers[1].gradientCondition != nil)
    }
}
