import Experiments
import Foundation
import Testing
import Torch
import WeightNorm

private func settings(_ change: (inout DRAWSettings) -> Void = { _ in }) -> DRAWSettings {
    var settings = DRAWSettings()
    (settings.glimpses, settings.hidden, settings.latents, settings.deviation) = (3, 6, 4, 0.4)
    settings.attention = DRAWSettings.Attention(read: 2, write: 3)
    change(&settings)
    return settings
}

private func model(_ settings: DRAWSettings, _ normalization: Normalization = .weight, rows: Int = 7, columns: Int = 5) -> DRAW {
    let random = Generator(seed: 4)
    let model = DRAW(settings, rows: rows, columns: columns, normalization: normalization, type: .float64, random: random)
    // Biases, peepholes and starts are drawn as 0: the formulas must see them too.
    for parameter in model.parameters where parameter.value.norm().item() == 0 {
        parameter.assign(.normal(parameter.value.shape, type: .float64, from: random) * 0.3)
    }
    return model
}

private func binary(_ batch: Int, rows: Int = 7, columns: Int = 5) -> Tensor {
    .bernoulli([batch, 1, rows, columns], probability: 0.4, type: .float64, from: Generator(seed: 6))
}

/// A grid of filters in plain loops, as the implementation's formulas have it.
private struct PlainFilters {
    var vertical: [[Double]]
    var horizontal: [[Double]]
    var intensity: Double

    init(_ numbers: [Double], count: Int, rows: Int, columns: Int) {
        let stride = Double(max(rows, columns) - 1) / Double(count - 1) * exp(numbers[2])
        let deviation = exp(numbers[3] / 2)
        func filters(_ centre: Double, size: Int) -> [[Double]] {
            (0..<count).map { filter in
                let middle = (centre + 1) / 2 * Double(size) + (Double(filter) - Double(count) / 2 + 0.5) * stride
                let heights = (0..<size).map { exp(-pow(Double($0) - middle, 2) / (2 * deviation * deviation)) }
                let sum = heights.reduce(0, +) + 1e-4
                return heights.map { $0 / sum }
            }
        }
        vertical = filters(numbers[0], size: rows)
        horizontal = filters(numbers[1], size: columns)
        intensity = exp(numbers[4])
    }

    func read(_ image: [[Double]]) -> [Double] {
        vertical.flatMap { v in
            horizontal.map { h in
                var sum = 0.0
                for (row, weight) in v.enumerated() { for (column, other) in h.enumerated() { sum += weight * other * image[row][column] } }
                return sum * intensity
            }
        }
    }

    func written(_ patch: [Double]) -> [[Double]] {
        vertical[0].indices.map { row in
            horizontal[0].indices.map { column in
                var sum = 0.0
                for (i, v) in vertical.enumerated() {
                    for (j, h) in horizontal.enumerated() { sum += v[row] * patch[i * horizontal.count + j] * h[column] }
                }
                return sum / intensity
            }
        }
    }
}

struct DRAWTests {
    private let numbers = Tensor.normal([4, 5], type: .float64, from: Generator(seed: 1)) * 0.5

    private func nested(_ image: Tensor) -> [[Double]] {
        (0..<image.shape[0]).map { image.selected($0, along: 0).contiguous().elements(as: Double.self) }
    }

