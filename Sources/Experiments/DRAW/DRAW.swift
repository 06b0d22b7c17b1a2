package import Torch
package import WeightNorm

/// DRAW (Gregor et al., 2015) for grey images `[batch, 1, rows, columns]`: an encoder and a decoder with memory, which draw an image in several
/// glimpses.
///
/// Each glimpse t reads the image x and the error image x̂ = x − σ(c), c being the canvas so far: r = read(x, x̂, h_dec); h_enc = LSTM(r, h_dec); z ~
/// N(μ(h_enc), σ(h_enc)²); h_dec = LSTM(z); c ← c + write(h_dec). The last canvas holds the logits of the pixels. The divergence of q from the prior
/// N(0, 1) is a sum of closed forms, one per glimpse (eq. 11 of DRAW).
///
/// Every row of every linear map, gates included, is a weight vector with its own norm; the peepholes, which are diagonal, stay plain. Weights are
/// drawn from N(0, 0.01²), with g = ‖v‖, so that with the same seed every parameterisation starts as the same function.
package struct DRAW: GenerativeModel {
    private let encoder: LSTM
    private let decoder: LSTM
    /// μ of z.
    private let mean: Dense
    /// log σ of z.
    private let logDeviation: Dense
    /// The five numbers of the reading filters, if there is attention.
    private let reading: Dense?
    /// The five numbers of the writing filters.
    private let writing: Dense?
    /// What is written.
    private let content: Dense
    private let attention: DRAWSettings.Attention?
    private let glimpses: Int
    private let latents: Int
    private let rows: Int
    private let columns: Int

    /// The paper's model; optionally its memories have no peepholes, or start at zero.
    ///
    /// Traps for normalizations with batch statistics: these differ from one time step to the next.
    package init(
        _ settings: DRAWSettings, rows: Int, columns: Int, normalization: Normalization, peepholes: Bool = true,
        trainableStart: Bool = true, type: ElementType = .float32, random: Generator
    ) {
        func dense(_ inputs: Int, _ outputs: Int) -> Dense {
            Dense(
                map: DenseMap(inputs: inputs, outputs: outputs), normalization: normalization, deviation: settings.deviation, type: type,
                random: random)
        }
        func memory(_ inputs: Int) -> LSTM {
            LSTM(
                inputs, hidden: settings.hidden, normalization: normalization, peepholes: peepholes, trainableStart: trainableStart,
                deviation: settings.deviation, type: type, random: random)
        }
        (attention, glimpses, latents) = (settings.attention, settings.glimpses, settings.latents)
        (self.rows, self.columns) = (rows, columns)
        let read = settings.attention.map { $0.read * $0.read } ?? rows * columns
        encoder = memory(2 * read + settings.hidden)
        decoder = memory(settings.latents)
        mean = dense(settings.hidden, settings.latents)
        logDeviation = dense(settings.hidden, settings.latents)
        reading = settings.attention.map { _ in dense(settings.hidden, 5) }
        writing = settings.attention.map { _ in dense(settings.hidden, 5) }
        content = dense(settings.hidden, settings.attention.map { $0.write * $0.write } ?? rows * columns)
    }

    package func terms(of images: Tensor, _ pass: Pass, random: Generator) -> BoundTerms {
        let found = BoundDRAW(self, batch: images.shape[0]).reconstruct(images, random: random, at: pass.place)
        let posterior = Tensor.stacked(found.posteriors)
        let parts = posterior.split([latents, latents], along: 2)
        let normal = DiagonalNormal(mean: parts[0], logDeviation: parts[1])
        return BoundTerms(
            likelihood: BernoulliPixels.logProbability(of: images.flattened(from: 1), logits: found.canvas.flattened(from: 1)),
            exactDivergence: normal.divergenceFromStandard.sum(over: [0, 2])
        ) {
            // The same draws of z, recomputed from their noise.
            let noise = Tensor.stacked(found.noise)
            let latent = normal.mean + normal.logDeviation.boundedExponential() * noise
            return (normal.logDensity(latent) - DiagonalNormal.standardLogDensity(latent)).sum(over: [0, 2])
        }
    }

    package func samples(_ count: Int, random: Generator) -> Tensor {
        image(BoundDRAW(self, batch: count).generate(random: random))
    }

    package func reconstructions(of images: Tensor, random: Generator) -> Tensor {
        image(BoundDRAW(self, batch: images.shape[0]).reconstruct(images, random: random).canvas)
    }

    /// The expected pixels of a canvas, `[batch, 1, rows, columns]`.
    private func image(_ canvas: Tensor) -> Tensor { canvas.sigmoid().reshaped([canvas.shape[0], 1, rows, columns]) }
}

