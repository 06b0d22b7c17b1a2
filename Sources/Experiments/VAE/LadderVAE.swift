package import Torch
package import WeightNorm

/// The paper's model of photographs (its §5.2, CIFAR-10), in the form of Kingma's later code: a ladder of stochastic layers with bidirectional inference, each
/// with a posterior by inverse autoregressive flow, and discretized logistic pixels.
///
/// Images are of bytes as float32 in `[batch, 3, rows, columns]`. A deterministic pass goes up through all layers; inference then goes down the same
/// path as generation, and each layer's posterior combines what went up with what came down.
package struct LadderVAE: GenerativeModel {
    private let input: Convolution
    /// From the image to the top.
    private let layers: [LadderLayer]
    private let top: Parameter
    private let output: TransposedConvolution
    private let logScale: Parameter
    private let freeNats: Double
    private let inner: [Int]

    package init(
        _ settings: VAESettings, rows: Int, columns: Int, normalization: Normalization, type: ElementType = .float32, random: Generator
    ) {
        let maps = settings.ladderMaps
        input = Convolution(3, to: maps, kernel: 5, stride: 2, padding: 2, normalization: normalization, type: type, random: random)
        var layers: [LadderLayer] = []
        for (scale, count) in settings.depth.enumerated() {
            for place in 0..<count {
                let isTop = scale == settings.depth.count - 1 && place == count - 1
                layers.append(
                    LadderLayer(
                        maps: maps, latents: settings.latents, changesScale: scale > 0 && place == 0, isTop: isTop,
                        hasFlow: settings.flowSteps > 0,
                        normalization: normalization, type: type, random: random))
            }
        }
        self.layers = layers
        top = Parameter(.zeros([1, maps, 1, 1], type: type, on: random.device))
        output = TransposedConvolution(
            maps, to: 3, kernel: [5, 5], stride: [2, 2], padding: [2, 2], outputPadding: [1, 1], normalization: normalization, type: type,
            random: random)
        logScale = Parameter(.full([3, 1, 1], settings.initialLogScale ?? 0, type: type, on: random.device))
        freeNats = settings.freeNats
        // One scale fewer than there are: the first works on the input convolution's half-size image.
        let factor = 1 << settings.depth.count
        inner = [maps, rows / factor, columns / factor]
    }

    package func terms(of images: Tensor, _ pass: Pass, random: Generator) -> BoundTerms {
        let pixels = DiscretizedLogistic.centred(images)
        let inference = goUp(pixels, pass)
        var state = start(images.shape[0])
        var divergence: Tensor?
        var penalty: Tensor?
        for (layer, below) in zip(layers, inference).reversed() {
            let step = layer.infer(state, below, pass, random: random)
            state = step.state
            // [batch, maps]: free bits are given to every map of latents (Kingma et al., 2016).
            let perMap = step.divergence.sum(over: [2, 3])
            let floor = Tensor.full([], freeNats, type: perMap.type, on: perMap.device)
            let own = Tensor.maximum(perMap.mean(over: [0]), floor).sum()
            penalty = penalty.map { $0 + own } ?? own
            let sum = perMap.sum(over: [1])
            divergence = divergence.map { $0 + sum } ?? sum
        }
        guard let divergence else { fatalError("ladder: expected at least one layer, found none") }
        let likelihood = DiscretizedLogistic.logProbability(
            of: images, mean: mean(state, pass), logScale: logScale.value
        ).summedPerImage()
        return BoundTerms(likelihood: likelihood, divergence: divergence, penalty: penalty)
    }

    package func samples(_ count: Int, random: Generator) -> Tensor {
        var state = start(count)
        for layer in layers.reversed() { state = layer.generate(state, random: random) }
        return shown(mean(state, .inference))
    }

    package func reconstructions(of images: Tensor, random: Generator) -> Tensor {
        let inference = goUp(DiscretizedLogistic.centred(images), .inference)
        var state = start(images.shape[0])
        for (layer, below) in zip(layers, inference).reversed() { state = layer.infer(state, below, .inference, random: random).state }
        return shown(mean(state, .inference))
    }

    private func goUp(_ pixels: Tensor, _ pass: Pass) -> [LadderLayer.Upward] {
        var state = input(pixels, pass)
        return layers.map { layer in
            let step = layer.goUp(state, pass)
            state = step.state
            return step
        }
    }

    private func start(_ count: Int) -> Tensor { top.value.expanded([count] + inner) }

    /// The pixels' μ, kept within the intervals of the values.
    private func mean(_ state: Tensor, _ pass: Pass) -> Tensor {
        output(state.elu(), pass).clamped(from: -0.5 + 1 / 512.0, to: 0.5 - 1 / 512.0)
    }

    private func shown(_ mean: Tensor) -> Tensor { (mean + 0.5).clamped(from: 0, to: 1) }
}