    @Test("filters, reading and writing are those of plain loops, for square and other images", arguments: [(8, 8), (7, 9)], [2, 3, 5])
    func attention(size: (rows: Int, columns: Int), count: Int) {
        let random = Generator(seed: 2)
        let filters = AttentionFilters(numbers, count: count, rows: size.rows, columns: size.columns)
        let images = Tensor.normal([4, size.rows, size.columns], type: .float64, from: random)
        let patches = Tensor.normal([4, count * count], type: .float64, from: random)
        let (read, written) = (filters.read(images), filters.written(patches))
        for example in 0..<4 {
            let row = { (tensor: Tensor) in tensor.selected(example, along: 0).contiguous() }
            let plain = PlainFilters(row(numbers).elements(as: Double.self), count: count, rows: size.rows, columns: size.columns)
            #expect(
                (row(filters.vertical) - Tensor(plain.vertical.flatMap(\.self), shape: [count, size.rows])).magnitude().maximum().item()
                    < 1e-14)
            #expect(
                (row(filters.horizontal) - Tensor(plain.horizontal.flatMap(\.self), shape: [count, size.columns])).magnitude().maximum()
                    .item() < 1e-14)
            #expect((row(read) - Tensor(plain.read(nested(row(images))))).magnitude().maximum().item() < 1e-13)
            let expected = plain.written(row(patches).elements(as: Double.self)).flatMap(\.self)
            #expect((row(written).flattened() - Tensor(expected)).magnitude().maximum().item() < 1e-13)
        }
    }

    @Test("writing is reading's transpose, but that γ divides: ⟨read x, w⟩ = γ²⟨x, write w⟩")
    func transpose() {
        let random = Generator(seed: 3)
        let filters = AttentionFilters(numbers, count: 3, rows: 9, columns: 9)
        let (images, patches) = (
            Tensor.normal([4, 9, 9], type: .float64, from: random), Tensor.normal([4, 9], type: .float64, from: random)
        )
        let left = (filters.read(images) * patches).sum(over: [1])
        let right = (images * filters.written(patches)).sum(over: [1, 2]) * filters.intensity.squared().flattened()
        #expect((left - right).magnitude().maximum().item() < 1e-12)
    }

    @Test("gradients through filters, reading and writing agree with finite differences", arguments: [(6, 6), (5, 7)])
    func attentionGradients(size: (rows: Int, columns: Int)) {
        let random = Generator(seed: 5)
        let parameter = Parameter(numbers)
        let images = Parameter(.normal([4, size.rows, size.columns], type: .float64, from: random))
        let patches = Parameter(.normal([4, 4], type: .float64, from: random))
        func value() -> Tensor {
            let filters = AttentionFilters(parameter.value, count: 2, rows: size.rows, columns: size.columns)
            return filters.read(images.value).squared().sum() + filters.written(patches.value).power(3).sum()
        }
        let all = [parameter, images, patches]
        for (parameter, gradient) in zip(all, gradients(of: value(), withRespectTo: all)) {
            #expect(furthest(gradient, slopes(parameter, value)) < 1e-6)
        }
    }

    @Test("the box of a grid goes from the first filter's centre to the last one's")
    func boxes() {
        // Centre of the image, δ = (9 − 1)/(3 − 1) = 4 pixels.
        let filters = AttentionFilters(Tensor([0.0, -0.5, 0, 0, 0], shape: [1, 5]), count: 3, rows: 9, columns: 9)
        #expect(filters.boxes == [AttentionBox(top: 0.5, bottom: 8.5, left: -1.75, right: 6.25)])
    }

    @Test(
        "the model is the formulas with everything joined and in loops: bound and its terms, with attention and without",
        arguments: [true, false], [Normalization.plain, .weight])
    func formulas(hasAttention: Bool, normalization: Normalization) throws {
        let settings = settings { if !hasAttention { $0.attention = nil } }
        let model = model(settings, normalization)
        let images = binary(3)
        let found = model.terms(of: images, .training(Generator(seed: 9)), random: Generator(seed: 9))
        let expected = try PlainDRAW(model, settings).bound(of: images, random: Generator(seed: 9))
        #expect((found.likelihood - expected.likelihood).magnitude().maximum().item() < 1e-11)
        #expect((found.bound - (expected.likelihood - expected.divergence)).magnitude().maximum().item() < 1e-11)
        #expect((found.divergence - expected.sampled).magnitude().maximum().item() < 1e-11)
        #expect(abs(found.loss.item() - (expected.divergence - expected.likelihood).mean().item()) < 1e-11)
    }

    @Test("the divergence's formula is the mean of its draws")
    func divergence() {
        let settings = settings { $0.glimpses = 1 }
        let model = model(settings)
        // One image many times: with one glimpse all have the same posterior.
        let images = binary(1).expanded([60_000, 1, 7, 5])
        let terms = withoutGradients { model.terms(of: images, .inference, random: Generator(seed: 2)) }
        let (sampled, exact) = (terms.divergence, terms.likelihood - terms.bound)
        let error = sampled.standardDeviation().item() / 60_000.0.squareRoot()
        #expect(exact.standardDeviation().item() < 1e-12)
        #expect(abs(sampled.mean().item() - exact.mean().item()) < 4 * error && error > 0)
    }

    @Test("both parameterisations start as the same function: g starts at ‖v‖", arguments: [true, false])
    func sameStart(hasAttention: Bool) {
        let settings = settings { if !hasAttention { $0.attention = nil } }
        let images = binary(4)
        let bounds = [Normalization.plain, .weight, .logWeight, .fixedGain].map { normalization in
            DRAW(settings, rows: 7, columns: 5, normalization: normalization, type: .float64, random: Generator(seed: 1))
                .bound(of: images, random: Generator(seed: 2))
        }
        for bound in bounds { #expect((bound - bounds[0]).magnitude().maximum().item() < 1e-11) }
    }

    @Test("within autocast the bound and its gradients are near those in float32", arguments: [true, false])
    func autocast(hasAttention: Bool) {
        let settings = settings { if !hasAttention { $0.attention = nil } }
        let model = DRAW(settings, rows: 7, columns: 5, normalization: .weight, random: Generator(seed: 1))
        let images = binary(6).converted(to: .float32)
        func run(_ type: ElementType) -> (loss: Double, slopes: [Tensor]) {
            let random = Generator(seed: 2)
            let loss = withAutocast(type, on: .cpu) { model.terms(of: images, .training(random), random: random).loss }
            #expect(loss.type == .float32)
            return (loss.item(), gradients(of: loss, withRespectTo: model.parameters))
        }
        let (exact, found) = (run(.float32), run(.bfloat16))
        #expect(found.loss != exact.loss && abs(found.loss - exact.loss) < 0.02 * exact.loss)
        func norm(_ tensors: [Tensor]) -> Double { tensors.map { $0.squared().sum().item() }.reduce(0, +).squareRoot() }
        #expect(norm(zip(found.slopes, exact.slopes).map { $0 - $1 }) < 0.1 * norm(exact.slopes))
    }

    @Test("gradients of every parameter agree with finite differences", arguments: [true, false], [Normalization.plain, .weight])
    func gradientsOfAll(hasAttention: Bool, normalization: Normalization) {
        let settings = settings {
            ($0.glimpses, $0.hidden, $0.latents) = (2, 3, 2)
            if !hasAttention { $0.attention = nil }
        }
        let model = model(settings, normalization, rows: 4, columns: 4)
        let images = binary(2, rows: 4, columns: 4)
        func loss() -> Tensor { model.terms(of: images, .training(Generator(seed: 9)), random: Generator(seed: 9)).loss }
        let parameters = model.parameters
        for (parameter, gradient) in zip(model.namedParameters, gradients(of: loss(), withRespectTo: parameters)) {
            #expect(furthest(gradient, slopes(parameter.value, loss)) < 1e-6, "\(parameter.path)")
            #expect(gradient.norm().item() > 0, "\(parameter.path)")
        }
    }

    @Test("every linear map and gate is normalized row by row, peepholes and starts are plain")
    func normalized() {
        let names = Set(model(settings()).namedParameters.map(\.path))
        for map in ["mean", "logDeviation", "reading", "writing", "content"] {
            #expect(names.isSuperset(of: ["\(map).weight.direction", "\(map).weight.gain", "\(map).bias"]))
        }
        for memory in ["encoder", "decoder"] {
            for weight in ["inputWeight", "stateWeight"] {
                #expect(names.isSuperset(of: ["\(memory).\(weight).direction", "\(memory).\(weight).gain"]))
            }
            #expect(names.isSuperset(of: ["\(memory).peepholes", "\(memory).initialState", "\(memory).initialCell", "\(memory).bias"]))
        }
        #expect(names.count == 5 * 3 + 2 * (2 * 2 + 4))
    }

    @Test("a drawing has a canvas before the first glimpse and after each, whose last is the picture, and boxes where there is attention")
    func drawing() {
        for hasAttention in [true, false] {
            let model = model(settings { if !hasAttention { $0.attention = nil } })
            let images = binary(2)
            let drawn = withoutGradients { model.drawnReconstructions(of: images, random: Generator(seed: 3)) }
            let made = withoutGradients { model.drawnSamples(5, random: Generator(seed: 3)) }
            #expect(drawn.canvases.count == 4 && made.canvases.count == 4)
            #expect(drawn.readBoxes.map(\.count) == (hasAttention ? [2, 2, 2] : []) && made.readBoxes.isEmpty)
            #expect(drawn.writeBoxes.count == (hasAttention ? 3 : 0) && made.writeBoxes.count == drawn.writeBoxes.count)
            let end = withoutGradients { model.reconstructions(of: images, random: Generator(seed: 3)) }
            let sample = withoutGradients { model.samples(5, random: Generator(seed: 3)) }
            #expect((drawn.canvases[3] - end).magnitude().maximum().item() == 0)
            #expect((made.canvases[3] - sample).magnitude().maximum().item() == 0)
            #expect(drawn.canvases[0].shape == [2, 1, 7, 5] && drawn.canvases[0].maximum().item() == 0.5)
        }
    }
}

