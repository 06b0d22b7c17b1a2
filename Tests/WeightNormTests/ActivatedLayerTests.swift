import Testing
import Torch
import WeightNorm

/// A map with a result that others hold: its own input.
private struct Identity: LinearMap {
    var weightShape: [Int] { [2] }
    var units: OutputUnits { .axis(0) }
    var outputs: Int { 2 }
    var featureAxis: Int { -1 }
    func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor { input }
}

@Suite("Layers with the activation that follows them")
struct ActivatedLayerTests {
    @Test("a sequence gives what its layers give one after the other", arguments: Normalization.allCases)
    func sequence(normalization: Normalization) {
        for activation in [Activation.relu, .leakyRelu(), .elu, .tanh, .sigmoid, .leakyRelu(slope: -0.5), Activation { $0.squared() }] {
            let random = Generator(seed: 4)
            let layers: [any Layer] = [
                activation, Convolution(3, to: 8, kernel: 3, padding: 1, normalization: normalization, type: .float64, random: random),
                activation,
                activation, MaxPooling(2), Flatten(), Dense(8 * 4, to: 5, normalization: normalization, type: .float64, random: random),
                activation,
            ]
            let images = Tensor.normal([6, 3, 4, 4], type: .float64, from: random)
            for pass in [Pass.initializing(random), .training(random), .inference] {
                let found = Sequential(layers)(images, pass)
                // The initializing pass changes the layers; the same pass then changes nothing.
                let expected = layers.reduce(images) { $1($0, pass) }
                #expect((found - expected).magnitude().maximum().item() < 1e-9)
            }
        }
    }

    @Test("a map of one's own may return what others hold")
    func ownMap() {
        let layer = Affine(map: Identity(), weight: .direct(Parameter(.ones([2]))), bias: nil)
        let x = Tensor([-1, 2] as [Float], shape: [1, 2])
        #expect(layer(x, .inference, activation: .relu).elements(as: Float.self) == [0, 2])
        #expect(Sequential(layer, Activation.relu)(x, .inference).elements(as: Float.self) == [0, 2])
        #expect(x.elements(as: Float.self) == [-1, 2])
    }
}
