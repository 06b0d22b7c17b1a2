import Foundation
import Testing
import Torch
import WeightFiles
import WeightNorm

@Suite struct LayerInterchangeTests {
    /// Files of Scripts/reference/layers.py: those kept here, or in the folder that the environment names.
    static let folder: URL =
        ProcessInfo.processInfo.environment["WEIGHTNORM_REFERENCE"].map { URL(fileURLWithPath: $0) }
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")

    static let files: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasPrefix("layers-") && !$0.contains(".reference.") && $0.hasSuffix(".safetensors") }.sorted()
    }()

    /// Also writes what `layers.py check` reads, if the environment names a folder for it.
    @Test(
        "every layer reads PyTorch's parameters along any dim, computes what PyTorch computes, gradients too, and writes back what it read",
        arguments: files)
    func everyLayer(file: String) throws {
        let path = Self.folder.appendingPathComponent(file).path
        let reference = try SafetensorsFile(opening: path.replacingOccurrences(of: ".safetensors", with: ".reference.safetensors"))
        let type: ElementType = file.contains("float64") ? .float64 : .float32
        let isPlain = file.contains("plain")
        let layers = LayerInterchange(isPlain ? .plain : .weight, type: type)
        // What attention's output projection cannot have in PyTorch's older layout is plain there.
        let report = try layers.load(from: path, forms: isPlain ? .matching : .adopt)
        let byPath = report.namesByPath
        var found: [(name: String, value: Tensor)] = []
        var worst = 0.0
        for (name, property, layer, call) in layers.cases {
            let input = try reference.tensor("\(name).input")
            let variable = input.type.isFloatingPoint ? Parameter(input) : nil
            let output = call(variable?.value ?? input)
            let named = layer.namedParameters
            let slopes = gradients(
                of: (output * seedLike(output)).sum(), withRespectTo: (variable.map { [$0] } ?? []) + named.map(\.value))
            var results = [("\(name).output", output.detached())]
            if variable != nil { results.append(("\(name).gradient.input", slopes[0])) }
            for (parameter, slope) in zip(named, slopes.suffix(named.count)) {
                for other in byPath["\(property).\(parameter.path)"] ?? [] {
                    let info = try SafetensorsFile(opening: path).info(other)
                    results.append(("\(name).gradient.\(other.dropFirst(name.utf8.count + 1))", slope.reshaped(info.shape)))
                }
            }
            var scale = 0.0
            for (index, (key, value)) in results.enumerated() {
                let expected = try reference.tensor(key)
                // An output by itself, gradients by the largest of the layer's: a gain's is a sum that may cancel.
                if index < 2 { scale = 0 }
                let group = index == 0 ? [key] : reference.names.filter { $0.hasPrefix("\(name).gradient.") }
                if scale == 0 { scale = try group.map { try reference.tensor($0).magnitude().maximum().item() }.max() ?? 0 }
                let difference = (value - expected).magnitude().maximum().item() / scale
                #expect(difference <= tolerance(type), "\(key): \(difference)")
                worst = max(worst, difference)
            }
            let expected = reference.names.filter { $0.hasPrefix("\(name).") && $0 != "\(name).input" }
            #expect(Set(results.map(\.0)) == Set(expected), "everything of \(name) is compared")
            found += results + [("\(name).input", input)]
        }
        print("from PyTorch, \(file): worst difference \(worst)")

        try withInterchangeFolder("WEIGHTNORM_INTERCHANGE") { folder in
            let back = folder.appendingPathComponent(file).path
            try layers.write(to: back, layout: file.contains("old") ? .weightNorm : file.contains("new") ? .parametrizations : .plain)
            let (before, after) = (try SafetensorsFile(opening: path), try SafetensorsFile(opening: back))
            #expect(Set(before.names) == Set(after.names))
            // Two biases of an LSTM are one here, which is written as the first.
            for name in before.names where !name.contains("lstm.bias") && !name.contains("stack.bias") || name.hasPrefix("gru") {
                #expect(try before.tensor(name).elements(as: Double.self) == after.tensor(name).elements(as: Double.self), "\(name)")
                #expect(try before.info(name).shape == after.info(name).shape, "\(name)")
            }
            try Safetensors.write(found, to: back.replacingOccurrences(of: ".safetensors", with: ".reference.safetensors"))
        }
    }

    @Test("loading keeps the file's dims by default, and what is written has the shapes that were read", arguments: files)
    func dimsAreKept(file: String) throws {
        let path = Self.folder.appendingPathComponent(file).path
        let type: ElementType = file.contains("float64") ? .float64 : .float32
        let original = try SafetensorsFile(opening: path)
        for normalization in [Normalization.weight, .logWeight] {
            let layers = LayerInterchange(normalization, type: type)
            let report = try layers.load(from: path)
            try withInterchangeFolder { folder in
                let back = folder.appendingPathComponent("back.safetensors").path
                let layout: StateLayout = file.contains("old") ? .weightNorm : .parametrizations
                try layers.write(to: back, layout: layout)
                let written = try SafetensorsFile(opening: back)
                for weight in report.weights where weight.layout == layout {
                    for name in weight.names { #expect(try written.info(name).shape == original.info(name).shape, "\(name)") }
                }
            }
        }
    }

    @Test("functions give what PyTorch's give, and gradients", arguments: interchangedFunctions.map(\.name))
    func functions(name: String) throws {
        let reference = try SafetensorsFile(opening: Self.folder.appendingPathComponent("functions.safetensors").path)
        let function = try #require(interchangedFunctions.first { $0.name == name }).function
        let input = Parameter(try reference.tensor("\(name).input"))
        let output = function(input.value)
        let slope = gradients(of: (output * seedLike(output)).sum(), withRespectTo: [input])[0]
        let expected = try reference.tensor("\(name).output")
        #expect(output.shape == expected.shape)
        #expect(relativeDifference(output, expected) <= 1e-12)
        #expect(relativeDifference(slope, try reference.tensor("\(name).gradient")) <= 1e-12)
    }

    @Test("every function of the reference is compared")
    func everyFunction() throws {
        let reference = try SafetensorsFile(opening: Self.folder.appendingPathComponent("functions.safetensors").path)
        #expect(Set(reference.names.map { $0.split(separator: ".")[0] }) == Set(interchangedFunctions.map { Substring($0.name) }))
    }

    @Test("what is folded comes back with every dim and name that it had, and folds to the same weights", arguments: files)
    func unfoldedLike(file: String) throws {
        guard !file.contains("plain") else { return }
        try withInterchangeFolder { folder in
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let original = try WeightFile(opening: Self.folder.appendingPathComponent(file).path)
            _ = try original.convert(to: .plain, path: path("folded"))
            let folded = try WeightFile(opening: path("folded"))
            let outcome = try folded.unfold(like: original, path: path("unfolded"))
            #expect(outcome.changed.count == original.weights.count { !$0.isPlain } && outcome.computed.isEmpty)
            let unfolded = try WeightFile(opening: path("unfolded"))
            #expect(Set(unfolded.file.names) == Set(original.file.names))
            for name in original.file.names { #expect(try unfolded.file.info(name) == original.file.info(name), "\(name)") }
            _ = try unfolded.convert(to: .plain, path: path("again"))
            let again = try SafetensorsFile(opening: path("again"))
            for name in again.names {
                #expect(
                    relativeDifference(try again.tensor(name), try folded.file.tensor(name)) < (file.contains("64") ? 1e-15 : 1e-6),
                    "\(name)")
            }
        }
    }

    @Test("weights along several axes are written and read in the native layout alone")
    func severalAxes() throws {
        try withInterchangeFolder { folder in
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let layer = Convolution(4, to: 6, kernel: [3], units: .axes([0, 2]), random: Generator(seed: 1))
            try layer.write(to: path("native"))
            let fresh = Convolution(4, to: 6, kernel: [3], random: Generator(seed: 2))
            try fresh.load(from: path("native"))
            #expect(fresh.weight.units == .axes([0, 2]))
            #expect(relativeDifference(fresh.weight.value, layer.weight.value) == 0)
            let file = try WeightFile(opening: path("native"))
            #expect(file.weights.map(\.units) == [.axes([0, 2])])
            let outcome = try file.convert(to: .weightNorm, path: path("old"))
            #expect(outcome.computed == ["weight"])
            #expect(
                relativeDifference(
                    try WeightFile(opening: path("old")).read(WeightFile(opening: path("old")).weights[0]).value, layer.weight.value) < 1e-6
            )
            _ = try file.convert(to: .plain, path: path("plain"))
            #expect(throws: SafetensorsError.self) {
                try WeightFile(opening: path("plain")).unfold(to: .weightNorm, units: .axes([0, 2]), path: path("none"))
            }
        }
    }
}
