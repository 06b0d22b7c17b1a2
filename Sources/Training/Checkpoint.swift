import AtomicFiles
import Foundation
public import Torch
package import WeightFiles
public import WeightNorm

/// A snapshot of a run, from which it can resume bit for bit: modules, optimizers, generators, tensors and values, in one safetensors file.
///
/// ```swift
/// var checkpoint = Checkpoint(kind: "spirals")
/// checkpoint.add(network, as: "network")
/// checkpoint.add(adam, as: "optimizer")
/// checkpoint.add(random, as: "random")
/// try checkpoint.add(value: step, as: "step")
/// try checkpoint.write(to: path)
/// ```
///
/// Reading it runs no code from the file. Every tensor and value has a checksum: a damaged file is refused, and the error names what is damaged.
public struct Checkpoint {
    /// The kind of run; reading a checkpoint of another kind fails.
    public let kind: String
    private var tensors: [String: Tensor] = [:]
    private var order: [String] = []
    private var values: [String: String] = [:]
    /// The file it was read from, for messages.
    private let path: String
    /// Whether values with whole numbers too large to count with are refused: ``WholeNumbers``.
    private let limitsWholeNumbers: Bool

    /// An empty checkpoint.
    public init(kind: String) {
        self.kind = kind
        path = "checkpoint"
        limitsWholeNumbers = false
    }

    // MARK: Filling

    /// Adds a copy of all parameters and buffers of a module. Traps, like the other functions that add, if the name was already used.
    public mutating func add(_ module: some Module, as name: String) {
        for parameter in module.namedParameters { add(parameter.value.value, as: "\(name)/parameters/\(parameter.path)") }
        for buffer in module.namedBuffers { add(buffer.value.value, as: "\(name)/buffers/\(buffer.path)") }
        setValue(Self.encode(Self.forms(of: module)), "\(name)/forms")
    }

    /// What a weight's numbers mean, which their names and shapes do not say: the c in exp(c·s), the units.
    private static func forms(of module: some Module) -> [String: String] {
        var forms: [String: String] = [:]
        for weight in module.namedWeights {
            let units = weight.value.units.map { " along \($0)" } ?? ""
            forms[weight.path] = weight.value.form.summary + units
        }
        return forms
    }

    /// Adds an optimizer's state.
    public mutating func add(_ optimizer: any Optimizer, as name: String) {
        let state = optimizer.state
        for (slot, tensor) in state.tensors { add(tensor, as: "\(name)/state/\(slot)") }
        let header = OptimizerHeader(kind: state.kind, numbers: state.numbers.mapValues(\.bitPattern))
        setValue(Self.encode(header), "\(name)/state")
    }

    /// Adds a generator's state.
    public mutating func add(_ random: Generator, as name: String) {
        let state = random.state
        add(Tensor(state, shape: [state.count]), as: name)
    }

    /// Adds a copy of a tensor.
    public mutating func add(_ tensor: Tensor, as name: String) {
        trap(unless: tensors[name] == nil, "checkpoint: expected each name once, found '\(name)' twice")
        tensors[name] = withoutGradients { tensor.detached().moved(to: .cpu).copied() }
        order.append(name)
    }

    /// Adds a value: a count, an epoch, a configuration.
    ///
    /// - Throws: `EncodingError` if it cannot be encoded as JSON, such as a number that is not finite.
    public mutating func add(value: some Encodable, as name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        setValue(String(decoding: try encoder.encode([value]), as: UTF8.self), name)
    }

    /// The same for a value whose numbers need not be finite, such as the error of a run that diverged.
    mutating func add(valueNotFinite value: some Encodable, as name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .words
        setValue(String(decoding: try encoder.encode([value]), as: UTF8.self), name)
    }

    private mutating func setValue(_ text: String, _ name: String) {
        trap(unless: values[name] == nil, "checkpoint: expected each name once, found '\(name)' twice")
        values[name] = text
    }

    /// Writes a temporary file beside it, flushes that to the disk and renames it: the old file stays until the new one is complete.
    ///
    /// - Throws: `FileError` if the system cannot write it; the old file is then still there.
    public func write(to path: String) throws {
        var sums: [String: UInt32] = [:]
        for name in order { if let tensor = tensors[name] { sums[name] = tensor.checksum } }
        let header = Header(kind: kind, values: values, tensors: sums)
        let text = Self.encode(header)
        let metadata = [
            "format": FileFormat.checkpoint.text, "version": PackageVersion.current, "checkpoint": text,
            "checksum": "\(CRC32.of(text.utf8))",
        ]
        try Safetensors.write(order.compactMap { name in tensors[name].map { (name, $0) } }, metadata: metadata, to: path)
    }

