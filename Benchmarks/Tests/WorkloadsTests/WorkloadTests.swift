import Experiments
import Testing
import Torch
import WeightNorm
import Workloads

@Suite("the race's work is PyTorch's: from the same parameters, inputs and draws, loss and gradients agree in double precision")
struct WorkloadTests {
    @Test("cnn") func cnn() throws {
        let reference = try Reference.read()
        let batch = reference.batch
        #expect(reference.cnn.map(\.norm) == ["normal", "weight", "batch", "mean-only-batch", "weight+mean-only-batch"])
        for expected in reference.cnn {
            let network = Race.cnn(try #require(Normalization(rawValue: expected.norm)), batch: batch, type: .float64).model
            let places = network.features.layers.indices.filter { network.features.layers[$0] is Convolution }
            func paths(_ name: String) -> [String] {
                let parts = name.split(separator: ".", maxSplits: 1)
                guard let index = Int(parts[0]), index < places.count else { return ["output.\(parts[1])"] }
                return ["features.\(places[index]).\(parts[1])"]
            }
            try expected.fill(network, paths)
            var kept = [(17, 96, 16), (19, 192, 8)].map { offset, maps, size in
                (pattern(offset, [batch, maps, size, size]) .> 0).converted(to: .float64)
            }
            var maps = (pattern(7, [batch, 3, 32, 32]) * 2).channelsLast()
            // What the layers would draw is given.
            for layer in network.features.layers {
                switch layer {
                case is GaussianNoise: maps = maps + pattern(13, [batch, 3, 32, 32]) * 2 * 0.15
                case is Dropout: maps = maps * (kept.removeFirst() * 2)
                default: maps = layer(maps, .training(Reference.random))
                }
            }
            let labels = Tensor((0..<batch).map { $0 * 3 % 10 })
            let loss = network.output(maps, .training(Reference.random)).softmaxCrossEntropy(labels: labels)
            try expected.require(loss, of: network, paths)
        }
    }

    @Test("vae") func vae() throws {
        let reference = try Reference.read()
        #expect(reference.vae.map(\.norm) == ["normal", "weight"])
        for expected in reference.vae {
            let model = Race.vae(try #require(Normalization(rawValue: expected.norm)), batch: reference.batch, type: .float64).model
            func paths(_ name: String) -> [String] {
                // One layer there, two here.
                guard name.hasPrefix("encoder.12.") else { return [name] }
                return ["mean", "logDeviation"].map { "\($0).\(name.dropFirst("encoder.12.".count))" }
            }
            try expected.fill(model, paths)
            let images = (pattern(7, [reference.batch, 1, 28, 28]) .> 0).converted(to: .float64).channelsLast()
            let loss = model.terms(of: images, .training(Reference.random), random: Reference.random).loss
            try expected.require(loss, of: model, paths)
        }
    }

    @Test("draw") func draw() throws {
        let reference = try Reference.read()
        #expect(reference.draw.map(\.norm) == ["normal", "weight"])
        for expected in reference.draw {
            let model = Race.draw(
                try #require(Normalization(rawValue: expected.norm)), batch: reference.batch, glimpses: reference.glimpses, type: .float64
            ).model
            let names = [
                "latent.": ["mean.", "logDeviation."], "read.": ["reading."], "write.": ["writing."], "patch.": ["content."],
                "encoder.input.bias": ["encoder.bias"], "decoder.input.bias": ["decoder.bias"],
                "encoder.input.weight": ["encoder.inputWeight"], "decoder.input.weight": ["decoder.inputWeight"],
                "encoder.state.weight": ["encoder.stateWeight"], "decoder.state.weight": ["decoder.stateWeight"],
            ]
            func paths(_ name: String) -> [String] {
                names.first { name.hasPrefix($0.key) }.map { key, own in own.map { $0 + name.dropFirst(key.count) } } ?? []
            }
            try expected.fill(model, paths)
            let images = (pattern(7, [reference.batch, 1, 28, 28]) .> 0).converted(to: .float64)
            let loss = model.terms(of: images, .training(Reference.random), random: Reference.random).loss
            try expected.require(loss, of: model, paths)
        }
    }

    @Test("dqn") func dqn() throws {
        let reference = try Reference.read()
        let batch = reference.batch
        #expect(reference.dqn.map(\.norm) == ["normal", "weight"])
        for expected in reference.dqn {
            let normalization = try #require(Normalization(rawValue: expected.norm))
            let (online, target) = (
                Race.dqn(normalization, batch: batch, type: .float64).model,
                Race.dqn(normalization, batch: batch, type: .float64).model
            )
            func paths(_ name: String) -> [String] { [name.hasPrefix("9.") ? "values.\(name.dropFirst(2))" : "layers.\(name)"] }
            try expected.fill(online, paths)
            try expected.fill(target, paths)
            for parameter in target.parameters { parameter.assign(parameter.value * 0.75) }
            func frames(_ offset: Int) -> Tensor { ((pattern(offset, [batch, 4, 84, 84]) + 0.5) * 255).converted(to: .uint8) }
            let loss = online.loss(
                states: frames(7), actions: Tensor((0..<batch).map { $0 * 5 % 6 }), rewards: pattern(13, [batch]) * 4,
                nextStates: frames(29), ends: .zeros([batch], type: .float64), discount: 0.99, target: target, .training(Reference.random))
            try expected.require(loss, of: online, paths)
        }
    }

    @Test("lstm and gru") func sequences() throws {
        let reference = try Reference.read()
        #expect(reference.lstm.map(\.norm) == ["normal", "weight"] && reference.gru.map(\.norm) == ["normal", "weight"])
        let sequence = pattern(7, [reference.glimpses, reference.batch, 5]) * 4
        let aims = pattern(13, [reference.glimpses, reference.batch, 7])
        for (isLSTM, networks) in [(true, reference.lstm), (false, reference.gru)] {
            for expected in networks {
                let normalization = try #require(Normalization(rawValue: expected.norm))
                if isLSTM {
                    let layer = LSTM(5, hidden: 7, normalization: normalization, type: .float64, random: Reference.random)
                    try expected.fill(layer) { [$0] }
                    try expected.require((layer(sequence, .inference).outputs - aims).squared().mean(), of: layer) { [$0] }
                } else {
                    let layer = GRU(5, hidden: 7, normalization: normalization, type: .float64, random: Reference.random)
                    try expected.fill(layer) { [$0] }
                    try expected.require((layer(sequence, .inference).outputs - aims).squared().mean(), of: layer) { [$0] }
                }
            }
        }
    }

    @Test("steps lower the loss on a minibatch that stays the same")
    func learning() {
        let steps = [
            Race.cnn(.weight, batch: 8).step, Race.vae(.weight, batch: 8).step, Race.draw(.weight, batch: 8).step,
            Race.dqn(.weight, batch: 8).step, Race.cnn(.weight, batch: 8, width: 8, side: 17).step,
            Race.vae(.weight, batch: 8, width: 8, side: 12).step, Race.draw(.weight, batch: 8, width: 16, side: 9, glimpses: 5).step,
            Race.dqn(.weight, batch: 8, side: 50).step, Race.lstm(.weight, batch: 4, width: 16, steps: 5).step,
            Race.gru(.weight, batch: 4, width: 15, steps: 5).step,
        ]
        for step in steps {
            let first = step(false)
            var last = first
            for _ in 0..<5 { last = step(false) }
            #expect(last < first)
        }
    }
}
