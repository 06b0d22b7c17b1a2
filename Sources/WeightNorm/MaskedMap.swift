public import Torch

/// A linear map in which some connections do not exist: its weight is multiplied by a mask of zeros and ones whenever it is used.
///
/// In a normalized layer v starts at zero where the mask is zero, and its gradient is zero there, so it stays zero under every optimizer:
/// ‖v‖ is then the norm of the existing connections, and ‖w‖ = |g|. Whatever v holds (after loading a file, say), the mask is applied after
/// the normalization.
public struct MaskedMap<Base: LinearMap>: LinearMap {
    /// The map with all connections.
    public let base: Base
    /// 1 where a connection exists, else 0: of the weight's shape.
    public let mask: Tensor

    /// A map with the connections that the mask leaves; traps unless it has the shape of the map's weight.
    public init(_ base: Base, mask: Tensor) {
        trap(unless: mask.shape == base.weightShape, "mask of a linear map: expected shape \(base.weightShape), found \(mask.shape)")
        self.base = base
        self.mask = mask
    }

    /// That of the map with all connections.
    public var weightShape: [Int] { base.weightShape }
    /// Those of the map with all connections.
    public var units: OutputUnits { base.units }
    /// The number of output units.
    public var outputs: Int { base.outputs }
    /// That of the map with all connections.
    public var featureAxis: Int { base.featureAxis }

    /// The draws where a connection exists, else zero.
    public func initialWeight(_ draws: Tensor) -> Tensor { draws * mask.converted(to: draws.type) }

    /// The map's result with the weight multiplied by the mask.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?) -> Tensor {
        self(input, weight: weight, bias: bias, activation: nil)
    }

    /// The same and the activation of it.
    public func callAsFunction(_ input: Tensor, weight: Tensor, bias: Tensor?, activation: ActivationFunction?) -> Tensor {
        base(input, weight: weight * mask.converted(to: weight.type), bias: bias, activation: activation)
    }
}

/// A dense layer in which some connections do not exist.
public typealias MaskedDense = Affine<MaskedMap<DenseMap>>
/// A convolution in which some connections do not exist.
public typealias MaskedConvolution = Affine<MaskedMap<ConvolutionMap>>

/// Masks under which no output depends on a later input (Germain et al., *MADE*, 2015; van den Oord et al., *Pixel Recurrent Neural Networks*, 2016).
///
/// Every feature has a degree: an input's is its place in the order, and a feature may depend on inputs up to its degree. In a strict mask,
/// which the last layer has, an output depends only on inputs before its own place.
public enum AutoregressiveMask {
    /// The degrees of `count` hidden features for `variables` ordered inputs: 1 … variables − 1 in turn, so that they are spread evenly.
    ///
    /// With a single variable nothing may be seen, and all degrees are 0.
    public static func hiddenDegrees(_ count: Int, variables: Int) -> [Int] {
        variables > 1 ? (0..<count).map { $0 % (variables - 1) + 1 } : [Int](repeating: 0, count: count)
    }

    /// The mask of a dense weight, `[outputs, inputs]`: 1 where the input's degree is at most the output's, or below it in a strict mask.
    public static func dense(inputs: [Int], outputs: [Int], strict: Bool, on device: Device = .cpu) -> Tensor {
        Tensor(
            outputs.flatMap { output in inputs.map { input -> Float in (strict ? input < output : input <= output) ? 1 : 0 } },
            shape: [outputs.count, inputs.count], on: device)
    }

    /// The mask of a two-dimensional convolution's weight, `[outputs, inputs, rows, columns]`, for pixels in raster order and channels in
    /// the order of their degrees within a pixel: all connections to the pixels before the kernel's centre, none to those after it, and at
    /// the centre those of ``dense(inputs:outputs:strict:on:)``.
    ///
    /// Traps unless the kernel's lengths are odd.
    public static func convolution(inputs: [Int], outputs: [Int], kernel: [Int], strict: Bool, on device: Device = .cpu) -> Tensor {
        trap(
            unless: kernel.count == 2 && kernel.allSatisfy { $0 > 0 && !$0.isMultiple(of: 2) },
            "mask of a convolution: expected two odd lengths of the kernel, found \(kernel)")
        let centre = kernel[0] / 2 * kernel[1] + kernel[1] / 2
        let places = kernel[0] * kernel[1]
        var mask: [Float] = []
        mask.reserveCapacity(outputs.count * inputs.count * places)
        for output in outputs {
            for input in inputs {
                let atCentre = strict ? input < output : input <= output
                for place in 0..<places { mask.append(place < centre || place == centre && atCentre ? 1 : 0) }
            }
        }
        return Tensor(mask, shape: [outputs.count, inputs.count] + kernel, on: device)
    }
}