/// The largest difference, relative to the largest element of the second above 1.
private func furthest(_ found: Tensor, _ expected: Tensor) -> Double {
    (found.detached() - expected).magnitude().maximum().item() / max(1, expected.magnitude().maximum().item())
}

/// Central differences of a function of a parameter.
private func slopes(_ parameter: Parameter, _ value: () -> Tensor) -> Tensor {
    withoutGradients {
        let start = parameter.snapshot()
        let numbers = start.elements(as: Double.self)
        let found = numbers.indices.map { index -> Double in
            func at(_ offset: Double) -> Double {
                var moved = numbers
                moved[index] += offset
                parameter.assign(Tensor(moved, shape: start.shape))
                return value().item()
            }
            return (at(1e-6) - at(-1e-6)) / 2e-6
        }
        parameter.assign(start)
        return Tensor(found, shape: start.shape)
    }
}

/// DRAW once more, with joined inputs, plain weights and a loop for everything: from a model's folded parameters.
private struct PlainDRAW {
    private let weights: [String: Tensor]
    private let settings: DRAWSettings

    init(_ model: DRAW, _ settings: DRAWSettings) throws {
        self.settings = settings
        let named = Dictionary(uniqueKeysWithValues: model.namedParameters.map { ($0.path, $0.value.value.detached()) })
        var weights = named
        for (name, direction) in named where name.hasSuffix(".direction") {
            let base = String(name.dropLast(".direction".count))
            let gain = try #require(named["\(base).gain"]).reshaped([direction.shape[0], 1])
            weights[base] = direction * (gain / direction.squared().sum(over: [1], keeping: true).squareRoot())
        }
        self.weights = weights
    }

