public import Torch

/// A form in which a weight is trained: what is stored, and how w is derived from that.
///
/// A form is a small value that holds its parameters and buffers. Conform to it to add one: every layer, data-dependent initialization,
/// module path, checkpoint, fold, file and measurement then works with it, through a ``Weight`` or a ``Normalization`` that uses it.
/// <doc:WritingAForm> shows how.
///
/// The stored parts have a fixed order, that of ``partNames``, which all functions follow.
public protocol WeightForm: SendableMetatype {
    // MARK: What the form is

    /// The form's name in checkpoints and files, such as `normalized`; it must be unique and never change.
    static var identifier: String { get }

    /// The names of what is stored, under the weight's own path; the empty name means that path itself, as for a plain weight's w.
    static var partNames: [String] { get }

    /// The untrained numbers that belong to what is stored, such as the c in exp(c·s); none by default.
    static var settings: [WeightSetting] { get }

    /// Whether the form has ``OutputUnits`` of its own; true by default.
    static var hasUnits: Bool { get }

    /// Whether w = g·v/‖v‖ with v the ``vector`` and g the ``multiplier``, so that the length of v does not matter; false by default.
    static var normalizesDirection: Bool { get }

    /// Whether w can be computed from 16-bit parts without losing accuracy. If false, the default, a file's 16-bit parts are first
    /// converted to float32.
    static var isComputedInAnyType: Bool { get }

    /// The shapes of the stored parts of a weight of the given shape; nil if no weight has that shape with those units.
    static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]?

    /// The weight's shape, given the shapes of the stored parts; by default the first part's.
    static func weightShape(ofParts shapes: [[Int]]) -> [Int]?

    /// The parts to store for the weight to have the given value, up to rounding. They may be of a wider type than the weight.
    static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor]

    /// A weight of this form that stores copies of the given tensors, which have ``partShapes(ofWeight:units:settings:)``.
    init(parts: [Tensor], units: OutputUnits, settings: [String: Double])

    // MARK: One weight

    /// What is stored, in the order of ``partNames``.
    var parts: [WeightPart] { get }

    /// The value of each of the type's ``settings``, by name; empty by default.
    var settings: [String: Double] { get }

    /// The weight's units; nil if the form has none of its own.
    var ownUnits: OutputUnits? { get }

    /// The form and its settings in words, such as `log-normalized by 3.0`, for messages and for checking whether a checkpoint fits.
    var summary: String { get }

    /// v, of the weight's shape, recorded for gradients: what w is a multiple of. It is w itself if that is trained directly.
    var vector: Tensor { get }

    /// The parameters that v is made of, which weight decay acts on; by default the first part, if it is trained.
    var vectorParameters: [Parameter] { get }

    /// g in w = g·v/‖v‖, or the factor on v if v is not normalized, in the shape of ``OutputUnits/norms(of:)``, not recorded; nil, the
    /// default, if v is not multiplied.
    ///
    /// It may be of a wider type than what is stored.
    var multiplier: Tensor? { get }

    /// w, recorded for gradients.
    var value: Tensor { get }

    /// w as a layer uses it in a pass, recorded for gradients: a form whose buffers change in training (the vectors of a power iteration,
    /// say) changes them here. By default it is ``value``.
    func value(in pass: Pass) -> Tensor

    // MARK: Data-dependent initialization

    /// The weight with a scale of 1, for which initialization measures each unit's mean and deviation; by default ``value``.
    ///
    /// - Parameter units: the form's own, or its layer's if it has none.
    func unscaled(in units: OutputUnits) -> Tensor

    /// Makes the weight `scale` times ``unscaled(in:)`` in the units where the condition holds, and returns the scale that those units then
    /// have.
    ///
    /// Both are `[units]`, the scale in float64. By default there is nothing to set: the scale stays 1, and initialization sets only the
    /// bias.
    func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor

    // MARK: Taking over another weight

    /// The parts that make this the same weight as another, of a different form or settings, without computing w; nil, the default, if w
    /// must be computed.
    func parts(of other: any WeightForm) -> [Tensor]?
}

/// One tensor that a form stores.
public enum WeightPart {
    /// A trained tensor.
    case parameter(Parameter)
    /// An untrained tensor.
    case buffer(Buffer)

    /// The tensor, not recorded.
    public var value: Tensor {
        switch self {
        case .parameter(let parameter): parameter.value.detached()
        case .buffer(let buffer): buffer.value
        }
    }

