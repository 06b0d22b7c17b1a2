import AtomicFiles
import Foundation
import TestSupport
import Testing
import Torch
import WeightFiles
import WeightNorm

struct ShardTests {
    private func network(_ seed: UInt64) -> Sequential {
        let random = Generator(seed: seed)
        return Sequential(
            Dense(4, to: 8, random: random), BatchNorm(features: 8, axis: -1), Dense(8, to: 3, random: random),
            Dense(3, to: 2, random: random))
    }

    @Test("a model is written in shards of a size with an index, and read by the index or by the folder, v and g in different shards")
    func roundTrip() throws {
        try withFolder { folder in
            let model = network(1)
            for (size, layout) in [(100, StateLayout.native), (64, .parametrizations), (1, .weightNorm), (1 << 20, .plain)] {
                let names = try model.write(toFolder: "\(folder)/model", layout: layout, shardSize: size)
                #expect(
                    Set(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/model")) == Set(names),
                    "nothing of an earlier write is left")
                if size == 1 << 20 {
                    #expect(names == ["model.safetensors"])
                } else {
                    #expect(names.last == "model.safetensors.index.json" && names[0].hasPrefix("model-00001-of-000"))
                    for name in names.dropLast() {
                        let shard = try SafetensorsFile(opening: "\(folder)/model/\(name)")
                        let bytes = try shard.names.map { try shard.tensor($0).count * shard.tensor($0).type.size }
                        #expect(bytes.reduce(0, +) <= size || bytes.count == 1)
                        #expect(layout == .native || shard.metadata["format"] == "pt")
                    }
                }
                for path in ["\(folder)/model", "\(folder)/model/\(names.last ?? "")"] {
                    let copy = network(2)
                    let report = try copy.load(from: path)
                    #expect(report.weights.allSatisfy { $0.layout == layout })
                    for (ours, theirs) in zip(copy.namedParameters, model.namedParameters) where layout != .plain {
                        #expect(ours.value.value.elements(as: Float.self) == theirs.value.value.elements(as: Float.self), "\(ours.path)")
                    }
                }
            }
        }
    }