    private func weight(_ name: String) -> Tensor { weights[name] ?? .zeros([]) }

    private func dense(_ name: String, _ input: Tensor) -> Tensor {
        input.matrixProduct(weight("\(name).weight").transposed()) + weight("\(name).bias")
    }

    private func memory(_ name: String, _ input: Tensor, _ state: (output: Tensor, cell: Tensor)) -> (output: Tensor, cell: Tensor) {
        let hidden = settings.hidden
        let gates =
            input.matrixProduct(weight("\(name).inputWeight").transposed())
            + state.output.matrixProduct(weight("\(name).stateWeight").transposed()) + weight("\(name).bias")
        let peepholes = weight("\(name).peepholes")
        func gate(_ index: Int) -> Tensor { gates.sliced(index * hidden..<(index + 1) * hidden, along: 1) }
        func peephole(_ index: Int, _ cell: Tensor) -> Tensor { peepholes.selected(index, along: 0) * cell }
        let input = (gate(0) + peephole(0, state.cell)).sigmoid()
        let forget = (gate(1) + peephole(1, state.cell)).sigmoid()
        let cell = forget * state.cell + input * gate(2).tanh()
        let output = (gate(3) + peephole(2, cell)).sigmoid()
        return (output * cell.tanh(), cell)
    }

