import Experiments
import Foundation
import TestSupport
import Testing

/// What a study's cells found in a small grid, by arm and stratum.
private func values(_ name: String, part: String) throws -> [StudyCellRecord] {
    try withFolder { folder in
        let study = try #require(Study.named(name, .tiny))
        let runner = try StudyRunner(study, in: folder)
        let end = try runner.run(parts: [part])
        #expect(end == .finished)
        let known = try #require(study.plan.part(part))
        return try #require(runner.records.complete(known))
    }
}

@Suite struct StudyTaskTests {
    @Test("a rate that grows as it should goes the same way as weight decay, and no decay goes another") func decay() throws {
        let found = try values("bias", part: "decay")
        for seed in Set(found.map(\.cell.seed)) {
            func value(_ arm: String, _ name: String) throws -> Double {
                let record = found.first { $0.cell.arm == arm && $0.cell.seed == seed }
                return try #require(record?.measurements.values[name])
            }
            let (decay, matched, none) = (
                try value("decay", "effectiveRate"), try value("matched", "effectiveRate"), try value("none", "effectiveRate")
            )
            #expect(abs(decay / matched - 1) < 1e-4)
            #expect(decay / none > 1.005)
        }
    }

    @Test("on whitened input the layers are the same but for batch norm's ε, on other input not") func whitening() throws {
        for record in try values("batchnorm", part: "white") {
            let difference = try #require(record.measurements.values["difference"])
            if record.cell.stratum == "whitened" { #expect(difference < 1e-5) } else { #expect(difference > 0.1) }
        }
    }

    @Test("plain gradient descent keeps the start's part that no equation sees, weight normalization shrinks it") func minimum() throws {
        let found = try values("bias", part: "minimum")
        for seed in Set(found.map(\.cell.seed)) {
            func excess(_ arm: String) throws -> Double {
                let record = found.first { $0.cell.arm == arm && $0.cell.seed == seed }
                return try #require(record?.measurements.values["excess"])
            }
            let (weight, normal) = (try excess("weight"), try excess("normal"))
            #expect(weight < normal)
        }
    }
}