extension DRAW: DrawsInSteps {
    package func drawnSamples(_ count: Int, random: Generator) -> Drawing {
        drawing(of: count) { bound, watch in _ = bound.generate(random: random, watch: watch) }
    }

    package func drawnReconstructions(of images: Tensor, random: Generator) -> Drawing {
        drawing(of: images.shape[0]) { bound, watch in _ = bound.reconstruct(images, random: random, watch: watch) }
    }

    private func drawing(of count: Int, _ draw: (_ bound: BoundDRAW, _ watch: @escaping (Glimpse) -> Void) -> Void) -> Drawing {
        var canvases = [Tensor.full([count, 1, rows, columns], 0.5)]
        var (readBoxes, writeBoxes): ([[AttentionBox]], [[AttentionBox]]) = ([], [])
        draw(BoundDRAW(self, batch: count)) { glimpse in
            canvases.append(image(glimpse.canvas).moved(to: .cpu))
            if let boxes = glimpse.read?.boxes { readBoxes.append(boxes) }
            if let boxes = glimpse.written?.boxes { writeBoxes.append(boxes) }
        }
        return Drawing(canvases: canvases, readBoxes: readBoxes, writeBoxes: writeBoxes)
    }
}

// MARK: - The glimpses of a drawing

extension DRAW {
    /// A finished glimpse: the canvas after it, and its filters if there is attention.
    struct Glimpse {
        let canvas: Tensor
        let read: AttentionFilters?
        let written: AttentionFilters?
    }

    /// The glimpses of one batch, with every weight derived once.
    private struct BoundDRAW {
        typealias Glimpse = DRAW.Glimpse

        private let model: DRAW
        private let batch: Int
        private let encoder: BoundLSTM
        private let decoder: BoundLSTM
        private let device: Device
        private let type: ElementType
        /// μ and log σ of z in one product.
        private let latentMap: (weight: Tensor, bias: Tensor)
        /// Everything computed from the decoder's output, in one product: what to write, how to write, how to read.
        private let outputMap: (weight: Tensor, bias: Tensor)
        private let outputWidths: [Int]

        init(_ model: DRAW, batch: Int) {
            self.model = model
            self.batch = batch
            (encoder, decoder) = (model.encoder.bound(), model.decoder.bound())
            (type, device) = (encoder.inputWeight.type, encoder.inputWeight.device)
            func stacked(_ layers: [Dense]) -> (weight: Tensor, bias: Tensor) {
                (.concatenated(layers.map(\.weight.value)).shared(), .concatenated(layers.compactMap { $0.bias?.value }).shared())
            }
            latentMap = stacked([model.mean, model.logDeviation])
            let outputs = [model.content, model.writing, model.reading].compactMap(\.self)
            outputMap = stacked(outputs)
            outputWidths = outputs.map(\.map.outputs)
        }

        /// What the decoder's output determines: what to write, and the numbers of the writing filters and of the next reading filters.
        private struct Output {
            let content: Tensor
            let writing: Tensor?
            let reading: Tensor?
        }

        private func output(of state: LSTM.State) -> Output {
            let product = state.output.sharedLinear(weight: outputMap.weight, bias: outputMap.bias)
            // Within autocast products have 16 bits, which are too few for the places of filters, and for the canvas.
            let parts = product.converted(to: type).split(outputWidths, along: 1)
            return Output(content: parts[0], writing: parts.count > 1 ? parts[1] : nil, reading: parts.count > 2 ? parts[2] : nil)
        }

        private func filters(_ numbers: Tensor?, count: Int) -> AttentionFilters? {
            numbers.map { AttentionFilters($0, count: count, rows: model.rows, columns: model.columns) }
        }

        /// The canvas after a glimpse has written on it.
        private func written(_ output: Output, on canvas: Tensor) -> (canvas: Tensor, filters: AttentionFilters?) {
            guard let filters = filters(output.writing, count: model.attention?.write ?? 0) else {
                return (canvas + output.content, nil)
            }
            return (filters.written(output.content, on: canvas), filters)
        }

