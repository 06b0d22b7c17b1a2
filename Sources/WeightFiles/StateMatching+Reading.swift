package import Torch
import WeightNorm

// The values of what was matched, read before anything in the module is changed.

extension StateMatching.WeightMatch {
    /// The weight as in the file, in types that can hold both the file's numbers and the module's; if adopted, in the module's types and on its
    /// device.
    func read(from file: SafetensorsFile, adopting: Bool) throws -> Weight {
        let types = weight.types(asIn: stored.form)
        var parts = try zip(sources, types).map { try file.tensor($0, fitting: $1) }
        if adopting {
            let device = weight.vector.device
            parts = zip(parts, types).map { $0.converted(to: $1).moved(to: device) }
        } else {
            let common = stored.commonType(of: parts.map(\.type) + [weight.vector.type])
            parts = parts.map { $0.converted(to: common) }
        }
        return stored.weight(parts, shape: weight.shape, units: units, settings)
    }
}

extension StoredWeight {
    /// A type in which w can be computed from tensors of the given types.
    func commonType(of types: [ElementType]) -> ElementType {
        // A gain may need a wider type than its logarithm, a product than its factors.
        ElementType.common(types + (form.isComputedInAnyType ? [] : [.float32]))
    }

    /// The weight made from the tensors that were read, with the given shape.
    func weight(_ parts: [Tensor], shape: [Int], units: OutputUnits, _ settings: [String: Double]) -> Weight {
        let shapes = form.partShapes(ofWeight: shape, units: units, settings: settings) ?? parts.map(\.shape)
        // PyTorch stores a single g for the whole without dimensions.
        let shaped = zip(parts, shapes).map { $0.shape == $1 ? $0 : $0.reshaped($1) }
        return Weight(form.init(parts: shaped, units: units, settings: settings))
    }
}

extension StateMatching.WeightMatch {
    /// The module's weight, or if both it and the file's have units, and others, one of the module's form with the file's.
    func weightInUnits(of found: Weight) -> Weight {
        guard let ours = weight.units, let theirs = found.units, !ours.hasSameNorms(as: theirs, weight.shape) else { return weight }
        return withoutGradients {
            // Its values are assigned afterwards; they need only have the right shapes and types.
            let start = type(of: weight.form).makeWeight(weight.vector, units: theirs, settings: weight.form.settings)
            let parts = zip(start.form.parts, weight.elementTypes).map { $0.value.converted(to: $1) }
            return Weight(type(of: weight.form).init(parts: parts, units: theirs, settings: weight.form.settings))
        }
    }

    /// What a weight becomes, the module's or one made for it; an error if it cannot hold finite numbers of the file.
    func values(of found: Weight, for target: Weight, in file: SafetensorsFile) throws -> Weight.Values {
        let values = target.values(of: found)
        guard values.isFinite || !found.isFinite else {
            throw SafetensorsError(path: file.path, problem: "weight \(Safetensors.quoted(stored.name)): \(tooLarge(weight.vector.type))")
        }
        return values
    }

    /// Whether the file has the module's element types.
    func hasTypes(of file: SafetensorsFile) -> Bool {
        zip(sources, weight.types(asIn: stored.form)).allSatisfy { file.entry($0)?.type == $1 }
    }
}

/// For a message: finite numbers would no longer be finite.
func tooLarge(_ type: ElementType) -> String { "expected numbers within the range of \(type), found larger ones" }

extension StateMatching.TensorMatch {
    /// The tensor, or the sum of those that represent it.
    func read(from file: SafetensorsFile) throws -> Tensor {
        let type: ElementType? =
            switch content {
            case .parameter(let parameter): parameter.value.type
            case .buffer(let buffer): buffer.value.type
            case .weight: nil
            }
        let parts = try sources.map { try file.tensor($0, fitting: type) }
        guard parts.count > 1 else { return parts[0] }
        let sum = parts.dropFirst().reduce(parts[0].converted(to: .float64)) { $0 + $1.converted(to: .float64) }
        guard let type, (sum.isFinite() .== sum.converted(to: type).isFinite()).allTrue() else {
            let quoted = names.map { Safetensors.quoted($0) }.joined(separator: " and ")
            throw SafetensorsError(path: file.path, problem: "sum of \(quoted): \(tooLarge(type ?? .float64))")
        }
        return sum
    }

    func assign(_ value: Tensor) {
        switch content {
        case .parameter(let parameter): parameter.assign(value)
        case .buffer(let buffer): buffer.assign(value.converted(to: buffer.value.type).moved(to: buffer.value.device))
        case .weight: break
        }
    }
}

extension Weight {
    /// The element types of the parts of a form for this weight: for its own form those of its parts; otherwise v's for the first part, and for the
    /// others that of its own second part.
    func types(asIn form: any WeightForm.Type) -> [ElementType] {
        let own = elementTypes
        guard type(of: self.form) != form else { return own }
        return form.partNames.indices.map { $0 == 0 || own.count == 1 ? vector.type : own[1] }
    }
}

extension ElementType {
    /// A type that can hold the numbers of all the types.
    package static func common(_ types: [ElementType]) -> ElementType {
        // Nothing is computed in 8 bits.
        let types = types.map { $0.isFloat8 ? .float32 : $0 }
        guard let first = types.first, types.contains(where: { $0 != first }) else { return types.first ?? .float32 }
        return types.contains(.float64) ? .float64 : .float32
    }
}

extension SafetensorsFile {
    /// A tensor whose numbers are within the range of their target type.
    func tensor(_ name: String, fitting type: ElementType?) throws -> Tensor {
        let tensor = try computable(name)
        guard let type, type != tensor.type, type.isFloatingPoint, type != .float64 else { return tensor }
        let (before, after) = (tensor.isFinite(), tensor.converted(to: type).isFinite())
        guard (before .== after).allTrue() else {
            let largest = tensor.replacing(where: .!before, with: 0).magnitude().maximum().item()
            throw SafetensorsError(
                path: path,
                problem:
                    "tensor \(Safetensors.quoted(name)): expected numbers within the range of \(type), found one of magnitude \(largest)")
        }
        return tensor
    }

    /// A tensor that can be computed with: in float32 if the file has it in 8 bits.
    func computable(_ name: String) throws -> Tensor {
        let tensor = try tensor(name)
        return tensor.type.isFloat8 ? tensor.converted(to: .float32) : tensor
    }

    /// Whether two tensors agree in type, shape and every bit.
    func hasSameElements(_ one: String, _ other: String) throws -> Bool {
        let (left, right) = (try tensor(one), try tensor(other))
        return left.type == right.type && left.shape == right.shape && left.bytes == right.bytes
    }
}

extension Tensor {
    fileprivate var bytes: [UInt8] {
        let count = count * type.size
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            copyBytes(to: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
            initialized = count
        }
    }
}