    @Test("weights in shards are folded, into one file or into shards")
    func folded() throws {
        try withFolder { folder in
            let model = network(1)
            try model.write(toFolder: "\(folder)/model", layout: .weightNorm, shardSize: 1)
            let file = try WeightFile(opening: "\(folder)/model")
            #expect(file.weights.count == 3 && file.defects.isEmpty)
            _ = try file.convert(to: .plain, path: "\(folder)/one.safetensors")
            _ = try file.convert(to: .plain, path: "\(folder)/many", shardSize: 64)
            let (one, many) = (try SafetensorsFile(opening: "\(folder)/one.safetensors"), try SafetensorsFile(opening: "\(folder)/many"))
            #expect(Set(one.names) == Set(many.names))
            for name in one.names { #expect(try one.tensor(name).elements(as: Float.self) == many.tensor(name).elements(as: Float.self)) }
            #expect(FileManager.default.fileExists(atPath: "\(folder)/many/model.safetensors.index.json"))
        }
    }

    @Test("an index that is none, leads elsewhere or does not fit its files is refused in one line")
    func badIndices() throws {
        try withFolder { folder in
            try network(1).write(toFolder: folder, shardSize: 100)
            let path = "\(folder)/model.safetensors.index.json"
            let good = try String(contentsOfFile: path, encoding: .utf8)
            func problem(_ text: String) throws -> String {
                try Data(text.utf8).write(to: URL(fileURLWithPath: path))
                let error = #expect(throws: (any Error).self) { try SafetensorsFile(opening: folder) }
                let line = error.map { "\($0)" } ?? ""
                #expect(!line.contains("\n"))
                return line
            }
            for text in ["", "[]", "{", "{\"weight_map\": 1}", "{\"weight_map\": {\"a\": 1}}", String(repeating: "[", count: 100_000)] {
                #expect(try problem(text).contains("expected an index of safetensors files, JSON with a weight_map from tensors to files"))
            }
            for name in ["../model.safetensors", "/etc/passwd.safetensors", "model.bin", ".safetensors", ""] {
                #expect(
                    try problem("{\"weight_map\": {\"a\": \"\(name)\"}}").contains(
                        "expected the names of safetensors files beside the index"))
            }
            #expect(try problem("{\"weight_map\": {\"a\": \"none.safetensors\"}}").contains("No such file"))
            let lacking = good.replacingOccurrences(of: "\"0.bias\"", with: "\"9.bias\"")
            #expect(try problem(lacking).contains("expected the tensor '9.bias' in 'model-0"))
            // What the index does not name is not there.
            var content = try #require(JSONSerialization.jsonObject(with: Data(good.utf8)) as? [String: Any])
            var map = try #require(content["weight_map"] as? [String: String])
            map["0.bias"] = nil
            content["weight_map"] = map
            try JSONSerialization.data(withJSONObject: content).write(to: URL(fileURLWithPath: path))
            let partial = try SafetensorsFile(opening: folder)
            #expect(!partial.contains("0.bias") && partial.contains("0.weight.gain"))
            let empty = #expect(throws: SafetensorsError.self) {
                try SafetensorsFile(opening: FileManager.default.temporaryDirectory.path + "/")
            }
            #expect(
                empty?.problem.contains("a folder with model.safetensors.index.json or model.safetensors, found a folder without") == true)
        }
    }

    @Test("a mapped file's tensors are parts of it: no copy, kept as long as they are used, and equal to those that are read")
    func mapped() throws {
        try withFolder { folder in
            let path = "\(folder)/model.safetensors"
            let large = Tensor.normal([1000, 1000], from: Generator(seed: 1))
            try Safetensors.write([("large", large), ("flags", Tensor([true, false])), ("none", .zeros([0, 3]))], to: path)
            var tensor: Tensor?
            do {
                let file = try SafetensorsFile(opening: path, isMapped: true)
                let (first, second) = (try file.tensor("large"), try file.tensor("large"))
                #expect(first.address == second.address && first.requiresGradient == false)
                let copied = try SafetensorsFile(opening: path, isMapped: false)
                #expect(try copied.tensor("large").address != copied.tensor("large").address)
                #expect(try file.tensor("flags").elements() == [true, false] && file.tensor("none").shape == [0, 3])
                tensor = first
            }
            try FileManager.default.removeItem(atPath: path)
            #expect(tensor.map { ($0 - large).magnitude().maximum().item() } == 0)
            // A parameter is a copy, and training it leaves the file as it is.
            let parameter = tensor.map { Parameter($0) }
            parameter?.assign(.zeros([1000, 1000]))
            #expect(tensor.map { ($0 - large).magnitude().maximum().item() } == 0)
        }
    }

    @Test("8-bit floating-point numbers are read as they are, converted if asked, and folded", arguments: ["F8_E4M3", "F8_E5M2"])
    func float8(name: String) throws {
        try withFolder { folder in
            let type: ElementType = name == "F8_E4M3" ? .float8e4m3 : .float8e5m2
            let weight = Tensor([3, 4, 6, 8, -1.5, 0.25] as [Float], shape: [3, 2])
            let gain = Tensor([10, 20, 1] as [Float], shape: [3, 1])
            let path = "\(folder)/model.safetensors"
            try Safetensors.write(
                [
                    ("weight_v", weight.converted(to: type)), ("weight_g", gain.converted(to: type)),
                    ("bias", Tensor([1, 2, 0.5] as [Float]).converted(to: type)),
                ],
                to: path)
            let file = try SafetensorsFile(opening: path)
            #expect(
                try file.info("weight_v").type == type
                    && file.tensor("weight_v").converted(to: .float32).elements() == weight.elements(as: Float.self))
            let layer = Dense(2, to: 3, random: Generator(seed: 1))
            #expect(throws: ModuleFileError.self) { try layer.load(from: path) }
            try layer.load(from: path, convertingTypes: true)
            #expect(layer.weight.value.type == .float32 && abs(layer.weight.value[0, 0].item() - 6) < 1e-6)
            let found = try WeightFile(opening: path)
            #expect(found.weights.map(\.typeName) == [name])
            #expect(try found.norms(of: found.weights[0]).gain.map { [$0.smallest, $0.largest] } == [1, 20])
            _ = try found.convert(to: .plain, path: "\(folder)/plain.safetensors")
            let plain = try SafetensorsFile(opening: "\(folder)/plain.safetensors").tensor("weight")
            #expect(plain.type == type && plain.converted(to: .float32)[..<2].elements() == [Float(6), 8, 12, 16])
            _ = try WeightFile(opening: "\(folder)/plain.safetensors").unfold(
                to: .parametrizations, units: .axis(0), path: "\(folder)/again.safetensors")
            #expect(try SafetensorsFile(opening: "\(folder)/again.safetensors").info("parametrizations.weight.original1").type == type)
        }
    }
}