        private var blank: Tensor {
            .zeros(
                model.attention == nil ? [batch, model.rows * model.columns] : [batch, model.rows, model.columns], type: type, on: device)
        }

        private func noise(_ random: Generator, at place: BatchPlace? = nil) -> [Tensor] {
            let all = Tensor.normal([model.glimpses, batch, model.latents], type: type, from: random, at: place, axis: 1)
            return (0..<model.glimpses).map { all.selected($0, along: 0) }
        }

        /// Draws z from the posterior of images `[batch, 1, rows, columns]`.
        ///
        /// The canvas is `[batch, rows, columns]`, or flat without attention; the posteriors are μ and log σ of each glimpse, `[batch, 2·latents]`.
        func reconstruct(
            _ images: Tensor, random: Generator, at place: BatchPlace? = nil, watch: ((Glimpse) -> Void)? = nil
        ) -> (canvas: Tensor, posteriors: [Tensor], noise: [Tensor]) {
            var canvas = blank
            let images = images.reshaped(canvas.shape)
            var (reader, writer) = (encoder.start(batch: batch), decoder.start(batch: batch))
            var posteriors: [Tensor] = []
            let noise = noise(random, at: place)
            let imageReader = ImageReader(model, encoder, images)
            // All examples start from the same state: one row is enough.
            var numbers = model.reading.map { reading in
                decoder.start(batch: 1).output.linear(weight: reading.weight.value, bias: reading.bias?.value).converted(to: type)
                    .expanded([batch, 5])
            }
            for glimpse in 0..<model.glimpses {
                let filters = filters(numbers, count: model.attention?.read ?? 0)
                reader = imageReader.read(through: filters, canvas, decoder: writer, from: reader)
                let posterior = reader.output.sharedLinear(weight: latentMap.weight, bias: latentMap.bias).converted(to: type)
                posteriors.append(posterior)
                let parts = posterior.split([model.latents, model.latents], along: 1)
                writer = decoder.step(parts[0] + parts[1].boundedExponential() * noise[glimpse], from: writer)
                let output = output(of: writer)
                let written = written(output, on: canvas)
                (canvas, numbers) = (written.canvas, output.reading)
                watch?(Glimpse(canvas: canvas, read: filters, written: written.filters))
            }
            return (canvas, posteriors, noise)
        }

        /// Draws z from the prior; returns the final canvas.
        func generate(random: Generator, watch: ((Glimpse) -> Void)? = nil) -> Tensor {
            var (canvas, writer) = (blank, decoder.start(batch: batch))
            for latent in noise(random) {
                writer = decoder.step(latent, from: writer)
                let written = written(output(of: writer), on: canvas)
                canvas = written.canvas
                watch?(Glimpse(canvas: canvas, read: nil, written: written.filters))
            }
            return canvas
        }
    }

    /// How the encoder reads images: the parts of its input weight, and what all glimpses share.
    private struct ImageReader {
        private let encoder: BoundLSTM
        private let images: Tensor
        /// Without attention: the columns of the encoder's input weight for what is read from x and x̂ together, and for the decoder's output.
        private let columns: [Tensor]
        /// Without attention: the product of the image itself.
        private let preactivation: Tensor?

        init(_ model: DRAW, _ encoder: BoundLSTM, _ images: Tensor) {
            self.encoder = encoder
            self.images = images
            if model.attention != nil {
                (columns, preactivation) = ([], nil)
            } else {
                // W₁x + W₂(x − σ(c)) = (W₁ + W₂)x − W₂σ(c): the first term is the same in all glimpses.
                let size = model.rows * model.columns
                let parts = encoder.inputColumns([size, size, model.decoder.hidden])
                preactivation = images.linear(weight: parts[0] + parts[1])
                columns = [-parts[1], parts[2]]
            }
        }

        /// The encoder's state after a glimpse.
        func read(through filters: AttentionFilters?, _ canvas: Tensor, decoder: LSTM.State, from state: LSTM.State) -> LSTM.State {
            guard let filters else {
                return encoder.step(
                    parts: [(canvas.sigmoid(), columns[0]), (decoder.output, columns[1])], preactivation: preactivation, from: state)
            }
            // Joined: for the few columns of a glimpse alone a matrix product takes half as long as for all.
            return encoder.step(.concatenated([filters.read(images, errorOf: canvas), decoder.output], along: 1), from: state)
        }
    }
}