    /// Replaces the numbers, converted to the part's type and device. Traps unless the shape is the same.
    public func assign(_ replacement: Tensor) {
        switch self {
        case .parameter(let parameter): parameter.assign(replacement)
        case .buffer(let buffer): buffer.assign(replacement.converted(to: buffer.value.type).moved(to: buffer.value.device))
        }
    }

    /// The object that holds the tensor.
    var object: AnyObject {
        switch self {
        case .parameter(let parameter): parameter
        case .buffer(let buffer): buffer
        }
    }
}

/// A number that belongs to a form and is not trained.
public struct WeightSetting: Sendable {
    /// Its name, which is part of a key in files: `weightnorm.factor.hidden.weight` for `factor`.
    public let name: String
    /// Its value if none is given.
    public let standard: Double
    /// What is allowed, for messages: `a factor above 0`.
    public let expectation: String
    private let test: @Sendable (Double) -> Bool

    /// A setting; only finite numbers that pass the test are accepted. Traps if the name is one that files use for something else:
    /// `layout`, `form` or `units`.
    public init(_ name: String, standard: Double, expecting expectation: String, where test: @escaping @Sendable (Double) -> Bool) {
        trap(unless: !["layout", "form", "units"].contains(name), "setting of a weight: expected a name of its own, found '\(name)'")
        self.name = name
        self.standard = standard
        self.expectation = expectation
        self.test = test
    }

    /// Whether a number may be its value.
    public func accepts(_ value: Double) -> Bool { value.isFinite && test(value) }
}

extension WeightForm {
    /// None.
    public static var settings: [WeightSetting] { [] }
    /// True.
    public static var hasUnits: Bool { true }
    /// False.
    public static var normalizesDirection: Bool { false }
    /// False.
    public static var isComputedInAnyType: Bool { false }
    /// The first part's.
    public static func weightShape(ofParts shapes: [[Int]]) -> [Int]? { shapes.first }

    /// None.
    public var settings: [String: Double] { [:] }
    /// The first part, if it is trained.
    public var vectorParameters: [Parameter] { if case .parameter(let first) = parts.first { [first] } else { [] } }
    /// Nil: v is multiplied by nothing.
    public var multiplier: Tensor? { nil }
    /// ``value``, in every pass.
    public func value(in pass: Pass) -> Tensor { value }
    /// ``value``.
    public func unscaled(in units: OutputUnits) -> Tensor { value }
    /// 1: nothing is set.
    public func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor { scale.zerosLike() + 1 }
    /// Nil: w must be computed.
    public func parts(of other: any WeightForm) -> [Tensor]? { nil }

    /// The identifier, and each setting with its value.
    public var summary: String {
        let numbers = settings
        return Self.identifier + Self.settings.map { " \($0.name) \(numbers[$0.name] ?? $0.standard)" }.joined()
    }
}

extension WeightForm {
    /// A weight of this form that equals the given one to rounding, with parts in its type.
    ///
    /// Settings that are not given have their standard value. Traps if the form does not accept one.
    public static func makeWeight(_ initial: Tensor, units: OutputUnits, settings: [String: Double] = [:]) -> Weight {
        let all = Self.completed(settings)
        let parts = withoutGradients {
            Self.parts(of: initial.detached(), units: units, settings: all).map { $0.converted(to: initial.type) }
        }
        return Weight(Self(parts: parts, units: units, settings: all))
    }

    /// The settings, with standard values for those not given; traps if the form does not accept one.
    static func completed(_ given: [String: Double]) -> [String: Double] {
        for (name, value) in given {
            guard let setting = Self.settings.first(where: { $0.name == name }) else {
                fatalError("\(identifier) weight: expected no setting '\(name)', found \(value)")
            }
            trap(unless: setting.accepts(value), "\(identifier) weight: expected \(setting.expectation), found \(value)")
        }
        return Dictionary(Self.settings.map { ($0.name, given[$0.name] ?? $0.standard) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether another weight has the same units: units of length 1 can be described in several ways.
    public func hasSameUnits(as other: any WeightForm) -> Bool {
        guard let ours = ownUnits, let theirs = other.ownUnits else { return ownUnits == nil && other.ownUnits == nil }
        return ours.hasSameNorms(as: theirs, vector.shape)
    }

    /// Whether another weight's parts mean the same here: form, settings, units and the number of elements in each part agree.
    func hasSameParts(as other: any WeightForm) -> Bool {
        type(of: other) == Self.self && other.settings == settings && hasSameUnits(as: other)
            && parts.map(\.value.count) == other.parts.map(\.value.count)
    }
}