/// A stochastic layer of the ladder, with z of `[batch, latents, rows, columns]`.
struct LadderLayer: Module {
    /// What the upward pass keeps for the posterior.
    struct Upward {
        let state: Tensor
        let mean: Tensor
        let logDeviation: Tensor
        let context: Tensor
    }

    private let maps: Int
    private let latents: Int
    private let changesScale: Bool
    private let upFirst: Convolution
    /// Nil in the topmost layer, which has nothing above it.
    private let upSecond: Convolution?
    private let downFirst: Convolution
    private let downSecond: Convolution?
    private let downSecondDoubling: TransposedConvolution?
    private let flow: ConvolutionalFlowStep?

    /// `changesScale` halves the image on the way up and doubles it on the way down.
    init(
        maps: Int, latents: Int, changesScale: Bool, isTop: Bool, hasFlow: Bool, normalization: Normalization, type: ElementType,
        random: Generator
    ) {
        func convolution(_ inputs: Int, _ outputs: Int, stride: Int = 1) -> Convolution {
            Convolution(
                inputs, to: outputs, kernel: 3, stride: stride, padding: 1, normalization: normalization, type: type, random: random)
        }
        self.maps = maps
        self.latents = latents
        self.changesScale = changesScale
        upFirst = convolution(maps, 2 * latents + (isTop ? 1 : 2) * maps, stride: changesScale ? 2 : 1)
        upSecond = isTop ? nil : convolution(maps, maps)
        downFirst = convolution(maps, 4 * latents + 2 * maps)
        downSecond = changesScale ? nil : convolution(maps + latents, maps)
        downSecondDoubling =
            changesScale
            ? TransposedConvolution(
                maps + latents, to: maps, kernel: [3, 3], stride: [2, 2], padding: [1, 1], outputPadding: [1, 1],
                normalization: normalization, type: type, random: random) : nil
        flow =
            hasFlow ? ConvolutionalFlowStep(channels: latents, hidden: maps, normalization: normalization, type: type, random: random) : nil
    }

    func goUp(_ input: Tensor, _ pass: Pass) -> Upward {
        let lengths = [latents, latents, maps] + (upSecond == nil ? [] : [maps])
        let parts = upFirst(input.elu(), pass).split(lengths, along: 1)
        guard let upSecond else { return Upward(state: input, mean: parts[0], logDeviation: parts[1], context: parts[2]) }
        let branch = upSecond(parts[3].elu(), pass)
        // The nearest of each four pixels.
        let kept = changesScale ? input.sliced(0..<input.shape[2], along: 2, step: 2).sliced(0..<input.shape[3], along: 3, step: 2) : input
        return Upward(state: kept.adding(branch, times: 0.1), mean: parts[0], logDeviation: parts[1], context: parts[2])
    }

    /// The state below, and log q(z | …) − log p(z | …) of every element of z.
    func infer(_ input: Tensor, _ upward: Upward, _ pass: Pass, random: Generator) -> (state: Tensor, divergence: Tensor) {
        let parts = downFirst(input.elu(), pass).split([latents, latents, latents, latents, maps, maps], along: 1)
        let prior = DiagonalNormal(mean: parts[0], logDeviation: parts[1])
        let posterior = DiagonalNormal(mean: parts[2] + upward.mean, logDeviation: parts[3] + upward.logDeviation)
        var latent = posterior.sample(random: random, at: pass.place)
        var logDensity = posterior.logDensity(latent)
        if let flow {
            let (next, scale) = flow(latent, context: parts[4] + upward.context, pass)
            (latent, logDensity) = (next, logDensity + scale)
        }
        return (goDown(input, latent, parts[5], pass), logDensity - prior.logDensity(latent))
    }

    func generate(_ input: Tensor, random: Generator) -> Tensor {
        let parts = downFirst(input.elu(), .inference).split([latents, latents, latents, latents, maps, maps], along: 1)
        let latent = DiagonalNormal(mean: parts[0], logDeviation: parts[1]).sample(random: random)
        return goDown(input, latent, parts[5], .inference)
    }

    private func goDown(_ input: Tensor, _ latent: Tensor, _ deterministic: Tensor, _ pass: Pass) -> Tensor {
        let joined = Tensor.concatenated([latent, deterministic], along: 1).elu()
        if let downSecondDoubling {
            let shape = input.shape
            return input.resizedNearest2d(height: 2 * shape[2], width: 2 * shape[3]).adding(downSecondDoubling(joined, pass), times: 0.1)
        }
        guard let downSecond else { fatalError("ladder layer: expected a second convolution, found none") }
        return input.adding(downSecond(joined, pass), times: 0.1)
    }
}