    private struct Header: Codable {
        var kind: String
        var values: [String: String]
        var tensors: [String: UInt32]
    }

    private struct OptimizerHeader: Codable {
        var kind: String
        /// Bit patterns: JSON has no numbers that are not finite.
        var numbers: [String: UInt64]
    }

    private static func encode(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            fatalError("checkpoint: expected strings and whole numbers to encode as JSON, found \(error)")
        }
    }
}

extension Checkpoint {
    /// Reads a checkpoint, to the CPU, and checks all of it.
    ///
    /// - Throws: ``CheckpointError`` if it is not one of this library's, of another kind of run, or damaged; `SafetensorsError` and `FileError` as
    ///   for `SafetensorsFile/init(opening:isMapped:)`.
    public init(reading path: String, kind: String) throws {
        try self.init(SafetensorsFile(opening: path), kind: kind, limitingWholeNumbers: false)
    }

    /// The same from an open file; by default whole numbers in its values are limited, since a run counts with them.
    package init(_ file: SafetensorsFile, kind: String, limitingWholeNumbers: Bool = true) throws {
        let path = file.path
        func failure(_ problem: String) -> CheckpointError { CheckpointError(path: path, problem: problem) }
        guard let format = file.metadata["format"], format.hasPrefix("swift-weightnorm checkpoint ") else {
            throw failure("expected a checkpoint of swift-weightnorm, found another safetensors file")
        }
        if let problem = FileFormat.checkpoint.problem(with: format, writer: file.metadata["version"]) { throw failure(problem) }
        guard let text = file.metadata["checkpoint"], file.metadata["checksum"] == "\(CRC32.of(text.utf8))",
            let header = try? JSONDecoder().decode(Header.self, from: Data(text.utf8))
        else { throw failure("expected a header with its checksum, found it damaged") }
        guard header.kind == kind else {
            throw failure("expected the checkpoint of a run of '\(kind)', found one of \(Safetensors.quoted(header.kind))")
        }
        var damaged: [String] = []
        for name in file.names {
            guard let sum = header.tensors[name] else { throw failure("expected no tensor \(Safetensors.quoted(name)), found one") }
            let tensor = try file.tensor(name)
            if tensor.checksum != sum { damaged.append(name) }
            tensors[name] = tensor
            order.append(name)
        }
        let missing = Set(header.tensors.keys).subtracting(order).sorted()
        guard missing.isEmpty else { throw failure("expected \(header.tensors.count) tensors, found none named \(Self.list(missing))") }
        guard damaged.isEmpty else { throw failure("expected undamaged tensors, found another checksum in \(Self.list(damaged))") }
        values = header.values
        self.kind = kind
        self.path = path
        limitsWholeNumbers = limitingWholeNumbers
    }

    private static func list(_ names: [String]) -> String {
        MessageList.joined(names.lazy.map { Safetensors.quoted($0) }, most: 5)
    }

    /// Restores a module's parameters and buffers from the one that was added.
    ///
    /// - Throws: ``CheckpointError`` that names everything that is missing, unexpected or of another shape or type; nothing is changed then.
    public func restore(_ module: some Module, from name: String) throws(CheckpointError) {
        var targets: [(String, ElementType, [Int], (Tensor) -> Void)] = []
        for parameter in module.namedParameters {
            let value = parameter.value.value
            targets.append(("\(name)/parameters/\(parameter.path)", value.type, value.shape, { parameter.value.assign($0) }))
        }
        for buffer in module.namedBuffers {
            let value = buffer.value.value
            targets.append(
                ("\(name)/buffers/\(buffer.path)", value.type, value.shape, { buffer.value.assign($0.moved(to: value.device)) }))
        }
        var problems: [String] = []
        // A weight of another form or units has parts of other names or shapes: told once, with what to do.
        let found = values["\(name)/forms"].flatMap { try? JSONDecoder().decode([String: String].self, from: Data($0.utf8)) } ?? [:]
        var others: [String] = []
        for (path, form) in Self.forms(of: module).sorted(by: { $0.key < $1.key }) {
            guard let other = found[path], other != form else { continue }
            others.append("\(name)/parameters/\(path)")
            problems.append(
                "weight '\(path)': expected it \(form), found it \(other); make the layer with that normalization and those units, "
                    + "as loading the weights' file before the optimizer is made does")
        }
        func isPart(_ path: String) -> Bool { others.contains { path == $0 || path.hasPrefix($0 + ".") } }
        let expected = Set(targets.map(\.0))
        for (path, type, shape, _) in targets where !isPart(path) {
            if let found = tensors[path] {
                if found.shape != shape || found.type != type {
                    problems.append("'\(path)': expected \(type)\(shape), found \(found.type)\(found.shape)")
                }
            } else {
                problems.append("'\(path)': expected \(type)\(shape), found none")
            }
        }
        for path in order where path.hasPrefix("\(name)/parameters/") || path.hasPrefix("\(name)/buffers/") {
            if !expected.contains(path) && !isPart(path) { problems.append("'\(path)': expected none, found one") }
        }
        for path in Self.forms(of: module).keys.sorted() where problems.isEmpty && found[path] == nil {
            problems.append("weight '\(path)': expected its form, found none")
        }
        guard problems.isEmpty else { throw CheckpointError(path: self.path, problem: MessageList.joined(problems, separator: "; ")) }
        for (path, _, _, assign) in targets { if let tensor = tensors[path] { assign(tensor) } }
    }

