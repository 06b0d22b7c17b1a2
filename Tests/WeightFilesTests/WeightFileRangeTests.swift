import Foundation
import Testing
import Torch
import WeightFiles
import WeightNorm

// Files whose weights lie where squares, or g/‖v‖, leave the type's range (pytorch #46849, fairseq #79): folded and unfolded they are the same weights.

struct WeightFileRangeTests {
    private func tensors(_ path: String) throws -> [String: [Double]] {
        let file = try SafetensorsFile(opening: path)
        return Dictionary(uniqueKeysWithValues: try file.names.map { ($0, try file.tensor($0).elements()) })
    }

    private func isClose(_ found: [Double]?, _ expected: [Double], _ tolerance: Double) -> Bool {
        guard let found, found.count == expected.count else { return false }
        return zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance * abs($1) }
    }

    @Test(
        "fold gives w = g·v/‖v‖",
        arguments: [
            ([3e200, 4e200], 1, [0.6, 0.8], .float64), ([3e-200, 4e-200], 2, [1.2, 1.6], .float64),
            ([3e-40, 4e-40], 1, [0.6, 0.8], .float32),
            ([3e38, 3e38], 1e-8, [7.0710678e-9, 7.0710678e-9], .float32), ([1e20, 1e20], 1, [0.70710678, 0.70710678], .bfloat16),
        ] as [([Double], Double, [Double], ElementType)])
    func fold(v: [Double], g: Double, w: [Double], type: ElementType) throws {
        try withInterchangeFolder { folder in
            let (from, to) = (folder.appendingPathComponent("a.safetensors").path, folder.appendingPathComponent("b.safetensors").path)
            try Safetensors.write(
                [
                    ("c.weight_g", Tensor([g], shape: [1, 1]).converted(to: type)),
                    ("c.weight_v", Tensor(v, shape: [1, 2]).converted(to: type)),
                ], to: from)
            _ = try WeightFile(opening: from).convert(to: .plain, path: to)
            let tolerance = type == .bfloat16 ? 1e-2 : v[0] < 1e-38 && type == .float32 ? 1e-4 : 1e-6
            #expect(isClose(try tensors(to)["c.weight"], w, tolerance))
        }
    }

    @Test(
        "unfold keeps the weight, and folding it gives that back",
        arguments: [([3e-200, 4e-200], .float64), ([3e200, 4e200], .float64), ([3e-40, 4e-40], .float32), ([1.5e38, 2e38], .float32)]
            as [([Double], ElementType)])
    func unfold(w: [Double], type: ElementType) throws {
        try withInterchangeFolder { folder in
            let paths = ["a", "b", "c"].map { folder.appendingPathComponent("\($0).safetensors").path }
            try Safetensors.write([("c.weight", Tensor(w, shape: [1, 2]).converted(to: type))], to: paths[0])
            _ = try WeightFile(opening: paths[0]).unfold(to: .weightNorm, units: .axis(0), path: paths[1]) { _ in true }
            let tolerance = w[0] < 1e-38 && type == .float32 ? 1e-4 : 1e-6
            #expect(isClose(try tensors(paths[1])["c.weight_g"], [hypot(w[0] / 1e30, w[1] / 1e30) * 1e30], tolerance * 10))
            _ = try WeightFile(opening: paths[1]).convert(to: .plain, path: paths[2])
            #expect(isClose(try tensors(paths[2])["c.weight"], w, tolerance))
        }
    }

    @Test("a norm that the file's type cannot hold is an error that says so, and nothing is written")
    func tooLarge() throws {
        try withInterchangeFolder { folder in
            let (from, to) = (folder.appendingPathComponent("a.safetensors").path, folder.appendingPathComponent("b.safetensors").path)
            try Safetensors.write([("c.weight", Tensor([Float(3e38), Float(3e38)], shape: [1, 2]))], to: from)
            #expect(
                throws: SafetensorsError(
                    path: from, problem: "tensor 'c.weight': expected norms within the range of float32, found larger ones")
            ) { _ = try WeightFile(opening: from).unfold(to: .weightNorm, units: .axis(0), path: to) { _ in true } }
            #expect(!FileManager.default.fileExists(atPath: to))
        }
    }
}
