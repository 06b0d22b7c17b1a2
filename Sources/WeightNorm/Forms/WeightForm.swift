public import Torch

/// A form in which a weight is trained: what is stored of it, and how w comes of that.
///
/// A form is a small value over its parameters and buffers. Conform to it to add one: every layer, data-dependent initialization, module path,
/// checkpoint, fold, file and measurement then works with it, through a ``Weight`` or a ``Normalization`` that asks for it. <doc:WritingAForm> shows how.
///
/// What is stored has an order, the one of ``partNames``, which all functions keep to.
public protocol WeightForm: SendableMetatype {
    // MARK: What the form is

    /// The form's name in checkpoints and files, such as `normalized`: no other form's, and the same for ever.
    static var identifier: String { get }

    /// The names of what is stored, under the weight's own path; the empty name is that path itself, as of a plain weight's w.
    static var partNames: [String] { get }

    /// The numbers that are not trained and that belong to what is stored, such as the c of exp(c·s); none without an implementation.
    static var settings: [WeightSetting] { get }

    /// Whether the form has ``OutputUnits`` of its own. A form does without an implementation.
    static var hasUnits: Bool { get }

    /// Whether w = g·v/‖v‖ of ``vector`` and ``multiplier``, so that the length of v does not matter. It does not without an implementation.
    static var normalizesDirection: Bool { get }

    /// Whether w is computed as well in 16 bits as its parts are stored. Else, and without an implementation, a file's 16-bit parts are
    /// converted to float32 first.
    static var isComputedInAnyType: Bool { get }

    /// The shapes of what is stored for a weight of a shape; nil if there is none of that shape with those units.
    static func partShapes(ofWeight shape: [Int], units: OutputUnits, settings: [String: Double]) -> [[Int]]?

    /// The weight's shape by those of what is stored; without an implementation the first one's.
    static func weightShape(ofParts shapes: [[Int]]) -> [Int]?

    /// What is to be stored for the weight to have the given value, to rounding. It may be of a wider type than the weight.
    static func parts(of weight: Tensor, units: OutputUnits, settings: [String: Double]) -> [Tensor]

    /// A weight of this form that stores copies of the given tensors, which have ``partShapes(ofWeight:units:settings:)``.
    init(parts: [Tensor], units: OutputUnits, settings: [String: Double])

    // MARK: One weight

    /// What is stored, in the order of ``partNames``.
    var parts: [WeightPart] { get }

    /// The value of each of the type's ``settings``, by its name; empty without an implementation.
    var settings: [String: Double] { get }

    /// The weight's units; nil if the form has none of its own.
    var ownUnits: OutputUnits? { get }

    /// The form and its settings in words, for messages and to tell whether a checkpoint fits: such as `log-normalized by 3.0`.
    var summary: String { get }

    /// v, of the weight's shape, recorded for gradients: what w is a multiple of. w itself where it is trained plainly.
    var vector: Tensor { get }

    /// The parameters that v is made of: what weight decay acts on. Without an implementation the first part, if it is trained.
    var vectorParameters: [Parameter] { get }

    /// g of w = g·v/‖v‖, or what v is multiplied by where it is not normalized, in the shape of ``OutputUnits/norms(of:)``, not recorded; nil
    /// without an implementation: v is multiplied by nothing.
    ///
    /// It may be of a wider type than what is stored.
    var multiplier: Tensor? { get }

    /// w, recorded for gradients.
    var value: Tensor { get }

    /// w as a layer uses it in a pass, recorded for gradients: a form whose buffers change in training (the vectors of a power iteration, say) changes
    /// them here. Without an implementation it is ``value``.
    func value(in pass: Pass) -> Tensor

    // MARK: Data-dependent initialization

    /// The weight with a scale of 1, of which initialization measures each unit's mean and deviation. Without an implementation it is ``value``.
    ///
    /// - Parameter units: the form's own, or its layer's where it has none.
    func unscaled(in units: OutputUnits) -> Tensor

    /// Makes the weight `scale` times ``unscaled(in:)`` in the units where the condition holds, and returns the scale that it then has there.
    ///
    /// Both are `[units]`, the scale in float64. A form without an implementation has nothing to set: its scale stays 1, and initialization sets the
    /// bias alone.
    func setScale(_ scale: Tensor, where condition: Tensor, in units: OutputUnits) -> Tensor

    // MARK: Taking over another weight

    /// What the parts become to be the same weight as another, of another form or settings, without computing w; nil, as without an implementation, if
    /// w is to be computed.
    func parts(of other: any WeightForm) -> [Tensor]?
}

/// One tensor that a form stores.
public enum WeightPart {
    /// One that is trained.
    case parameter(Parameter)
    /// One that is not.
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
    /// Its name, which is a part of a key in files: `weightnorm.factor.hidden.weight` for `factor`.
    public let name: String
    /// Its value where none is given.
    public let standard: Double
    /// What it may be, for messages: `a factor above 0`.
    public let expectation: String
    private let test: @Sendable (Double) -> Bool

    /// A setting; only finite numbers that pass the test are taken. Traps if the name is one that files use otherwise: `layout`, `form` or `units`.
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
    /// Nil: w is to be computed.
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
    /// The settings are those that are not to have their standard value. Traps if the form does not take one.
    public static func makeWeight(_ initial: Tensor, units: OutputUnits, settings: [String: Double] = [:]) -> Weight {
        let all = Self.completed(settings)
        let parts = withoutGradients {
            Self.parts(of: initial.detached(), units: units, settings: all).map { $0.converted(to: initial.type) }
        }
        return Weight(Self(parts: parts, units: units, settings: all))
    }

    /// The settings with the standard value of those that are not given; traps if the form does not take one.
    static func completed(_ given: [String: Double]) -> [String: Double] {
        for (name, value) in given {
            guard let setting = Self.settings.first(where: { $0.name == name }) else {
                fatalError("\(identifier) weight: expected no setting '\(name)', found \(value)")
            }
            trap(unless: setting.accepts(value), "\(identifier) weight: expected \(setting.expectation), found \(value)")
        }
        return Dictionary(Self.settings.map { ($0.name, given[$0.name] ?? $0.standard) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether another weight has the same units: those of length 1 can be told in several ways.
    public func hasSameUnits(as other: any WeightForm) -> Bool {
        guard let ours = ownUnits, let theirs = other.ownUnits else { return ownUnits == nil && other.ownUnits == nil }
        return ours.hasSameNorms(as: theirs, vector.shape)
    }

    /// Whether another weight's parts mean the same here: the form, its settings and units are this one's, and each part has as many elements.
    func hasSameParts(as other: any WeightForm) -> Bool {
        type(of: other) == Self.self && other.settings == settings && hasSameUnits(as: other)
            && parts.map(\.value.count) == other.parts.map(\.value.count)
    }
}