    func bound(
        of images: Tensor, random: Generator
    ) throws -> (likelihood: Tensor, divergence: Tensor, sampled: Tensor) {
        let shape = images.shape
        let (batch, rows, columns) = (shape[0], shape[2], shape[3])
        let noise = Tensor.normal([settings.glimpses, batch, settings.latents], type: .float64, from: random)
        func start(_ name: String) -> (output: Tensor, cell: Tensor) {
            (
                weight("\(name).initialState").expanded([batch, settings.hidden]),
                weight("\(name).initialCell").expanded([batch, settings.hidden])
            )
        }
        func nested(_ tensor: Tensor, _ example: Int) -> [[Double]] {
            let numbers = tensor.reshaped([batch, rows, columns]).selected(example, along: 0).contiguous().elements(as: Double.self)
            return (0..<rows).map { Array(numbers[$0 * columns..<($0 + 1) * columns]) }
        }
        func filters(_ numbers: Tensor, _ example: Int, _ count: Int) -> PlainFilters {
            PlainFilters(
                numbers.selected(example, along: 0).contiguous().elements(as: Double.self), count: count, rows: rows, columns: columns)
        }
        let flat = images.flattened(from: 1)
        var canvas = Tensor.zeros([batch, rows * columns], type: .float64)
        var (reader, writer) = (start("encoder"), start("decoder"))
        var (divergence, sampled) = (Tensor.zeros([batch], type: .float64), Tensor.zeros([batch], type: .float64))
        for glimpse in 0..<settings.glimpses {
            let errors = flat - canvas.sigmoid()
            var read = Tensor.concatenated([flat, errors], along: 1)
            if let attention = settings.attention {
                let numbers = dense("reading", writer.output)
                read = Tensor.stacked(
                    (0..<batch).map { example in
                        let filters = filters(numbers, example, attention.read)
                        return Tensor(filters.read(nested(flat, example)) + filters.read(nested(errors, example)))
                    })
            }
            reader = memory("encoder", Tensor.concatenated([read, writer.output], along: 1), reader)
            let (mean, logDeviation) = (dense("mean", reader.output), dense("logDeviation", reader.output))
            let latent = mean + logDeviation.exp() * noise.selected(glimpse, along: 0)
            divergence = divergence + ((mean.squared() + (logDeviation * 2).exp() - 1) * 0.5 - logDeviation).sum(over: [1])
            // log N(z; μ, σ²) − log N(z; 0, 1), in which log 2π falls out.
            sampled =
                sampled
                + ((latent.squared() - ((latent - mean) / logDeviation.exp()).squared()) * 0.5 - logDeviation).sum(over: [1])
            writer = memory("decoder", latent, writer)
            var content = dense("content", writer.output)
            if let attention = settings.attention {
                let numbers = dense("writing", writer.output)
                content = Tensor.stacked(
                    (0..<batch).map { example in
                        let patch = content.selected(example, along: 0).contiguous().elements(as: Double.self)
                        return Tensor(filters(numbers, example, attention.write).written(patch).flatMap(\.self))
                    })
            }
            canvas = canvas + content
        }
        let likelihood = (flat * canvas.logSigmoid() + (1 - flat) * (-canvas).logSigmoid()).sum(over: [1])
        return (likelihood, divergence, sampled)
    }
}
