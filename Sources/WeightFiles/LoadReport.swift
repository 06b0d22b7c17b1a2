public import WeightNorm

/// What was found in a file for each weight and tensor of a module.
public struct LoadReport: Sendable {
    /// A weight as found in the file.
    public struct FoundWeight: Sendable {
        /// Its path in the module.
        public let path: String
        /// The names of its tensors in the file: w, or v and g.
        public let names: [String]
        /// The layout that these names belong to.
        public let layout: StateLayout
        /// The units of g (PyTorch's `dim`); nil for a plain weight.
        public let units: OutputUnits?
        /// Whether v and g (or w) were taken as they are, in the file's element types. Otherwise w was computed and put into the module's own form,
        /// or rounded to its types: the same function, or nearly, but training continues differently.
        public let isExact: Bool
        /// Whether the module's weight has new `Parameter` objects, because it took over the file's units or form: an optimizer that was made before holds the old ones.
        public let hasNewParameters: Bool
    }

    /// A tensor that does not belong to a weight.
    public struct FoundTensor: Sendable {
        /// Its path in the module.
        public let path: String
        /// Its name in the file; both names for an LSTM's bias.
        public let names: [String]
    }

    /// In the order of `Module.namedWeights`.
    public internal(set) var weights: [FoundWeight] = []
    /// Parameters, then buffers.
    public internal(set) var tensors: [FoundTensor] = []
    /// The file's tensors that were ignored.
    public internal(set) var ignored: [String] = []
}

/// Why a file does not fit a module: every tensor that is missing, unexpected, or of the wrong shape or type.
public struct ModuleFileError: Error, CustomStringConvertible, Equatable {
    /// One tensor that does not fit.
    public struct Defect: Equatable, Sendable, CustomStringConvertible {
        /// What is wrong with it.
        public enum Kind: String, Sendable {
            /// The module needs it and the file lacks it.
            case missing
            /// The file has it and the module has no place for it.
            case extra
            /// The shapes differ.
            case misshapen
            /// The element types differ.
            case mistyped
            /// The file has the weight in several forms, two parts of the module claim the same tensor, or a shared part has two different values.
            case contradictory
            /// The file has the weight in an unknown form.
            case unknown
        }

        /// What is wrong with it.
        public let kind: Kind
        /// The tensor's name in the file.
        public let name: String
        /// What was expected.
        public let expected: String
        /// What was found.
        public let found: String

        /// Such as `misshapen 'a.weight': expected [3, 2], found [2, 3]`.
        public var description: String { "\(kind.rawValue) \(Safetensors.quoted(name, atMost: 200)): expected \(expected), found \(found)" }

        package init(_ kind: Kind, _ name: String, expected: String, found: String) {
            self.kind = kind
            self.name = name
            self.expected = expected
            self.found = found
        }
    }

    /// The file, as the caller named it.
    public let path: String
    /// All of them, missing ones first.
    public let defects: [Defect]

    /// The number of defects, and each of them, or the first 20, on one line.
    public var description: String {
        let head = "\(path): expected tensors that fit, found \(defects.count == 1 ? "1 that does not" : "\(defects.count) that do not")"
        return "\(head): \(MessageList.joined(defects.lazy.map(\.description), separator: "; "))".split(whereSeparator: \.isNewline).joined(
            separator: " ")
    }

    package init(path: String, defects: [Defect]) {
        let order: [Defect.Kind] = [.missing, .extra, .misshapen, .mistyped, .contradictory, .unknown]
        self.path = path
        self.defects = order.flatMap { kind in defects.filter { $0.kind == kind } }
    }
}
