public import Torch

/// What a layer trains: a form of its weights, and optionally a normalizer of its pre-activations.
///
/// ``allCases`` are those that the command knows by name. You can make your own from any form and any normalizer:
///
/// ```swift
/// extension Normalization {
///     static let wideLog = Normalization("wide-log", form: LogNormalizedWeight.self, settings: ["factor": 3])
/// }
/// ```
public struct Normalization: RawRepresentable, Hashable, CaseIterable, Sendable {
    /// Makes a normalizer for a number of features along an axis (a negative one counts from the last).
    public typealias MakeNormalizer = @Sendable (_ features: Int, _ axis: Int, _ type: ElementType, _ device: Device) -> any Normalizer

    /// The name, as in the command; two normalizations with the same name are equal.
    public let rawValue: String
    /// The form of the weights.
    public let form: any WeightForm.Type
    /// The form's settings that differ from the standard.
    public let settings: [String: Double]
    private let makeNormalizer: MakeNormalizer?

    /// A form of the weights, with a normalizer or without.
    public init(
        _ name: String, form: any WeightForm.Type, settings: [String: Double] = [:], normalizer: MakeNormalizer? = nil
    ) {
        (rawValue, self.form, self.settings, makeNormalizer) = (name, form, settings, normalizer)
    }

    /// The one of ``allCases`` with that name.
    public init?(rawValue: String) {
        guard let known = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
        self = known
    }

    /// A weight of the form that equals the given tensor to rounding.
    public func makeWeight(_ initial: Tensor, units: OutputUnits) -> Weight { form.makeWeight(initial, units: units, settings: settings) }

    /// Whether pre-activations are normalized.
    public var hasNormalizer: Bool { makeNormalizer != nil }

    /// The normalizer of pre-activations, if there is one.
    public func normalizer(features: Int, axis: Int, type: ElementType, device: Device) -> (any Normalizer)? {
        makeNormalizer?(features, axis, type, device)
    }
}

extension Normalization {
    /// Those that the command knows by name: those that the paper compares (Figure 1), and two variants of its weights.
    public static let allCases: [Normalization] = [
        .plain, .fixedGain, .weight, .logWeight, .batch, .meanOnlyBatch, .weightAndMeanOnlyBatch,
    ]

    /// Plain weights with the paper's initialization: what the paper and the command call `normal`.
    public static let plain = Normalization("normal", form: DirectWeight.self)
    /// The plain weights of the released code: a multiplier, set by initialization, stays fixed while w is trained.
    public static let fixedGain = Normalization("fixed-gain", form: ScaledWeight.self)
    /// Weight normalization.
    public static let weight = Normalization("weight", form: NormalizedWeight.self)
    /// Weight normalization with the gain on a logarithmic scale: g = exp(s).
    public static let logWeight = Normalization("log-weight", form: LogNormalizedWeight.self)
    /// Batch normalization.
    public static let batch = Normalization("batch", form: DirectWeight.self) { BatchNorm(features: $0, axis: $1, type: $2, device: $3) }
    /// Mean-only batch normalization of plain weights.
    public static let meanOnlyBatch = Normalization("mean-only-batch", form: DirectWeight.self) {
        MeanOnlyBatchNorm(features: $0, axis: $1, type: $2, device: $3)
    }
    /// Weight normalization with mean-only batch normalization (§4).
    public static let weightAndMeanOnlyBatch = Normalization("weight+mean-only-batch", form: NormalizedWeight.self) {
        MeanOnlyBatchNorm(features: $0, axis: $1, type: $2, device: $3)
    }
}

extension Normalization: CustomStringConvertible {
    /// The name.
    public var description: String { rawValue }
}
