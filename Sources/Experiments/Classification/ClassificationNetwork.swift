package import Torch
package import WeightNorm

/// The paper's network for CIFAR-10 (table 3): nine convolutions in three blocks, a global mean and a dense layer, all normalized the same way,
/// except that the dense layer may have another normalization.
///
/// Images of `[batch, channels, height, width]` to logits of `[batch, classes]`; height and width at least 12.
package struct ClassificationNetwork: Layer {
    package let features: Sequential
    package let output: Dense

    package init(
        _ settings: ClassificationSettings, channels: Int, normalization: Normalization, outputNormalization: Normalization? = nil,
        type: ElementType = .float32, random: Generator
    ) {
        func convolution(_ inputs: Int, _ outputs: Int, _ kernel: Int, padding: Int) -> [any Layer] {
            let map = ConvolutionMap(inputs: inputs, outputs: outputs, kernel: [kernel, kernel], padding: [padding, padding])
            return [
                Convolution(map: map, normalization: normalization, deviation: settings.initialDeviation, type: type, random: random),
                Activation.leakyRelu(slope: settings.leakySlope),
            ]
        }
        let (first, second) = (settings.firstMaps, settings.secondMaps)
        var layers: [any Layer] = [GaussianNoise(deviation: settings.inputNoise)]
        layers += convolution(channels, first, 3, padding: 1)
        layers += convolution(first, first, 3, padding: 1)
        layers += convolution(first, first, 3, padding: 1)
        layers += [MaxPooling(2), Dropout(probability: settings.dropout)]
        layers += convolution(first, second, 3, padding: 1)
        layers += convolution(second, second, 3, padding: 1)
        layers += convolution(second, second, 3, padding: 1)
        layers += [MaxPooling(2), Dropout(probability: settings.dropout)]
        layers += convolution(second, second, 3, padding: 0)
        layers += convolution(second, second, 1, padding: 0)
        layers += convolution(second, second, 1, padding: 0)
        features = Sequential(layers + [GlobalAverage()])
        output = Dense(
            map: DenseMap(inputs: second, outputs: settings.classes), normalization: outputNormalization ?? normalization,
            deviation: settings.initialDeviation, type: type, random: random)
    }

    package func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { output(features(input, pass), pass) }
}