    /// Restores an optimizer's state from the one that was added.
    ///
    /// - Throws: ``CheckpointError`` if it does not fit; nothing is changed then.
    public func restore(_ optimizer: any Optimizer, from name: String) throws(CheckpointError) {
        guard let text = values["\(name)/state"], let header = try? JSONDecoder().decode(OptimizerHeader.self, from: Data(text.utf8)) else {
            throw CheckpointError(path: path, problem: "expected the state of an optimizer '\(name)', found none")
        }
        let prefix = "\(name)/state/"
        let state = OptimizerState(
            kind: header.kind, numbers: header.numbers.mapValues { Double(bitPattern: $0) },
            tensors: order.filter { $0.hasPrefix(prefix) }.compactMap { full in
                tensors[full].map { (String(full.dropFirst(prefix.count)), $0) }
            })
        do throws(OptimizerStateError) {
            try optimizer.restore(state)
        } catch {
            throw CheckpointError(path: path, problem: "'\(name)': \(error.description)")
        }
    }

    /// Restores a generator's state from the one that was added.
    ///
    /// - Throws: ``CheckpointError`` if there is none.
    public func restore(_ random: Generator, from name: String) throws(CheckpointError) {
        let state = try tensor(name)
        do {
            guard state.type == .uint8 else { throw TorchError("expected uint8, found \(state.type)") }
            try random.restore(state.elements(as: UInt8.self))
        } catch {
            throw CheckpointError(path: path, problem: "'\(name)': \(error)")
        }
    }

    /// Whether a tensor of that name was added.
    package func hasTensor(_ name: String) -> Bool { tensors[name] != nil }

    /// A tensor that was added.
    ///
    /// - Throws: ``CheckpointError`` if there is none of that name.
    public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
        guard let tensor = tensors[name] else {
            throw CheckpointError(path: path, problem: "expected a tensor '\(name)', found none of that name")
        }
        return tensor
    }

    /// A value that was added.
    ///
    /// - Throws: ``CheckpointError`` if there is none of that name, or it is of another type.
    public func value<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws(CheckpointError) -> Value {
        try value(name, as: type, by: JSONDecoder())
    }

    /// The same for a value whose numbers need not be finite.
    func valueNotFinite<Value: Decodable>(_ name: String) throws(CheckpointError) -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .words
        return try value(name, as: Value.self, by: decoder)
    }

    private func value<Value: Decodable>(_ name: String, as type: Value.Type, by decoder: JSONDecoder) throws(CheckpointError) -> Value {
        guard let text = values[name] else {
            throw CheckpointError(path: path, problem: "expected a value '\(name)', found none of that name")
        }
        guard let value = try? decoder.decode([Value].self, from: Data(text.utf8)).first else {
            throw CheckpointError(path: path, problem: "value '\(name)': expected a \(type), found \(Safetensors.quoted(text))")
        }
        if limitsWholeNumbers, let value = value as? any Encodable, let problem = WholeNumbers.problem(in: value) {
            throw CheckpointError(path: path, problem: "value '\(name)': \(problem)")
        }
        return value
    }
}

/// Why a checkpoint was refused: which file, what was expected and what was found.
public struct CheckpointError: Error, CustomStringConvertible, Equatable {
    /// The file, as the caller named it.
    public let path: String
    /// What was expected and what was found.
    public let problem: String

    /// The error for a checkpoint, or the part of it that `path` names, that does not fit.
    public init(path: String, problem: String) {
        self.path = path
        self.problem = problem
    }

    /// One line, such as `run/checkpoint.safetensors: expected …, found …`.
    public var description: String { "\(path): \(problem)".split(whereSeparator: \.isNewline).joined(separator: " ") }
}

extension Tensor {
    /// The checksum of the elements' bytes.
    fileprivate var checksum: UInt32 {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count * type.size, alignment: 8)
        defer { bytes.deallocate() }
        copyBytes(to: bytes)
        return CRC32.of(UnsafeRawBufferPointer(bytes))
    }
}
